//! Nodes come and go under load, with the operator's commands.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Judge, LEASE_AND_TWO_SECONDS_MS, MESSAGES, MIX, Scenario};
use crate::live::load::Report;
use crate::live::node::{Place, Role};
use crate::live::stage::{Ground, Stage};
use crate::suite::wait_for;

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

pub(super) const DRAIN_ROUTER: Scenario = Scenario {
    name: "drain-router",
    allows: "a router gives its shards to the others and takes its share again: a pause of 1 s, p99 of 200 ms; \
             nothing is lost and nobody is disconnected",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: drain_router,
};

pub(super) const DRAIN_CONNECTION: Scenario = Scenario {
    name: "drain-connection",
    allows: "a connection node sends its clients away, who come back elsewhere, and is empty in the end: nothing is \
             lost, and no others are disconnected",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: drain_connection,
};

fn join(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    stage.cluster.add(Role::Router, Place::loopback())?;
    let report = load.finish()?;
    stage.cluster.wait_until_whole()?;
    Ok(moved_in_order(&report))
}

/// What planned moves of shards may cost.
fn moved_in_order(report: &Report) -> Judge {
    let mut judge = Judge::of(report)
        .nothing_wrong(report)
        .nobody_disconnected(report)
        .pause_at_most(report, 1_000.0);
    let p99 = report.latency.get("message").map_or(0.0, |it| it.p99_ms);
    judge.check(p99 <= 200.0, || format!("p99 is {p99:.0} ms, at most 200"));
    judge
}

fn drain_router(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    drain(stage, "router2", true)?;
    wait_for("its shards are elsewhere", MOVED_MAX, || {
        (shards_of(stage, "router2").ok()? == 0).then_some(())
    })?;
    drain(stage, "router2", false)?;
    wait_for("it has shards again", MOVED_MAX, || {
        (shards_of(stage, "router2").ok()? > 0).then_some(())
    })?;
    let report = load.finish()?;
    stage.cluster.wait_until_whole()?;
    Ok(moved_in_order(&report))
}

fn drain_connection(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(&[MIX, &["--reconnect"]].concat())?;
    drain(stage, "connection1", true)?;
    wait_for("its clients are elsewhere", MOVED_MAX, || {
        (clients_of(stage, "connection1").ok()? == 0).then_some(())
    })?;
    let address = stage.cluster.nodes[stage.cluster.find("connection1")?].client_address();
    let report = load.finish()?;
    drain(stage, "connection1", false)?;
    stage.cluster.wait_until_whole()?;
    let mut judge = Judge::of(&report)
        .nothing_lost(&report)
        .nobody_disconnected_but(&report, address.as_deref());
    let gone = address
        .and_then(|it| report.targets.get(&it))
        .map_or(0, |it| it.disconnects);
    judge.check(gone > 0, || "no client was sent away".to_owned());
    Ok(judge)
}

/// `rookery admin nodes drain` or `undrain`.
fn drain(stage: &Stage<'_>, name: &str, draining: bool) -> Result<()> {
    let id = stage.cluster.nodes[stage.cluster.find(name)?]
        .id
        .to_string();
    let word = if draining { "drain" } else { "undrain" };
    let first = &stage.cluster.nodes[0];
    first
        .admin(&stage.cluster.settings, &["nodes", word, &id])
        .map(drop)
}

/// How many shards a node serves, as the control group says.
fn shards_of(stage: &Stage<'_>, name: &str) -> Result<u64> {
    let id = stage.cluster.nodes[stage.cluster.find(name)?].id;
    let first = &stage.cluster.nodes[0];
    let nodes = first.ask(&stage.cluster.settings, &["nodes", "list"])?;
    let mut nodes = nodes["nodes"].as_array().context("a list")?.iter();
    let node = nodes.find(|node| node["id"] == id);
    let shards = node.and_then(|node| node["shards"].as_u64());
    shards.with_context(|| format!("{name} is not in the list"))
}

/// How many clients a node has, as it says.
fn clients_of(stage: &Stage<'_>, name: &str) -> Result<u64> {
    let node = &stage.cluster.nodes[stage.cluster.find(name)?];
    let status = node.ask(&stage.cluster.settings, &["server", "status"])?;
    status["connections"]
        .as_u64()
        .context("a number of connections")
}

fn remove(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    let gone = stage.cluster.find("router3")?;
    let id = stage.cluster.nodes[gone].id.to_string();
    let first = &stage.cluster.nodes[0];
    first.admin(
        &stage.cluster.settings,
        &["nodes", "remove", &id, "--force"],
    )?;
    let report = load.finish()?;
    stage.process("router3")?.kill()?;
    stage.cluster.nodes.remove(gone);
    stage.cluster.wait_until_whole()?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, LEASE_AND_TWO_SECONDS_MS))
}

/// How long a node may take to become empty.
const MOVED_MAX: Duration = Duration::from_secs(15);
