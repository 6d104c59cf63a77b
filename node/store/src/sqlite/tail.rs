//! The tail: entries that are durable in `body` and not yet in `idx`, in memory, by owner.
//!
//! ```text
//! writer:  COMMIT ──► settle(swept, removed, appended)        readers:  copy the owner's tail
//!                                                                       ──► open the read transaction
//! ```
//!
//! A reader must copy first: the other order would miss what was indexed in between. What it then finds in both
//! places it drops, and what was removed in between it does not find in `body`.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries that are not yet indexed. Only the writer changes it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: Mutex<Entries>,
}

/// By owner, in order of position, then of body.
#[derive(Debug, Default)]
pub(super) struct Entries {
    owners: BTreeMap<i64, Vec<TailEntry>>,
    count: usize,
}

/// An entry that is not yet indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TailEntry {
    /// The packed position.
    pub(super) position: i64,
    /// The row in `body`.
    pub(super) body: i64,
    /// Bytes of the stanza.
    pub(super) bytes: u32,
    /// What it is for, as bits.
    pub(super) marks: u8,
    /// When it was received, in milliseconds.
    pub(super) received: i64,
    /// The packed key, or 0.
    pub(super) key: i64,
}

/// What a committed group did to the tail.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    /// The owners whose first entries, this many, are indexed now.
    pub(super) swept: Vec<(i64, usize)>,
    /// Owner and body of entries that were removed.
    pub(super) removed: HashSet<(i64, i64)>,
    /// Owner and entry of what was appended.
    pub(super) appended: Vec<(i64, TailEntry)>,
}

impl Tail {
    /// A copy of the owner's entries.
    pub(super) fn of(&self, owner: i64) -> Vec<TailEntry> {
        self.lock().owners.get(&owner).cloned().unwrap_or_default()
    }

    /// Entries of all owners.
    pub(super) fn count(&self) -> usize {
        self.lock().count
    }

    /// The first owner from `owner` on that has entries, with a copy of them.
    pub(super) fn next_owner(&self, owner: i64) -> Option<(i64, Vec<TailEntry>)> {
        let entries = self.lock();
        let (owner, of_owner) = entries.owners.range(owner..).next()?;
        Some((*owner, of_owner.clone()))
    }

    /// Takes over what a group did, once it is committed.
    pub(super) fn settle(&self, settlement: &Settlement) {
        let mut entries = self.lock();
        for (owner, count) in &settlement.swept {
            entries.drop_first(*owner, *count);
        }
        for owner in settlement
            .removed
            .iter()
            .map(|(owner, _)| *owner)
            .collect::<HashSet<_>>()
        {
            entries.retain(owner, |entry| {
                !settlement.removed.contains(&(owner, entry.body))
            });
        }
        for (owner, entry) in &settlement.appended {
            entries.insert(*owner, *entry);
        }
    }

    /// Begins again with what was found in the database.
    pub(super) fn replace(&self, found: Entries) {
        *self.lock() = found;
    }

    /// Nothing panics while it holds the lock half-way, so a poisoned lock guards a sound state.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Adds an entry in its order. Most are the highest of their owner.
    pub(super) fn insert(&mut self, owner: i64, entry: TailEntry) {
        let of_owner = self.owners.entry(owner).or_default();
        let is_last = of_owner.last().is_none_or(|last| *last < entry);
        let at = if is_last {
            of_owner.len()
        } else {
            of_owner.partition_point(|e| *e < entry)
        };
        of_owner.insert(at, entry);
        self.count += 1;
    }

    fn drop_first(&mut self, owner: i64, count: usize) {
        let Some(of_owner) = self.owners.get_mut(&owner) else {
            return;
        };
        self.count -= of_owner.drain(..count).count();
        self.forget_if_empty(owner);
    }

    fn retain(&mut self, owner: i64, keep: impl Fn(&TailEntry) -> bool) {
        let Some(of_owner) = self.owners.get_mut(&owner) else {
            return;
        };
        let before = of_owner.len();
        of_owner.retain(keep);
        self.count -= before - of_owner.len();
        self.forget_if_empty(owner);
    }

    fn forget_if_empty(&mut self, owner: i64) {
        if self.owners.get(&owner).is_some_and(Vec::is_empty) {
            self.owners.remove(&owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(position: i64, body: i64) -> TailEntry {
        TailEntry {
            position,
            body,
            bytes: 1,
            marks: 1,
            received: 0,
            key: 0,
        }
    }

    #[test]
    fn entries_are_kept_in_order_of_position_whatever_their_order_of_arrival() {
        let tail = Tail::default();
        let appended = vec![
            (1, entry(5, 1)),
            (1, entry(3, 2)),
            (2, entry(1, 3)),
            (1, entry(9, 4)),
        ];
        tail.settle(&Settlement {
            appended,
            ..Settlement::default()
        });
        assert_eq!(tail.of(1), [entry(3, 2), entry(5, 1), entry(9, 4)]);
        assert_eq!(tail.count(), 4);
        assert_eq!(tail.next_owner(2), Some((2, vec![entry(1, 3)])));
    }

    #[test]
    fn a_settlement_drops_what_was_indexed_before_it_adds_what_came() {
        let tail = Tail::default();
        let appended = vec![(1, entry(5, 1)), (1, entry(6, 2)), (2, entry(1, 3))];
        tail.settle(&Settlement {
            appended,
            ..Settlement::default()
        });
        tail.settle(&Settlement {
            swept: vec![(1, 2)],
            removed: HashSet::from([(2, 3)]),
            appended: vec![(1, entry(4, 4))],
        });
        assert_eq!(tail.of(1), [entry(4, 4)]);
        assert_eq!(tail.of(2), []);
        assert_eq!(tail.count(), 1);
    }
}
