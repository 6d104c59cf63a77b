//! Tests of the release binary from outside: real clients, hostile strangers, crashes, backups, load.
//!
//! Every server that is started here listens on loopback, keeps what it writes in a temporary folder, and is stopped by
//! its own handle. A test is one function that returns or fails; each prints one line, and the last line counts them.

mod backup;
mod clients;
mod cql;
mod crash;
mod forgetful;
mod guide;
mod hostile;
mod live;
mod load;
mod phone;
mod resumption;
mod server;
mod sim;
mod streams;
mod suite;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::suite::Suite;

/// What to test, and with which binaries.
#[derive(Parser)]
#[command(version, about = "tests of the release binary from outside")]
struct Arguments {
    /// The server's binary.
    #[arg(long, default_value = "target/release/rookery")]
    rookery: PathBuf,
    /// The load generator's binary.
    #[arg(long, default_value = "target/release/loadgen")]
    loadgen: PathBuf,
    /// Run only tests whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    #[command(subcommand)]
    part: Part,
}

/// The parts.
#[derive(Subcommand)]
enum Part {
    /// The names of all tests.
    List,
    /// slixmpp, xmpp.js and profanity.
    Clients {
        /// A Python that has slixmpp.
        #[arg(long)]
        python: PathBuf,
        /// A folder whose node_modules have xmpp.js.
        #[arg(long)]
        npm: PathBuf,
    },
    /// The operator's guide to a public server, word by word.
    Guide {
        /// A Python that has slixmpp.
        #[arg(long)]
        python: PathBuf,
    },
    /// What a stranger may send.
    Hostile,
    /// Stream management, byte for byte.
    Streams,
    /// kill -9, power cuts and full disks.
    Crash,
    /// Backups of a busy server, restored elsewhere.
    Backup,
    /// The store on a real CQL server. Needs Maven and Java 17.
    Cql {
        /// A folder that keeps the server's files.
        #[arg(long, default_value = ".check/cql")]
        cache: PathBuf,
    },
    /// The load generator's workloads, for some seconds each.
    Load,
    #[command(flatten)]
    Live(live::Command),
    /// A whole cluster in one thread, from seeds.
    Sim(sim::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let suite = Suite::new(arguments.rookery, arguments.loadgen, arguments.only);
    match arguments.part {
        Part::List => {
            let parts = [
                clients::NAMES,
                guide::NAMES,
                hostile::NAMES,
                resumption::NAMES,
                streams::NAMES,
                phone::NAMES,
                crash::NAMES,
                forgetful::NAMES,
                backup::NAMES,
                cql::NAMES,
                load::NAMES,
            ];
            suite.list(&parts);
            live::list();
            ExitCode::SUCCESS
        }
        Part::Clients { python, npm } => suite.run(&clients::tests(&python, &npm)),
        Part::Guide { python } => suite.run(&guide::tests(&python)),
        Part::Hostile => suite.run(&hostile::tests()),
        Part::Streams => {
            let tests = [streams::tests(), resumption::tests(), phone::tests()];
            suite.run(&joined(tests))
        }
        Part::Crash => suite.run(&joined([crash::tests(), forgetful::tests()])),
        Part::Backup => suite.run(&backup::tests()),
        Part::Cql { cache } => suite.run(&cql::tests(&cache)),
        Part::Load => suite.run(&load::tests()),
        Part::Live(command) => command.run(&suite),
        Part::Sim(options) => sim::run(&options),
    }
}

fn joined<T, const N: usize>(parts: [Vec<T>; N]) -> Vec<T> {
    parts.into_iter().flatten().collect()
}
