//! Who should be a member of the group, and the next step towards it.
//!
//! Every node that has enlisted with the control role becomes a member: a learner first, a voter when it has caught up.
//! Voters grow to an odd number only, up to five: of two voters both would have to live, so a group of one waits for
//! two learners and takes both in one joint change. When a voter is removed, a learner that has caught up takes its
//! place in the same change; without one the group goes on with an even number, so that what is committed stays on as
//! many disks as possible.

use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
};

use crate::state::{Directory, NodeId, NodeRole};

/// What the leader knows.
pub(super) struct Situation<'a> {
    /// The leader itself.
    pub(super) leader: NodeId,
    /// Raft's configuration as it is applied.
    pub(super) conf: &'a ConfState,
    /// The nodes.
    pub(super) directory: &'a Directory,
    /// For a member: the last entry it has, if it was heard of lately.
    pub(super) matched: &'a dyn Fn(u64) -> Option<u64>,
    /// The last entry that is committed.
    pub(super) committed: u64,
}

/// What the leader does next.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Propose this change.
    Change(ConfChangeV2),
    /// Let this member lead: the leader itself is to go.
    HandOver(u64),
}

impl Situation<'_> {
    /// The next step, if there is one.
    pub(super) fn next(&self) -> Option<Step> {
        if !self.conf.get_voters_outgoing().is_empty() {
            return None;
        }
        self.removal()
            .or_else(|| self.addition())
            .or_else(|| self.promotion())
    }

    fn removal(&self) -> Option<Step> {
        let (voters, learners) = (self.conf.get_voters(), self.conf.get_learners());
        if let Some(learner) = learners.iter().find(|id| self.must_go(**id)) {
            return Some(change([(*learner, ConfChangeType::RemoveNode)]));
        }
        let voter = *voters.iter().find(|id| self.must_go(**id))?;
        if voter == self.leader.get() {
            let others = voters
                .iter()
                .filter(|id| **id != voter && !self.must_go(**id));
            let reached = others.filter_map(|id| Some(((self.matched)(*id)?, *id)));
            return reached.max().map(|(_, id)| Step::HandOver(id));
        }
        let removal = (voter, ConfChangeType::RemoveNode);
        let successor = self.ready().next().map(|id| (id, ConfChangeType::AddNode));
        Some(change([removal].into_iter().chain(successor)))
    }

    fn addition(&self) -> Option<Step> {
        let members = self.conf.get_voters().len() + self.conf.get_learners().len();
        let wanted = self.directory.nodes.iter().filter(|node| {
            let is_member = |ids: &[u64]| ids.contains(&node.id.get());
            node.enlisted
                && node.roles.contains(&NodeRole::Control)
                && !is_member(self.conf.get_voters())
                && !is_member(self.conf.get_learners())
        });
        let room = MEMBERS_MAX.saturating_sub(members);
        let added: Vec<_> = wanted
            .take(room)
            .map(|node| (node.id.get(), ConfChangeType::AddLearnerNode))
            .collect();
        (!added.is_empty()).then(|| change(added))
    }

    fn promotion(&self) -> Option<Step> {
        let voters = self.conf.get_voters().len();
        let ready: Vec<u64> = self.ready().collect();
        let most = (voters + ready.len()).min(VOTERS_MAX);
        let odd = most - usize::from(most.is_multiple_of(2));
        let promoted = ready.into_iter().take(odd.checked_sub(voters)?);
        let promoted: Vec<_> = promoted.map(|id| (id, ConfChangeType::AddNode)).collect();
        (!promoted.is_empty()).then(|| change(promoted))
    }

    /// Learners that have caught up and stay.
    fn ready(&self) -> impl Iterator<Item = u64> + '_ {
        let learners = self.conf.get_learners().iter().copied();
        learners.filter(|id| {
            let caught_up = |matched: u64| matched + LAG_MAX >= self.committed;
            !self.must_go(*id) && (self.matched)(*id).is_some_and(caught_up)
        })
    }

    /// Whether the node was removed, or has started without the control role.
    fn must_go(&self, id: u64) -> bool {
        let Some(id) = NodeId::new(id) else {
            return false;
        };
        let without_role = self
            .directory
            .node(id)
            .is_some_and(|node| node.enlisted && !node.roles.contains(&NodeRole::Control));
        without_role || self.directory.removed.contains(&id)
    }
}

