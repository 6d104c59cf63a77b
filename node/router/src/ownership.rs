//! Which shards this node serves, from what the control group says.
//!
//! ```text
//! placement: ours, another epoch ──► Stop (if we serve it) ─► Start at that epoch
//!            ours, moving to B   ──► HandOver: stop, then tell the group, which makes B the owner
//!            not ours            ──► Stop
//! ```

use std::collections::BTreeMap;

use rookery_control::{NodeId, ShardChange};
use rookery_session::carrier::ShardId;

/// What must be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnershipStep {
    /// Serve it from now on, under this epoch.
    Start(ShardId, u32),
    /// Serve it no more.
    Stop(ShardId),
    /// The group is to be told that this node has stopped serving it.
    HandedOver(ShardId, u32),
}

/// The shards that this node serves, with the epochs of their placements.
#[derive(Debug)]
pub struct Ownership {
    node: NodeId,
    serving: BTreeMap<u16, u32>,
    /// Handed over, and not placed elsewhere yet.
    handed: BTreeMap<u16, u32>,
}

impl Ownership {
    /// A node that serves nothing yet.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            serving: BTreeMap::new(),
            handed: BTreeMap::new(),
        }
    }

    /// A shard's placement has changed.
    pub fn follow(&mut self, change: ShardChange, steps: &mut Vec<OwnershipStep>) {
        let ShardChange { shard, placement } = change;
        let (id, epoch) = (ShardId(shard), placement.epoch);
        let ours = placement.owner == Some(self.node);
        let serving = self.serving.get(&shard).copied();
        if serving.is_some_and(|known| !ours || known != epoch || placement.moving_to.is_some()) {
            self.serving.remove(&shard);
            steps.push(OwnershipStep::Stop(id));
        }
        if !ours {
            self.handed.remove(&shard);
        } else if placement.moving_to.is_some() {
            self.handed.insert(shard, epoch);
            steps.push(OwnershipStep::HandedOver(id, epoch));
        } else if self.serving.get(&shard) != Some(&epoch)
            && self.handed.get(&shard) != Some(&epoch)
        {
            self.handed.remove(&shard);
            self.serving.insert(shard, epoch);
            steps.push(OwnershipStep::Start(id, epoch));
        }
    }

    /// What the group was not told yet, to be told again.
    pub fn handed_over(&self) -> impl Iterator<Item = (ShardId, u32)> + '_ {
        self.handed
            .iter()
            .map(|(shard, epoch)| (ShardId(*shard), *epoch))
    }

    /// How many shards this node serves.
    pub fn serving(&self) -> usize {
        self.serving.len()
    }
}

#[cfg(test)]
mod tests {
    use rookery_control::Placement;

    use super::*;

    fn node(id: u64) -> NodeId {
        NodeId::new(id).expect("not zero")
    }

    fn follow(
        ownership: &mut Ownership,
        owner: u64,
        epoch: u32,
        to: Option<u64>,
    ) -> Vec<OwnershipStep> {
        let placement = Placement {
            owner: Some(node(owner)),
            epoch,
            moving_to: to.map(node),
            since: 0,
        };
        let mut steps = vec![];
        ownership.follow(
            ShardChange {
                shard: 7,
                placement,
            },
            &mut steps,
        );
        steps
    }

    const SEVEN: ShardId = ShardId(7);

    #[test]
    fn a_shard_is_served_once_for_each_epoch() {
        let mut ownership = Ownership::new(node(1));
        assert_eq!(
            follow(&mut ownership, 1, 3, None),
            [OwnershipStep::Start(SEVEN, 3)]
        );
        assert_eq!(follow(&mut ownership, 1, 3, None), []);
        assert_eq!(
            follow(&mut ownership, 1, 5, None),
            [OwnershipStep::Stop(SEVEN), OwnershipStep::Start(SEVEN, 5)]
        );
        assert_eq!(
            follow(&mut ownership, 2, 6, None),
            [OwnershipStep::Stop(SEVEN)]
        );
        assert_eq!(ownership.serving(), 0);
    }

    #[test]
    fn a_planned_move_stops_before_the_group_is_told() {
        let mut ownership = Ownership::new(node(1));
        follow(&mut ownership, 1, 3, None);
        assert_eq!(
            follow(&mut ownership, 1, 3, Some(2)),
            [
                OwnershipStep::Stop(SEVEN),
                OwnershipStep::HandedOver(SEVEN, 3)
            ]
        );
        assert_eq!(ownership.handed_over().collect::<Vec<_>>(), [(SEVEN, 3)]);
        assert_eq!(follow(&mut ownership, 2, 4, None), []);
        assert_eq!(ownership.handed_over().count(), 0);
    }

    #[test]
    fn what_was_handed_over_is_not_served_again_at_its_epoch() {
        let mut ownership = Ownership::new(node(1));
        follow(&mut ownership, 1, 3, None);
        follow(&mut ownership, 1, 3, Some(2));
        assert_eq!(follow(&mut ownership, 1, 3, None), []);
        assert_eq!(
            follow(&mut ownership, 1, 4, None),
            [OwnershipStep::Start(SEVEN, 4)]
        );
        assert_eq!(ownership.handed_over().count(), 0, "its word is void");
    }

    #[test]
    fn others_shards_are_no_concern() {
        let mut ownership = Ownership::new(node(1));
        assert_eq!(follow(&mut ownership, 2, 1, Some(1)), []);
    }
}
