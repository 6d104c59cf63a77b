//! This node's part of all budgets: [`QuotaShare`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::activity::Activity;
use super::bucket::ShareBucket;
use super::demand::Seen;
use super::tap::{Tap, TapInner, TapState};
use crate::state::{
    QuotaGrant, QuotaKey, QuotaKind, QuotaPolicy, QuotaRenewal, QuotaWant, WANTS_MAX,
};

/// The budgets as far as this node may use them. For any thread.
#[derive(Debug)]
pub struct QuotaShare {
    /// Grows when there are other budgets.
    generation: AtomicU64,
    activity: Arc<Activity>,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    policy: QuotaPolicy,
    /// Whether there is no other node: nobody is asked.
    alone: bool,
    /// In billionths of any budget.
    floor: u32,
    taps: HashMap<QuotaKey, Arc<TapInner>>,
    /// For each kind the bucket of a key that nobody has spent from: new taps begin with it. They must not begin full,
    /// for the floor may have grown just now, and what others had of it may have been spent.
    untouched: [ShareBucket; 3],
    incarnation: u64,
    sequence: u64,
    asked_ms: Option<u64>,
    /// The keys of the last renewal, until it is answered.
    awaited: Option<Vec<QuotaKey>>,
    /// Whether every node has its floor, as far as was told last.
    settled: bool,
    /// Whether anything is lent to this node, or wanted.
    lending: bool,
    resets_seen: u64,
    figures: QuotaFigures,
}

/// What this node has spent and what it may spend, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaFigures {
    /// The floor, in billionths of any budget.
    pub floor: u32,
    /// Keys that are known.
    pub keys: usize,
    /// By kind, in the order of [`QuotaKind::ALL`].
    pub kinds: [KindFigures; 3],
}

/// The figures of one kind of budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindFigures {
    /// Bytes that were read, in all.
    pub spent: u64,
    /// Times that a reader had to wait, in all.
    pub limited: u64,
    /// What is lent to the node at present, in bytes a second.
    pub lent: u64,
    /// Keys whose readers had to wait lately and that have only their floor.
    pub floor_limited: u64,
}

impl QuotaShare {
    /// The share of a process that is its whole cluster: plain buckets.
    pub fn whole(policy: QuotaPolicy) -> Self {
        Self::new(policy, WHOLE, true, 0)
    }

    /// The share of a node that was told nothing yet, and reads nothing that has a budget. `incarnation` must grow with
    /// every start of the node.
    pub fn part(policy: QuotaPolicy, incarnation: u64) -> Self {
        Self::new(policy, 0, false, incarnation)
    }

    fn new(policy: QuotaPolicy, floor: u32, alone: bool, incarnation: u64) -> Self {
        let untouched = QuotaKind::ALL.map(|kind| {
            let rate = policy.rate(kind).unwrap_or_default();
            ShareBucket::new(rate.floor(floor), rate.burst_ms, 0)
        });
        Self {
            generation: AtomicU64::new(0),
            activity: Arc::default(),
            table: Mutex::new(Table {
                policy,
                alone,
                floor,
                taps: HashMap::new(),
                untouched,
                incarnation,
                sequence: 0,
                asked_ms: None,
                awaited: None,
                settled: false,
                lending: false,
                resets_seen: 0,
                figures: QuotaFigures::default(),
            }),
        }
    }

    /// Grows with each change of the policy: taps are to be opened again.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The budgets in force.
    pub fn policy(&self) -> QuotaPolicy {
        self.table().policy
    }

    /// Takes from a budget, if there is one of its kind.
    pub fn open(&self, key: QuotaKey, now_ms: u64) -> Option<Tap> {
        let mut table = self.table();
        table.policy.rate(key.kind())?;
        let bucket = table.untouched[key.kind() as usize];
        let tap = table.taps.entry(key.clone()).or_insert_with(|| {
            Arc::new(TapInner::new(
                key,
                bucket,
                Arc::clone(&self.activity),
                now_ms,
            ))
        });
        Some(Tap::open(Arc::clone(tap)))
    }

