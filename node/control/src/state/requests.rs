//! Requests that were answered, so that one that is proposed again is answered again and not applied again.
//!
//! A node numbers its requests within each of its runs. With every request it says below which number it waits for no
//! answer any more; outcomes below that are forgotten and requests below it are refused as [`Seen::Stale`]. The same
//! goes for requests of an earlier run, whose process is gone. So for each node at most as many outcomes are held as
//! it has requests under way, and no request is ever applied twice however late its copy arrives. A node that
//! acknowledges nothing is bounded in outcomes and in bytes, and then refused as [`Seen::Overload`] until it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{NodeId, Outcome};

/// What makes a request one and the same over all its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId {
    /// The node that asks.
    pub node: NodeId,
    /// The run of that node's process: grows with every start.
    pub incarnation: u64,
    /// The number of the request within the run.
    pub sequence: u64,
}

/// What is known of a request before it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Never seen: apply it.
    New,
    /// Applied before, with this outcome.
    Answered(Outcome),
    /// Nobody waits for it any more: must not be applied.
    Stale,
    /// Its node has too many outcomes unacknowledged.
    Overload,
}

/// The outcomes that may still be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Requests {
    nodes: BTreeMap<NodeId, Run>,
}

impl Requests {
    /// What is known of `request`, whose sender waits for no answer below `acknowledged`.
    pub(super) fn look_up(&mut self, request: RequestId, acknowledged: u64) -> Seen {
        if !self.nodes.contains_key(&request.node) && self.nodes.len() >= NODES_MAX {
            return Seen::Overload;
        }
        let run = self.nodes.entry(request.node).or_default();
        if request.incarnation < run.incarnation {
            return Seen::Stale;
        }
        if request.incarnation > run.incarnation {
            *run = Run {
                incarnation: request.incarnation,
                ..Run::default()
            };
        }
        if acknowledged > run.acknowledged {
            run.acknowledged = acknowledged;
            let kept = run.outcomes.split_off(&acknowledged);
            let forgotten = std::mem::replace(&mut run.outcomes, kept);
            run.bytes -= forgotten.values().map(bytes_of).sum::<usize>();
        }
        if request.sequence < run.acknowledged {
            return Seen::Stale;
        }
        match run.outcomes.get(&request.sequence) {
            Some(outcome) => Seen::Answered(outcome.clone()),
            None if run.is_full() => Seen::Overload,
            None => Seen::New,
        }
    }

    /// Keeps the outcome of a request that was [`Seen::New`].
    pub(super) fn keep(&mut self, request: RequestId, outcome: Outcome) {
        if let Some(run) = self.nodes.get_mut(&request.node) {
            run.bytes += bytes_of(&outcome);
            run.outcomes.insert(request.sequence, outcome);
        }
    }
}

/// What an outcome counts for: its bytes in a snapshot.
fn bytes_of(outcome: &Outcome) -> usize {
    outcome.encode().len()
}

/// What is held for the present run of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept")]
struct Run {
    incarnation: u64,
    acknowledged: u64,
    outcomes: BTreeMap<u64, Outcome>,
    /// Derived: what the outcomes count for.
    #[serde(skip)]
    bytes: usize,
}

/// A run in a snapshot.
#[derive(Deserialize)]
struct Kept {
    incarnation: u64,
    acknowledged: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

impl From<Kept> for Run {
    fn from(kept: Kept) -> Self {
        Self {
            bytes: kept.outcomes.values().map(bytes_of).sum(),
            incarnation: kept.incarnation,
            acknowledged: kept.acknowledged,
            outcomes: kept.outcomes,
        }
    }
}

impl Run {
    fn is_full(&self) -> bool {
        self.outcomes.len() >= OUTCOMES_MAX || self.bytes >= OUTCOME_BYTES_MAX
    }
}

/// Nodes that may have requests; a cluster has thousands at most.
const NODES_MAX: usize = 65_536;

/// Outcomes held for one node: far above what a node has under way, so only a broken one meets it.
const OUTCOMES_MAX: usize = 65_536;

/// Bytes of the outcomes held for one node: the small ones of as many requests as above, or a hundred of the largest,
/// of which a node has a few under way.
const OUTCOME_BYTES_MAX: usize = 4_194_304;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(incarnation: u64, sequence: u64) -> RequestId {
        RequestId {
            node: NodeId::FIRST,
            incarnation,
            sequence,
        }
    }

    #[test]
    fn a_copy_gets_the_first_outcome_until_it_is_acknowledged() {
        let mut requests = Requests::default();
        assert_eq!(requests.look_up(request(1, 0), 0), Seen::New);
        requests.keep(request(1, 0), Outcome::Settled);
        assert_eq!(
            requests.look_up(request(1, 0), 0),
            Seen::Answered(Outcome::Settled)
        );
        assert_eq!(requests.look_up(request(1, 1), 1), Seen::New);
        assert_eq!(requests.look_up(request(1, 0), 0), Seen::Stale);
    }

    #[test]
    fn a_request_overtaken_by_a_later_one_is_still_new() {
        let mut requests = Requests::default();
        assert_eq!(requests.look_up(request(1, 5), 4), Seen::New);
        requests.keep(request(1, 5), Outcome::Settled);
        assert_eq!(requests.look_up(request(1, 4), 4), Seen::New);
    }

    #[test]
    fn a_new_run_forgets_the_old_one_and_refuses_its_late_copies() {
        let mut requests = Requests::default();
        assert_eq!(requests.look_up(request(1, 7), 7), Seen::New);
        assert_eq!(requests.look_up(request(2, 0), 0), Seen::New);
        assert_eq!(requests.look_up(request(1, 8), 8), Seen::Stale);
    }

    #[test]
    fn outcomes_are_bounded_for_each_node() {
        let mut requests = Requests::default();
        for sequence in 0..OUTCOMES_MAX as u64 {
            assert_eq!(requests.look_up(request(1, sequence), 0), Seen::New);
            requests.keep(request(1, sequence), Outcome::Settled);
        }
        assert_eq!(
            requests.look_up(request(1, OUTCOMES_MAX as u64), 0),
            Seen::Overload
        );
        assert_eq!(
            requests.look_up(request(1, OUTCOMES_MAX as u64), 9),
            Seen::New
        );
    }

    fn large() -> Outcome {
        Outcome::Quota(crate::state::QuotaGrant {
            leases: vec![u32::MAX; 1_000],
            ..Default::default()
        })
    }

    #[test]
    fn large_outcomes_are_bounded_in_bytes_also_after_a_snapshot_until_they_are_acknowledged() {
        let mut requests = Requests::default();
        let mut sequence = 0;
        while requests.look_up(request(1, sequence), 0) == Seen::New {
            requests.keep(request(1, sequence), large());
            sequence += 1;
        }
        let held = sequence as usize * bytes_of(&large());
        assert!(held < OUTCOME_BYTES_MAX + bytes_of(&large()), "{held}");
        let bytes = crate::state::encode(&requests);
        let mut restored: Requests = crate::state::decode(&bytes).unwrap();
        assert_eq!(restored, requests);
        assert_eq!(
            restored.look_up(request(1, sequence), 0),
            Seen::Overload,
            "every member must decide alike"
        );
        assert_eq!(restored.look_up(request(1, sequence), sequence), Seen::New);
        assert_eq!(restored.nodes[&NodeId::FIRST].bytes, 0);
    }
}
