//! Where sessions take from one budget: [`Tap`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::activity::Activity;
use super::bucket::ShareBucket;
use super::demand::{Demand, Seen};
use crate::state::QuotaKey;

/// A session's hold of one budget on this node. Give it back by dropping it.
#[derive(Debug)]
pub struct Tap(Arc<TapInner>);

/// What all sessions with one key share on this node.
#[derive(Debug)]
pub(super) struct TapInner {
    pub(super) key: QuotaKey,
    /// Whether nothing may be read, as far as was seen last.
    shut: AtomicBool,
    holders: AtomicUsize,
    state: Mutex<State>,
    activity: Arc<Activity>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) bucket: ShareBucket,
    pub(super) demand: Demand,
    /// Since the last look.
    pub(super) seen: Seen,
    /// Before that.
    pub(super) before: Seen,
    /// Whether it will be looked at.
    pub(super) active: bool,
}

/// How a budget stands on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapState {
    /// Whose it is.
    pub key: QuotaKey,
    /// What this node may always use, in bytes a second.
    pub floor: u32,
    /// What it was lent, in bytes a second.
    pub lent: u32,
    /// What is in the bucket, in bytes; below 0 while its readers wait.
    pub level: i64,
    /// What was read since the node knows the key, in bytes.
    pub spent: u64,
    /// How often a reader had to wait.
    pub limited: u64,
    /// Sessions that take from it.
    pub sessions: usize,
}

impl Tap {
    pub(super) fn open(inner: Arc<TapInner>) -> Self {
        inner.holders.fetch_add(1, Ordering::AcqRel);
        Self(inner)
    }

    /// Before a read: 0 if it may be done, otherwise the milliseconds after which to ask again. `now_ms` is only asked
    /// for if it matters.
    pub fn wait_ms(&self, now_ms: impl FnOnce() -> u64) -> u64 {
        if !self.0.shut.load(Ordering::Relaxed) {
            return 0;
        }
        let now_ms = now_ms();
        let mut state = self.0.state();
        let rest = state.bucket.rest_ms(now_ms).unwrap_or(WAIT_MS_MAX);
        if rest == 0 {
            self.0.shut.store(false, Ordering::Relaxed);
            return 0;
        }
        state.seen.limited += 1;
        self.0.activity.set_urgent(true);
        self.0.activate(&mut state);
        rest.min(WAIT_MS_MAX)
    }

    /// After a read: what it gave.
    pub fn spend(&self, bytes: usize, now_ms: u64) {
        let mut state = self.0.state();
        state.bucket.take(bytes, now_ms);
        state.seen.spent += bytes as u64;
        if !state.bucket.is_open(now_ms) {
            self.0.shut.store(true, Ordering::Relaxed);
        }
        self.0.activate(&mut state);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.0.holders.fetch_sub(1, Ordering::AcqRel);
        self.0.activate(&mut self.0.state());
    }
}

impl TapInner {
    pub(super) fn new(
        key: QuotaKey,
        mut bucket: ShareBucket,
        activity: Arc<Activity>,
        now_ms: u64,
    ) -> Self {
        Self {
            key,
            shut: AtomicBool::new(!bucket.is_open(now_ms)),
            holders: AtomicUsize::new(0),
            state: Mutex::new(State {
                bucket,
                demand: Demand::default(),
                seen: Seen::default(),
                before: Seen::default(),
                active: false,
            }),
            activity,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holders(&self) -> usize {
        self.holders.load(Ordering::Acquire)
    }

    /// How it stands; `floor` is known to the share.
    pub(super) fn show(&self, floor: u32, now_ms: u64) -> TapState {
        let mut state = self.state();
        TapState {
            key: self.key.clone(),
            floor,
            lent: state.bucket.lent(now_ms),
            level: state.bucket.level(now_ms),
            spent: state.before.spent + state.seen.spent,
            limited: state.before.limited + state.seen.limited,
            sessions: self.holders(),
        }
    }

    fn activate(self: &Arc<Self>, state: &mut State) {
        if !std::mem::replace(&mut state.active, true) {
            self.activity.add(Arc::clone(self));
        }
    }
}

/// After which a reader that waits asks again: it may have been lent more meanwhile.
const WAIT_MS_MAX: u64 = 250;
