//! The runbook's section for one machine, word by word.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::ring::Ring;
use crate::suite::{Suite, wait_for};

/// Runs all blocks of the section as one script.
pub(super) fn run(suite: &Suite, ring: &Ring) -> Result<()> {
    let text = std::fs::read_to_string("deploy/RUNBOOK.md").context("deploy/RUNBOOK.md")?;
    let blocks = text.split("```bash\n").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    ensure!(blocks.len() >= 5, "the runbook has {} blocks", blocks.len());
    let home = tempfile::tempdir()?;
    // What a block starts ends with the script, however that ends.
    let script = format!(
        "set -euo pipefail\ntrap 'jobs -p | xargs -r kill -9 2>/dev/null || true' EXIT\n{}",
        blocks.join("\n")
    );
    let file = home.path().join("runbook.sh");
    std::fs::write(&file, script)?;
    let binary = suite.rookery.canonicalize()?;
    let folder = binary.parent().context("the binary is in a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let log = std::fs::File::create(home.path().join("log"))?;
    let mut child = Command::new("bash")
        .arg("-x")
        .arg(&file)
        .current_dir(home.path())
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("SCYLLA", &ring.addresses()[0])
        .env("KEYSPACE", "runbook")
        .env("PORT", free_ports()?.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let ended = wait_for("the runbook's end", DEADLINE, || {
        child.try_wait().ok().flatten()
    });
    let status = match ended {
        Ok(status) => status,
        Err(late) => {
            // It may end just now.
            let _ = child.kill();
            bail!("{late:#}\n{}", last_of(home.path())?)
        }
    };
    ensure!(status.success(), "{status}\n{}", last_of(home.path())?);
    Ok(())
}

fn last_of(folder: &std::path::Path) -> Result<String> {
    let log = std::fs::read(folder.join("log"))?;
    let text = String::from_utf8_lossy(&log).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(40)..].join("\n"))
}

/// The first of the ports that the section uses.
fn free_ports() -> Result<u16> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let all_free =
        |first: &u16| (0..8).all(|step| free(&(first + step)) && free(&(first + 100 + step)));
    let seed = 10_000 + 200 * u16::try_from(std::process::id() % 40)?;
    let mut candidates = (0..40).map(|step| seed + 200 * step % 8_000);
    candidates
        .find(|first| all_free(first))
        .context("free ports")
}

/// Nine starts and a handful of waits for leases.
const DEADLINE: Duration = Duration::from_secs(180);
