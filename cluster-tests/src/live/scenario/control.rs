//! A member of the control group dies.

use anyhow::Result;
use serde_json::json;

use super::{Judge, MESSAGES, MIX, Scenario};
use crate::live::stage::{Ground, Stage};
use crate::suite::now;

pub(super) const KILL_FOLLOWER: Scenario = Scenario {
    name: "kill-control-follower",
    allows: "kill -9 of a control member that does not lead: nothing is lost, nothing fails, nobody is disconnected, \
             nothing takes longer than 1 s",
    ground: Ground::Loopback,
    quick: false,
    restores: true,
    play: kill_follower,
};

pub(super) const KILL_LEADER: Scenario = Scenario {
    name: "kill-control-leader",
    allows: "kill -9 of the control leader: nothing is lost, nobody is disconnected, no message takes longer than 1 s, \
             and registrations go on within 3 s",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: kill_leader,
};

fn kill_follower(stage: &mut Stage<'_>) -> Result<Judge> {
    let leader = stage.cluster.leader()?;
    let name = ["control2", "control3"]
        .into_iter()
        .find(|name| stage.cluster.find(name).ok() != Some(leader))
        .unwrap_or("control1");
    let load = stage.load(MIX)?;
    stage.process(name)?.kill()?;
    let report = load.finish()?;
    stage.start_again(name)?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, 1_000.0))
}

fn kill_leader(stage: &mut Stage<'_>) -> Result<Judge> {
    let other = other_than_leader(stage)?;
    stage.registration(&other, OPEN)?;
    let load = stage.load(MESSAGES)?;
    let leader = stage.cluster.leader()?;
    let name = stage.cluster.nodes[leader].name.clone();
    let other = other_than_leader(stage)?;
    stage.cluster.nodes[leader].process()?.kill()?;
    let died = now();
    let registered = stage.run(&["register", "--accounts", "20"])?;
    let went_on = died.elapsed();
    let report = load.finish()?;
    stage.start_again(&name)?;
    stage.registration(&other, &["reset"])?;
    let mut judge = Judge::of(&report)
        .nothing_wrong(&report)
        .nothing_failed(&registered)
        .nobody_disconnected(&report)
        .pause_at_most(&report, 1_000.0);
    let went_on_ms = went_on.as_secs_f64() * 1_000.0;
    judge.figure("registrations_after_ms", json!(went_on_ms));
    judge.check(went_on_ms <= 3_000.0, || {
        format!("20 registrations were through only after {went_on_ms:.0} ms")
    });
    Ok(judge)
}

/// Every registration asks the group, and none is refused.
const OPEN: &[&str] = &[
    "set",
    "--mode",
    "on",
    "--window",
    "per_address=off",
    "--window",
    "per_prefix_24=off",
    "--window",
    "per_host=off",
    "--window",
    "in_all=off",
];

/// A member that will survive the leader.
fn other_than_leader(stage: &Stage<'_>) -> Result<String> {
    let leader = stage.cluster.leader()?;
    let other = if leader == 0 { 1 } else { 0 };
    Ok(stage.cluster.nodes[other].name.clone())
}
