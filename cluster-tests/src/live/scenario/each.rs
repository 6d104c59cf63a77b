//! Each kind of node dies, one after the other, while clients that manage their streams talk.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{Judge, Scenario};
use crate::live::load::Load;
use crate::live::stage::{Ground, Stage};

pub(super) const SOME: Scenario = Scenario {
    name: "kill-each",
    allows: "kill -9 of a connection node, a router and a member of the control group in turn, at uneven moments: \
             clients of a connection node resume elsewhere; nothing is lost, doubled, bounced or reordered, and every \
             stream lives",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play: |stage| {
        play(
            stage,
            ["--rate", "1000", "--duration", "45"],
            Duration::from_secs(8),
        )
    },
};

pub(super) const MILLION: Scenario = Scenario {
    name: "kill-each-million",
    allows: "the same, over more than a million messages, a kill every 20 seconds",
    ground: Ground::Loopback,
    quick: false,
    restores: true,
    play: |stage| {
        play(
            stage,
            ["--rate", "2000", "--duration", "520"],
            Duration::from_secs(20),
        )
    },
};

fn play(stage: &mut Stage<'_>, how: [&str; 4], every: Duration) -> Result<Judge> {
    let words = ["messages", "--resume", "--pairs", "100", "--warmup", "2"];
    let mut load = stage.load(&[&words[..], &how].concat())?;
    let killed = kill_in_turn(stage, &mut load, every)?;
    let report = load.finish()?;
    let mut judge = Judge::of(&report).nothing_wrong(&report);
    let lost = report
        .notes
        .get("streams lost")
        .copied()
        .unwrap_or_default();
    judge.check(lost == 0.0, || format!("{lost} streams were lost"));
    let resumed = report.notes.get("streams resumed").copied();
    judge.check(resumed > Some(0.0), || "nobody resumed".to_owned());
    let acknowledged = report.latency.get("acknowledgement").map(|it| it.count);
    judge.check(acknowledged > Some(0), || {
        "nothing was acknowledged".to_owned()
    });
    judge.check(killed > 2, || format!("only {killed} nodes were killed"));
    judge.figure("killed", json!(killed));
    Ok(judge)
}

/// Kills each node, and starts it again, until the load is over.
fn kill_in_turn(stage: &mut Stage<'_>, load: &mut Load, every: Duration) -> Result<u32> {
    let mut killed = 0;
    for name in stage.cluster.in_turn().into_iter().cycle() {
        // Between three and five quarters of it.
        let uneven = every * 3 / 4 + every * (killed * 7 % 5) / 8;
        if load.ends_within(uneven)? {
            break;
        }
        stage.process(&name)?.kill()?;
        killed += 1;
        if load.ends_within(DOWN.min(every / 2))? {
            stage.start_again(&name)?;
            break;
        }
        stage.start_again(&name)?;
    }
    Ok(killed)
}

/// How long a node is down.
const DOWN: Duration = Duration::from_secs(4);
