//! The load generator beside a scenario, and what it reports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use crate::suite::{now, wait_for};

/// A load generator that runs; dropped, it is killed.
pub(crate) struct Load {
    child: Child,
    folder: PathBuf,
}

/// What a load generator found out, as far as scenarios judge it.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// Messages that were sent.
    pub(crate) sent: u64,
    /// Messages that arrived.
    pub(crate) received: u64,
    /// What went wrong with messages.
    pub(crate) faults: Faults,
    /// Messages that never came, and were under way when the connection of sender or recipient ended.
    pub(crate) in_doubt: u64,
    /// Operations that failed, by reason.
    pub(crate) failures: BTreeMap<String, u64>,
    /// How long operations took, by kind.
    pub(crate) latency: BTreeMap<String, Times>,
    /// What happened at each connection node.
    pub(crate) targets: BTreeMap<String, Target>,
    /// Facts of a workload.
    pub(crate) notes: BTreeMap<String, f64>,
}

/// Counts of messages.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Faults {
    /// Never arrived.
    pub(crate) lost: u64,
    /// Arrived more than once.
    pub(crate) doubled: u64,
    /// Arrived behind a later one.
    pub(crate) reordered: u64,
    /// Arrived from somebody else, or at somebody else.
    pub(crate) wrong_sender: u64,
    /// Arrived with another content.
    pub(crate) altered: u64,
    /// Came back as an error.
    pub(crate) bounced: u64,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Times {
    /// How many.
    pub(crate) count: u64,
    /// The median.
    pub(crate) p50_ms: f64,
    /// What one of a hundred exceeds.
    pub(crate) p99_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
}

/// What happened at one connection node.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    /// Operations.
    pub(crate) operations: u64,
    /// Sessions that ended without the client's doing.
    pub(crate) disconnects: u64,
    /// How long operations took.
    pub(crate) latency: Times,
}

impl Report {
    /// The longest time that an operation was late, in milliseconds: workloads with a rate count from when it was due.
    /// The time in which disconnected clients come back is another matter.
    pub(crate) fn longest_pause_ms(&self) -> f64 {
        let kinds = self.latency.iter().filter(|(kind, _)| *kind != "return");
        kinds.map(|(_, times)| times.max_ms).fold(0.0, f64::max)
    }
}

impl Load {
    /// Starts `words` (a workload and its options) against all connection nodes of a cluster, with its results and
    /// what it says in `folder`.
    pub(crate) fn start(
        loadgen: &Path,
        folder: &Path,
        cluster: &Cluster,
        words: &[&str],
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        // What an earlier load left must not be taken for this one's.
        for name in ["mark", "report.json"] {
            let _ = std::fs::remove_file(folder.join(name));
        }
        let output = std::fs::File::create(folder.join("output"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(loadgen);
        command.args(words).args(["--limit", LIMIT_SECONDS]);
        for target in cluster.targets() {
            command.args(["--target", &target]);
        }
        let child = command
            .arg("--ca")
            .arg(cluster.authorities())
            .arg("--mark")
            .arg(folder.join("mark"))
            .arg("--json")
            .arg(folder.join("report.json"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", loadgen.display()))?;
        Ok(Self {
            child,
            folder: folder.to_owned(),
        })
    }

    /// Waits until everybody is connected, and the load is what it will be.
    pub(crate) fn wait_until_measuring(&mut self) -> Result<()> {
        let begun = wait_for("the load", MEASURING_MAX, || {
            if self.folder.join("mark").exists() {
                return Some(true);
            }
            self.child.try_wait().ok().flatten().map(|_| false)
        })?;
        if !begun {
            bail!("the load generator could not begin: {}", self.said());
        }
        Ok(())
    }

    /// Whether it is over by then.
    pub(crate) fn ends_within(&mut self, time: Duration) -> Result<bool> {
        let until = now() + time;
        wait_for("a moment", time * 2, || match self.child.try_wait() {
            Ok(Some(_)) | Err(_) => Some(true),
            Ok(None) => (now() >= until).then_some(false),
        })
    }

    /// Waits for its end and gives its report, whatever that says.
    pub(crate) fn finish(mut self) -> Result<Report> {
        let status = wait_for("the load's end", END_MAX, || {
            self.child.try_wait().ok().flatten()
        })?;
        // 1 says that the report is not clean, which is for the scenario to judge.
        if !matches!(status.code(), Some(0 | 1)) {
            bail!("the load generator ended with {status}: {}", self.said());
        }
        let text = std::fs::read_to_string(self.folder.join("report.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("output")).unwrap_or_default()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hundreds of accounts are registered first.
const MEASURING_MAX: Duration = Duration::from_secs(120);
/// The longest takes ten minutes.
const LIMIT_SECONDS: &str = "900";
const END_MAX: Duration = Duration::from_secs(900);
