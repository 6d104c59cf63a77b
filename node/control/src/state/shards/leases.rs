//! The nodes that live, by their leases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::NodeId;
use crate::state::FormatError;

/// What a node says of itself with every renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The run of its process: a new one owns nothing of the old one's.
    pub incarnation: u64,
    /// Whether it owns shards.
    pub routes: bool,
    /// Its operator wants it empty.
    pub draining: bool,
}

/// A node's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What the node last said of itself.
    pub renewal: Renewal,
    /// The lease clock at which it ends, in milliseconds.
    pub until_ms: u64,
}

/// What a renewal changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewed {
    /// Nothing but the lease's end.
    Longer,
    /// What others must know of.
    Changed,
    /// The node's process is another one: what the old one owned is nobody's.
    Anew,
}

/// How a node stands by its lease, in milliseconds of the group's lease clock. That runs behind every real clock and
/// stands still while nobody leads: what has ended has ended at least so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStanding {
    /// It lives, or has died so lately that nobody can know.
    Holds {
        /// Until the lease ends, if it is not renewed.
        left_ms: u64,
    },
    /// It has not been heard of: it is dead, or cut off.
    Ended {
        /// Since the lease has ended.
        ago_ms: u64,
    },
    /// It has stopped in order.
    Left {
        /// Since it has.
        ago_ms: u64,
    },
}

/// How a lease has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ending {
    /// The lease clock then.
    at_ms: u64,
    /// Whether the node said so itself.
    in_order: bool,
    /// The run of its process that held the lease.
    #[serde(default)]
    incarnation: u64,
}

/// The nodes that have no lease any more, at one version: who waits for one of them waits in vain, unless it can be
/// reached and is only cut off from the group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedLeases {
    /// The entry of the log that changed it last.
    pub version: u64,
    /// The run of each node's process that held its last lease; later runs are not meant. Ids are never used again,
    /// so it grows with the nodes that ever were.
    pub nodes: BTreeMap<NodeId, u64>,
}

impl EndedLeases {
    /// The bytes for another node.
    pub fn encode(&self) -> Vec<u8> {
        crate::state::encode(self)
    }

    /// The leases in another node's bytes.
    ///
    /// # Errors
    /// They are of a newer format, or no leases.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        crate::state::decode(bytes)
    }
}

/// All leases, in the order of their nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    leases: BTreeMap<NodeId, Lease>,
    /// Of the nodes that have none any more. Ids are never used again, so it grows with the nodes that ever were.
    #[serde(default)]
    ended: BTreeMap<NodeId, Ending>,
}

impl Leases {
    /// A renewal. One of an earlier run is too late and changes nothing.
    pub(super) fn renew(&mut self, node: NodeId, renewal: Renewal, until_ms: u64) -> Renewed {
        let lease = Lease { renewal, until_ms };
        self.ended.remove(&node);
        let Some(known) = self.leases.get_mut(&node) else {
            self.leases.insert(node, lease);
            return Renewed::Changed;
        };
        if renewal.incarnation < known.renewal.incarnation {
            return Renewed::Longer;
        }
        let before = std::mem::replace(known, lease).renewal;
        match before {
            same if same == renewal => Renewed::Longer,
            same if same.incarnation == renewal.incarnation => Renewed::Changed,
            _ => Renewed::Anew,
        }
    }

    /// Forgets the leases that ended `margin_ms` ago. True if there were any.
    pub(super) fn expire(&mut self, clock_ms: u64, margin_ms: u64) -> bool {
        let before = self.leases.len();
        let ended = &mut self.ended;
        self.leases.retain(|node, lease| {
            let holds = clock_ms <= lease.until_ms.saturating_add(margin_ms);
            if !holds {
                let ending = Ending {
                    at_ms: lease.until_ms,
                    in_order: false,
                    incarnation: lease.renewal.incarnation,
                };
                ended.insert(*node, ending);
            }
            holds
        });
        self.leases.len() < before
    }

    /// Ends a lease now, as its node wants it. True if there was one.
    pub(super) fn remove(&mut self, node: NodeId, clock_ms: u64) -> bool {
        let Some(lease) = self.leases.remove(&node) else {
            return false;
        };
        let ending = Ending {
            at_ms: clock_ms,
            in_order: true,
            incarnation: lease.renewal.incarnation,
        };
        self.ended.insert(node, ending);
        true
    }

    /// How many nodes have no lease any more. No entry of the log both ends leases and begins one, so that an entry
    /// has changed which they are exactly if it has changed how many.
    pub(in crate::state) fn ended_count(&self) -> usize {
        self.ended.len()
    }

    /// The nodes that have no lease any more, as of this version.
    pub(in crate::state) fn ended(&self, version: u64) -> EndedLeases {
        let nodes = self.ended.iter();
        EndedLeases {
            version,
            nodes: nodes
                .map(|(node, ending)| (*node, ending.incarnation))
                .collect(),
        }
    }

    /// How each node stands that ever had a lease.
    pub(super) fn standings(&self, clock_ms: u64) -> BTreeMap<NodeId, LeaseStanding> {
        let ended = self.ended.iter().map(|(node, ending)| {
            let ago_ms = clock_ms.saturating_sub(ending.at_ms);
            let standing = match ending.in_order {
                true => LeaseStanding::Left { ago_ms },
                false => LeaseStanding::Ended { ago_ms },
            };
            (*node, standing)
        });
        let held = self.leases.iter().map(|(node, lease)| {
            let standing = match lease.until_ms.checked_sub(clock_ms) {
                Some(left_ms) => LeaseStanding::Holds { left_ms },
                None => LeaseStanding::Ended {
                    ago_ms: clock_ms - lease.until_ms,
                },
            };
            (*node, standing)
        });
        ended.chain(held).collect()
    }

    /// The routers that live, also those that drain.
    pub(super) fn living_routers(&self) -> BTreeSet<NodeId> {
        self.routers_that(|_| true)
    }

    /// The routers that take shards.
    pub(super) fn routers(&self) -> BTreeSet<NodeId> {
        self.routers_that(|lease| !lease.renewal.draining)
    }

    /// Those of the nodes that have not been heard of for half a lease: each has missed a renewal by far, and may be
    /// dead.
    pub(super) fn in_doubt(&self, clock_ms: u64, lease_ms: u64) -> BTreeSet<NodeId> {
        let doubted = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.until_ms.saturating_sub(clock_ms) < lease_ms / 2);
        doubted.map(|(node, _)| *node).collect()
    }

    /// A node's lease.
    pub fn get(&self, node: NodeId) -> Option<Lease> {
        self.leases.get(&node).copied()
    }

    /// Every lease, in the order of their nodes.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, Lease)> + '_ {
        self.leases.iter().map(|(node, lease)| (*node, *lease))
    }

    fn routers_that(&self, wanted: impl Fn(&Lease) -> bool) -> BTreeSet<NodeId> {
        let routers = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.renewal.routes && wanted(lease));
        routers.map(|(node, _)| *node).collect()
    }
}
