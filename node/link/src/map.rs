//! Who owns which shard.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rookery_session::carrier::ShardId;

/// One version of the map from shards to nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    /// Grows with every change.
    pub version: u64,
    /// The owner of each shard, by the shard's number; 0 while nobody owns it.
    pub owners: Vec<u32>,
}

/// The map as all of a process see it; replaced as a whole.
pub type SharedMap = Arc<ArcSwap<ShardMap>>;

impl ShardMap {
    /// A map in which one node owns all shards.
    pub fn all_on(node: u32, shards: u16) -> Self {
        Self {
            version: 1,
            owners: vec![node; usize::from(shards)],
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        u16::try_from(self.owners.len()).unwrap_or(u16::MAX)
    }

    /// Who owns a shard.
    pub fn owner(&self, shard: ShardId) -> Option<u32> {
        let owner = self.owners.get(usize::from(shard.0)).copied();
        owner.filter(|node| *node != 0)
    }

    /// The map, to be shared.
    pub fn shared(self) -> SharedMap {
        Arc::new(ArcSwap::from_pointee(self))
    }
}
