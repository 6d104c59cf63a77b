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
    play: |stage| {
        let budget = Budget {
            options: &["quota.prefix_rate=200kb/s", "quota.prefix_burst=1s"],
            nodes: &["connection1", "connection2"],
            load: &["--pairs", "20", "--window", "10"],
            key: |_| "prefix:127.0.0.1".to_owned(),
            bytes_per_second: 200_000.0,
        };
        play(stage, &budget)
    },
};

pub(super) const OF_ACCOUNT: Scenario = Scenario {
    name: "budget-account",
    allows: "one account with twelve sessions on three connection nodes writes as fast as it may, with a budget of \
             60 kB a second: all nodes together read as much within 5 %, and the control group's log grows no faster \
             than by two entries a second for each connection node",
    ground: Ground::Loopback,
    quick: false,
    restores: false,
    play: |stage| {
        stage.add_connection()?;
        let budget = Budget {
            options: &["quota.account_rate=60kb/s", "quota.account_burst=1s"],
            nodes: &["connection1", "connection2", "connection3"],
            load: &["--pairs", "12", "--window", "10", "--one-sender"],
            key: |stage| format!("account:{}0@localhost", stage.last_prefix()),
            bytes_per_second: 60_000.0,
        };
        play(stage, &budget)
    },
};

/// What is shared out, and who wants more.
struct Budget {
    options: &'static [&'static str],
    nodes: &'static [&'static str],
    /// What the load sends.
    load: &'static [&'static str],
    /// As `rookery admin quota show` names it, when the load runs.
    key: fn(&Stage<'_>) -> String,
    bytes_per_second: f64,
}

/// How far the measured rate may be from it.
const TOLERANCE: f64 = 0.05;

/// What one connection node may add to the log's growth: one renewal a second, and as much again for what is late.
const ENTRIES_PER_SECOND_MAX: f64 = 2.0;

/// How long is measured.
const MEASURED: Duration = Duration::from_secs(15);

/// For longer than is measured and what comes before.
const FLOOD: &[&str] = &["messages", "--duration", "30", "--warmup", "2"];

/// How soon the burst is used up and the budget is shared out by what is wanted.
const SETTLED_MAX: Duration = Duration::from_secs(10);

fn play(stage: &mut Stage<'_>, budget: &Budget) -> Result<Judge> {
    let quiet = entries_per_second(stage, MEASURED / 3)?;
    stage.reconfigure_connections(budget.options)?;
    let load = stage.load(&[FLOOD, budget.load].concat())?;
    let key = (budget.key)(stage);
    wait_for("the readers of all nodes wait", SETTLED_MAX, || {
        let mut each = budget.nodes.iter().map(|name| seen(stage, name, &key));
        each.all(|seen| seen.is_ok_and(|seen| seen.waits > 0))
            .then_some(())
    })?;
    let before = (read_by_all(stage, budget, &key)?, now());
    let busy = entries_per_second(stage, MEASURED)?;
    let read = read_by_all(stage, budget, &key)? - before.0;
    let rate = read as f64 / since(before.1);
    let report = load.finish()?;
    let mut judge = Judge::of(&report).nothing_lost(&report);
    judge.figure("bytes_per_second", json!(rate));
    judge.figure(
        "log_entries_per_second",
        json!({ "quiet": quiet, "busy": busy }),
    );
    let off = (rate / budget.bytes_per_second - 1.0).abs();
    judge.check(off <= TOLERANCE, || {
        let due = budget.bytes_per_second;
        format!("{rate:.0} bytes a second were read, of a budget of {due}")
    });
    let most = quiet + budget.nodes.len() as f64 * ENTRIES_PER_SECOND_MAX;
    judge.check(busy <= most, || {
        format!("the log grew by {busy:.1} entries a second, and by {quiet:.1} without traffic")
    });
    Ok(judge)
}

/// What a node says of a budget.
struct Seen {
    read_bytes: u64,
    waits: u64,
}

fn seen(stage: &Stage<'_>, name: &str, key: &str) -> Result<Seen> {
    let node = &stage.cluster.nodes[stage.cluster.find(name)?];
    let words = ["quota", "show", key];
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

fn read_by_all(stage: &Stage<'_>, budget: &Budget, key: &str) -> Result<u64> {
    let nodes = budget.nodes.iter();
    let read = nodes.map(|name| Ok(seen(stage, name, key)?.read_bytes));
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
