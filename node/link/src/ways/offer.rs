//! Which way a frame goes, and whether it can go now.

#![expect(
    clippy::result_large_err,
    reason = "frames that cannot go come back by value, as everywhere on their way"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rookery_session::carrier::{Full, ShardId, ShardInput};
use rookery_xmpp::jid::Jid;
use tokio::sync::Notify;

use super::{Dialled, Inner};
use crate::machine::NotQueued;
use crate::wire::{Up, UpBody};

/// What is known of the way to one shard.
#[derive(Default)]
pub(super) struct Place {
    /// Where its frames went last; 0 before the first. They go elsewhere only when that node has
    /// answered for all of them.
    last: AtomicU32,
    /// Frames that were given back wait: newer ones must not overtake them.
    pub(super) strayed: AtomicBool,
    /// Rings for one of those who wait for room.
    pub(super) room: Notify,
}

/// What a frame lacks to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Room at the shard in this process.
    LocalRoom,
    /// Room on the way to another node, or the end of a change of way.
    Room,
    /// Somebody who owns the shard.
    Owner,
    /// A way to the owner: it is away, or does not read what is as large.
    Peer,
}

impl Inner {
    /// Sends a frame on its way, unless others of its shard wait.
    pub(super) fn offer(self: &Arc<Self>, up: Up) -> Result<(), (Up, Lack)> {
        match self.places.get(usize::from(up.shard.0)) {
            None => Err((up, Lack::Owner)),
            Some(place) if place.strayed.load(Ordering::Acquire) => Err((up, Lack::Room)),
            Some(place) => self.place(place, up),
        }
    }

    /// Sends a frame on its way.
    pub(super) fn place(self: &Arc<Self>, place: &Place, up: Up) -> Result<(), (Up, Lack)> {
        let Some(owner) = self.config.map.load().owner(up.shard) else {
            return Err((up, Lack::Owner));
        };
        let last = place.last.load(Ordering::Relaxed);
        if last != owner {
            if !self.is_settled(last, up.shard) {
                return Err((up, Lack::Room));
            }
            place.last.store(owner, Ordering::Relaxed);
            if owner != self.config.node {
                self.link(owner).again(up.shard);
            }
        }
        if owner == self.config.node {
            return self.place_here(up);
        }
        push(&self.link(owner), up)
    }

    /// Whether a node has answered for all frames of a shard.
    pub(super) fn is_settled(&self, node: u32, shard: ShardId) -> bool {
        let links = self.links.load();
        let Some(link) = links.get(&node) else {
            return true;
        };
        let mut line = link.half.line();
        let settled = line.is_settled(shard.0);
        if !settled {
            line.refused(shard.0);
        }
        settled
    }

    /// Where the frames of a shard went last has given back some: it is told that what comes now is
    /// meant.
    pub(super) fn again(&self, place: &Place, shard: ShardId) -> bool {
        let last = place.last.load(Ordering::Relaxed);
        let settled = self.is_settled(last, shard);
        if settled && let Some(link) = self.links.load().get(&last) {
            link.again(shard);
        }
        settled
    }

    fn place_here(&self, up: Up) -> Result<(), (Up, Lack)> {
        let Some(local) = &self.config.local else {
            return Err((up, Lack::Owner));
        };
        let shard = up.shard;
        let Some(input) = input_of(up.body) else {
            return Ok(());
        };
        local.offer(shard, input).map_err(|Full(input)| {
            let body = match input {
                ShardInput::Session(frame) => UpBody::Session(frame),
                ShardInput::Peer(frame) => UpBody::Peer(frame),
                _ => unreachable!("neither was offered"),
            };
            (Up { shard, body }, Lack::LocalRoom)
        })
    }

    /// Sends a frame on its way as soon as there is room. A frame that nobody will ever take is
    /// refused.
    pub(super) async fn offer_when_room(self: Arc<Self>, mut up: Up) {
        let shard = up.shard;
        let Some(place) = self.places.get(usize::from(shard.0)) else {
            return self.refuse(up);
        };
        let mut unowned: Option<Duration> = None;
        loop {
            let room = place.room.notified();
            let lack = match self.offer(up) {
                Ok(()) => {
                    // There may be room for the next as well.
                    place.room.notify_one();
                    return;
                }
                Err((back, lack)) => {
                    up = back;
                    lack
                }
            };
            match lack {
                Lack::Room => room.await,
                Lack::Owner => {
                    let since = *unowned.get_or_insert_with(|| self.clock.now());
                    if self.clock.now() - since > self.config.options.unowned_max() {
                        return self.refuse(up);
                    }
                    // Rings or not, the map may have changed.
                    let _ = tokio::time::timeout(crate::mover::TICK, room).await;
                }
                Lack::Peer => return self.refuse(up),
                Lack::LocalRoom => {
                    if let (Some(local), Some(input)) = (&self.config.local, input_of(up.body)) {
                        local.offer_when_room(shard, input).await;
                    }
                    return;
                }
            }
        }
    }

    /// Sends a shard's frame on its way, or keeps it, bounded, while its way changes.
    pub(super) fn offer_or_keep(self: &Arc<Self>, up: Up) -> Result<(), Up> {
        match self.offer(up) {
            Ok(()) => Ok(()),
            Err((up, Lack::Room | Lack::Owner)) => self.keep(up),
            Err((up, Lack::LocalRoom | Lack::Peer)) => Err(up),
        }
    }

    /// Rings for those who wait for these shards.
    pub(super) fn has_room(&self, shards: &[u16]) {
        for shard in shards {
            if let Some(place) = self.places.get(usize::from(*shard)) {
                place.room.notify_one();
            }
        }
    }

    /// The shard of an address.
    pub(super) fn shard_of(&self, jid: &Jid) -> ShardId {
        ShardId::of(jid.bare_str(), self.places.len() as u16)
    }
}

/// Queues a frame at a link.
fn push(link: &Dialled, up: Up) -> Result<(), (Up, Lack)> {
    if link.is_away() {
        return Err((up, Lack::Peer));
    }
    // Before it goes: the answer may be here before this returns.
    link.asked(&up);
    let tag = up.shard.0;
    link.half.push(up, tag).map_err(|refused| {
        let lack = match refused {
            NotQueued::NoRoom(_) => Lack::Room,
            NotQueued::TooLarge(_) => Lack::Peer,
        };
        let up = refused.into_frame();
        link.answered(&up);
        (up, lack)
    })
}

/// What a shard is told by a frame.
pub(super) fn input_of(body: UpBody) -> Option<ShardInput> {
    match body {
        UpBody::Session(frame) => Some(ShardInput::Session(frame)),
        UpBody::Peer(frame) => Some(ShardInput::Peer(frame)),
        UpBody::NotTaken(_) | UpBody::Again => None,
    }
}
