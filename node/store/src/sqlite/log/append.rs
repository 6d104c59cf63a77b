//! Appending: one insert a stanza; its places go to the tail behind the commit.

use crate::codec::millis;
use crate::log::{Append, Origin, Place};
use crate::sqlite::error::Failure;
use crate::sqlite::tail::TailEntry;
use crate::sqlite::writer::{Group, Mutation};

/// [`append`](crate::Store::append).
pub(in crate::sqlite) struct AppendEntries(pub(in crate::sqlite) Vec<Append>);

impl Mutation for AppendEntries {
    type Output = ();

    fn operations(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(|entry| ENTRY_BYTES + entry.stanza.len())
            .sum()
    }

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let mut insert = group.prepare(
            "INSERT INTO body (o1, p1, m1, o2, p2, m2, received, stanza, origin) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for entry in &self.0 {
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
