//! Where a frame goes, and whether it can go now.

#![expect(
    clippy::result_large_err,
    reason = "frames that cannot go come back by value, as everywhere on their way"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use rookery_session::carrier::{
    Question, Receipt, Receipts, ShardId, ShardInput, SinkRef, ToShard,
};
use tokio::sync::Notify;

use super::kept::Kept;
use super::seated::Seated;
use super::way::{Change, Way};
use super::{Dialled, Inner};
use crate::machine::NotQueued;
use crate::map::Owner;
use crate::options::FRAME_BYTES_MAX;
use crate::wire::{Frame, Up, UpBody, VERSION_OLDEST};

/// The way to one shard, and who waits for room on it.
#[derive(Default)]
pub(super) struct Place {
    way: Mutex<Way>,
    /// Rings for one of those who wait for room.
    room: Notify,
}

/// What a frame lacks to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Room at the shard in this process.
    LocalRoom,
    /// Room on the way.
    Room,
    /// Somebody who owns the shard and has heard all that came before.
    Owner,
    /// A way to the owner: it is away, or does not read what is as large.
    Peer,
}

impl Place {
    pub(super) fn way(&self) -> MutexGuard<'_, Way> {
        // Every change is complete before anything could panic.
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Sends a frame on its way, unless others of its shard wait.
    pub(super) fn offer(self: &Arc<Self>, up: Up) -> Result<(), (Up, Lack)> {
        let Some(place) = self.place(up.shard) else {
            return Err((up, Lack::Owner));
        };
        if let UpBody::Session(ToShard::Acked { session, acked, .. }) = &up.body {
            self.seats.acknowledged(*session, *acked);
        }
        self.hear_local();
        let owner = self.config.map.load().owner(up.shard);
        // Declared first, so that it is dropped when the way is not locked any more.
        let _void;
        let mut way = place.way();
        if !way.is_open(owner) {
            _void = self.change(up.shard, &mut way, owner);
        }
        match owner.filter(|_| way.is_open(owner)) {
            Some(owner) => self.send(&mut way, owner, up),
            None => Err((up, Lack::Owner)),
        }
    }

    /// Sends a frame to the owner of its shard, and keeps it until it is settled.
    fn send(self: &Arc<Self>, way: &mut Way, owner: Owner, mut up: Up) -> Result<(), (Up, Lack)> {
        if self.is_beyond(owner, &up) {
            self.refuse(up);
            return Ok(());
        }
        if !up.is_kept() {
            let up = Arc::new(up);
            let carried = self.carry(owner, &up);
            return carried.map_err(|lack| (Arc::unwrap_or_clone(up), lack));
        }
        let size = up.size();
        let bytes_max = self.config.options.shard_bytes as usize;
        if !way.has_room(size, bytes_max) && !self.goes_without_room(&up) {
            return Err((up, Lack::Room));
        }
        up.token = way.next_token();
        let kept = Kept::new(up, size);
        match self.carry(owner, kept.up()) {
            Ok(()) => {
                way.keep_sent(kept);
                Ok(())
            }
            Err(lack) => Err((kept.into_up(), lack)),
        }
    }

    /// Whether a frame goes though the way is full. What takes the room may wait for the last words of a session, so
    /// what goes ahead of them needs none either: it is no more than was read from the client before, and is held at
    /// this node wherever it waits.
    fn goes_without_room(&self, up: &Up) -> bool {
        match &up.body {
            UpBody::Session(ToShard::Stanzas { session, .. }) => self.seats.has_ended(*session),
            _ => up.needs_no_room(),
        }
    }

    /// Gives a frame to the owner's node.
    fn carry(self: &Arc<Self>, owner: Owner, up: &Arc<Up>) -> Result<(), Lack> {
        if owner.node == self.config.node {
            return self.carry_here(up);
        }
        push(&self.link(owner.node), up)
    }

    /// Whether the owner's node is of a build that does not know of such frames. It then goes without, as it did among
    /// its like: nodes are upgraded in turn, routers first.
    fn is_beyond(self: &Arc<Self>, owner: Owner, up: &Up) -> bool {
        up.since() > VERSION_OLDEST
            && owner.node != self.config.node
            && !self.link(owner.node).half.line().understands(up.since())
    }

    /// What a node of an older build cannot be told of sessions.
    fn leave_out_what_is_beyond(self: &Arc<Self>, owner: Owner, announced: &mut Vec<Up>) {
        let is_here = owner.node == self.config.node;
        if is_here || self.link(owner.node).half.line().understands(PAST_SINCE) {
            return;
        }
        announced.retain(|up| !up.is_of_past());
        if self.link(owner.node).half.line().understands(KEPT_SINCE) {
            return;
        }
        for up in announced {
            if let UpBody::Announce(announced) = &mut up.body {
                announced.kept = None;
            }
        }
    }

