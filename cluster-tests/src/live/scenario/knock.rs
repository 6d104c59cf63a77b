//! Somebody connects two thousand times a second, from one network, and goes no further.

use anyhow::{Context, Result};
use serde_json::json;

use super::{Judge, Scenario};
use crate::live::load::{Report, Times};
use crate::live::node::Role;
use crate::live::stage::{Ground, Stage};

pub(super) const KNOCK: Scenario = Scenario {
    name: "knock",
    allows: "2,000 connections a second from one /24 for 15 s, where each connection node lets in 1,000 a minute of \
             one: all others are closed before TLS, and messages between 200 ordinary users take at most twice as \
             long as before (median and 99th percentile)",
    ground: Ground::Loopback,
    quick: false,
    restores: false,
    play,
};

const OPTIONS: &[&str] = &[
    "flood.connects_per_prefix=1000/1m",
    "flood.connects_per_address=200/1m",
];
const SECONDS: u32 = 15;
const KNOCKS: &[&str] = &[
    "knock",
    "--source-prefix",
    "127.0.9",
    "--rate",
    "2000",
    "--knocks",
    "30000",
];

/// For a shorter time than the knocks. Everybody comes from another address, but for a few.
const USERS: &[&str] = &[
    "messages",
    "--pairs",
    "100",
    "--rate",
    "500",
    "--duration",
    "10",
    "--warmup",
    "2",
    "--sources",
    "200",
];

/// A bucket that is full in the beginning, and fills again while it lasts; and some seconds for a machine that is slow.
const ADMITTED_MAX: f64 = 1_000.0 + 1_000.0 / 60.0 * (SECONDS as f64 + 5.0);
const SLOWER_MAX: f64 = 2.0;

fn play(stage: &mut Stage<'_>) -> Result<Judge> {
    stage.reconfigure_connections(OPTIONS)?;
    let alone = stage.run(USERS)?;
    // The users are there before the flood comes, as they are on a server that is up.
    let users = stage.load(USERS)?;
    let knocks = stage.load(KNOCKS)?;
    let beside = users.finish()?;
    let knocks = knocks.finish()?;
    let mut judge = Judge::of(&knocks).nothing_failed(&knocks);
    judge = judge.nothing_wrong(&alone).nothing_wrong(&beside);
    let admitted = knocks.notes.get("admitted").copied().unwrap_or_default();
    let nodes = stage.cluster.of(Role::Connection).count() as f64;
    judge.check(admitted <= nodes * ADMITTED_MAX, || {
        format!("{admitted} were let in by {nodes} nodes")
    });
    let (alone, beside) = (times(&alone)?, times(&beside)?);
    judge.figure("users", json!({ "alone": alone, "beside": beside }));
    let pairs = [(alone.p50_ms, beside.p50_ms), (alone.p99_ms, beside.p99_ms)];
    for (before, then) in pairs {
        judge.check(then <= before * SLOWER_MAX, || {
            format!("a message took {then:.1} ms during the flood and {before:.1} ms before")
        });
    }
    Ok(judge)
}

fn times(report: &Report) -> Result<Times> {
    let times = report.latency.get("message").copied();
    times.context("how long messages took")
}
