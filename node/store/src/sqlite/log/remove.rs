//! Removing a range of one log, in slices.

use std::collections::BTreeSet;

use rookery_xmpp::jid::Jid;

use crate::log::{LogRange, LogUsage, Marks};
use crate::sqlite::error::Failure;
use crate::sqlite::tail::TailEntry;
use crate::sqlite::writer::{Group, Mutation};

/// A slice of [`remove_log`](crate::Store::remove_log): the oldest entries of a range.
pub(in crate::sqlite) struct RemoveSlice {
    pub(in crate::sqlite) owner: Jid,
    /// The range, or what is left of it.
    pub(in crate::sqlite) range: LogRange,
}

/// What a slice did.
pub(in crate::sqlite) struct Removed {
    /// Entries removed.
    pub(in crate::sqlite) entries: u64,
    /// Whether the range may hold more.
    pub(in crate::sqlite) more: bool,
}

impl Mutation for RemoveSlice {
    type Output = Removed;

    fn apply(self, group: &mut Group<'_>) -> Result<Removed, Failure> {
        let Some(owner) = group.owner(&self.owner)? else {
            return Ok(Removed {
                entries: 0,
                more: false,
            });
        };
        let (first, last) = self.range.packed().into_inner();
        let spared = match self.range.spares_archived {
            true => Marks::ARCHIVED.bits(),
            false => 0,
        };
        let indexed = indexed(group, owner, (first, last), spared)?;
        let more = indexed.len() == SLICE;
        let last = indexed
            .last()
            .filter(|_| more)
            .map_or(last, |(position, ..)| *position);
        let mut gone = BTreeSet::new();
        let mut usage = LogUsage::default();
        for (position, body, bytes) in indexed {
            group.execute(
                "DELETE FROM idx WHERE owner = ?1 AND pos = ?2",
                (owner, position),
            )?;
            group.release(owner, body)?;
            gone.insert(position);
            usage.entries += 1;
            usage.bytes += bytes;
        }
        let meant = |entry: &TailEntry| {
            (first..=last).contains(&entry.position) && entry.marks & spared == 0
        };
        for entry in group.take_from_tail(owner, meant) {
            group.release(owner, entry.body)?;
            gone.insert(entry.position);
        }
        if let Some(high) = gone.last() {
            group.count_out(owner, usage, *high)?;
        }
        Ok(Removed {
            entries: gone.len() as u64,
            more,
        })
    }
}

/// Position, row and bytes of the first indexed entries of a range.
fn indexed(
    group: &Group<'_>,
    owner: i64,
    (first, last): (i64, i64),
    spared: u8,
) -> rusqlite::Result<Vec<(i64, i64, u64)>> {
    let mut select = group.prepare(
        "SELECT pos, body, ifnull(length(stanza), 0) FROM idx LEFT JOIN body ON id = body \
         WHERE owner = ?1 AND pos BETWEEN ?2 AND ?3 AND marks & ?5 = 0 ORDER BY pos LIMIT ?4",
    )?;
    let rows = select.query_map((owner, first, last, SLICE, spared), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    rows.collect()
}

/// Indexed entries in one commit: some 5 ms.
const SLICE: usize = 1_000;
