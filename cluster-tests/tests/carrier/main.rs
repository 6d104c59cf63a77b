//! One suite over every carrier: sessions of one node, real shards in the same process or on
//! another node.
//!
//! * `in_process`: the shards' mailboxes.
//! * `over_grpc`: a link over loopback TCP.
//! * `over_grpc_that_breaks`: the same, cut again and again while the suite runs.
//! * `two_routers`, `two_routers_that_break`: the shards on two nodes, so that stanzas go from node to
//!   node to node.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers cannot do ends the test, too"
)]

mod client;
mod scenarios;
#[path = "../../../node/link/tests/support/mod.rs"]
mod support;
mod world;

use rookery_router::RouterOptions;
use world::{Carrier, World};

/// The suite, once for each carrier.
macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod in_process {
            $(#[test] fn $test() { super::run(super::Carrier::InProcess, super::scenarios::$test); })*
        }
        mod over_grpc {
            $(#[test] fn $test() { super::run(super::Carrier::Grpc, super::scenarios::$test); })*
        }
        mod two_routers {
            $(#[test] fn $test() { super::run(super::Carrier::TwoRouters, super::scenarios::$test); })*
        }
        mod two_routers_that_break {
            $(#[test] fn $test() {
                super::run(super::Carrier::BreakingTwoRouters, super::scenarios::$test);
            })*
        }
        mod over_grpc_that_breaks {
            $(#[test] fn $test() { super::run(super::Carrier::BreakingGrpc, super::scenarios::$test); })*
        }
    };
}

suite!(
    stanzas_of_a_session_arrive_in_order,
    a_full_shard_is_waited_for_and_order_stays,
    what_a_slow_session_does_not_take_is_kept_for_it_in_order,
    a_session_that_is_displaced_is_closed,
    a_session_that_ended_is_not_delivered_to,
    questions_of_all_kinds_are_answered,
);

/// Runs a test in an actix system of its own.
fn run(carrier: Carrier, test: impl AsyncFn(World)) {
    actix::System::new().block_on(async {
        test(World::start(carrier, options()).await).await;
    });
}

/// Shards with short queues: no more than that many frames of one test go from shard to shard at
/// once, for those that find no room are bounced, whatever the carrier.
fn options() -> RouterOptions {
    RouterOptions {
        shards: 8,
        scram_iterations: 1,
        shard_queue_max: 110,
        ..RouterOptions::default()
    }
}
