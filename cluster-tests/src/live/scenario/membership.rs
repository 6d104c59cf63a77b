//! Nodes come and go under load, with the operator's commands.

use anyhow::Result;

use super::{Judge, LEASE_AND_TWO_SECONDS_MS, MESSAGES, Scenario};
use crate::live::node::{Place, Role};
use crate::live::stage::{Ground, Stage};

pub(super) const JOIN: Scenario = Scenario {
    name: "join-router",
    allows: "a fourth router joins and takes its share of the shards: a pause of 1 s, p99 of 200 ms; nothing is lost \
             and nobody is disconnected",
    ground: Ground::Loopback,
    quick: false,
    restores: false,
    play: join,
};

pub(super) const REMOVE: Scenario = Scenario {
    name: "remove-router",
    allows: "a router is removed for ever: a pause of a lease and two seconds; nothing is lost and nobody is \
             disconnected",
    ground: Ground::Loopback,
    quick: false,
    restores: false,
    play: remove,
};

fn join(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    stage.cluster.add(Role::Router, Place::loopback())?;
    let report = load.finish()?;
    stage.cluster.wait_until_whole()?;
    let mut judge = Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, 1_000.0);
    let p99 = report.latency.get("message").map_or(0.0, |it| it.p99_ms);
    judge.check(p99 <= 200.0, || format!("p99 is {p99:.0} ms, at most 200"));
    Ok(judge)
}

fn remove(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    let gone = stage.cluster.find("router3")?;
    let id = stage.cluster.nodes[gone].id.to_string();
    let first = &stage.cluster.nodes[0];
    first.admin(&stage.cluster.settings, &["nodes", "remove", &id])?;
    let report = load.finish()?;
    stage.process("router3")?.kill()?;
    stage.cluster.nodes.remove(gone);
    stage.cluster.wait_until_whole()?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, LEASE_AND_TWO_SECONDS_MS))
}
