//! The commands: a cluster that is left running, and scenarios.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::cluster::Shape;
use super::demo::Demo;
use super::node::Settings;
use super::process::Life;
use super::standing;
use super::{Plan, play};
use crate::suite::{Suite, say};

/// What to do with clusters.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts a cluster and leaves it running, as DIR/cluster.json says.
    Up(Up),
    /// Stops what `up` has started.
    Down(Down),
    /// Plays troubles of a live cluster under load, and judges what the clients saw.
    Live(Live),
    /// Two real clients talk while each process of a cluster is killed in turn: nothing acknowledged is lost.
    Demo(Demo),
}

/// `cluster-tests up`.
#[derive(Args)]
pub(crate) struct Up {
    /// The folder for everything that the cluster writes.
    #[arg(long)]
    dir: PathBuf,
    /// Connection nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    connections: u8,
    /// Routers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    routers: u8,
    /// Members of the control group.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    controls: u8,
    /// Lift rate limits and registration throttles, for measuring.
    #[arg(long)]
    unlimited: bool,
    /// An option of every node's configuration, as in `--set archive.default=always`.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    options: Vec<String>,
    /// A folder that keeps the database's files.
    #[arg(long, default_value = ".check/cql")]
    cache: PathBuf,
}

/// `cluster-tests down`.
#[derive(Args)]
pub(crate) struct Down {
    /// The folder that was given to `up`.
    #[arg(long)]
    dir: PathBuf,
}

/// `cluster-tests live`.
#[derive(Args)]
pub(crate) struct Live {
    /// Scenarios, as `list` names them; without any all are played.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only those that `./check` plays.
    #[arg(long)]
    quick: bool,
    /// Write the results as JSON: of one scenario, or a list of several.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep what the clusters write below this folder, which must be new.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A folder that keeps the database's files.
    #[arg(long, default_value = ".check/cql")]
    cache: PathBuf,
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self, suite: &Suite) -> ExitCode {
        match self.try_run(suite) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("cluster-tests: {error:#}"));
                ExitCode::FAILURE
            }
        }
    }

    fn try_run(&self, suite: &Suite) -> Result<()> {
        match self {
            Self::Up(it) => {
                let shape = Shape {
                    controls: it.controls.into(),
                    routers: it.routers.into(),
                    connections: it.connections.into(),
                };
                let settings = Settings {
                    tells: true,
                    rookery: suite.rookery.clone(),
                    unlimited: it.unlimited,
                    options: it.options.clone(),
                    life: Life::OnItsOwn,
                };
                standing::up(settings, &it.dir, &it.cache, shape)
            }
            Self::Down(it) => standing::down(&it.dir),
            Self::Demo(it) => it.run(suite),
            Self::Live(it) => play(
                suite,
                &Plan {
                    names: &it.names,
                    quick: it.quick,
                    cache: &it.cache,
                    folder: it.dir.as_deref(),
                    json: it.json.as_deref(),
                },
            ),
        }
    }
}
