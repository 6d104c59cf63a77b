//! The nodes that live, by their leases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::NodeId;

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
                let at_ms = lease.until_ms;
                ended.insert(
                    *node,
                    Ending {
                        at_ms,
                        in_order: false,
                    },
                );
            }
            holds
        });
        self.leases.len() < before
    }

    /// Ends a lease now, as its node wants it. True if there was one.
    pub(super) fn remove(&mut self, node: NodeId, clock_ms: u64) -> bool {
        let was_there = self.leases.remove(&node).is_some();
        if was_there {
            let ending = Ending {
                at_ms: clock_ms,
                in_order: true,
            };
            self.ended.insert(node, ending);
        }
        was_there
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
