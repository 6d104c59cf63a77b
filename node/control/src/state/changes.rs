//! The version of a list by target, and what has changed in it lately: so that who follows the list is told no more
//! than that.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::BanTarget;

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changes {
    version: u64,
    /// The targets of the latest changes, each with its version.
    changes: VecDeque<(u64, BanTarget)>,
}

impl Changes {
    /// Grows with every change; the same version is the same list on every node.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Another node has told all up to this version.
    pub(super) fn follow(&mut self, version: u64) {
        self.version = version;
    }

    /// Something of this target has changed; so many changes are remembered.
    pub(super) fn add(&mut self, target: BanTarget, changes_max: usize) {
        self.version += 1;
        self.changes.push_back((self.version, target));
        while self.changes.len() > changes_max {
            self.changes.pop_front();
        }
    }

    /// The targets that have changed since this version. `None` if that is not known, or nothing was known: then the
    /// whole list is to be told.
    pub(super) fn since(&self, version: u64) -> Option<BTreeSet<&BanTarget>> {
        let (oldest, _) = self.changes.front()?;
        let changes = self.changes.iter().filter(|(at, _)| *at > version);
        let is_known = version > 0 && *oldest <= version + 1;
        is_known.then(|| changes.map(|(_, target)| target).collect())
    }
}
