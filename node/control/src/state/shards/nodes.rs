//! The nodes that live, by their leases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::NodeId;

/// What a node does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Holds clients' sockets.
    Connection,
    /// Owns shards.
    Router,
    /// Has a vote, or follows the log.
    Control,
}

/// What a node says of itself with every renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// Where other nodes reach it.
    pub address: String,
    /// What it does.
    pub roles: BTreeSet<NodeRole>,
    /// The run of its process: a new one owns nothing of the old one's.
    pub incarnation: u64,
    /// Its operator wants it empty.
    pub draining: bool,
}

/// A node with a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it last said of itself.
    pub renewal: Renewal,
    /// The lease clock at which its lease ends.
    pub until_ms: u64,
}

/// All nodes with a lease, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    nodes: BTreeMap<NodeId, Node>,
    /// Grows with every change that others must know of, so not with mere renewals.
    version: u64,
}

impl Nodes {
    /// A renewal. True if it changed more than the lease's end.
    pub(super) fn renew(&mut self, node: NodeId, renewal: Renewal, until_ms: u64) -> bool {
        let known = self.nodes.get(&node);
        let changed = known.is_none_or(|known| known.renewal != renewal);
        self.nodes.insert(node, Node { renewal, until_ms });
        self.version += u64::from(changed);
        changed
    }

    /// Forgets the nodes whose leases ended `margin_ms` ago. True if there were any.
    pub(super) fn expire(&mut self, clock_ms: u64, margin_ms: u64) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|_, node| clock_ms <= node.until_ms.saturating_add(margin_ms));
        let expired = self.nodes.len() < before;
        self.version += u64::from(expired);
        expired
    }

    /// Forgets a node. True if it was there.
    pub(super) fn remove(&mut self, node: NodeId) -> bool {
        let removed = self.nodes.remove(&node).is_some();
        self.version += u64::from(removed);
        removed
    }

    /// The routers that live, also those that drain.
    pub(super) fn living_routers(&self) -> BTreeSet<NodeId> {
        self.routers_that(|_| true)
    }

    /// The routers that take shards.
    pub(super) fn routers(&self) -> BTreeSet<NodeId> {
        self.routers_that(|node| !node.renewal.draining)
    }

    /// A node by its id.
    pub fn get(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(&node)
    }

    /// The nodes in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// The number of the last change that others must know of.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn routers_that(&self, wanted: impl Fn(&Node) -> bool) -> BTreeSet<NodeId> {
        let routers = self.nodes.iter().filter(|(_, node)| {
            node.renewal.roles.contains(&NodeRole::Router) && wanted(node)
        });
        routers.map(|(id, _)| *id).collect()
    }
}
