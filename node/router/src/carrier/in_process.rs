//! The carrier inside one process: the shard actors' mailboxes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix::Addr;
use actix::prelude::SendError;
use arc_swap::ArcSwap;
use rookery_session::carrier::{
    Full, PeerFrame, Peers, Routers, ShardId, ShardInput, Shards, ToShard,
};

use crate::shard::{FromOutside, FromPeer, FromSession, ShardActor};

/// Reaches the shards that this process serves. What is for another is given back.
pub struct InProcess {
    shards: ArcSwap<Vec<Option<Addr<ShardActor>>>>,
}

impl InProcess {
    /// A carrier in a cluster of so many shards, of which none is served here yet.
    pub fn new(shards: u16) -> Arc<Self> {
        Arc::new(Self {
            shards: ArcSwap::from_pointee(vec![None; usize::from(shards)]),
        })
    }

    /// Makes shards known, or forgets them. Gives those that were known before.
    pub(crate) fn set(
        &self,
        changes: impl IntoIterator<Item = (ShardId, Option<Addr<ShardActor>>)>,
    ) -> Vec<Addr<ShardActor>> {
        let mut table = Vec::clone(&self.shards.load());
        let mut before = Vec::new();
        for (shard, address) in changes {
            if let Some(place) = table.get_mut(usize::from(shard.0)) {
                before.extend(std::mem::replace(place, address));
            }
        }
        self.shards.store(Arc::new(table));
        before
    }

    fn shard(&self, id: ShardId) -> Option<Addr<ShardActor>> {
        self.shards.load().get(usize::from(id.0))?.clone()
    }

    /// Whether a shard is served here.
    pub fn serves(&self, id: ShardId) -> bool {
        let shards = self.shards.load();
        shards.get(usize::from(id.0)).is_some_and(Option::is_some)
    }
}

impl Routers for InProcess {
    fn shards(&self) -> u16 {
        self.shards.load().len() as u16
    }

    fn send(&self, shard: ShardId, frame: ToShard) -> Result<(), Full<ToShard>> {
        let shards = self.shards.load();
        let Some(Some(shard)) = shards.get(usize::from(shard.0)) else {
            return Err(Full(frame));
        };
        match shard.try_send(FromSession(frame)) {
            Ok(()) => Ok(()),
            // A closed shard is one that is shutting down: the session soon is as well.
            Err(SendError::Full(frame) | SendError::Closed(frame)) => Err(Full(frame.0)),
        }
    }

    fn send_when_room(&self, shard: ShardId, frame: ToShard) -> Pin<Box<dyn Future<Output = ()>>> {
        let shard = self.shard(shard);
        Box::pin(async move {
            if let Some(shard) = shard {
                // Fails only when the shard is shutting down.
                let _ = shard.send(FromSession(frame)).await;
            }
        })
    }
}

impl Peers for InProcess {
    fn forward(&self, shard: ShardId, frame: PeerFrame) -> Result<(), Full<PeerFrame>> {
        let shards = self.shards.load();
        let Some(Some(shard)) = shards.get(usize::from(shard.0)) else {
            return Err(Full(frame));
        };
        match shard.try_send(FromPeer(frame)) {
            Ok(()) => Ok(()),
            Err(SendError::Full(frame) | SendError::Closed(frame)) => Err(Full(frame.0)),
        }
    }
}

impl Shards for InProcess {
    fn offer(&self, shard: ShardId, input: ShardInput) -> Result<(), Full<ShardInput>> {
        let shards = self.shards.load();
        let Some(Some(shard)) = shards.get(usize::from(shard.0)) else {
            return Err(Full(input));
        };
        match shard.try_send(FromOutside(input)) {
            Ok(()) => Ok(()),
            Err(SendError::Full(input) | SendError::Closed(input)) => Err(Full(input.0)),
        }
    }

    fn offer_when_room(
        &self,
        shard: ShardId,
        input: ShardInput,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let shard = self.shard(shard);
        Box::pin(async move {
            if let Some(shard) = shard {
                // Fails only when the shard is shutting down.
                let _ = shard.send(FromOutside(input)).await;
            }
        })
    }
}
