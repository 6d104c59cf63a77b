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
            "INSERT INTO body (o1, p1, o2, p2, received, stanza, origin) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for entry in &self.0 {
            let first = place(group, &entry.place)?;
            let second = entry
                .second
                .as_ref()
                .map(|second| place(group, second))
                .transpose()?;
            let (o2, p2) = second.unzip();
            let received = millis(entry.received);
            let (stanza, origin) = (&entry.stanza[..], entry.origin.map(Origin::pack));
            let body = insert.insert((first.0, first.1, o2, p2, received, stanza, origin))?;
            let bytes = entry.stanza.len() as u32;
            for (owner, position) in std::iter::once(first).chain(second) {
                group.appended(
                    owner,
                    TailEntry {
                        position,
                        body,
                        bytes,
                    },
                );
            }
        }
        Ok(())
    }
}

fn place(group: &mut Group<'_>, place: &Place) -> rusqlite::Result<(i64, i64)> {
    Ok((group.owner_or_new(&place.owner)?, place.position.pack()))
}

/// Bytes of an entry in the queue beside its stanza.
const ENTRY_BYTES: usize = 192;
