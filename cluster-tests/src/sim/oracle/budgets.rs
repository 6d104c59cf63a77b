//! The traffic budgets: what all nodes take together, measured in true time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rookery_control::{QuotaKey, QuotaPolicy, QuotaRate};

use super::Violation;
use crate::sim::clock::{Micros, SECOND};
use crate::sim::faults::DRIFT_PPM_MAX;
use crate::sim::process::HOST;

/// The budgets of a run. A burst is short against a lease, so that what is used twice shows; what the clients send is
/// far below the floors, so that it waits only where a node has no floor yet.
pub(crate) const POLICY: QuotaPolicy = QuotaPolicy {
    account: QuotaRate {
        bytes_per_second: 200_000,
        burst_ms: 200,
    },
    prefix: QuotaRate {
        bytes_per_second: 1_000_000,
        burst_ms: 1_000,
    },
    domain: QuotaRate {
        bytes_per_second: 0,
        burst_ms: 0,
    },
    lease_ms: 3_000,
    // What the clocks drift over a lease, and little more.
    margin_ms: 100,
};

/// The budget that somebody takes from on every node, all the time, as much as the node lets him.
pub(crate) fn greedy() -> QuotaKey {
    QuotaKey::Account(format!("greedy@{HOST}").into())
}

/// What was taken from each budget.
#[derive(Default)]
pub(crate) struct Budgets {
    budgets: BTreeMap<QuotaKey, Budget>,
    /// Since when it is measured what each node gets.
    measured_since: Option<Micros>,
    violation: Option<Violation>,
}

/// `max(above − rate × passed, 0) + read` is the largest, over all windows that end now, of what was taken in the
/// window less what the rate grants it. So no window has more than rate × length + allowed exactly if this is never
/// above what is allowed.
///
/// Allowed is the burst, and one read for each run of a process that has taken something: a node's bucket is overdrawn
/// by the last read that it lets pass, and a node that dies forgets that it was. The rate is larger than the policy's
/// by what the fastest clock gains: the product's buckets are a thousandth slower than their clocks, and the clocks of
/// a run are ten times as wrong as that.
#[derive(Default)]
struct Budget {
    /// In millionths of a byte, as everything that a rate gives in microseconds.
    above: u64,
    at: Micros,
    /// Nodes with their lives.
    runs: BTreeSet<(u32, u32)>,
    largest: u64,
    /// What each node has taken since it is measured.
    by_node: BTreeMap<u32, u64>,
}

impl Budgets {
    /// A node in one of its lives has taken so many bytes in one read.
    pub(crate) fn spent(&mut self, key: &QuotaKey, run: (u32, u32), bytes: u64, now: Micros) {
        let Some(rate) = POLICY.rate(key.kind()) else {
            return;
        };
        if !self.budgets.contains_key(key) {
            self.budgets.insert(key.clone(), Budget::default());
        }
        let Some(budget) = self.budgets.get_mut(key) else {
            return;
        };
        budget.spent(rate, run, bytes, now);
        if self.measured_since.is_some() {
            *budget.by_node.entry(run.0).or_default() += bytes;
        }
        let (above, allowed) = (budget.above / SECOND, budget.allowed(rate));
        if above > allowed {
            self.violation.get_or_insert_with(|| {
                format!("{key}: {above} bytes above its rate were taken, {allowed} are allowed")
            });
        }
    }

    /// Everything has worked for a while: from now on it is measured what each node gets.
    pub(crate) fn measure(&mut self, now: Micros) {
        self.measured_since = Some(now);
    }

    /// The end of a run: each of these nodes has got more than its floor of the budget that all of them want, and
    /// together they have got nearly all of it. A budget that nobody can use would never be exceeded.
    pub(super) fn finish(&mut self, nodes: RangeInclusive<u32>, now: Micros) {
        let Some(since) = self.measured_since else {
            return;
        };
        let got = self.budgets.get(&greedy()).map(|budget| &budget.by_node);
        let got = |node| got.and_then(|got| got.get(&node)).copied().unwrap_or(0);
        let all = u64::from(POLICY.account.bytes_per_second) * (now - since) / SECOND;
        let floor = all / 2 / nodes.clone().count() as u64;
        let poor = nodes
            .clone()
            .find(|node| got(*node) * 100 < floor * MORE_PERCENT);
        let together: u64 = nodes.map(got).sum();
        if let Some(node) = poor {
            let got = got(node);
            self.broken(format!(
                "node {node} got {got} bytes of a budget after healing, its floor alone is {floor}"
            ));
        } else if together * 100 < all * USED_PERCENT {
            self.broken(format!(
                "{together} of {all} bytes of a budget were used after healing"
            ));
        }
    }

    pub(super) fn violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    fn broken(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}

impl Budget {
    fn spent(&mut self, rate: QuotaRate, run: (u32, u32), bytes: u64, now: Micros) {
        let a_second = u64::from(rate.bytes_per_second);
        let fastest = a_second + a_second * DRIFT_PPM_MAX.unsigned_abs() / 1_000_000;
        let granted = (now - self.at) * fastest;
        self.above = self.above.saturating_sub(granted) + bytes * SECOND;
        self.at = now;
        self.runs.insert(run);
        self.largest = self.largest.max(bytes);
    }

    /// In bytes.
    fn allowed(&self, rate: QuotaRate) -> u64 {
        let burst = u64::from(rate.bytes_per_second) * u64::from(rate.burst_ms) / 1_000;
        burst + self.runs.len() as u64 * self.largest
    }
}

/// What each node gets of its floor, at least: it would be 200 if both nodes had the same time.
const MORE_PERCENT: u64 = 150;

/// How much of a budget is used, at least.
const USED_PERCENT: u64 = 90;

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: (u32, u32) = (7, 1);

    #[test]
    fn a_burst_and_one_read_on_top_of_the_rate_are_allowed_and_not_more() {
        let mut budgets = Budgets::default();
        let key = greedy();
        for at in 0..100 {
            // The rate, in pieces of a hundredth of a second.
            budgets.spent(&key, RUN, 2_000, at * SECOND / 100);
        }
        for _ in 0..21 {
            budgets.spent(&key, RUN, 2_000, SECOND);
        }
        assert!(budgets.violation().is_none());
        budgets.spent(&key, RUN, 2_000, SECOND);
        assert!(budgets.violation().is_some());
    }

    #[test]
    fn two_nodes_that_use_the_same_lease_are_found() {
        let mut budgets = Budgets::default();
        let key = greedy();
        for at in 0..200 {
            budgets.spent(&key, RUN, 1_500, at * SECOND / 100);
            budgets.spent(&key, (8, 1), 1_000, at * SECOND / 100);
        }
        assert!(budgets.violation().is_some());
    }

    #[test]
    fn a_node_with_nothing_but_its_floor_is_found_at_the_end() {
        for (second, is_well) in [(1_000, true), (500, false)] {
            let mut budgets = Budgets::default();
            budgets.measure(0);
            for at in 0..1_000 {
                budgets.spent(&greedy(), RUN, 1_000, at * SECOND / 100);
                budgets.spent(&greedy(), (8, 1), second, at * SECOND / 100);
            }
            budgets.finish(7..=8, 10 * SECOND);
            assert_eq!(budgets.violation().is_none(), is_well);
        }
    }
}
