//! The map from shards to owners.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::NodeId;
use crate::state::FormatError;

/// Who serves a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The router; none while no router lives.
    pub owner: Option<NodeId>,
    /// Grows with every change of the owner: it orders what owners write.
    pub epoch: u32,
    /// The router that the owner is to hand it to.
    pub moving_to: Option<NodeId>,
    /// The version of the map that this placement came with.
    pub since: u64,
}

/// A placement that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardChange {
    /// Which shard.
    pub shard: u16,
    /// Where it is now.
    pub placement: Placement,
}

/// Changes as bytes for another node.
pub fn encode_changes(changes: &[ShardChange]) -> Vec<u8> {
    super::super::encode(&changes)
}

/// The changes in another node's bytes.
///
/// # Errors
/// They are of a newer format, or no changes.
pub fn decode_changes(bytes: &[u8]) -> Result<Vec<ShardChange>, FormatError> {
    super::super::decode(bytes)
}

/// Every shard's placement. Its version grows with each change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMap {
    version: u64,
    placements: Vec<Placement>,
    /// No owner is at this epoch, or below.
    #[serde(default)]
    floor: u32,
}

impl ShardMap {
    /// The placement of a shard; `None` for a number that no shard has.
    pub fn get(&self, shard: u16) -> Option<Placement> {
        self.placements.get(usize::from(shard)).copied()
    }

    /// The number of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many shards there are.
    pub fn len(&self) -> u16 {
        self.placements.len() as u16
    }

    /// How many shards have an owner.
    pub fn owned(&self) -> u16 {
        let owned = self.placements.iter().filter(|it| it.owner.is_some());
        owned.count() as u16
    }

    /// Whether the cluster has no shards yet.
    pub fn is_empty(&self) -> bool {
        self.placements.is_empty()
    }

    /// What has changed since a version, for who follows the map.
    pub fn since(&self, version: u64) -> impl Iterator<Item = ShardChange> + '_ {
        let all = self.placements.iter().enumerate();
        all.filter(move |(_, placement)| placement.since > version)
            .map(|(shard, placement)| ShardChange {
                shard: shard as u16,
                placement: *placement,
            })
    }

    /// Takes a change over from who leads; an older one than is known is passed.
    pub fn follow(&mut self, change: ShardChange) {
        self.grow(change.shard.saturating_add(1));
        let known = &mut self.placements[usize::from(change.shard)];
        if change.placement.since > known.since {
            *known = change.placement;
        }
        self.version = self.version.max(change.placement.since);
    }

    /// Makes sure that there are as many shards.
    pub(super) fn grow(&mut self, shards: u16) {
        if self.placements.len() < usize::from(shards) {
            self.placements
                .resize(usize::from(shards), Placement::default());
        }
    }

    /// Planned moves under way.
    pub(super) fn moves(&self) -> usize {
        self.placements
            .iter()
            .filter(|placement| placement.moving_to.is_some())
            .count()
    }

    /// Whether a shard is to go to one of these.
    pub(super) fn move_to_any(&self, routers: &BTreeSet<NodeId>) -> bool {
        let mut targets = self
            .placements
            .iter()
            .filter_map(|placement| placement.moving_to);
        !routers.is_empty() && targets.any(|to| routers.contains(&to))
    }

    /// Owners from now on are above this epoch.
    pub(super) fn raise_epochs(&mut self, above: u32) {
        self.floor = self.floor.max(above);
    }

    /// A new owner at the next epoch.
    pub(super) fn give(&mut self, shard: u16, owner: Option<NodeId>) {
        let floor = self.floor;
        self.change(shard, |placement| {
            placement.owner = owner;
            placement.epoch = placement.epoch.max(floor) + 1;
            placement.moving_to = None;
        });
    }

    /// A router's process is gone, with all that it had in memory: its shards are nobody's.
    pub(super) fn disown(&mut self, router: NodeId) {
        for shard in 0..self.len() {
            if self.placements[usize::from(shard)].owner == Some(router) {
                self.give(shard, None);
            }
        }
    }

    /// The owner shall hand the shard to another router. That cannot be taken back: the owner may have stopped already,
    /// and serves it again only at another epoch.
    pub(super) fn start_move(&mut self, shard: u16, to: NodeId) {
        self.change(shard, |placement| placement.moving_to = Some(to));
    }

    fn change(&mut self, shard: u16, change: impl FnOnce(&mut Placement)) {
        if let Some(placement) = self.placements.get_mut(usize::from(shard)) {
            self.version += 1;
            placement.since = self.version;
            change(placement);
        }
    }
}
