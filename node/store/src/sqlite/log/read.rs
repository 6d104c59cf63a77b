//! Reading a log: the index of the view, and the copy of the tail that is older than the view.

use std::ops::Range;

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rusqlite::OptionalExtension;

use super::when;
use crate::codec::{corrupt, millis, origin, timestamp};
use crate::limits::{RECENT_ENTRIES, SEARCH_ENTRIES_MAX};
use crate::log::{LogEntry, LogQuery, LogSearch, LogUsage, Marks, Position, Recent};
use crate::sqlite::error::Failure;
use crate::sqlite::tail::TailEntry;
use crate::sqlite::view::View;

/// [`read_log`](crate::Store::read_log).
pub(in crate::sqlite) fn page(
    view: &View<'_>,
    jid: &Jid,
    query: LogQuery,
) -> Result<Vec<LogEntry>, Failure> {
    match view.owner_and_tail(jid)? {
        Some((owner, tail)) => page_of(view, owner, &tail, query),
        None => Ok(Vec::new()),
    }
}

/// A page of the log of an owner.
pub(in crate::sqlite) fn page_of(
    view: &View<'_>,
    owner: i64,
    tail: &[TailEntry],
    query: LogQuery,
) -> Result<Vec<LogEntry>, Failure> {
    let places = places(view, owner, tail, query)?;
    let mut page = Vec::with_capacity(places.len().min(query.limit));
    for (position, body) in places {
        if page.len() == query.limit {
            break;
        }
        page.extend(entry(view, owner, position, body)?);
    }
    Ok(page)
}

/// Positions and rows of a page, in its order; of the tail there may be more, and some that are gone.
fn places(
    view: &View<'_>,
    owner: i64,
    tail: &[TailEntry],
    query: LogQuery,
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut places = indexed(view, owner, narrowed(view, owner, query)?, query)?;
    for entry in first_of_each(tail) {
        if Bounds::of(query).contain(entry.position)
            && query.wants(marks_of(&entry), timestamp(entry.received))
            && !is_taken(view, owner, &entry)?
        {
            places.push((entry.position, entry.body));
        }
    }
    places.sort_unstable();
    // What was indexed since the tail was copied is in both.
    places.dedup_by_key(|(position, _)| *position);
    if query.newest_first {
        places.reverse();
    }
    Ok(places)
}

/// Of several entries of the tail that claim one position the first has it.
fn first_of_each(tail: &[TailEntry]) -> impl Iterator<Item = TailEntry> {
    let groups = tail.chunk_by(|one, other| one.position == other.position);
    groups.filter_map(|group| group.first().copied())
}

/// Whether the entry's position is another one's in the index: one that the query may not want.
fn is_taken(view: &View<'_>, owner: i64, entry: &TailEntry) -> rusqlite::Result<bool> {
    let mut select =
        view.prepare("SELECT 1 FROM idx WHERE owner = ?1 AND pos = ?2 AND body <> ?3")?;
    select.exists((owner, entry.position, entry.body))
}

fn marks_of(entry: &TailEntry) -> Marks {
    Marks::from_bits(entry.marks)
}

/// [`find_log`](crate::Store::find_log).
pub(in crate::sqlite) fn find(
    view: &View<'_>,
    jid: &Jid,
    search: LogSearch,
) -> Result<Vec<LogEntry>, Failure> {
    let Some((owner, tail)) = view.owner_and_tail(jid)? else {
        return Ok(Vec::new());
    };
    let among = search.among.min(SEARCH_ENTRIES_MAX);
    let bounds = Bounds::of(LogQuery::before(search.before, among));
    let key = search.key.pack();
    // What is not in the index yet is the newest, nearly always.
    let mut newest: Vec<TailEntry> = first_of_each(&tail).collect();
    newest.retain(|entry| bounds.contain(entry.position));
    let newest = &newest[newest.len().saturating_sub(among)..];
    let mut select = view.prepare(
        "SELECT pos, body FROM \
         (SELECT pos, body, key FROM idx WHERE owner = ?1 AND pos <= ?2 ORDER BY pos DESC LIMIT ?3) \
         WHERE key = ?4",
    )?;
    let params = (owner, bounds.last(), among - newest.len(), key);
    let rows = select.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut places: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
    for entry in newest.iter().filter(|entry| entry.key == key) {
        if !is_taken(view, owner, entry)? {
            places.push((entry.position, entry.body));
        }
    }
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.dedup_by_key(|(position, _)| *position);
    let mut found = Vec::new();
    for (position, body) in places {
        if found.len() == search.limit {
            break;
        }
        let entry = entry(view, owner, position, body)?;
        found.extend(entry.filter(|entry| entry.marks.contains(Marks::ARCHIVED)));
    }
    Ok(found)
}

