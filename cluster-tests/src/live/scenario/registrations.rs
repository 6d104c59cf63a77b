//! A flood of registrations from one network, through all connection nodes.
//!
//! The throttle counts exactly, in sliding windows: `40/1h` lets forty through in any hour and has no burst on top.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Judge, Scenario};
use crate::live::load::Report;
use crate::live::node::Role;
use crate::live::stage::{Ground, Stage};
use crate::suite::wait_for;

pub(super) const CALM: Scenario = Scenario {
    name: "registrations",
    allows: "1,000 registrations at once from one /24 through all connection nodes, of which 40 an hour may succeed: \
             exactly 40 do, and all others are refused with resource-constraint",
    ground: Ground::Loopback,
    quick: false,
    restores: true,
    play: |stage| flood(stage, false),
};

pub(super) const LEADER_KILLED: Scenario = Scenario {
    name: "registrations-leader-killed",
    allows: "the same, with kill -9 of the control leader in the middle: exactly 40 succeed all the same",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: |stage| flood(stage, true),
};

fn flood(stage: &mut Stage<'_>, kills_leader: bool) -> Result<Judge> {
    let leader = stage.cluster.leader()?;
    let other = if leader == 0 { 1 } else { 0 };
    let other = stage.cluster.nodes[other].name.clone();
    let window = format!("per_prefix_24={LIMIT}/1h");
    let mut set = vec!["set", "--mode", "on", "--window", &window];
    for open in ["per_address=off", "per_host=off", "in_all=off"] {
        set.extend(["--window", open]);
    }
    stage.registration(&other, &set)?;
    // What an earlier flood was granted still counts for its own network.
    let prefix = format!(
        "127.0.{}",
        10 + FLOODS.fetch_add(1, Ordering::Relaxed) % 240
    );
    let before = accounts(stage, &other)?;
    let load = stage.load(&[FLOOD, &["--source-prefix", &prefix]].concat())?;
    if kills_leader {
        wait_for("the first registration", FIRST_MAX, || {
            (accounts(stage, &other).ok()? > before).then_some(())
        })?;
        stage.cluster.nodes[leader].process()?.kill()?;
    }
    let report = load.finish()?;
    let made = accounts(stage, &other)?.saturating_sub(before);
    if kills_leader {
        let name = stage.cluster.nodes[leader].name.clone();
        stage.start_again(&name)?;
    }
    stage.registration(&other, &["reset"])?;
    Ok(judged(&report, made))
}

fn judged(report: &Report, made: u64) -> Judge {
    let mut judge = Judge::of(report);
    let told = report.latency.get("registration").map_or(0, |it| it.count);
    judge.figure("registrations_succeeded", json!(told));
    judge.figure("accounts_made", json!(made));
    judge.check(told == LIMIT, || {
        format!("{told} were told of success, not {LIMIT}")
    });
    judge.check(made == LIMIT, || {
        format!("{made} accounts were made, not {LIMIT}")
    });
    for (reason, count) in &report.failures {
        judge.check(reason.contains("resource-constraint"), || {
            format!("{count} × {reason}")
        });
    }
    judge
}

/// How many accounts there are.
pub(super) fn accounts(stage: &Stage<'_>, asked: &str) -> Result<u64> {
    let index = stage.cluster.find(asked)?;
    // Nodes of other roles have no accounts.
    let index = match stage.cluster.nodes[index].role {
        Role::Router => index,
        _ => stage.cluster.find("router1")?,
    };
    let words = ["users", "list"];
    let listed = stage.cluster.nodes[index].ask(&stage.cluster.settings, &words)?;
    let users = listed.as_array().context("a list of users")?;
    Ok(users.len() as u64)
}

static FLOODS: AtomicU32 = AtomicU32::new(0);
const LIMIT: u64 = 40;
const FIRST_MAX: Duration = Duration::from_secs(30);

/// All at once.
const FLOOD: &[&str] = &[
    "register",
    "--accounts",
    "1000",
    "--connecting",
    "1000",
    "--connect-rate",
    "100000",
];