    fn carry_here(self: &Arc<Self>, up: &Up) -> Result<(), Lack> {
        let Some(local) = &self.config.local else {
            return Err(Lack::Owner);
        };
        let Some(input) = self.input_here(up) else {
            return Ok(());
        };
        local.offer(up.shard, input).map_err(|_| Lack::LocalRoom)
    }

    /// What a shard of this process is told by a frame.
    pub(super) fn input_here(self: &Arc<Self>, up: &Up) -> Option<ShardInput> {
        let mut input = match &up.body {
            UpBody::Session(ToShard::Ask {
                from,
                ask,
                question,
            }) => ShardInput::Session(ToShard::Ask {
                from: self.seat_for(up.shard, from, question),
                ask: *ask,
                question: question.clone(),
            }),
            UpBody::Session(frame) => ShardInput::Session(frame.clone()),
            UpBody::Peer(frame) => ShardInput::Peer(frame.clone()),
            UpBody::Announce(announced) => {
                let sink = self.seats.sink(announced.session);
                let from = Seated::again(self, announced, sink);
                ShardInput::Session(announced.clone().into_frame(from))
            }
            UpBody::AllAnnounced => ShardInput::AllAnnounced(self.config.node),
            UpBody::NotTaken(_) | UpBody::Again(_) | UpBody::Fence => return None,
        };
        if let Some(receipt) = input.receipt_mut() {
            let to: Arc<dyn Receipts> = self.clone();
            *receipt = Some(Receipt::new(up.shard, up.token, to));
        }
        Some(input)
    }

    /// The sink that a shard of this process is given: where a session may be bound there, its node
    /// must know.
    fn seat_for(self: &Arc<Self>, shard: ShardId, from: &SinkRef, question: &Question) -> SinkRef {
        match question {
            Question::Bind { address, .. } | Question::Resume { address, .. } => {
                Seated::asking(self, shard, *address, from.clone())
            }
            _ => from.clone(),
        }
    }

    /// Sends a frame on its way as soon as there is room. A frame that nobody will ever take is
    /// refused.
    pub(super) async fn offer_when_room(self: Arc<Self>, mut up: Up) {
        let shard = up.shard;
        let Some(place) = self.place(shard) else {
            return self.refuse(up);
        };
        loop {
            let room = place.room.notified();
            let (back, lack) = match self.offer(up) {
                Ok(()) => {
                    // There may be room for the next as well.
                    place.room.notify_one();
                    return;
                }
                Err(refused) => refused,
            };
            up = back;
            let wait = match lack {
                Lack::Room => STALE,
                Lack::LocalRoom | Lack::Owner => crate::mover::TICK,
                Lack::Peer if up.must_arrive() && up.size() <= FRAME_BYTES_MAX => {
                    crate::mover::TICK
                }
                Lack::Peer => return self.refuse(up),
            };
            let shut = lack == Lack::Owner && self.is_shut_too_long(shard, place);
            if shut && !up.must_arrive() {
                return self.refuse(up);
            }
            // Rings or not, something may have changed.
            let _ = tokio::time::timeout(wait, room).await;
        }
    }

    /// Sends a shard's frame on its way, or keeps it, bounded, while that is not open.
    pub(super) fn offer_or_keep(self: &Arc<Self>, up: Up) -> Result<(), Up> {
        let (mut up, lack) = match self.offer(up) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        let (true, Some(place)) = (lack != Lack::Peer, self.place(up.shard)) else {
            return Err(up);
        };
        if lack == Lack::Owner && self.is_shut_too_long(up.shard, place) {
            return Err(up);
        }
        let (mut way, size) = (place.way(), up.size());
        if size > FRAME_BYTES_MAX || !way.has_room(size, self.config.options.shard_bytes as usize) {
            return Err(up);
        }
        up.token = way.next_token();
        way.keep_unsent(Kept::new(up, size));
        Ok(())
    }

    /// Looks after all ways: opens those that can be opened, and gives up those that were shut for
    /// too long.
    pub(super) fn look_after_all(self: &Arc<Self>) {
        self.hear_local();
        let map = self.config.map.load_full();
        for number in 0..self.places.len() as u16 {
            let shard = ShardId(number);
            self.look_after(shard, map.owner(shard));
        }
    }

    /// Looks after one way.
    pub(super) fn look_after(self: &Arc<Self>, shard: ShardId, owner: Option<Owner>) {
        let Some(place) = self.place(shard) else {
            return;
        };
        let mut way = place.way();
        if way.is_open(owner) {
            way.opened();
            return;
        }
        if let Some(owner) = owner
            && way.route().is_none()
            && !self.is_wanted(shard, &way, owner)
        {
            return;
        }
        let void = self.change(shard, &mut way, owner);
        let mut refused = Vec::new();
        if way.is_open(owner) {
            way.opened();
        } else if way.shut_for(self.clock.now()) > self.config.options.unowned_max() {
            refused = way.give_up();
        }
        drop(way);
        drop(void);
        place.room.notify_one();
        for kept in refused {
            self.refuse(kept.into_up());
        }
    }

