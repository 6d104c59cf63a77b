//! Putting another stanza in an entry's place.
//!
//! ```text
//! alone in its row     the row gets the new stanza
//! shared               the row keeps the other log's place, and this one gets a row of its own
//! not in the index     it goes there in the same step: a reader with an older copy of the tail finds it there
//! ```

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rusqlite::OptionalExtension;

use crate::log::{Key, LogUsage, Marks, Position};
use crate::sqlite::error::Failure;
use crate::sqlite::tail::TailEntry;
use crate::sqlite::writer::{Group, Mutation};

/// [`replace_log`](crate::Store::replace_log).
pub(in crate::sqlite) struct Replace {
    owner: Jid,
    position: i64,
    stanza: Bytes,
    /// The new stanza's packed key, if it has one.
    key: i64,
}

/// Where the entry is.
struct Found {
    body: i64,
    /// Bytes of the stanza that is there.
    bytes: i64,
    /// Its place in the tail, if it has none in the index.
    in_tail: Option<TailEntry>,
}

impl Replace {
    pub(in crate::sqlite) fn new(owner: &Jid, position: Position, stanza: Bytes) -> Self {
        Self {
            owner: owner.clone(),
            position: position.pack(),
            key: Key::packed_of(&stanza, true),
            stanza,
        }
    }
}

impl Mutation for Replace {
    type Output = bool;

    fn bytes(&self) -> usize {
        self.stanza.len()
    }

    fn apply(self, group: &mut Group<'_>) -> Result<bool, Failure> {
        let Some(owner) = group.owner(&self.owner)? else {
            return Ok(false);
        };
        let Some(found) = find(group, owner, self.position)? else {
            return Ok(false);
        };
        // After an error the connection is not used again, so it need not be set back then.
        group.wipe(true)?;
        drop_from_tail(group, owner, self.position, found.body)?;
        let body = self.rewrite(group, owner, found.body)?;
        match found.in_tail {
            None => self.book_indexed(group, owner, body, found.bytes)?,
            Some(place) => self.index(group, owner, body, place)?,
        }
        group.wipe(false)?;
        Ok(true)
    }
}

impl Replace {
    /// Writes the stanza, and gives the row in which it is.
    fn rewrite(&self, group: &Group<'_>, owner: i64, body: i64) -> rusqlite::Result<i64> {
        if group.execute(REWRITE, (body, owner, &self.stanza[..]))? > 0 {
            return Ok(body);
        }
        group.execute(COPY, (body, owner, self.position, &self.stanza[..]))?;
        let copy = group.last_row();
        group.release(owner, body)?;
        Ok(copy)
    }

    fn book_indexed(
        &self,
        group: &Group<'_>,
        owner: i64,
        body: i64,
        bytes: i64,
    ) -> rusqlite::Result<()> {
        let more = self.stanza.len() as i64 - bytes;
        group.execute(
            "UPDATE idx SET body = ?3, key = iif(marks & ?5, ?4, 0) WHERE owner = ?1 AND pos = ?2",
            (owner, self.position, body, self.key, Marks::ARCHIVED.bits()),
        )?;
        group.execute(
            "UPDATE owner SET log_bytes = log_bytes + ?2 WHERE id = ?1",
            (owner, more),
        )?;
        Ok(())
    }

    fn index(
        &self,
        group: &Group<'_>,
        owner: i64,
        body: i64,
        place: TailEntry,
    ) -> rusqlite::Result<()> {
        let is_archived = Marks::from_bits(place.marks).contains(Marks::ARCHIVED);
        let key = if is_archived { self.key } else { 0 };
        group.execute(
            "INSERT INTO idx (owner, pos, body, marks, received, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (owner, self.position, body, place.marks, place.received, key),
        )?;
        let usage = LogUsage {
            entries: 1,
            bytes: self.stanza.len() as u64,
        };
        group.count_in(owner, usage, self.position)
    }
}

/// The entry at a position: what the index has there, else the first of the tail.
fn find(group: &Group<'_>, owner: i64, position: i64) -> rusqlite::Result<Option<Found>> {
    let mut select = group.prepare(
        "SELECT body, length(stanza) FROM idx JOIN body ON id = body WHERE owner = ?1 AND pos = ?2",
    )?;
    let indexed = select.query_row((owner, position), |row| Ok((row.get(0)?, row.get(1)?)));
    if let Some((body, bytes)) = indexed.optional()? {
        let in_tail = None;
        return Ok(Some(Found {
            body,
            bytes,
            in_tail,
        }));
    }
    let first = group.first_in_tail(owner, position);
    Ok(first.map(|first| Found {
        body: first.body,
        bytes: i64::from(first.bytes),
        in_tail: Some(first),
    }))
}

/// Of the tail nothing stays at the position: neither the entry, which is in the index from now on, nor those that came
/// later and found it taken.
fn drop_from_tail(
    group: &mut Group<'_>,
    owner: i64,
    position: i64,
    body: i64,
) -> rusqlite::Result<()> {
    for entry in group.take_from_tail(owner, |entry| entry.position == position) {
        if entry.body != body {
            group.release(owner, entry.body)?;
        }
    }
    Ok(())
}

const REWRITE: &str = "UPDATE body SET stanza = ?3 \
    WHERE id = ?1 AND (o1 IS NULL OR o1 = ?2) AND (o2 IS NULL OR o2 = ?2)";

const COPY: &str = "INSERT INTO body (o1, p1, m1, m2, received, stanza, origin) \
    SELECT ?2, ?3, iif(o1 = ?2 AND p1 = ?3, m1, m2), 0, received, ?4, origin FROM body WHERE id = ?1";
