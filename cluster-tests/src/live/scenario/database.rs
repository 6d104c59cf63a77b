//! The database, or a node of it, dies or stands still.

use anyhow::Result;

use super::{Judge, MESSAGES, MIX, Scenario};
use crate::live::stage::{Ground, Stage};

pub(super) const RESTART: Scenario = Scenario {
    name: "restart-database",
    allows: "kill -9 of the only database node, which starts again: messages between clients that are connected go on \
             as if nothing were, and afterwards everything works",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: restart,
};

pub(super) const KILL_ONE: Scenario = Scenario {
    name: "kill-database-node",
    allows: "kill -9 of one of three database nodes: no error that a client sees, nothing lost, nobody disconnected",
    ground: Ground::Ring,
    quick: false,
    restores: true,
    play: |stage| one_of_three(stage, true),
};

pub(super) const STOP_ONE: Scenario = Scenario {
    name: "stop-database-node",
    allows: "one of three database nodes hangs: no error that a client sees, nothing lost, nobody disconnected",
    ground: Ground::Ring,
    quick: false,
    restores: true,
    play: |stage| one_of_three(stage, false),
};

fn restart(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    stage.cluster.ring.kill(0)?;
    stage.cluster.ring.restart(0)?;
    let report = load.finish()?;
    stage.cluster.wait_until_whole()?;
    let after = stage.run(&["login", "--accounts", "50", "--duration", "3"])?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nothing_failed(&after)
        .nobody_disconnected(&report)
        .pause_at_most(&report, 1_000.0))
}

/// Three database nodes on one machine make accounts slowly, and that is not what is tried here.
const GENTLY: &[&str] = &["--connecting", "4", "--connect-rate", "40"];

fn one_of_three(stage: &mut Stage<'_>, killed: bool) -> Result<Judge> {
    let load = stage.load(&[MIX, GENTLY].concat())?;
    match killed {
        true => stage.cluster.ring.kill(1)?,
        false => stage.cluster.ring.hang(1)?,
    }
    let report = load.finish();
    match killed {
        true => stage.cluster.ring.restart(1)?,
        false => stage.cluster.ring.wake(1)?,
    }
    let report = report?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, 5_000.0))
}