    /// Lets a way lead to this owner, as far as that can be done now. Gives what is to be dropped when the way is not
    /// locked any more.
    fn change(self: &Arc<Self>, shard: ShardId, way: &mut Way, owner: Option<Owner>) -> Vec<Kept> {
        let now = self.clock.now();
        way.shut_for(now);
        let Some(owner) = owner else {
            return Vec::new();
        };
        match way.change_to(owner, now, |former| self.hears(former)) {
            Change::Wait => return Vec::new(),
            Change::Ask(former) => {
                let fence = Up::new(shard, UpBody::Fence);
                self.link(former.node).half.push_always(Arc::new(fence));
                return Vec::new();
            }
            Change::Ready => {}
        }
        if way.route() != Some(owner) {
            let again = Up::new(shard, UpBody::Again(owner.epoch));
            let mut announced = self.seats.announce(shard, owner.node);
            self.leave_out_what_is_beyond(owner, &mut announced);
            if !announced.is_empty() {
                counter!("rookery_link_sessions_announced_total").increment(announced.len() as u64);
                tracing::debug!(
                    shard = shard.0,
                    node = owner.node,
                    epoch = owner.epoch,
                    sessions = announced.len(),
                    "sessions are announced to the owner"
                );
            }
            let all = Up::new(shard, UpBody::AllAnnounced);
            let front = std::iter::once(again).chain(announced);
            way.begin(owner, front.chain(std::iter::once(all)));
        }
        way.advance(|up| self.carry(owner, up).is_ok())
    }

    /// Whether anybody would notice that a way is not open: the owner, too, if it is connected, for it
    /// waits to hear of all sessions before it serves stanzas for them.
    fn is_wanted(&self, shard: ShardId, way: &Way, owner: Owner) -> bool {
        owner.node == self.config.node
            || self.hears(owner)
            || self.seats.any_at(shard)
            || !way.is_empty()
    }

    /// Whether a former owner can still tell what it settled. What one of this process has settled
    /// is known.
    fn hears(&self, former: Owner) -> bool {
        let links = self.links.load();
        let link = links.get(&former.node);
        link.is_some_and(|link| !link.half.line().is_down())
    }

    /// The time that is left for a shard without an owner is over.
    fn is_shut_too_long(&self, shard: ShardId, place: &Place) -> bool {
        let owner = self.config.map.load().owner(shard);
        let mut way = place.way();
        !way.is_open(owner) && way.shut_for(self.clock.now()) > self.config.options.unowned_max()
    }

    /// Rings for those who wait for these shards.
    pub(super) fn has_room(&self, shards: &[u16]) {
        for shard in shards {
            if let Some(place) = self.place(ShardId(*shard)) {
                place.room.notify_one();
            }
        }
    }

    /// Frames have been dealt with.
    pub(super) fn settle(&self, frames: impl IntoIterator<Item = (ShardId, u64)>) {
        let mut rung = None;
        // Few of them end a session: the clock is not asked for the others.
        let until = || self.clock.now() + self.config.options.away_max();
        for (shard, token) in frames {
            let Some(place) = self.place(shard) else {
                continue;
            };
            let settled = place.way().settle(token);
            if let Some(kept) = settled {
                kept.settled();
                self.seats.settled(kept.up(), until);
                if rung != Some(shard) {
                    place.room.notify_one();
                    rung = Some(shard);
                }
            }
        }
    }

    /// Takes note of what shards of this process have dealt with.
    pub(super) fn hear_local(&self) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if !settled.is_empty() {
            let frames = std::mem::take(&mut *settled);
            drop(settled);
            self.settle(frames);
        }
    }

    pub(super) fn place(&self, shard: ShardId) -> Option<&Place> {
        self.places.get(usize::from(shard.0))
    }
}

/// The receipts of frames for shards of this process.
impl Receipts for Inner {
    fn settled(&self, shard: ShardId, token: u64) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.push((shard, token));
    }
}

/// Queues a frame at a link.
fn push(link: &Dialled, up: &Arc<Up>) -> Result<(), Lack> {
    if link.is_away() {
        return Err(Lack::Peer);
    }
    // Before it goes: the answer may be here before this returns.
    link.asked(up);
    let tag = up.shard.0;
    link.half.push(up.clone(), tag).map_err(|refused| {
        link.answered(up);
        match refused {
            NotQueued::NoRoom(_) => Lack::Room,
            NotQueued::TooLarge(_) => Lack::Peer,
        }
    })
}

/// The first version of the protocol in which sessions are announced with what is kept of their streams.
const KEPT_SINCE: u8 = 3;

/// The first in which they are announced when they are over.
const PAST_SINCE: u8 = 7;

/// How long to wait for a ring that should have come.
const STALE: Duration = Duration::from_secs(1);
