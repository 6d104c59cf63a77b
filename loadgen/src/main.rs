//! `loadgen`: puts load on an XMPP server, checks what comes back, and says what it cost.
//!
//! ```text
//! coordinator ──spawns──► worker, worker …  (each one thread, thousands of light clients)
//!      │  samples /proc of the server            │
//!      └──◄── histograms, counts, faults ────────┘ ──► terminal, --json, --html
//! ```

mod client;
mod coordinator;
mod measure;
mod options;
mod oracle;
mod pace;
mod report;
mod worker;
mod workload;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use options::Cli;
use worker::Share;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_CLEAN),
        Err(error) => {
            // There is nobody left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "loadgen: {error:#}");
            ExitCode::from(NOT_RUN)
        }
    }
}

/// Whether the run was clean.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    if let Ok(share) = std::env::var(coordinator::WORKER_VARIABLE) {
        let share: Share = serde_json::from_str(&share).context("not a share of the work")?;
        worker::run(share, cli)?;
        return Ok(true);
    }
    report::prepare(&cli.command)?;
    let measured = coordinator::run(cli)?;
    report::write(&cli.command, &measured)?;
    Ok(measured.outcome.is_clean())
}

/// Something was lost, doubled, reordered or forged, or an operation failed.
const NOT_CLEAN: u8 = 1;
/// It could not be run to its end.
const NOT_RUN: u8 = 2;
