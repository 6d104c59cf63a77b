//! What nodes tell the group of logins, and the group an administrator.

use std::net::IpAddr;

use ipnet::IpNet;
use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::BanTarget;

/// When who is blocked. They come with each report: the node that reported last has its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardLimits {
    /// Failures of one address (an IPv6 /64); 0 blocks none.
    pub address_failures_max: u32,
    /// Failures of one IPv4 /24 or IPv6 /48; 0 blocks none.
    pub prefix_failures_max: u32,
    /// Failures of one account, from wherever; 0 blocks none.
    pub account_failures_max: u32,
    /// Time in which a count falls to its half, in steps, in milliseconds.
    pub half_life_ms: u64,
    /// How long a block lasts, in milliseconds.
    pub block_ms: u64,
}

/// The logins of one node since its last report, once a second at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginReport {
    /// The run of its process.
    pub incarnation: u64,
    /// Grows with each report of the run. One that is told again counts once.
    pub sequence: u64,
    /// The node's configuration.
    pub limits: GuardLimits,
    /// Failures by address.
    pub addresses: Vec<(IpAddr, u32)>,
    /// Failures by account; other targets are passed over.
    pub accounts: Vec<(BanTarget, u32)>,
    /// From where accounts that are blocked have logged in lately.
    pub known: Vec<(BanTarget, IpNet)>,
}

impl LoginReport {
    /// Entries of each list in one report; what is more waits for the next.
    pub const ENTRIES_MAX: usize = 500;

    /// Bytes of all names in one report, which JSON may write sixfold.
    pub const NAMES_BYTES_MAX: usize = 16_384;
}

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardReport {
    /// [`COUNTS_MAX`](Self::COUNTS_MAX) at most, those with the most failures.
    pub counts: Vec<GuardCount>,
    /// How many there are, also those that are not shown.
    pub targets: u64,
}

impl GuardReport {
    /// Counts in one report.
    pub const COUNTS_MAX: usize = 1_000;
}

/// One network or account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardCount {
    /// Which.
    pub target: BanTarget,
    /// Its failures, as far as they have not decayed.
    pub failures: u32,
    /// Until when it is blocked, if it is.
    pub blocked_until: Option<Timestamp>,
    /// From how many prefixes a blocked account may log in all the same.
    pub known: usize,
}
