//! The integers of the owners that were written to lately.

use std::collections::HashMap;

use rookery_xmpp::jid::Jid;

/// A bounded cache from owner to integer, true to the writer's open transaction.
#[derive(Debug, Default)]
pub(super) struct OwnerCache {
    owners: HashMap<Jid, i64>,
}

impl OwnerCache {
    pub(super) fn get(&self, jid: &Jid) -> Option<i64> {
        self.owners.get(jid).copied()
    }

    /// Adds an owner. A full cache begins again: looking up anew costs microseconds, once.
    pub(super) fn insert(&mut self, jid: Jid, owner: i64) {
        if self.owners.len() >= OWNERS_MAX {
            self.owners.clear();
        }
        self.owners.insert(jid, owner);
    }

    pub(super) fn remove(&mut self, jid: &Jid) {
        self.owners.remove(jid);
    }
}

/// Some 100 bytes each.
const OWNERS_MAX: usize = 131_072;
