//! What a node and the group tell one another of budgets.

use serde::{Deserialize, Serialize};

use super::{NodeId, QuotaKey};

/// Everything that a connection node uses and wants, once a second at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRenewal {
    /// The run of its process: a new one uses nothing of the old one's.
    pub incarnation: u64,
    /// Grows with each renewal of the run. The node takes in the answer to its last one only.
    pub sequence: u64,
    /// The floor that it uses, in billionths. It will use no more until it is told.
    pub floor: u32,
    /// The resets it has carried out, all up to this one.
    pub resets_seen: u64,
    /// The budgets that it was lent a part of, or wants one. What is not named it uses no more.
    pub wants: Vec<QuotaWant>,
}

/// One budget in a renewal. In bytes a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaWant {
    /// Which.
    pub key: QuotaKey,
    /// What the node uses of what it was lent. It will use no more until it is told.
    pub holds: u32,
    /// What it could use on top of its floor.
    pub wants: u32,
}

/// What a node may use from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaGrant {
    /// Its floor, in billionths, until it is told another one.
    pub floor: u32,
    /// Whether every node has the floor that it should have: nobody needs to be told anything.
    pub settled: bool,
    /// What it is lent of each budget of the renewal, in that order, in bytes a second.
    pub leases: Vec<u32>,
    /// How long, from before it asked.
    pub lease_ms: u64,
    /// Budgets that an operator has reset, each with its number.
    pub resets: Vec<(u64, QuotaKey)>,
}

/// How the group has shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaReport {
    /// The floor reserved for each node, in billionths.
    pub floors: Vec<(NodeId, u32)>,
    /// What is lent, by budget and node.
    pub holdings: Vec<QuotaHolding>,
    /// Whether there are more holdings.
    pub more: bool,
}

/// What one node was lent of one budget. In bytes a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaHolding {
    /// Which budget.
    pub key: QuotaKey,
    /// Which node.
    pub node: NodeId,
    /// What it may be using.
    pub holds: u32,
    /// What it could use.
    pub wants: u32,
}
