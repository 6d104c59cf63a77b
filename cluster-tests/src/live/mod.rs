//! The live cluster: real processes of the release binary over a real database, in trouble and under load.

mod cli;
pub(crate) mod cluster;
mod demo;
mod judge;
mod load;
mod namespace;
mod needs;
mod node;
mod ports;
pub(crate) mod process;
mod record;
mod scenario;
mod stage;
mod standing;

use std::fs::OpenOptions;
use std::path::Path;

use anyhow::{Context, Result, bail};

pub(crate) use self::cli::Command;
use self::judge::Verdict;
use self::scenario::{ALL, Scenario};
use self::stage::{Stage, Tools};
use crate::suite::{Suite, now, say};

/// What to play, and where what it writes stays.
pub(crate) struct Plan<'a> {
    /// Names of scenarios; all if there are none.
    pub(crate) names: &'a [String],
    /// Only those of `./check`.
    pub(crate) quick: bool,
    /// Keeps the database's jars.
    pub(crate) cache: &'a Path,
    /// Everything that is written goes below; a temporary folder if there is none.
    pub(crate) folder: Option<&'a Path>,
    /// Where the results are written.
    pub(crate) json: Option<&'a Path>,
}

/// Prints the names of all scenarios and what may happen in them.
pub(crate) fn list() {
    for scenario in ALL {
        say(&format!("live {}: {}", scenario.name, scenario.allows));
    }
}

/// Plays scenarios; fails if one does.
pub(crate) fn play(suite: &Suite, plan: &Plan<'_>) -> Result<()> {
    let chosen = chosen(plan)?;
    claim(plan.json)?;
    let home = tempfile::tempdir()?;
    let folder = std::path::absolute(plan.folder.unwrap_or_else(|| home.path()))?;
    let tools = Tools {
        rookery: &suite.rookery,
        loadgen: &suite.loadgen,
        cache: plan.cache,
        folder: &folder,
    };
    tools.check()?;
    let mut verdicts = Vec::new();
    let mut stage = None;
    for (number, scenario) in chosen.into_iter().enumerate() {
        let verdict = play_one(&tools, &mut stage, number, scenario);
        if verdict.verdict == "failed" || !scenario.restores {
            // Whatever is left of it, the next scenario gets another one.
            stage = None;
        }
        verdicts.push(verdict);
        write(plan.json, &verdicts)?;
    }
    let failed = verdicts.iter().filter(|it| it.verdict == "failed").count();
    say(&format!(
        "{} passed, {failed} failed",
        verdicts.len() - failed
    ));
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} scenarios failed"),
    }
}

fn chosen(plan: &Plan<'_>) -> Result<Vec<&'static Scenario>> {
    let find = |name: &String| {
        let found = ALL.iter().find(|scenario| scenario.name == name);
        found.with_context(|| format!("there is no scenario {name}: see `cluster-tests list`"))
    };
    let named: Vec<&Scenario> = match plan.names {
        [] => ALL.to_vec(),
        names => names
            .iter()
            .map(|it| find(it).copied())
            .collect::<Result<_>>()?,
    };
    Ok(named
        .into_iter()
        .filter(|scenario| scenario.quick || !plan.quick)
        .collect())
}

fn play_one<'a>(
    tools: &'a Tools<'a>,
    stage: &mut Option<Stage<'a>>,
    number: usize,
    scenario: &Scenario,
) -> Verdict {
    let began = now();
    if stage.as_ref().is_none_or(|it| it.ground != scenario.ground) {
        // The old one ends first: a machine has room for one.
        *stage = None;
    }
    let judged = match stage.take() {
        Some(stage) => Ok(stage),
        None => Stage::set(tools, scenario.ground, number),
    }
    .and_then(|it| {
        say(&format!("plays   live {}", scenario.name));
        (scenario.play)(stage.insert(it))
    });
    let judged = judged.unwrap_or_else(|error| {
        let mut judge = judge::Judge::default();
        judge.check(false, || format!("{error:#}"));
        judge
    });
    let verdict = judged.verdict(scenario.name, scenario.allows);
    let took = began.elapsed().as_secs_f32();
    match verdict.verdict {
        "passed" => say(&format!("ok      live {} ({took:.1} s)", scenario.name)),
        _ => {
            let why = verdict.violations.join("; ");
            say(&format!(
                "FAILED  live {}: {why} ({took:.1} s)",
                scenario.name
            ));
        }
    }
    verdict
}

/// Fails if results could not be written to the file: a run takes minutes, and would be for nothing. What the file has
/// stays until there is a result.
fn claim(file: Option<&Path>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let opened = OpenOptions::new().create(true).append(true).open(file);
    let opened = opened.with_context(|| format!("cannot write results to {}", file.display()));
    opened.map(drop)
}

/// One result is itself, several are a list.
fn write(file: Option<&Path>, verdicts: &[Verdict]) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let text = match verdicts {
        [one] => serde_json::to_string_pretty(one)?,
        all => serde_json::to_string_pretty(all)?,
    };
    std::fs::write(file, text + "\n").with_context(|| file.display().to_string())
}
