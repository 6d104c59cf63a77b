//! The members of the control group as the state machine knows them.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// A node of the cluster; also its id in Raft. Never zero, never used again for another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(NonZeroU64);

impl NodeId {
    /// The id of the only node of a one-machine server.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The id with this number; `None` for zero, which Raft keeps for "nobody".
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number, as Raft's messages carry it.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One member of the control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which node it is.
    pub node: NodeId,
    /// Whether it has a vote, or only follows the log.
    pub voter: bool,
}

/// All members, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members(BTreeMap<NodeId, bool>);

impl Members {
    /// The members whose Raft configuration has these voters and learners.
    pub fn new(voters: &[u64], learners: &[u64]) -> Self {
        let voters = voters.iter().map(|id| (*id, true));
        let learners = learners.iter().map(|id| (*id, false));
        let known = learners
            .chain(voters)
            .filter_map(|(id, vote)| Some((NodeId::new(id)?, vote)));
        Self(known.collect())
    }

    /// The members in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = Member> + '_ {
        self.0.iter().map(|(node, voter)| Member {
            node: *node,
            voter: *voter,
        })
    }

    /// Those who have a vote.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        let voters = self.iter().filter(|member| member.voter);
        voters.map(|member| member.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_voter_and_learner_in_a_joint_configuration_counts_as_voter() {
        let members: Vec<_> = Members::new(&[1, 2], &[2, 3]).iter().collect();
        let voters: Vec<_> = members.iter().map(|member| member.voter).collect();
        assert_eq!(voters, [true, true, false]);
    }
}
