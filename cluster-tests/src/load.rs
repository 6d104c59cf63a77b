//! The load generator's workloads, for some seconds each: its checks are the judge, speed is not.

use std::process::Command;

use anyhow::{Result, bail};

use crate::server::Server;
use crate::suite::{Suite, Test};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "hundreds of accounts register and log in",
    "pairs talk with a window, nothing is lost, doubled, reordered or forged",
    "pairs talk at a rate",
    "a thousand idle sessions are held",
    "hundreds of clients come back at once",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    vec![
        (
            NAMES[0],
            Box::new(|suite| loadgen(suite, &["login", "--register", "--accounts", "200"])),
        ),
        (
            NAMES[1],
            Box::new(|suite| loadgen(suite, &["messages", "--register", "--window", "10"])),
        ),
        (
            NAMES[2],
            Box::new(|suite| loadgen(suite, &["messages", "--register", "--rate", "500"])),
        ),
        (
            NAMES[3],
            Box::new(|suite| loadgen(suite, &["idle", "--register", "--sessions", "1000"])),
        ),
        (
            NAMES[4],
            Box::new(|suite| run(suite, &["storm", "--register", "--sessions", "300"])),
        ),
    ]
}

/// Runs a workload for some seconds against a server of its own.
fn loadgen(suite: &Suite, arguments: &[&str]) -> Result<()> {
    run(
        suite,
        &[arguments, &["--duration", "3", "--warmup", "1"]].concat(),
    )
}

/// Runs a workload against a server of its own.
fn run(suite: &Suite, arguments: &[&str]) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let output = Command::new(&suite.loadgen)
        .args(arguments)
        .args(["--limit", "120"])
        .args(["--port", &server.starttls_port().to_string()])
        .args(["--pid", &server.pid().to_string()])
        .arg("--ca")
        .arg(server.certificate())
        .output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: {}\n{}",
            output.status,
            errors,
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(())
}
