//! A stream held to its rate, and others beside it that have nothing to do with that.

use anyhow::{Context, Result};
use serde_json::json;

use super::{Judge, Scenario};
use crate::live::load::Times;
use crate::live::stage::{Ground, Stage};

pub(super) const BANDWIDTH: Scenario = Scenario {
    name: "bandwidth",
    allows: "one stream writes as fast as it may for 60 s, with 3 kB a second and a burst of 2 s allowed: what gets \
             through is 186,000 bytes within 3 %; twenty others that write one message a second beside it wait no \
             longer than before it came",
    ground: Ground::Loopback,
    quick: false,
    restores: false,
    play,
};

const OPTIONS: &[&str] = &["bandwidth.client_rate=3kb/s", "bandwidth.client_burst=2s"];
/// 3 kB a second for 60 s, and those of 2 s that are saved up.
const ALLOWED_BYTES: f64 = 3_000.0 * (60.0 + 2.0);
const TOLERANCE: f64 = 0.03;

/// More than it may. The window is small, for what is under way gets through at once and then has to be waited for: it
/// is how exactly can be measured.
const HELD: &[&str] = &[
    "messages",
    "--pairs",
    "1",
    "--window",
    "4",
    "--duration",
    "60",
    "--warmup",
    "0",
];

/// Each a tenth of what it may.
const OTHERS: &[&str] = &["messages", "--pairs", "20", "--rate", "20", "--warmup", "2"];

/// How much longer than before a median and a 99th percentile may be: machines have other things to do too.
const SLOWER_MAX: [f64; 2] = [1.5, 2.0];
const SLACK_MS: [f64; 2] = [1.0, 5.0];

fn play(stage: &mut Stage<'_>) -> Result<Judge> {
    stage.reconfigure_connections(OPTIONS)?;
    let alone = stage.run(&[OTHERS, &["--duration", "20"]].concat())?;
    let held = stage.load(HELD)?;
    let beside = stage.run(&[OTHERS, &["--duration", "45"]].concat())?;
    let held = held.finish()?;
    let mut judge = Judge::of(&held).nothing_wrong(&held);
    judge = judge.nothing_wrong(&alone).nothing_wrong(&beside);
    let bytes = held.notes.get("bytes that arrived");
    let bytes = *bytes.context("the load generator counts bytes")?;
    judge.figure("bytes", json!(bytes));
    judge.figure("off_percent", json!((bytes / ALLOWED_BYTES - 1.0) * 100.0));
    judge.check((bytes / ALLOWED_BYTES - 1.0).abs() <= TOLERANCE, || {
        format!("{bytes} bytes got through, of {ALLOWED_BYTES}")
    });
    let times = |report: &crate::live::load::Report| -> Result<Times> {
        let times = report.latency.get("message").copied();
        times.context("the others' latency")
    };
    let (alone, beside) = (times(&alone)?, times(&beside)?);
    judge.figure("others", json!({ "alone": alone, "beside": beside }));
    let pairs = [(alone.p50_ms, beside.p50_ms), (alone.p99_ms, beside.p99_ms)];
    for ((before, then), (most, slack)) in
        pairs.into_iter().zip(SLOWER_MAX.into_iter().zip(SLACK_MS))
    {
        judge.check(then <= before * most + slack, || {
            format!("others took {then:.1} ms beside it and {before:.1} ms without")
        });
    }
    Ok(judge)
}
