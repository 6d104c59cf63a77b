//! How shards come to this node: what the metrics of moves and pauses are made from.
//!
//! ```text
//! handed over   "moving to us" ───► ours ───► all sessions announced
//!               └──────────────── pause ─────────────────────────┘
//! taken         a lease has ended ─► ours ───► all sessions announced
//!                                    └────────── pause ──────────┘
//! ```

use std::collections::BTreeMap;

use rookery_control::{NodeId, Placement, ShardChange};
use rookery_router::shard::{Arrival, Came};
use tokio::time::Instant;

/// What comes to one node.
#[derive(Debug)]
pub(super) struct Moves {
    node: NodeId,
    /// Since when shards are on their way here: their owners stop, and serve them no more.
    coming: BTreeMap<u16, Instant>,
}

impl Moves {
    /// Nothing is on its way yet.
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            coming: BTreeMap::new(),
        }
    }

    /// A shard's placement has changed. Gives how it came here, if another node had it before; a router that has just
    /// started does not know of that.
    pub(super) fn follow(
        &mut self,
        before: Option<Placement>,
        change: ShardChange,
        now: Instant,
    ) -> Option<Arrival> {
        let ShardChange { shard, placement } = change;
        if placement.moving_to == Some(self.node) {
            self.coming.entry(shard).or_insert(now);
            return None;
        }
        let coming = self.coming.remove(&shard);
        let had_another = before.is_some_and(|it| it.epoch > 0 && it.owner != Some(self.node));
        (had_another && placement.owner == Some(self.node)).then_some(match coming {
            Some(since) => Arrival {
                came: Came::HandedOver,
                since,
            },
            None => Arrival {
                came: Came::Taken,
                since: now,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(id: u64) -> NodeId {
        NodeId::new(id).expect("not zero")
    }

    fn placement(owner: Option<u64>, epoch: u32, to: Option<u64>) -> Placement {
        Placement {
            owner: owner.map(node),
            epoch,
            moving_to: to.map(node),
            since: 0,
        }
    }

    /// What node 1 finds when shard 7 goes through these placements, one a second.
    fn found(placements: &[Placement]) -> Vec<(Came, Duration)> {
        let (begin, mut moves) = (Instant::now(), Moves::new(node(1)));
        let mut before = None;
        let mut found = Vec::new();
        for (second, placement) in (0..).zip(placements) {
            let now = begin + Duration::from_secs(second);
            let change = ShardChange {
                shard: 7,
                placement: *placement,
            };
            let arrival = moves.follow(before, change, now);
            found.extend(arrival.map(|it| (it.came, now - it.since)));
            before = Some(*placement);
        }
        found
    }

    #[test]
    fn a_shard_that_is_handed_over_pauses_from_the_word_to_its_owner() {
        let way = [
            placement(Some(2), 3, None),
            placement(Some(2), 3, Some(1)),
            placement(Some(1), 4, None),
        ];
        assert_eq!(found(&way), [(Came::HandedOver, Duration::from_secs(1))]);
    }

    #[test]
    fn a_shard_of_a_router_that_died_is_taken_also_after_a_time_without_any() {
        let taken = [(Came::Taken, Duration::ZERO)];
        let at_once = [placement(Some(2), 3, None), placement(Some(1), 4, None)];
        assert_eq!(found(&at_once), taken);
        let later = [
            placement(Some(2), 3, None),
            placement(None, 3, None),
            placement(Some(1), 4, None),
        ];
        assert_eq!(found(&later), taken);
    }

    #[test]
    fn what_is_new_or_was_here_all_along_or_goes_elsewhere_has_not_come() {
        let new = [placement(None, 0, None), placement(Some(1), 1, None)];
        assert_eq!(found(&new), []);
        let ours = [placement(Some(1), 3, None), placement(Some(1), 4, None)];
        assert_eq!(found(&ours), []);
        let called_off = [
            placement(Some(2), 3, None),
            placement(Some(2), 3, Some(1)),
            placement(Some(2), 4, None),
            placement(Some(3), 5, None),
        ];
        assert_eq!(found(&called_off), []);
    }
}
