//! Frames that wait for an owner of their shard: given back by a node that does not own it, or sent
//! while nobody did.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rookery_session::carrier::ShardId;

use super::Inner;
use super::offer::Lack;
use crate::wire::{Frame, Up};

/// What waits, by shard.
#[derive(Default)]
pub(super) struct Lanes(Mutex<BTreeMap<ShardId, Lane>>);

struct Lane {
    frames: VecDeque<Up>,
    bytes: usize,
    /// Since when the way to the shard is not clear.
    since: Duration,
    /// When the last frame left: a while later the way is clear.
    left: Option<Duration>,
}

impl Lane {
    fn new(now: Duration) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            since: now,
            left: None,
        }
    }

    fn push(&mut self, up: Up) {
        self.bytes += up.size();
        self.frames.push_back(up);
    }
}

impl Inner {
    /// A frame was given back: it waits for the next owner, and all others of its shard behind it.
    /// Bounded by what was under way.
    pub(super) fn stray(&self, up: Up) {
        if let Some(place) = self.places.get(usize::from(up.shard.0)) {
            place.strayed.store(true, Ordering::Release);
        }
        let mut lanes = self.lanes();
        let lane = lanes.entry(up.shard);
        lane.or_insert_with(|| Lane::new(self.clock.now())).push(up);
    }

    /// A shard's frame waits while its way changes, up to the shard's part of an outbox.
    pub(super) fn keep(&self, up: Up) -> Result<(), Up> {
        let mut lanes = self.lanes();
        let lane = lanes.entry(up.shard);
        let lane = lane.or_insert_with(|| Lane::new(self.clock.now()));
        if lane.bytes + up.size() > self.config.options.shard_bytes as usize {
            return Err(up);
        }
        if let Some(place) = self.places.get(usize::from(up.shard.0)) {
            place.strayed.store(true, Ordering::Release);
        }
        lane.push(up);
        Ok(())
    }

    /// Sends what can be sent, in order, and refuses what has waited for too long.
    pub(super) fn work_lanes(self: &Arc<Self>, now: Duration) {
        let mut refused = Vec::new();
        let mut rings = Vec::new();
        self.lanes().retain(|shard, lane| {
            let Some(place) = self.places.get(usize::from(shard.0)) else {
                refused.extend(lane.frames.drain(..));
                return false;
            };
            if lane.frames.is_empty() {
                return lane.left.is_some_and(|left| now - left < CLEAR_AFTER);
            }
            let too_old = now - lane.since > self.config.options.unowned_max();
            let away = self.work_lane(*shard, lane);
            if (too_old || away) && !lane.frames.is_empty() {
                refused.extend(lane.frames.drain(..));
                lane.bytes = 0;
            }
            if lane.frames.is_empty() {
                lane.left = Some(now);
                place.strayed.store(false, Ordering::Release);
                rings.push(shard.0);
            }
            true
        });
        self.has_room(&rings);
        for up in refused {
            self.refuse(up);
        }
    }

    /// Sends a lane's frames, as far as they go. True if their owner is away.
    fn work_lane(self: &Arc<Self>, shard: ShardId, lane: &mut Lane) -> bool {
        let Some(place) = self.places.get(usize::from(shard.0)) else {
            return false;
        };
        if !self.again(place, shard) {
            return false;
        }
        while let Some(up) = lane.frames.pop_front() {
            lane.bytes = lane.bytes.saturating_sub(up.size());
            if let Err((up, lack)) = self.place(place, up) {
                lane.bytes += up.size();
                lane.frames.push_front(up);
                return lack == Lack::Peer;
            }
        }
        false
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<ShardId, Lane>> {
        self.lanes.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long nothing may be given back until a way counts as clear, and waiting is counted from zero
/// again.
const CLEAR_AFTER: Duration = Duration::from_secs(1);
