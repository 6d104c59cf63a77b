//! Traffic budgets over the whole cluster: who may use which part of them, and for how long.
//!
//! ```text
//! connection node ── Renew(floor and leases in use, wants) ──► reserved: the most that it may be using
//!                 ◄── Grant(floor, leases for lease_ms) ─────┘     │ a lease and its margin have passed
//!                                                                  ▼ on the lease clock: lent to others
//! ```
//!
//! Half of each budget is shared out as *floors*, in billionths of any budget: each of N connection nodes has a
//! floor of 1/(2N), which it uses without asking, for ever. The other half is the *pool*: it is lent to who wants it,
//! by max-min fairness, for `lease_ms`. A node asks once a second for all budgets in one entry of the log, so the
//! log grows with nodes and not with traffic.
//!
//! # Why the nodes together never exceed a budget
//!
//! Let R be the rate of a budget, B = R × burst, and rᵢ(t) the rate at which node i believes at the real moment t
//! that it may use the budget: its floor plus what it was lent. Node i has a token bucket that gains at rᵢ(t) and
//! holds rᵢ(t) × burst at most; what is above when rᵢ falls is lost (`node/control/src/quota/bucket.rs`). So between
//! t₁ and t₂ it uses at most `rᵢ(t₁) × burst + ∫ rᵢ dt`, and one read by which it overdraws. If Σ rᵢ(t) ≤ R at every
//! moment, the sum over the nodes is at most `B + R × (t₂ − t₁)`, and one read for each.
//!
//! It remains that Σ rᵢ(t) ≤ R. The group keeps for each node i, and for each budget that it was lent a part of, what
//! is *reserved*: at every moment at least what i believes. For i changes its belief upwards only by the answer to
//! its last renewal, and downwards whenever it likes:
//!
//! * A renewal says what i uses when it is sent; it takes in no answer to an earlier one after that, and an earlier
//!   one that is applied later is refused by its number. So what i believes when a renewal is applied is at most both
//!   what it said and what was reserved before. The group reserves the larger of that and the grant.
//! * A lease is reserved until the lease clock has passed `lease_ms`, [`MEASURED_MS_MAX`] and a margin since the
//!   renewal was applied. The lease clock runs behind every real clock (see [`shards`](super::shards)), and i counts
//!   from before it asked: it has stopped using the lease before, however late the answer came. The margin is for
//!   clocks that drift.
//! * A floor is reserved until i says that it uses less, leaves, is removed by the operator, or begins a new run. A
//!   node that is cut off goes on with its floor, and nobody gets it meanwhile.
//!
//! Grants keep Σ reserved floors ≤ 1/2 and Σ reserved leases ≤ pool: each is at most what the others' reservations
//! leave. So when N grows the new node's floor grows as the others confirm that theirs have become smaller; one that is
//! cut off keeps its larger one, and the new node has less until that one is back. It holds in any partition, for the
//! state is one log's; and after any change of leader, for it is in the log.
//!
//! Fine print: a node fills its buckets by a thousandth less than its share, which covers clocks that run fast by 900
//! parts in a million (a kernel slews by 500). While a change of the policy spreads, the larger of the two rates
//! counts. An operator's reset of a budget is a burst on top.
//!
//! # Bounds
//!
//! A budget is in here only while somebody wants a part of it: [`WANTS_MAX`] of one node, [`HOLDINGS_MAX`] in all.
//! What does not fit is not lent: floors only.

mod fair;
mod key;
mod policy;
mod renewal;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use fair::fair_shares;
pub use key::{QuotaKey, QuotaKeyError, QuotaKind};
pub use policy::{QuotaPolicy, QuotaRate};
pub use renewal::{QuotaGrant, QuotaHolding, QuotaRenewal, QuotaReport, QuotaWant};

use super::NodeId;
use super::shards::MEASURED_MS_MAX;

