//! Who owns which shard.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rookery_session::carrier::ShardId;

/// One version of the map from shards to nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    /// Grows with every change.
    pub version: u64,
    /// The owner of each shard, by the shard's number.
    pub owners: Vec<Owner>,
}

/// Who owns a shard, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The node; 0 while nobody owns the shard.
    pub node: u32,
    /// Grows whenever a shard begins to be served: who served it in an earlier epoch has forgotten it.
    pub epoch: u32,
}

/// The map as all of a process see it; replaced as a whole.
pub type SharedMap = Arc<ArcSwap<ShardMap>>;

impl ShardMap {
    /// A map in which one node owns all shards.
    pub fn all_on(node: u32, shards: u16) -> Self {
        Self {
            version: 1,
            owners: vec![Owner { node, epoch: 1 }; usize::from(shards)],
        }
    }

    /// A map of that version in which these nodes own the shards, each since the epoch of that number.
    pub fn of(version: u64, nodes: impl IntoIterator<Item = u32>) -> Self {
        let epoch = u32::try_from(version).unwrap_or(u32::MAX);
        let owners = nodes.into_iter().map(|node| Owner { node, epoch });
        Self {
            version,
            owners: owners.collect(),
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        u16::try_from(self.owners.len()).unwrap_or(u16::MAX)
    }

    /// Who owns a shard.
    pub fn owner(&self, shard: ShardId) -> Option<Owner> {
        let owner = self.owners.get(usize::from(shard.0)).copied();
        owner.filter(|owner| owner.node != 0)
    }

    /// The map, to be shared.
    pub fn shared(self) -> SharedMap {
        Arc::new(ArcSwap::from_pointee(self))
    }
}
