//! Nothing is broken: what all other scenarios are to be compared with.

use anyhow::Result;
use serde_json::json;

use super::{Judge, MESSAGES as STEADY, MIX as DAY, Scenario};
use crate::live::stage::{Ground, Stage};

pub(super) const MESSAGES: Scenario = Scenario {
    name: "messages",
    allows: "2,000 messages a second over 500 sessions: nothing lost, nobody disconnected, 1 s at most",
    ground: Ground::Loopback,
    quick: false,
    restores: true,
    play: |stage| calm(stage, STEADY),
};

pub(super) const MIX: Scenario = Scenario {
    name: "mix",
    allows: "a public server's day: nothing lost, nothing failed, nobody disconnected, 1 s at most",
    ground: Ground::Loopback,
    quick: false,
    restores: true,
    play: |stage| calm(stage, DAY),
};

pub(super) const OFFLINE: Scenario = Scenario {
    name: "offline",
    allows: "messages for accounts whose sessions have just ended: all are there at the next login",
    ground: Ground::Loopback,
    quick: false,
    restores: true,
    play: offline,
};

pub(super) const STORM: Scenario = Scenario {
    name: "storm",
    allows: "500 clients come back at once: all within 30 s, nobody disconnected again",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: storm,
};

fn calm(stage: &mut Stage<'_>, words: &[&str]) -> Result<Judge> {
    let report = stage.run(words)?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, 1_000.0))
}

/// Several rounds, for what can go wrong here is a race.
fn offline(stage: &mut Stage<'_>) -> Result<Judge> {
    let mut judge = Judge::default();
    let (mut stored, mut lost) = (0, 0);
    for _ in 0..OFFLINE_ROUNDS {
        let report = stage.run(&["offline"])?;
        (stored, lost) = (stored + report.sent, lost + report.faults.lost);
        judge = judge.nothing_wrong(&report);
    }
    judge.figure("messages_sent", json!(stored));
    judge.figure("messages_lost", json!(lost));
    Ok(judge)
}

fn storm(stage: &mut Stage<'_>) -> Result<Judge> {
    let report = stage.run(&["storm", "--sessions", "500", "--within", "30"])?;
    Ok(Judge::of(&report)
        .nothing_failed(&report)
        .nobody_disconnected(&report))
}

const OFFLINE_ROUNDS: u32 = 6;
