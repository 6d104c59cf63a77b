//! Packets between nodes get lost, in both directions or in one, until the cluster has noticed; then no more.

use anyhow::{Context, Result};

use super::{Judge, LEASE_AND_TWO_SECONDS_MS, MESSAGES, MIX, Scenario};
use crate::live::node::Place;
use crate::live::stage::{Ground, Stage};

pub(super) const ROUTER: Scenario = Scenario {
    name: "partition-router",
    allows: "a router is cut off from all nodes until others serve its shards: as if it had been killed",
    ground: Ground::Namespaces,
    quick: false,
    restores: true,
    play: |stage| router(stage, true),
};

pub(super) const ROUTER_ONE_WAY: Scenario = Scenario {
    name: "partition-router-one-way",
    allows: "what a router sends to the other nodes is lost, and what they send arrives, until others serve its \
             shards: as if it had been killed",
    ground: Ground::Namespaces,
    quick: false,
    restores: true,
    play: |stage| router(stage, false),
};

pub(super) const LEADER: Scenario = Scenario {
    name: "partition-control-leader",
    allows: "the control leader is cut off from all nodes until another leads: nothing is lost, nobody is \
             disconnected, no message takes longer than 1 s",
    ground: Ground::Namespaces,
    quick: false,
    restores: true,
    play: leader,
};

pub(super) const CONNECTION: Scenario = Scenario {
    name: "partition-connection",
    allows: "a connection node is cut off from all routers for good: its clients, and no others, are disconnected; \
             messages of theirs that were under way may be lost or come again, no others, and questions be without an \
             answer",
    ground: Ground::Namespaces,
    quick: false,
    restores: true,
    play: connection,
};

fn router(stage: &mut Stage<'_>, both_ways: bool) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    cut_off(stage, "router2", both_ways)?;
    let others_serve = stage.cluster.wait_until_served();
    stage.network()?.heal()?;
    others_serve?;
    let report = load.finish()?;
    stage.cluster.wait_until_whole()?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, LEASE_AND_TWO_SECONDS_MS))
}

fn leader(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    let leader = stage.cluster.leader()?;
    let name = stage.cluster.nodes[leader].name.clone();
    cut_off(stage, &name, true)?;
    let report = load.finish()?;
    stage.network()?.heal()?;
    stage.cluster.wait_until_whole()?;
    let mut judge = Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, 1_000.0);
    let next = stage.cluster.leader()?;
    judge.check(next != leader, || "nobody else led".to_owned());
    Ok(judge)
}

fn connection(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(&[MIX, &["--reconnect"]].concat())?;
    let index = stage.cluster.find("connection1")?;
    let address = stage.cluster.nodes[index].client_address();
    let address = address.context("it takes clients")?;
    cut_off(stage, "connection1", true)?;
    let report = load.finish()?;
    stage.network()?.heal()?;
    stage.cluster.wait_until_whole()?;
    let mut judge = Judge::of(&report)
        .nothing_lost(&report)
        .nobody_disconnected_but(&report, Some(&address));
    for (reason, count) in &report.failures {
        judge.check(reason.starts_with("no answer"), || {
            format!("{count} × {reason}")
        });
    }
    Ok(judge)
}

/// Cuts what a node sends to all other nodes, and what they send to it as well. Clients and the database reach it.
fn cut_off(stage: &Stage<'_>, name: &str, both_ways: bool) -> Result<()> {
    let network = stage.network()?;
    let one = &stage.cluster.nodes[stage.cluster.find(name)?].place;
    let others = stage.cluster.nodes.iter().map(|node| &node.place);
    let others: Vec<&Place> = others.filter(|it| it.address != one.address).collect();
    for other in others {
        network.cut(one, other)?;
        if both_ways {
            network.cut(other, one)?;
        }
    }
    Ok(())
}
