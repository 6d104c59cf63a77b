//! The part of the handle that is about leases and shards.

use std::sync::Arc;
use std::time::Duration;

use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;

use super::{Control, unexpected};
use crate::error::{ShardsRefused, Unavailable};
use crate::state::{Command, EndedLeases, NodeId, Outcome, Renewal, ShardMap, ShardPolicy};

/// A lease that was renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// How long it lasts from the moment *before* it was asked for, by the asker's monotonic clock; zero while the
    /// group has no shards.
    pub lasts: Duration,
    /// The shard map that was in force. Whoever has not followed it so far may serve by an older one what has been
    /// given to others meanwhile, so it must not count on the lease before.
    pub map_version: u64,
}

impl Control {
    /// The shard map as this node knows it, without waiting.
    pub fn shards(&self) -> Arc<ShardMap> {
        self.0.shards.borrow().clone()
    }

    /// Follows the shard map as this node hears of it.
    pub fn watch_shards(&self) -> watch::Receiver<Arc<ShardMap>> {
        self.0.shards.clone()
    }

    /// Follows which nodes have no lease any more, as this node hears of it: late while it is cut off from the group.
    pub fn watch_ended_leases(&self) -> watch::Receiver<Arc<EndedLeases>> {
        self.0.ended_leases.clone()
    }

    /// Takes over what the configuration says of shards, durably. Their number is taken once.
    pub async fn configure_shards(&self, policy: ShardPolicy) -> Result<(), ShardsRefused> {
        self.change_shards(Command::ConfigureShards { policy })
            .await
    }

    /// Shards are served above this epoch from now on, for the store holds what was appended under it. Durable when it
    /// returns.
    pub async fn raise_epochs(&self, above: u32) -> Result<(), ShardsRefused> {
        self.change_shards(Command::RaiseEpochs { above }).await
    }

    /// Renews a node's lease.
    pub async fn renew_lease(
        &self,
        node: NodeId,
        renewal: Renewal,
    ) -> Result<Granted, Unavailable> {
        let command = Command::Renew { node, renewal };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Renewed {
                lease_ms,
                map_version,
            } => Ok(Granted {
                lasts: Duration::from_millis(lease_ms),
                map_version,
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends a node's lease: it serves nothing any more, and its shards go to others at once.
    pub async fn leave(&self, node: NodeId) -> Result<(), ShardsRefused> {
        self.change_shards(Command::Leave { node }).await
    }

    /// Tells that the owner has handed a shard over, and serves it no more.
    pub async fn handed_over(
        &self,
        node: NodeId,
        shard: u16,
        epoch: u32,
    ) -> Result<(), ShardsRefused> {
        self.change_shards(Command::HandedOver { node, shard, epoch })
            .await
    }

    /// Moves a shard to a router, until the routers change.
    pub async fn move_shard(&self, shard: u16, to: NodeId) -> Result<(), ShardsRefused> {
        self.change_shards(Command::MoveShard { shard, to }).await
    }

    async fn change_shards(&self, command: Command) -> Result<(), ShardsRefused> {
        match self.propose(command, Timestamp::now()).await? {
            Outcome::ShardMap(_) => Ok(()),
            Outcome::ShardRefused(refusal) => Err(ShardsRefused::Shards(refusal)),
            other => Err(unexpected(&other).into()),
        }
    }
}
