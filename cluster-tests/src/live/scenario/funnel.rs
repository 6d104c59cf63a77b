//! Registrations at a rate from many networks, through three connection nodes.
//!
//! The load generator is told the limits and counts; what the routers have afterwards must be the same.

use anyhow::{Context, Result};
use serde_json::json;

use super::registrations::accounts;
use super::{Judge, Scenario};
use crate::live::load::Report;
use crate::live::stage::{Ground, Stage};

pub(super) const FUNNEL: Scenario = Scenario {
    name: "funnel",
    allows: "4,000 registrations at 200 a second from 500 /24 (PROXY headers) through three connection nodes: of 3,000 \
             with 3 an hour for a /24, exactly 3 of each /24 succeed; of 1,000 more with 2 for an address and 100 in \
             all, exactly 100 do; all others are refused with resource-constraint",
    ground: Ground::Loopback,
    quick: false,
    restores: false,
    play,
};

const ASKED: &str = "router1";
const TRUSTED: &[&str] = &["connection.proxy_trusted=[\"127.0.0.1/32\"]"];
const FUNNEL_WORDS: &[&str] = &["funnel", "--networks", "500", "--rate", "200"];
const OF_PREFIX: &[&str] = &["--attempts", "3000", "--limit-per-prefix", "3"];
const IN_ALL: &[&str] = &[
    "--attempts",
    "1000",
    "--limit-per-address",
    "2",
    "--limit-in-all",
    "100",
];

fn play(stage: &mut Stage<'_>) -> Result<Judge> {
    stage.add_connection()?;
    stage.reconfigure_connections(TRUSTED)?;
    let mut judge = Judge::default();
    let windows = ["per_prefix_24=3/1h", "per_address=off", "in_all=off"];
    flood(stage, &mut judge, "of_prefix", windows, OF_PREFIX)?;
    let windows = ["per_prefix_24=off", "per_address=2/1h", "in_all=100/1h"];
    flood(stage, &mut judge, "in_all", windows, IN_ALL)?;
    Ok(judge)
}

/// A run under these limits, whose own check is the judge.
fn flood(
    stage: &mut Stage<'_>,
    judge: &mut Judge,
    name: &str,
    windows: [&str; 3],
    words: &[&str],
) -> Result<()> {
    // What an earlier run was granted counts no more.
    stage.admin(ASKED, &["throttle", "reset", "--all"])?;
    let mut set = vec!["set", "--mode", "on", "--window", "per_host=off"];
    set.extend(windows.iter().flat_map(|window| ["--window", window]));
    stage.registration(ASKED, &set)?;
    let before = accounts(stage, ASKED)?;
    let report = stage.run(&[FUNNEL_WORDS, words].concat())?;
    let made = accounts(stage, ASKED)?.saturating_sub(before);
    for (reason, count) in &report.failures {
        judge.check(false, || format!("{name}: {count} × {reason}"));
    }
    let told = told(&report)?;
    judge.check(made as f64 == told, || {
        format!("{name}: {made} accounts were made, and {told} were told so")
    });
    let latency = &report.latency;
    judge.figure(name, json!({ "counts": report.notes, "latency": latency }));
    Ok(())
}

fn told(report: &Report) -> Result<f64> {
    let told = report.notes.get("succeeded").copied();
    told.context("the load generator counts successes")
}