/// How many entries above `delivered` wait to be delivered.
pub(in crate::sqlite) fn owed(
    view: &View<'_>,
    owner: i64,
    tail: &[TailEntry],
    delivered: Option<Position>,
) -> rusqlite::Result<u64> {
    let above = delivered.map_or(-1, Position::pack);
    let mut count =
        view.prepare("SELECT count(*) FROM idx WHERE owner = ?1 AND pos > ?2 AND marks & ?3 = ?3")?;
    let owed = Marks::OWED.bits();
    let mut found: u64 = count.query_row((owner, above, owed), |row| row.get(0))?;
    let mut still_there = view.prepare(
        "SELECT 1 FROM body \
         WHERE id = ?1 AND ((o1 = ?2 AND p1 = ?3) OR (o2 = ?2 AND p2 = ?3)) \
         AND NOT EXISTS (SELECT 1 FROM idx WHERE owner = ?2 AND pos = ?3)",
    )?;
    for entry in first_of_each(tail) {
        let is_owed = above < entry.position && marks_of(&entry).contains(Marks::OWED);
        if is_owed && still_there.exists((entry.body, owner, entry.position))? {
            found += 1;
        }
    }
    Ok(found)
}

/// The newest entries that have an origin, newest first.
pub(in crate::sqlite) fn recent(
    view: &View<'_>,
    owner: i64,
    tail: &[TailEntry],
) -> Result<Vec<Recent>, Failure> {
    let places = places(view, owner, tail, LogQuery::before(None, RECENT_ENTRIES))?;
    let mut select = view.prepare(
        "SELECT origin, iif(o1 = ?2 AND p1 = ?3, m1, m2) FROM body \
         WHERE id = ?1 AND ((o1 = ?2 AND p1 = ?3) OR (o2 = ?2 AND p2 = ?3))",
    )?;
    let (mut recent, mut left) = (Vec::new(), RECENT_ENTRIES);
    for (position, body) in places {
        if left == 0 {
            break;
        }
        let mut rows = select.query((body, owner, position))?;
        let Some(row) = rows.next()? else {
            continue;
        };
        left -= 1;
        if let Some(packed) = row.get::<_, Option<Vec<u8>>>(0)? {
            recent.push(Recent {
                position: unpack(position)?,
                origin: origin(&packed)?,
                marks: Marks::stored(Some(row.get(1)?)),
            });
        }
    }
    Ok(recent)
}

/// Packed positions, both outside of what is asked for.
#[derive(Clone, Copy)]
struct Bounds {
    after: i64,
    before: Option<i64>,
}

impl Bounds {
    fn of(query: LogQuery) -> Self {
        let after = query.after.map_or(-1, Position::pack);
        Self {
            after,
            before: query.before.map(Position::pack),
        }
    }

    fn contain(self, position: i64) -> bool {
        self.after < position && self.before.is_none_or(|before| position < before)
    }

    /// The highest position inside, if there can be one.
    fn last(self) -> i64 {
        self.before.map_or(i64::MAX, |before| before - 1)
    }

    /// The positions inside, up to before the second, which may be below the first.
    fn positions(self) -> Range<i64> {
        self.after.saturating_add(1)..self.before.unwrap_or(i64::MAX)
    }
}

/// The bounds of a query, without what its times rule out.
fn narrowed(view: &View<'_>, owner: i64, query: LogQuery) -> rusqlite::Result<Bounds> {
    let mut bounds = Bounds::of(query);
    if let Some(from) = query.begins_at() {
        let first = when::first_since(view, owner, bounds.positions(), from)?;
        bounds.after = bounds.after.max(first - 1);
    }
    if let Some(to) = query.ends_at() {
        let first = when::first_since(view, owner, bounds.positions(), to)?;
        bounds.before = Some(bounds.before.map_or(first, |before| before.min(first)));
    }
    Ok(bounds)
}

