//! Reading a log: the index of the view, and the copy of the tail that is older than the view.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rusqlite::OptionalExtension;

use crate::codec::corrupt;
use crate::codec::{origin, timestamp};
use crate::limits::RECENT_ENTRIES;
use crate::log::{LogEntry, LogQuery, LogUsage, Origins, Position};
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
    let bounds = Bounds::of(query);
    let mut places = indexed(view, owner, bounds, query)?;
    let inside = tail.iter().filter(|entry| bounds.contain(entry.position));
    places.extend(inside.map(|entry| (entry.position, entry.body)));
    places.sort_unstable();
    // Of several rows that claim one position the first has it, in the index and in the tail alike.
    places.dedup_by_key(|(position, _)| *position);
    if query.newest_first {
        places.reverse();
    }
    Ok(places)
}

/// The origins of the newest entries, newest first.
pub(in crate::sqlite) fn recent_origins(
    view: &View<'_>,
    owner: i64,
    tail: &[TailEntry],
) -> Result<Origins, Failure> {
    let places = places(view, owner, tail, LogQuery::before(None, RECENT_ENTRIES))?;
    let mut select = view.prepare(
        "SELECT origin FROM body \
         WHERE id = ?1 AND ((o1 = ?2 AND p1 = ?3) OR (o2 = ?2 AND p2 = ?3))",
    )?;
    let (mut origins, mut left) = (Vec::new(), RECENT_ENTRIES);
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
            origins.push((unpack(position)?, origin(&packed)?));
        }
    }
    Ok(origins)
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
         ORDER BY pos DESC LIMIT ?4"
    } else {
        "SELECT pos, body FROM idx WHERE owner = ?1 AND pos > ?2 AND pos <= ?3 \
         ORDER BY pos LIMIT ?4"
    })?;
    let params = (owner, bounds.after, bounds.last(), query.limit);
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
        "SELECT received, stanza, origin FROM body \
         WHERE id = ?1 AND ((o1 = ?2 AND p1 = ?3) OR (o2 = ?2 AND p2 = ?3))",
    )?;
    let found = select.query_row((body, owner, position), |row| {
        Ok((
            timestamp(row.get(0)?),
            Bytes::from(row.get::<_, Vec<u8>>(1)?),
            row.get::<_, Option<Vec<u8>>>(2)?,
        ))
    });
    let Some((received, stanza, packed)) = found.optional()? else {
        return Ok(None);
    };
    Ok(Some(LogEntry {
        position: unpack(position)?,
        received,
        stanza,
        origin: packed.as_deref().map(origin).transpose()?,
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
