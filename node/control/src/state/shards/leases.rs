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

/// All leases, in the order of their nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    leases: BTreeMap<NodeId, Lease>,
}

impl Leases {
    /// A renewal. One of an earlier run is too late and changes nothing.
    pub(super) fn renew(&mut self, node: NodeId, renewal: Renewal, until_ms: u64) -> Renewed {
        let lease = Lease { renewal, until_ms };
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
        self.leases
            .retain(|_, lease| clock_ms <= lease.until_ms.saturating_add(margin_ms));
        self.leases.len() < before
    }

    /// Ends a lease. True if there was one.
    pub(super) fn remove(&mut self, node: NodeId) -> bool {
        self.leases.remove(&node).is_some()
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
