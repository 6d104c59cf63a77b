//! A server of the test's own: `rookery dev` in a temporary folder, on free ports.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::suite::{Suite, wait_for};

/// How long a server may take to start or to stop.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where a server runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder for what it writes.
    pub(crate) folder: PathBuf,
    /// The file for what it complains of.
    pub(crate) log: PathBuf,
    /// Set in its environment.
    pub(crate) environment: Vec<(String, OsString)>,
}

/// A running server; dropped, it is killed.
pub(crate) struct Server {
    binary: PathBuf,
    place: Place,
    /// Removed when the last server of this folder is gone.
    _home: Option<TempDir>,
    offset: u16,
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts a server in a new folder and waits until it is ready.
    pub(crate) fn start(suite: &Suite, arguments: &[&str]) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let folder = home.path().join("data");
        let mut server = Self::start_in(suite, &folder, arguments)?;
        server._home = Some(home);
        Ok(server)
    }

    /// Starts a server in this folder.
    pub(crate) fn start_in(suite: &Suite, folder: &Path, arguments: &[&str]) -> Result<Self> {
        let place = Place {
            folder: folder.to_owned(),
            log: folder.with_extension("log"),
            environment: vec![],
        };
        Self::start_at(suite, place, arguments)
    }

    /// Starts a server there.
    pub(crate) fn start_at(suite: &Suite, place: Place, arguments: &[&str]) -> Result<Self> {
        let offset = free_offset()?;
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let binary = suite.rookery.clone();
        let child = launch(&binary, &place, offset, &arguments)?;
        Ok(Self {
            binary,
            place,
            _home: None,
            offset,
            arguments,
            child,
        })
    }

    /// Starts the server again, after [`kill`](Self::kill) or [`stop`](Self::stop), on the same ports and data.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.child = launch(&self.binary, &self.place, self.offset, &self.arguments)?;
        Ok(())
    }

    /// The same, with another environment or log.
    pub(crate) fn restart_at(&mut self, place: Place) -> Result<()> {
        self.place = place;
        self.restart()
    }

    /// SIGKILL: a crash.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The same, while others have the server in use; [`kill`](Self::kill) must follow.
    pub(crate) fn kill_in_use(&self) -> Result<()> {
        Ok(kill_process(self.pid_of_child()?, Signal::KILL)?)
    }

    /// SIGTERM: an orderly end, which must come by itself and with success.
    pub(crate) fn stop(&mut self) -> Result<()> {
        kill_process(self.pid_of_child()?, Signal::TERM)?;
        let status = wait_for("the server stops", DEADLINE, || {
            self.child.try_wait().ok().flatten()
        })?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    fn pid_of_child(&self) -> Result<Pid> {
        let raw = i32::try_from(self.child.id())?;
        Pid::from_raw(raw).context("a child has a process id")
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("VmRSS")?;
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .context("a number")?
            .parse()?;
        Ok(kib * 1024)
    }

    /// The STARTTLS port.
    pub(crate) fn starttls_port(&self) -> u16 {
        5222 + self.offset
    }

    /// The direct TLS port.
    pub(crate) fn direct_tls_port(&self) -> u16 {
        5223 + self.offset
    }

    /// The port for monitoring.
    pub(crate) fn http_port(&self) -> u16 {
        5280 + self.offset
    }

    /// The folder with everything that the server writes.
    pub(crate) fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// The certificate that clients must trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.place.folder.join("tls").join("ca.pem")
    }

    /// Runs an admin command and gives its output; fails when the command does.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary)
            .arg("admin")
            .arg("--socket")
            .arg(self.place.folder.join("admin.sock"))
            .args(arguments)
            .output()?;
        if !output.status.success() {
            bail!(
                "admin {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(binary: &Path, place: &Place, offset: u16, arguments: &[String]) -> Result<Child> {
    let environment = place.environment.iter();
    let mut child = Command::new(binary)
        .envs(environment.map(|(name, value)| (name, value)))
        .arg("dev")
        .arg("--dir")
        .arg(&place.folder)
        .arg("--port-offset")
        .arg(offset.to_string())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log_file(&place.log)?))
        .spawn()
        .with_context(|| format!("{} cannot be started", binary.display()))?;
    let stdout = child.stdout.take().context("the child's output is piped")?;
    let lines = reader(BufReader::new(stdout));
    let ready = wait_for("ready", DEADLINE, || match lines.try_recv() {
        Ok(line) if line == "ready" => Some(Ok(())),
        Ok(_) => None,
        Err(_) => match child.try_wait() {
            Ok(Some(status)) => Some(Err(status)),
            _ => None,
        },
    })?;
    if let Err(status) = ready {
        let log = std::fs::read_to_string(&place.log).unwrap_or_default();
        bail!("the server ended with {status}: {log}");
    }
    Ok(child)
}

fn log_file(path: &Path) -> Result<std::fs::File> {
    Ok(std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)?)
}

/// Reads lines in a thread of its own, so that a wait for one has a deadline, and so that the pipe never fills.
fn reader(mut stdout: impl BufRead + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(1000);
    std::thread::spawn(move || {
        let mut line = String::new();
        while matches!(stdout.read_line(&mut line), Ok(n) if n > 0) {
            // The test may have stopped listening; the pipe is still emptied.
            let _ = sender.try_send(line.trim_end().to_owned());
            line.clear();
        }
    });
    lines
}

/// An offset at which all ports of a server are free.
fn free_offset() -> Result<u16> {
    for _ in 0..100 {
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let Some(offset) = free.checked_sub(5222).filter(|offset| *offset < 60_000) else {
            continue;
        };
        let ports = [5222_u16, 5223, 5280].map(|port| port.checked_add(offset));
        let usable = |port: &Option<u16>| {
            port.is_some_and(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        };
        if ports.iter().all(usable) {
            return Ok(offset);
        }
    }
    bail!("found no free ports")
}
