//! A process that is started here: its output, its end, and how it is found again by a later command.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal,
};
use serde::{Deserialize, Serialize};

use crate::suite::wait_for;

/// Whether a process ends with the one that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It is killed when this process ends, however that comes.
    WithThis,
    /// It goes on, also when the terminal is gone, until somebody stops it.
    OnItsOwn,
}

impl Life {
    /// The beginning of a command line that lives so.
    pub(crate) fn wrapper(self) -> &'static [&'static str] {
        match self {
            Self::WithThis => &["setpriv", "--pdeathsig", "KILL"],
            Self::OnItsOwn => &[],
        }
    }
}

/// A process; dropped, it is killed, unless it was [released](Self::release).
pub(crate) struct Process {
    child: Option<Child>,
    log: PathBuf,
    output: PathBuf,
}

impl Process {
    /// Starts `words` (a program and its arguments). Its standard error is appended to `log`, and its standard output
    /// replaces what is in the file beside it that ends with `.out`.
    pub(crate) fn start(life: Life, words: &[String], log: &Path) -> Result<Self> {
        let wrapper = life.wrapper().iter().map(ToString::to_string);
        let all: Vec<String> = wrapper.chain(words.iter().cloned()).collect();
        let (program, arguments) = all.split_first().context("a program")?;
        let output = log.with_extension("out");
        let errors = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(errors);
        if life == Life::OnItsOwn {
            // What the terminal sends to its foreground is not meant for it.
            command.process_group(0);
        }
        let child = command
            .spawn()
            .with_context(|| format!("{program} cannot be started"))?;
        Ok(Self {
            child: Some(child),
            log: log.to_owned(),
            output,
        })
    }

    /// Waits until its output has a line that is `line`, for at most `within`; fails as soon as it ends.
    pub(crate) fn wait_for_line(&mut self, line: &str, within: Duration) -> Result<()> {
        let output = self.output.clone();
        let child = self.child()?;
        let said = wait_for(line, within, || {
            let text = std::fs::read_to_string(&output).unwrap_or_default();
            if text.lines().any(|it| it == line) {
                return Some(Ok(()));
            }
            child.try_wait().ok().flatten().map(Err)
        });
        let said = said.with_context(|| self.tail())?;
        said.or_else(|status| bail!("ended with {status}: {}", self.tail()))
    }

    /// SIGKILL: a crash.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let child = self.child()?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM: an orderly end, which must come in time and with success.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let child = self.child()?;
        let status = wait_for("the process stops", STOP_MAX, || {
            child.try_wait().ok().flatten()
        })?;
        ensure!(status.success(), "it ended with {status}: {}", self.tail());
        Ok(())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let raw = i32::try_from(self.pid()?)?;
        let pid = Pid::from_raw(raw).context("a child has a process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("it was released")?.id())
    }

    /// Lets it live on when this is dropped.
    pub(crate) fn release(&mut self) {
        self.child = None;
    }

    fn child(&mut self) -> Result<&mut Child> {
        self.child.as_mut().context("it was released")
    }

    /// The last lines of its log.
    pub(crate) fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines: Vec<&str> = log.lines().rev().take(15).collect();
        lines.reverse();
        lines.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What tells a process from a later one that was given the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The process id.
    pub(crate) pid: u32,
    /// When it started, in the kernel's ticks since the boot.
    pub(crate) started_ticks: u64,
    /// Which boot of the machine that was.
    pub(crate) boot: String,
}

impl Identity {
    /// Of a process that runs.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is a name in parentheses, which may have anything in it.
        let (_, fields) = stat.rsplit_once(')').context("a process has a name")?;
        let started = fields.split_whitespace().nth(STARTED_FIELD - 3);
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Self {
            pid,
            started_ticks: started.context("a process has a start")?.parse()?,
            boot: boot.trim().to_owned(),
        })
    }

    /// Ends the process if it is still this one: SIGTERM, and SIGKILL if that is not enough within the time. Gives
    /// whether there was something to end.
    pub(crate) fn end(&self, within: Duration) -> Result<bool> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?).context("a process id")?;
        // The descriptor is for the process that is there now, so that what is checked is what is ended.
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(false);
        };
        if Self::of(self.pid).ok().as_ref() != Some(self) {
            return Ok(false);
        }
        pidfd_send_signal(&descriptor, Signal::TERM)?;
        // A process that was stopped takes the signal when it goes on.
        pidfd_send_signal(&descriptor, Signal::CONT)?;
        if wait_for("its end", within, || self.has_ended()).is_err() {
            pidfd_send_signal(&descriptor, Signal::KILL)?;
            wait_for("its end", within, || self.has_ended())?;
        }
        Ok(true)
    }

    fn has_ended(&self) -> Option<()> {
        // Where this process started it, it stays in the table until it is asked for.
        if let Some(pid) = Pid::from_raw(i32::try_from(self.pid).ok()?) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let _ = rustix::process::waitid(WaitId::Pid(pid), options);
        }
        (Self::of(self.pid).ok().as_ref() != Some(self)).then_some(())
    }
}

/// An orderly end waits for clients, and for what is to be written.
const STOP_MAX: Duration = Duration::from_secs(20);

/// The place of the start in `/proc/PID/stat`, as proc_pid_stat(5) counts.
const STARTED_FIELD: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> Process {
        let words = ["sleep", "60"].map(str::to_owned);
        Process::start(Life::WithThis, &words, &folder.join("log")).unwrap()
    }

    #[test]
    fn a_process_is_ended_by_its_identity_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        let identity = Identity::of(process.pid().unwrap()).unwrap();
        process.release();
        assert!(identity.end(Duration::from_secs(10)).unwrap());
        assert!(!identity.end(Duration::from_secs(10)).unwrap());
    }

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        let mut identity = Identity::of(process.pid().unwrap()).unwrap();
        identity.started_ticks -= 1;
        assert!(!identity.end(Duration::from_secs(10)).unwrap());
        identity.started_ticks += 1;
        assert_eq!(Identity::of(process.pid().unwrap()).unwrap(), identity);
    }

    #[test]
    fn what_a_process_says_is_waited_for_and_its_end_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "echo ready; echo broken >&2; exit 3"].map(str::to_owned);
        let log = folder.path().join("log");
        let mut process = Process::start(Life::WithThis, &words, &log).unwrap();
        process
            .wait_for_line("ready", Duration::from_secs(10))
            .unwrap();
        let told = process.wait_for_line("never", Duration::from_secs(10));
        let told = told.unwrap_err().to_string();
        assert!(
            told.contains("exit status: 3") && told.contains("broken"),
            "{told}"
        );
    }
}
