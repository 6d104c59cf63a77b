//! The carrier inside one process: the shard actors' mailboxes.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use actix::Addr;
use actix::prelude::SendError;
use rookery_session::carrier::{
    Full, PeerFrame, Peers, Routers, ShardId, ShardInput, Shards, ToShard,
};

use crate::shard::{FromOutside, FromPeer, FromSession, ShardActor};

/// Reaches every shard of this process. Shards are known once all are started.
#[derive(Default)]
pub struct InProcess {
    shards: OnceLock<Vec<Addr<ShardActor>>>,
}

impl InProcess {
    /// Makes the shards known, in the order of their ids.
    ///
    /// # Panics
    ///
    /// When called twice.
    pub fn connect(&self, shards: Vec<Addr<ShardActor>>) {
        assert!(
            self.shards.set(shards).is_ok(),
            "the shards are connected once"
        );
    }

    fn shard(&self, id: ShardId) -> Option<&Addr<ShardActor>> {
        self.shards.get()?.get(usize::from(id.0))
    }
}

impl Routers for InProcess {
    fn shards(&self) -> u16 {
        self.shards.get().map_or(0, |shards| shards.len() as u16)
    }

    fn send(&self, shard: ShardId, frame: ToShard) -> Result<(), Full<ToShard>> {
        let Some(shard) = self.shard(shard) else {
            return Err(Full(frame));
        };
        match shard.try_send(FromSession(frame)) {
            Ok(()) => Ok(()),
            // A closed shard is one that is shutting down: the session soon is as well.
            Err(SendError::Full(frame) | SendError::Closed(frame)) => Err(Full(frame.0)),
        }
    }

    fn send_when_room(&self, shard: ShardId, frame: ToShard) -> Pin<Box<dyn Future<Output = ()>>> {
        let shard = self.shard(shard).cloned();
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
        let Some(shard) = self.shard(shard) else {
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
        let Some(shard) = self.shard(shard) else {
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
        let shard = self.shard(shard).cloned();
        Box::pin(async move {
            if let Some(shard) = shard {
                // Fails only when the shard is shutting down.
                let _ = shard.send(FromOutside(input)).await;
            }
        })
    }
}
