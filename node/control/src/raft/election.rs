//! Election time-outs from a seed.
//!
//! raft-rs draws them from the thread's random generator, which no simulation can repeat. Here they follow from the
//! seed, the node, its term and its role: different members still differ, and so do the terms of one member, which is
//! all that Raft asks of them.

use std::ops::Range;

use raft::{Raft, StateRole, Storage};
use rookery_xmpp::entropy::{Entropy, Seeded};

/// Sets the time-out again whenever raft-rs may have drawn one.
#[derive(Clone, Debug)]
pub(super) struct ElectionTimeout {
    seed: u64,
    ticks: Range<usize>,
    last: Option<(u64, StateRole, usize)>,
}

impl ElectionTimeout {
    /// Time-outs within `ticks`.
    pub(super) fn new(seed: u64, ticks: Range<usize>) -> Self {
        Self {
            seed,
            ticks,
            last: None,
        }
    }

    /// To be called after every step.
    pub(super) fn settle<S: Storage>(&mut self, raft: &mut Raft<S>) {
        let drawn = (raft.term, raft.state, raft.randomized_election_timeout());
        if self.last == Some(drawn) {
            return;
        }
        let timeout = self.draw(raft.id, raft.term, raft.state);
        raft.set_randomized_election_timeout(timeout);
        self.last = Some((raft.term, raft.state, timeout));
    }

    fn draw(&self, id: u64, term: u64, role: StateRole) -> usize {
        let mut seed = self.seed;
        for part in [id, term, role as u64] {
            let mut word = [0; 8];
            Seeded::new(seed ^ part).fill(&mut word);
            seed = u64::from_le_bytes(word);
        }
        self.ticks.start + Seeded::new(seed).below(self.ticks.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_repeat_for_a_seed_and_differ_between_members_and_terms() {
        let timeout = ElectionTimeout::new(7, 10..20);
        let draw = |id, term| timeout.draw(id, term, StateRole::Follower);
        assert_eq!(
            draw(1, 1),
            ElectionTimeout::new(7, 10..20).draw(1, 1, StateRole::Follower)
        );
        let drawn: Vec<_> = (1..=3)
            .flat_map(|id| (1..=50).map(move |term| draw(id, term)))
            .collect();
        assert!(drawn.iter().all(|ticks| (10..20).contains(ticks)));
        for ticks in 10..20 {
            assert!(drawn.contains(&ticks), "{ticks} never drawn in {drawn:?}");
        }
    }
}
