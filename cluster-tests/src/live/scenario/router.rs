//! A router dies, or stands still for longer than its lease.

use anyhow::Result;
use rustix::process::Signal;

use super::{Judge, LEASE_AND_TWO_SECONDS_MS, MESSAGES, Scenario};
use crate::live::stage::{Ground, Stage};

pub(super) const KILL: Scenario = Scenario {
    name: "kill-router",
    allows: "kill -9 of a router: a pause of a lease and two seconds; nothing is lost, doubled or bounced, and nobody \
             is disconnected",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: kill,
};

pub(super) const STOP: Scenario = Scenario {
    name: "stop-router",
    allows: "a router stands still until its shards are served by others, and wakes: as if it had been killed",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: stop,
};

pub(super) const RESTART: Scenario = Scenario {
    name: "restart-router",
    allows: "an orderly end of a router, which starts again at once: nothing is lost, doubled or bounced, nobody is \
             disconnected, a pause of a lease and two seconds",
    ground: Ground::Loopback,
    quick: false,
    restores: true,
    play: restart,
};

fn restart(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    stage.process("router2")?.stop()?;
    stage.start_again("router2")?;
    let report = load.finish()?;
    stage.cluster.wait_until_whole()?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, LEASE_AND_TWO_SECONDS_MS))
}

fn kill(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    stage.process("router2")?.kill()?;
    let report = load.finish()?;
    stage.start_again("router2")?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, LEASE_AND_TWO_SECONDS_MS))
}

fn stop(stage: &mut Stage<'_>) -> Result<Judge> {
    let load = stage.load(MESSAGES)?;
    stage.process("router2")?.signal(Signal::STOP)?;
    let others_serve = stage.cluster.wait_until_served();
    stage.process("router2")?.signal(Signal::CONT)?;
    others_serve?;
    let report = load.finish()?;
    stage.cluster.wait_until_whole()?;
    Ok(Judge::of(&report)
        .nothing_wrong(&report)
        .nobody_disconnected(&report)
        .pause_at_most(&report, LEASE_AND_TWO_SECONDS_MS))
}
