//! Documents whose blocks an operator pastes into a shell, run word by word as one script.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::suite::{Suite, Test, wait_for};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "each part of the guide to a public server is seen on one process, word by word",
    "each part of the guide to a public server is seen on a cluster of three nodes, word by word",
];

/// The tests, with a Python that has slixmpp.
pub(crate) fn tests(python: &Path) -> Vec<Test<'_>> {
    let test = |name, nodes| -> Test<'_> {
        (
            name,
            Box::new(move |suite| public_server(suite, python, nodes)),
        )
    };
    vec![test(NAMES[0], 1), test(NAMES[1], 3)]
}

fn public_server(suite: &Suite, python: &Path, nodes: u16) -> Result<()> {
    let guide = Document::read("deploy/PUBLIC-SERVER.md", 28)?;
    let home = tempfile::tempdir()?;
    let nest = home.path().join("nest");
    let environment = [
        ("NODES", nodes.to_string()),
        ("NEST", nest.display().to_string()),
        ("PORT", free_ports(44)?.to_string()),
        ("PYTHON", python.display().to_string()),
    ];
    let here = std::env::current_dir()?;
    guide.run(suite, &here, home.path(), environment)
}

/// The blocks of a document that are meant for bash.
pub(crate) struct Document {
    script: String,
}

impl Document {
    /// Reads it; it must have so many blocks at least.
    pub(crate) fn read(path: &str, blocks_min: usize) -> Result<Self> {
        let text = std::fs::read_to_string(path).context(path.to_owned())?;
        let blocks = text.split("```bash\n").skip(1);
        let blocks: Vec<&str> = blocks
            .filter_map(|block| block.split("```").next())
            .collect();
        let found = blocks.len();
        ensure!(found >= blocks_min, "{path} has {found} blocks");
        // What a block starts ends with the script, however that ends. What is traced is no part of what is said.
        let script = format!(
            "set -euo pipefail\nexec 9>&2\nBASH_XTRACEFD=9\n\
             trap 'jobs -p | xargs -r kill -9 2>/dev/null || true' EXIT\n{}",
            blocks.join("\n")
        );
        Ok(Self { script })
    }

    /// Runs its blocks in a folder, with the suite's `rookery` on the path. What they say goes into the folder `home`.
    pub(crate) fn run<const N: usize>(
        &self,
        suite: &Suite,
        folder: &Path,
        home: &Path,
        environment: [(&str, String); N],
    ) -> Result<()> {
        let (file, log) = (home.join("script.sh"), home.join("log"));
        std::fs::write(&file, &self.script)?;
        let binary = suite.rookery.canonicalize()?;
        let binaries = binary.parent().context("the binary is in a folder")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let said = std::fs::File::create(&log)?;
        let mut child = Command::new("bash")
            .arg("-x")
            .arg(&file)
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", binaries.display()))
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let ended = wait_for("the script's end", DEADLINE, || {
            child.try_wait().ok().flatten()
        });
        let status = match ended {
            Ok(status) => status,
            Err(late) => {
                // It may end just now.
                let _ = child.kill();
                bail!("{late:#}\n{}", last_of(&log)?)
            }
        };
        ensure!(status.success(), "{status}\n{}", last_of(&log)?);
        Ok(())
    }
}

fn last_of(log: &Path) -> Result<String> {
    let log = std::fs::read(log)?;
    let text = String::from_utf8_lossy(&log).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(40)..].join("\n"))
}

/// The first of so many neighbouring ports that are free.
pub(crate) fn free_ports(count: u16) -> Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let seed = 10_000 + 200 * u16::try_from(std::process::id() % 40)?;
    let mut candidates = (0..40).map(|step| seed + 200 * step % 8_000);
    candidates
        .find(|first| (0..count).all(|step| free(first + step)))
        .context("free ports")
}

/// Some starts and waits for leases, or a flood that is held to its rate.
const DEADLINE: Duration = Duration::from_secs(240);