    /// Other budgets, from now on.
    pub fn set_policy(&self, policy: QuotaPolicy, now_ms: u64) {
        let mut table = self.table();
        if table.policy == policy {
            return;
        }
        table.policy = policy;
        table
            .taps
            .retain(|key, _| policy.rate(key.kind()).is_some());
        table.spread_floor(now_ms);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Uses nothing any more: the node stops.
    pub fn end(&self, now_ms: u64) {
        let mut table = self.table();
        (table.floor, table.alone) = (0, false);
        table.sequence += 1;
        table.spread_floor(now_ms);
        for tap in table.taps.values() {
            tap.state().bucket.lend(0, 0, now_ms);
        }
    }

    /// Fills a budget's bucket.
    pub fn reset(&self, key: &QuotaKey, now_ms: u64) {
        if let Some(tap) = self.table().taps.get(key) {
            tap.state().bucket.fill(now_ms);
        }
    }

    /// Whether it is time to [`ask`](Self::ask): where there is a budget, at most once a second, and seldom while there
    /// is nothing to tell.
    pub fn is_due(&self, now_ms: u64) -> bool {
        let table = self.table();
        if !table.policy.is_on() {
            return false;
        }
        let Some(asked_ms) = table.asked_ms else {
            return true;
        };
        let passed = now_ms.saturating_sub(asked_ms);
        let something = match table.alone {
            true => self.activity.is_any(),
            false => self.activity.is_urgent() || table.lending || !table.settled,
        };
        passed >= IDLE_MS || (something && passed >= ASK_MS)
    }

    /// Looks at what was spent, gives back what is not needed, and says what the control group is to be asked; `None`
    /// if there is nobody to ask. What is answered to earlier renewals is worth nothing from now on.
    pub fn ask(&self, now_ms: u64) -> Option<QuotaRenewal> {
        let mut table = self.table();
        let passed_ms = now_ms.saturating_sub(table.asked_ms.unwrap_or(now_ms));
        table.asked_ms = Some(now_ms);
        table.sequence += 1;
        self.activity.set_urgent(false);
        table.figures.begin();
        let mut wants = Vec::new();
        for tap in self.activity.take() {
            table.look(&tap, now_ms, passed_ms, &mut wants, &self.activity);
        }
        table.figures.floor = table.floor;
        table.figures.keys = table.taps.len();
        table.limit(&mut wants, now_ms);
        table.lending = !wants.is_empty();
        if table.alone {
            return None;
        }
        table.awaited = Some(wants.iter().map(|want| want.key.clone()).collect());
        // Until it is told otherwise.
        table.settled = false;
        Some(QuotaRenewal {
            incarnation: table.incarnation,
            sequence: table.sequence,
            floor: table.floor,
            resets_seen: table.resets_seen,
            wants,
        })
    }

    /// The answer to the renewal of that number, which was made at `asked_ms`. Passed over if it is not the last.
    pub fn answered(&self, sequence: u64, asked_ms: u64, grant: &QuotaGrant, now_ms: u64) {
        let mut table = self.table();
        if sequence != table.sequence {
            return;
        }
        let Some(keys) = table.awaited.take() else {
            return;
        };
        table.settled = grant.settled;
        if table.floor != grant.floor {
            table.floor = grant.floor;
            table.spread_floor(now_ms);
        }
        let until_ms = asked_ms.saturating_add(grant.lease_ms);
        for (key, lent) in keys.iter().zip(&grant.leases) {
            if let Some(tap) = table.taps.get(key) {
                tap.state().bucket.lend(*lent, until_ms, now_ms);
            }
        }
        for (number, key) in &grant.resets {
            table.resets_seen = table.resets_seen.max(*number);
            if let Some(tap) = table.taps.get(key) {
                tap.state().bucket.fill(now_ms);
            }
        }
    }

    /// How the budgets stand on this node, those first from which most was read.
    pub fn show(&self, now_ms: u64) -> Vec<TapState> {
        let table = self.table();
        let floor = |key: &QuotaKey| {
            let rate = table.policy.rate(key.kind());
            rate.map_or(0, |rate| rate.floor(table.floor))
        };
        let all = table.taps.values();
        let mut shown: Vec<_> = all.map(|tap| tap.show(floor(&tap.key), now_ms)).collect();
        shown.sort_by(|a, b| b.spent.cmp(&a.spent).then_with(|| a.key.cmp(&b.key)));
        shown
    }

    /// The figures as they were at the last [`ask`](Self::ask).
    pub fn figures(&self) -> QuotaFigures {
        self.table().figures.clone()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change leaves at most a bucket that is fuller or emptier than it could be.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes in what was seen at one tap, and adds what is wanted for it.
    fn look(
        &mut self,
        tap: &Arc<TapInner>,
        now_ms: u64,
        passed_ms: u64,
        wants: &mut Vec<QuotaWant>,
        activity: &Activity,
    ) {
        let kind = tap.key.kind();
        let mut state = tap.state();
        let known = self.taps.get(&tap.key);
        if !known.is_some_and(|known| Arc::ptr_eq(known, tap)) {
            // Of an earlier policy: its sessions are about to open another.
            state.active = false;
            return;
        }
        let seen = std::mem::take(&mut state.seen);
        state.before.spent += seen.spent;
        state.before.limited += seen.limited;
        let Some(rate) = self.policy.rate(kind) else {
            state.active = false;
            return;
        };
        state.demand.measure(seen, passed_ms, rate);
        let floor = rate.floor(self.floor);
        let wanted = match self.alone {
            true => 0,
            false => state.demand.beyond(floor, rate),
        };
        let mut holds = state.bucket.lent(now_ms);
        self.figures.add(kind, seen, holds);
        if holds > wanted {
            state.bucket.shrink(wanted, now_ms);
            holds = wanted;
        }
        if wanted > 0 {
            wants.push(QuotaWant {
                key: tap.key.clone(),
                holds,
                wants: wanted,
            });
        }
        let mut untouched = self.untouched[kind as usize];
        if wanted > 0 || state.bucket.level(now_ms) < untouched.level(now_ms) {
            activity.add(Arc::clone(tap));
            return;
        }
        state.active = false;
        if tap.holders() == 0 {
            self.taps.remove(&tap.key);
        }
    }

    /// Leaves out the least wanted if there are too many.
    fn limit(&self, wants: &mut Vec<QuotaWant>, now_ms: u64) {
        if wants.len() <= WANTS_MAX {
            return;
        }
        wants.sort_by(|a, b| b.wants.cmp(&a.wants).then_with(|| a.key.cmp(&b.key)));
        for want in wants.drain(WANTS_MAX..) {
            if let Some(tap) = self.taps.get(&want.key) {
                tap.state().bucket.shrink(0, now_ms);
            }
        }
    }

    fn spread_floor(&mut self, now_ms: u64) {
        for kind in QuotaKind::ALL {
            let rate = self.policy.rate(kind).unwrap_or_default();
            let floor = rate.floor(self.floor);
            self.untouched[kind as usize].set_floor(floor, rate.burst_ms, now_ms);
        }
        for (key, tap) in &self.taps {
            if let Some(rate) = self.policy.rate(key.kind()) {
                let floor = rate.floor(self.floor);
                tap.state().bucket.set_floor(floor, rate.burst_ms, now_ms);
            }
        }
    }
}

impl QuotaFigures {
    /// Each look counts what is there at present anew.
    fn begin(&mut self) {
        for kind in &mut self.kinds {
            (kind.lent, kind.floor_limited) = (0, 0);
        }
    }

    fn add(&mut self, kind: QuotaKind, seen: Seen, holds: u32) {
        let figures = &mut self.kinds[kind as usize];
        figures.spent += seen.spent;
        figures.limited += seen.limited;
        figures.lent += u64::from(holds);
        figures.floor_limited += u64::from(seen.limited > 0 && holds == 0);
    }
}

/// Between two renewals.
const ASK_MS: u64 = 1_000;

/// Between two renewals that have nothing to tell: another node's coming is heard so late.
const IDLE_MS: u64 = 5_000;

/// All of every budget.
const WHOLE: u32 = 1_000_000_000;

#[cfg(test)]
mod tests;
