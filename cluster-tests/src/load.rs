//! The load generator's workloads, for some seconds each: its checks are the judge, speed is not.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::server::Server;
use crate::suite::{Suite, Test, now, wait_for};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "hundreds of accounts register and log in",
    "pairs talk with a window, nothing is lost, doubled, reordered or forged",
    "pairs talk at a rate",
    "a thousand idle sessions are held",
    "hundreds of clients come back at once",
    "clients that manage their streams lose nothing while the server is killed and started again",
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
        (NAMES[5], Box::new(kill_under_load)),
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
    let pid = server.pid().to_string();
    let output = command(suite, &server, &[arguments, &["--pid", &pid]].concat()).output()?;
    judge(output)
}

/// Kill -9 and orderly restarts by turns: the streams do not live through the first and do through the second, and no
/// message is lost in either.
fn kill_under_load(suite: &Suite) -> Result<()> {
    let mut server = Server::start(suite, &["--unlimited"])?;
    let mark = server.folder().join("mark");
    let words = [
        "messages",
        "--register",
        "--resume",
        "--rate",
        "2000",
        "--duration",
        "20",
    ];
    let mut load = command(suite, &server, &words)
        .arg("--mark")
        .arg(&mark)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    wait_for("the load", Duration::from_secs(30), || {
        mark.exists().then_some(())
    })?;
    let killed = kill_until_over(&mut server, &mut load);
    if killed.is_err() {
        // It would end by itself, later.
        let _ = load.kill();
    }
    killed?;
    judge(load.wait_with_output()?)
}

fn kill_until_over(server: &mut Server, load: &mut Child) -> Result<()> {
    for round in 0.. {
        let until = now() + Duration::from_millis(3_000 + round * 700 % 2_000);
        let is_over = wait_for("a moment", Duration::from_secs(10), || {
            let is_over = !matches!(load.try_wait(), Ok(None));
            (is_over || now() >= until).then_some(is_over)
        })?;
        if is_over {
            ensure!(round > 1, "only {round} restarts");
            break;
        }
        match round % 2 {
            0 => server.kill()?,
            _ => server.stop()?,
        }
        server.restart()?;
    }
    Ok(())
}

/// The load generator against a server.
fn command(suite: &Suite, server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(&suite.loadgen);
    command
        .args(arguments)
        .args(["--limit", "120"])
        .args(["--port", &server.starttls_port().to_string()])
        .arg("--ca")
        .arg(server.certificate());
    command
}

/// Its checks are the judge.
fn judge(output: Output) -> Result<()> {
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