/// What is reserved for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    nodes: BTreeMap<NodeId, NodePart>,
    keys: BTreeMap<QuotaKey, BTreeMap<NodeId, Holding>>,
    /// The newest resets, by number.
    resets: VecDeque<(u64, QuotaKey)>,
}

/// One connection node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NodePart {
    incarnation: u64,
    sequence: u64,
    /// Reserved, in billionths.
    floor: u32,
    /// Where it has a holding.
    keys: BTreeSet<QuotaKey>,
}

/// A node's part of one budget's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holding {
    wants: u32,
    /// Reserved, in bytes a second.
    holds: u32,
    /// The lease clock at which nothing is reserved any more.
    until_ms: u64,
}

impl Quotas {
    /// A node's renewal at this lease clock. `None` if it is overtaken by a later one.
    pub fn renew(
        &mut self,
        node: NodeId,
        renewal: &QuotaRenewal,
        clock_ms: u64,
        policy: &QuotaPolicy,
    ) -> Option<QuotaGrant> {
        let known = self.nodes.get(&node);
        let run = (renewal.incarnation, renewal.sequence);
        if known.is_some_and(|known| run <= (known.incarnation, known.sequence)) {
            return None;
        }
        if known.is_some_and(|known| known.incarnation < renewal.incarnation) {
            self.leave(node);
        }
        let part = self.nodes.entry(node).or_insert_with(|| NodePart {
            incarnation: renewal.incarnation,
            sequence: 0,
            floor: 0,
            keys: BTreeSet::new(),
        });
        part.sequence = renewal.sequence;
        let floor = self.grant_floor(node, renewal.floor);
        let named: BTreeSet<_> = renewal.wants.iter().map(|want| &want.key).collect();
        self.give_back(node, |key| named.contains(key));
        let until_ms = clock_ms
            .saturating_add(policy.lease_ms)
            .saturating_add(MEASURED_MS_MAX)
            .saturating_add(policy.margin_ms);
        let mut seen = BTreeSet::new();
        let mut leases = Vec::new();
        for want in &renewal.wants {
            let is_fit = seen.insert(&want.key) && seen.len() <= WANTS_MAX;
            leases.push(match is_fit {
                true => self.lend(node, want, until_ms, policy),
                false => 0,
            });
        }
        Some(QuotaGrant {
            leases,
            settled: self.is_settled(),
            floor,
            lease_ms: policy.lease_ms,
            resets: self.resets_after(renewal.resets_seen),
        })
    }

    /// Frees what was lent until before this lease clock.
    pub fn advance(&mut self, clock_ms: u64) {
        for (key, holdings) in &mut self.keys {
            holdings.retain(|node, holding| {
                let lasts = clock_ms <= holding.until_ms;
                if !lasts && let Some(part) = self.nodes.get_mut(node) {
                    part.keys.remove(key);
                }
                lasts
            });
        }
        self.keys.retain(|_, holdings| !holdings.is_empty());
    }

    /// A node that stops has stopped reading; or its operator says that it is gone.
    pub fn leave(&mut self, node: NodeId) {
        self.give_back(node, |_| false);
        self.nodes.remove(&node);
    }

    /// Tells all nodes to fill a budget's buckets. `number` grows.
    pub fn reset(&mut self, number: u64, key: QuotaKey) {
        self.resets.push_back((number, key));
        while self.resets.len() > RESETS_MAX {
            self.resets.pop_front();
        }
    }