fn change(changes: impl IntoIterator<Item = (u64, ConfChangeType)>) -> Step {
    let single = |(node_id, kind)| {
        let mut single = ConfChangeSingle::default();
        single.set_change_type(kind);
        single.node_id = node_id;
        single
    };
    let changes: Vec<_> = changes.into_iter().map(single).collect();
    Step::Change(ConfChangeV2 {
        changes: changes.into(),
        transition: ConfChangeTransition::Auto,
        ..ConfChangeV2::default()
    })
}

/// Above five a write waits for more disks, and no more failures are outlived in practice.
const VOTERS_MAX: usize = 5;

/// Voters, and learners that wait to take a voter's place.
const MEMBERS_MAX: usize = 7;

/// Entries that a learner may lag behind and still be taken for caught up: what is committed in some round trips.
const LAG_MAX: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Node;

    use ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};

    struct World {
        conf: ConfState,
        directory: Directory,
        dead: Vec<u64>,
    }

    fn world(voters: &[u64], learners: &[u64], nodes: u64) -> World {
        let node = |id| Node {
            id: NodeId::new(id).unwrap(),
            address: String::new(),
            roles: vec![NodeRole::Control],
            enlisted: true,
            draining: false,
        };
        World {
            conf: ConfState {
                voters: voters.to_vec(),
                learners: learners.to_vec(),
                ..ConfState::default()
            },
            directory: Directory {
                nodes: (1..=nodes).map(node).collect(),
                ..Directory::default()
            },
            dead: Vec::new(),
        }
    }

    impl World {
        fn next(&self) -> Option<Step> {
            let situation = Situation {
                leader: NodeId::FIRST,
                conf: &self.conf,
                directory: &self.directory,
                matched: &|id| (!self.dead.contains(&id)).then_some(100 + id),
                committed: 100,
            };
            situation.next()
        }

        fn remove(&mut self, id: u64) {
            let id = NodeId::new(id).unwrap();
            self.directory.nodes.retain(|node| node.id != id);
            self.directory.removed.insert(id);
        }
    }

    #[test]
    fn new_nodes_become_learners_and_two_of_them_make_three_voters_at_once() {
        assert_eq!(world(&[1], &[], 1).next(), None);
        let added = [(2, AddLearnerNode), (3, AddLearnerNode)];
        assert_eq!(world(&[1], &[], 3).next(), Some(change(added)));
        assert_eq!(
            world(&[1], &[2], 2).next(),
            None,
            "two voters are worse than one"
        );
        let promoted = [(2, AddNode), (3, AddNode)];
        assert_eq!(world(&[1], &[2, 3], 3).next(), Some(change(promoted)));
        assert_eq!(world(&[1, 2, 3], &[4], 4).next(), None);
    }

    #[test]
    fn a_learner_that_does_not_answer_is_not_promoted() {
        let mut world = world(&[1], &[2, 3], 3);
        world.dead.push(3);
        assert_eq!(world.next(), None);
    }

    #[test]
    fn a_learner_takes_the_place_of_a_removed_voter() {
        let mut with = world(&[1, 2, 3], &[4], 4);
        with.remove(2);
        let both = [(2, RemoveNode), (4, AddNode)];
        assert_eq!(with.next(), Some(change(both)));
        let mut without = world(&[1, 2, 3], &[], 3);
        without.remove(2);
        assert_eq!(without.next(), Some(change([(2, RemoveNode)])));
        let three_again = world(&[1, 3], &[4], 4);
        let first = three_again.next();
        assert_eq!(
            first,
            Some(change([(2, AddLearnerNode)])),
            "node 2 is not removed here"
        );
    }

    #[test]
    fn a_leader_that_is_removed_hands_over_to_whoever_has_most() {
        let mut world = world(&[1, 2, 3], &[], 3);
        world.remove(1);
        assert_eq!(world.next(), Some(Step::HandOver(3)));
        world.dead.push(3);
        assert_eq!(world.next(), Some(Step::HandOver(2)));
    }

    #[test]
    fn nothing_is_proposed_within_a_joint_configuration() {
        let mut world = world(&[1], &[], 3);
        world.conf.voters_outgoing = vec![1, 2];
        assert_eq!(world.next(), None);
    }
}
