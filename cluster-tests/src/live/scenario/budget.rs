//! A traffic budget over all connection nodes, under more traffic than it allows.
//!
//! What counts is what the nodes say they have read, over some seconds of their own readers waiting. The control group
//! shares the budget out once a second, whatever the traffic, so its log must grow no faster than without any.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::{Judge, Scenario};
use crate::live::stage::{Ground, Stage};
use crate::suite::{now, wait_for};

pub(super) const BUDGET: Scenario = Scenario {
    name: "budget",
    allows: "clients of one /24 write through both connection nodes as fast as they may, with a budget of 200 kB a \
             second for their network: all nodes together read as much within 5 %, and the control group's log grows \
             no faster than by two entries a second for each connection node",
    ground: Ground::Loopback,
    quick: false,
    restores: false,
    play,
};

/// The budget of a network, in bytes a second.
const BYTES_PER_SECOND: f64 = 200_000.0;

/// How far the measured rate may be from it.
const TOLERANCE: f64 = 0.05;

/// What one connection node may add to the log's growth: one renewal a second, and as much again for what is late.
const ENTRIES_PER_SECOND_MAX: f64 = 2.0;

/// How long is measured.
const MEASURED: Duration = Duration::from_secs(15);

/// Enough to have every reader wait, for longer than is measured and what comes before.
const FLOOD: &[&str] = &[
    "messages",
    "--pairs",
    "20",
    "--window",
    "10",
    "--duration",
    "30",
    "--warmup",
    "2",
];

/// How soon the burst is used up and the budget is shared out by what is wanted.
const SETTLED_MAX: Duration = Duration::from_secs(10);

fn play(stage: &mut Stage<'_>) -> Result<Judge> {
    let quiet = entries_per_second(stage, MEASURED / 3)?;
    for option in ["prefix_rate=200kb/s", "prefix_burst=1s"] {
        let option = format!("quota.{option}");
        stage.cluster.settings.options.push(option);
    }
    for name in ["connection1", "connection2"] {
        stage.process(name)?.stop()?;
        stage.start_again(name)?;
    }
    let load = stage.load(FLOOD)?;
    wait_for("the readers of both nodes wait", SETTLED_MAX, || {
        let waits = |name| Some(seen(stage, name).ok()?.waits > 0);
        (waits("connection1")? && waits("connection2")?).then_some(())
    })?;
    let before = (read_by_all(stage)?, now());
    let busy = entries_per_second(stage, MEASURED)?;
    let (read, seconds) = (read_by_all(stage)? - before.0, since(before.1));
    let report = load.finish()?;
    let rate = read as f64 / seconds;
    let mut judge = Judge::of(&report).nothing_lost(&report);
    judge.figure("bytes_per_second", json!(rate));
    judge.figure(
        "log_entries_per_second",
        json!({ "quiet": quiet, "busy": busy }),
    );
    let off = (rate / BYTES_PER_SECOND - 1.0).abs();
    judge.check(off <= TOLERANCE, || {
        format!("{rate:.0} bytes a second were read, of a budget of {BYTES_PER_SECOND}")
    });
    let most = quiet + 2.0 * ENTRIES_PER_SECOND_MAX;
    judge.check(busy <= most, || {
        format!("the log grew by {busy:.1} entries a second, and by {quiet:.1} without traffic")
    });
    Ok(judge)
}

/// What a node says of the network of the load generator's clients.
struct Seen {
    read_bytes: u64,
    waits: u64,
}

fn seen(stage: &Stage<'_>, name: &str) -> Result<Seen> {
    let node = &stage.cluster.nodes[stage.cluster.find(name)?];
    let words = ["quota", "show", "prefix:127.0.0.1"];
    let shown = node.ask(&stage.cluster.settings, &words)?;
    let key = &shown["keys"][0];
    let number = |field: &str| {
        let value = key[field].as_u64();
        value.with_context(|| format!("{name} says no {field}: {shown}"))
    };
    Ok(Seen {
        read_bytes: number("read_bytes")?,
        waits: number("waits")?,
    })
}

fn read_by_all(stage: &Stage<'_>) -> Result<u64> {
    let nodes = ["connection1", "connection2"];
    let read = nodes.iter().map(|name| Ok(seen(stage, name)?.read_bytes));
    read.sum()
}

/// How fast the control group's log grows.
fn entries_per_second(stage: &Stage<'_>, over: Duration) -> Result<f64> {
    let applied = || {
        let first = &stage.cluster.nodes[0];
        let log = first.ask(&stage.cluster.settings, &["control", "log"])?;
        log["applied"].as_u64().context("an index")
    };
    let (before, start) = (applied()?, now());
    wait_for("the time to measure is over", over * 2, || {
        (start.elapsed() >= over).then_some(())
    })?;
    Ok((applied()? - before) as f64 / since(start))
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}
