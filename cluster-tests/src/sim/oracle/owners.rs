//! One owner for each shard, at every moment of true time.

use std::collections::BTreeMap;

use rookery_session::carrier::ShardId;

use super::Violation;
use crate::sim::clock::Micros;

/// Who has acted for each shard last.
#[derive(Default)]
pub(crate) struct Owners {
    last: BTreeMap<ShardId, (u32, u32, Micros)>,
    /// How much of what an owner leaves to the next one the store has not, by shard and epoch.
    leaving: BTreeMap<(ShardId, u32), usize>,
    violation: Option<Violation>,
}

impl Owners {
    /// A node has acted for a shard under an epoch.
    pub(crate) fn acted(&mut self, shard: ShardId, epoch: u32, node: u32, now: Micros) {
        let last = *self.last.entry(shard).or_insert((epoch, node, now));
        let newer = epoch > last.0;
        if newer || (epoch, node) == (last.0, last.1) {
            self.last.insert(shard, (epoch, node, now));
            return;
        }
        let violation = format!(
            "node {node} acts for shard {} under epoch {epoch} at {now}, but node {} did under epoch {} at {}",
            shard.0, last.1, last.0, last.2
        );
        self.violation.get_or_insert(violation);
    }

    /// Whether the last who has acted for a shard is this node, under this epoch.
    pub(super) fn has_been(&self, shard: ShardId, epoch: u32, node: u32) -> bool {
        let last = self.last.get(&shard);
        last.is_some_and(|(known, owner, _)| (*known, *owner) == (epoch, node))
    }

    /// The owner of a shard under this epoch gives it up, and leaves so many documents and logs to the next one.
    pub(crate) fn gave_up(&mut self, shard: ShardId, epoch: u32, left: usize) {
        self.leaving.insert((shard, epoch), left);
    }

    /// The store has one more of them.
    pub(crate) fn left(&mut self, shard: ShardId, epoch: u32) {
        if let Some(left) = self.leaving.get_mut(&(shard, epoch)) {
            *left = left.saturating_sub(1);
        }
    }

    /// Whether the owner of a shard under this epoch has given it up, and the store has all that it has left.
    pub(super) fn has_left_all(&self, shard: ShardId, epoch: u32) -> bool {
        self.leaving.get(&(shard, epoch)) == Some(&0)
    }

    pub(super) fn violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }
}