/// Position and row of as many indexed entries as the page can hold.
fn indexed(
    view: &View<'_>,
    owner: i64,
    bounds: Bounds,
    query: LogQuery,
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut select = view.prepare(if query.newest_first {
        "SELECT pos, body FROM idx WHERE owner = ?1 AND pos > ?2 AND pos <= ?3 \
         AND received >= ?5 AND received <= ?6 AND marks & ?7 = ?7 ORDER BY pos DESC LIMIT ?4"
    } else {
        "SELECT pos, body FROM idx WHERE owner = ?1 AND pos > ?2 AND pos <= ?3 \
         AND received >= ?5 AND received <= ?6 AND marks & ?7 = ?7 ORDER BY pos LIMIT ?4"
    })?;
    let params = (
        owner,
        bounds.after,
        bounds.last(),
        query.limit,
        query.since.map_or(i64::MIN, millis),
        query.until.map_or(i64::MAX, millis),
        query.only.bits(),
    );
    let rows = select.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// The entry, if the row still has this place: it may have been removed since the tail was copied.
fn entry(
    view: &View<'_>,
    owner: i64,
    position: i64,
    body: i64,
) -> Result<Option<LogEntry>, Failure> {
    let mut select = view.prepare(
        "SELECT received, stanza, origin, iif(o1 = ?2 AND p1 = ?3, m1, m2) FROM body \
         WHERE id = ?1 AND ((o1 = ?2 AND p1 = ?3) OR (o2 = ?2 AND p2 = ?3))",
    )?;
    let found = select.query_row((body, owner, position), |row| {
        Ok((
            timestamp(row.get(0)?),
            Bytes::from(row.get::<_, Vec<u8>>(1)?),
            row.get::<_, Option<Vec<u8>>>(2)?,
            Marks::stored(Some(row.get(3)?)),
        ))
    });
    let Some((received, stanza, packed, marks)) = found.optional()? else {
        return Ok(None);
    };
    Ok(Some(LogEntry {
        position: unpack(position)?,
        received,
        stanza,
        origin: packed.as_deref().map(origin).transpose()?,
        marks,
    }))
}

/// [`log_usage`](crate::Store::log_usage).
pub(in crate::sqlite) fn usage(view: &View<'_>, jid: &Jid) -> Result<LogUsage, Failure> {
    match view.owner_and_tail(jid)? {
        Some((owner, tail)) => Ok(usage_of(view, owner, &tail)?),
        None => Ok(LogUsage::default()),
    }
}

/// What the log of an owner holds: what its row says of the index, and what of the tail is neither in
/// the index by now nor removed.
pub(in crate::sqlite) fn usage_of(
    view: &View<'_>,
    owner: i64,
    tail: &[TailEntry],
) -> rusqlite::Result<LogUsage> {
    let mut select = view.prepare("SELECT log_entries, log_bytes FROM owner WHERE id = ?1")?;
    let mut usage = select.query_row([owner], |row| {
        Ok(LogUsage {
            entries: row.get(0)?,
            bytes: row.get(1)?,
        })
    })?;
    let mut counts = view.prepare(
        "SELECT 1 FROM body \
         WHERE id = ?1 AND ((o1 = ?2 AND p1 = ?3) OR (o2 = ?2 AND p2 = ?3)) \
         AND NOT EXISTS (SELECT 1 FROM idx WHERE owner = ?2 AND pos = ?3)",
    )?;
    let mut last = None;
    for entry in tail {
        let is_first = last != Some(entry.position);
        if is_first && counts.exists((entry.body, owner, entry.position))? {
            usage.entries += 1;
            usage.bytes += u64::from(entry.bytes);
            last = Some(entry.position);
        }
    }
    Ok(usage)
}

/// The highest position that the log of an owner ever had.
pub(in crate::sqlite) fn high(
    view: &View<'_>,
    owner: i64,
    tail: &[TailEntry],
) -> Result<Option<Position>, Failure> {
    let mut select = view.prepare("SELECT log_high FROM owner WHERE id = ?1")?;
    let indexed: Option<i64> = select.query_row([owner], |row| row.get(0))?;
    let high = indexed.max(tail.last().map(|entry| entry.position));
    Ok(high.map(unpack).transpose()?)
}

/// A stored position.
pub(in crate::sqlite) fn unpack(packed: i64) -> Result<Position, crate::StoreError> {
    Position::unpack(packed).map_err(|error| corrupt(&error))
}
