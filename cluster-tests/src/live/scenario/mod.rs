//! The scenarios, one kind of trouble a file. Each says what may happen in it; the load generator says what did.

mod bandwidth;
mod budget;
mod carbons;
mod connection;
mod control;
mod database;
mod each;
mod funnel;
mod knock;
mod membership;
mod partition;
mod plain;
mod registrations;
mod router;

use anyhow::Result;

use super::judge::Judge;
use super::stage::{Ground, Stage};

/// One kind of trouble.
pub(crate) struct Scenario {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What is done, and what may happen then.
    pub(crate) allows: &'static str,
    /// What it needs.
    pub(crate) ground: Ground,
    /// Whether `./check` plays it.
    pub(crate) quick: bool,
    /// Whether the cluster is afterwards as it was before.
    pub(crate) restores: bool,
    /// Plays it.
    pub(crate) play: fn(&mut Stage<'_>) -> Result<Judge>,
}

/// All scenarios.
pub(crate) const ALL: &[&Scenario] = &[
    &plain::MESSAGES,
    &plain::MIX,
    &plain::OFFLINE,
    &plain::STORM,
    &carbons::CARBONS,
    &connection::KILL,
    &control::KILL_FOLLOWER,
    &control::KILL_LEADER,
    &each::SOME,
    &each::MILLION,
    &router::KILL,
    &router::STOP,
    &router::RESTART,
    &database::RESTART,
    &database::KILL_ONE,
    &database::STOP_ONE,
    &membership::JOIN,
    &membership::REMOVE,
    &membership::DRAIN_ROUTER,
    &membership::DRAIN_CONNECTION,
    &registrations::CALM,
    &registrations::LEADER_KILLED,
    &budget::BUDGET,
    &budget::OF_ACCOUNT,
    &bandwidth::BANDWIDTH,
    &funnel::FUNNEL,
    &knock::KNOCK,
    &partition::ROUTER,
    &partition::ROUTER_ONE_WAY,
    &partition::LEADER,
    &partition::CONNECTION,
];

/// How long a lease is, and what may pass until its shards are served by others and everything that waited has gone
/// its way, in milliseconds.
const LEASE_AND_TWO_SECONDS_MS: f64 = 7_000.0;

/// Two thousand messages a second over 500 sessions, for longer than any pause.
const MESSAGES: &[&str] = &[
    "messages",
    "--pairs",
    "250",
    "--rate",
    "2000",
    "--duration",
    "20",
    "--warmup",
    "2",
];

/// A public server's day over 200 sessions.
const MIX: &[&str] = &[
    "mix",
    "--pairs",
    "100",
    "--rate",
    "500",
    "--duration",
    "20",
    "--warmup",
    "2",
];