    /// Whether no node uses any budget.
    pub fn is_idle(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How it is shared out, [`REPORT_MAX`] holdings at most; of one budget if one is named.
    pub fn report(&self, of: Option<&QuotaKey>) -> QuotaReport {
        let wanted = |key: &&QuotaKey| of.is_none_or(|of| of == *key);
        let all = self.keys.iter().filter(|(key, _)| wanted(key));
        let mut holdings = all.flat_map(|(key, holdings)| {
            holdings.iter().map(|(node, holding)| QuotaHolding {
                key: key.clone(),
                node: *node,
                holds: holding.holds,
                wants: holding.wants,
            })
        });
        QuotaReport {
            floors: self
                .nodes
                .iter()
                .map(|(node, part)| (*node, part.floor))
                .collect(),
            holdings: holdings.by_ref().take(REPORT_MAX).collect(),
            more: holdings.next().is_some(),
        }
    }

    /// Reserves and gives the floor of a node that says it uses so much.
    fn grant_floor(&mut self, node: NodeId, uses: u32) -> u32 {
        let others = self.nodes.iter().filter(|(other, _)| **other != node);
        let reserved: u32 = others.map(|(_, part)| part.floor).sum();
        let grant = self.fair_floor().min(FLOORS.saturating_sub(reserved));
        if let Some(part) = self.nodes.get_mut(&node) {
            part.floor = uses.min(part.floor).max(grant);
        }
        grant
    }

    /// What each node's floor should be.
    fn fair_floor(&self) -> u32 {
        FLOORS / (self.nodes.len() as u32).max(1)
    }

    fn is_settled(&self) -> bool {
        let fair = self.fair_floor();
        self.nodes.values().all(|part| part.floor == fair)
    }

    /// Reserves and lends a part of a budget's pool to a node that says it uses so much of it.
    fn lend(&mut self, node: NodeId, want: &QuotaWant, until_ms: u64, policy: &QuotaPolicy) -> u32 {
        let Some(rate) = policy.rate(want.key.kind()) else {
            return 0;
        };
        let is_full = self.holdings() >= HOLDINGS_MAX;
        let known = self.keys.get(&want.key);
        let before = known.and_then(|holdings| holdings.get(&node)).copied();
        if before.is_none() && is_full {
            return 0;
        }
        let holdings = self.keys.entry(want.key.clone()).or_default();
        let mut holding = Holding {
            wants: want.wants,
            holds: 0,
            until_ms,
        };
        holdings.insert(node, holding);
        let wants: Vec<u32> = holdings.values().map(|holding| holding.wants).collect();
        let place = holdings.range(..node).count();
        let fair = fair_shares(rate.pool(), &wants)[place];
        let reserved: u64 = holdings
            .values()
            .map(|holding| u64::from(holding.holds))
            .sum();
        let left = u64::from(rate.pool()).saturating_sub(reserved);
        let grant = u32::try_from(left).map_or(fair, |left| fair.min(left));
        let uses = before.map_or(0, |before| before.holds.min(want.holds));
        holding.holds = uses.max(grant);
        holdings.insert(node, holding);
        if let Some(part) = self.nodes.get_mut(&node) {
            part.keys.insert(want.key.clone());
        }
        grant
    }

    /// Frees what was lent to a node, except what it keeps.
    fn give_back(&mut self, node: NodeId, keeps: impl Fn(&QuotaKey) -> bool) {
        let Some(part) = self.nodes.get_mut(&node) else {
            return;
        };
        let keys = &mut self.keys;
        part.keys.retain(|key| {
            let kept = keeps(key);
            if !kept && let Some(holdings) = keys.get_mut(key) {
                holdings.remove(&node);
                if holdings.is_empty() {
                    keys.remove(key);
                }
            }
            kept
        });
    }

    fn holdings(&self) -> usize {
        self.nodes.values().map(|part| part.keys.len()).sum()
    }

    fn resets_after(&self, seen: u64) -> Vec<(u64, QuotaKey)> {
        let all = self.resets.iter();
        all.filter(|(number, _)| *number > seen).cloned().collect()
    }
}

/// All floors together, in billionths: half of every budget.
const FLOORS: u32 = 500_000_000;

/// Budgets of one node that are lent to: the renewal is an entry of the log, of some 60 kB then.
pub const WANTS_MAX: usize = 1_000;

/// Parts that are lent at once, over all nodes: some 4 MB of state.
const HOLDINGS_MAX: usize = 20_000;

/// Resets that are remembered for nodes that have not carried them out: an operator makes some a day.
const RESETS_MAX: usize = 64;

/// Holdings in one report.
const REPORT_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
