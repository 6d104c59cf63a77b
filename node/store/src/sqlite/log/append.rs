//! Appending: one insert a stanza; its places go to the tail behind the commit.

use crate::codec::millis;
use crate::log::{Append, Key, Origin, Place};
use crate::sqlite::error::Failure;
use crate::sqlite::tail::TailEntry;
use crate::sqlite::writer::{Group, Mutation};

/// [`append`](crate::Store::append).
pub(in crate::sqlite) struct AppendEntries {
    entries: Vec<Append>,
    /// The packed key of each, made before the writer has them.
    keys: Vec<i64>,
}

impl AppendEntries {
    pub(in crate::sqlite) fn new(entries: Vec<Append>) -> Self {
        let key = |entry: &Append| Key::packed_of(&entry.stanza, entry.is_archived());
        let keys = entries.iter().map(key).collect();
        Self { entries, keys }
    }
}

impl Mutation for AppendEntries {
    type Output = ();

    fn operations(&self) -> usize {
        self.entries.len()
    }

    fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|entry| ENTRY_BYTES + entry.stanza.len())
            .sum()
    }

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let mut insert = group.prepare(
            "INSERT INTO body (o1, p1, m1, o2, p2, m2, received, stanza, origin) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for (entry, key) in self.entries.iter().zip(self.keys) {
            let first = place(group, &entry.place)?;
            let second = entry.second.as_ref();
            let second = second.map(|second| place(group, second)).transpose()?;
            let received = millis(entry.received);
            let body = insert.insert((
                first.0,
                first.1,
                first.2,
                second.map(|(owner, ..)| owner),
                second.map(|(_, position, _)| position),
                second.map_or(0, |(.., marks)| marks),
                received,
                &entry.stanza[..],
                entry.origin.map(Origin::pack),
            ))?;
            for (owner, position, marks) in std::iter::once(first).chain(second) {
                let bytes = entry.stanza.len() as u32;
                let entry = TailEntry {
                    position,
                    body,
                    bytes,
                    marks,
                    received,
                    key,
                };
                group.appended(owner, entry);
            }
        }
        Ok(())
    }
}

/// Owner, position and marks, as they are stored.
fn place(group: &mut Group<'_>, place: &Place) -> rusqlite::Result<(i64, i64, u8)> {
    let owner = group.owner_or_new(&place.owner)?;
    Ok((owner, place.position.pack(), place.marks.bits()))
}

/// Bytes of an entry in the queue beside its stanza.
const ENTRY_BYTES: usize = 192;
