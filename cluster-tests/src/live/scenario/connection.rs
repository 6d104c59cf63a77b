//! A connection node dies.

use anyhow::{Context, Result};

use super::{Judge, MIX, Scenario};
use crate::live::stage::{Ground, Stage};

pub(super) const KILL: Scenario = Scenario {
    name: "kill-connection",
    allows: "kill -9 of a connection node: its clients, and no others, are disconnected and come back elsewhere; \
             messages of theirs that were under way may be lost, no others, and none is doubled",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: kill,
};

fn kill(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(&[MIX, &["--reconnect"]].concat())?;
    let index = stage.cluster.find("connection1")?;
    let node = &mut stage.cluster.nodes[index];
    let address = node.client_address().context("it takes clients")?;
    node.process()?.kill()?;
    let report = load.finish()?;
    stage.start_again("connection1")?;
    let mut judge = Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected_but(&report, Some(&address));
    let gone = report.targets.get(&address).map_or(0, |it| it.disconnects);
    judge.check(gone > 0, || "no client noticed".to_owned());
    Ok(judge)
}
