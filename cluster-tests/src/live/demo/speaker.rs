//! The client's process, whose lines are taken down as they come.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use anyhow::{Context, Result};

use super::scene::Scene;
use crate::clients::script;

/// A client that runs; dropped, it is killed.
pub(super) struct Speaker {
    child: Child,
    input: ChildStdin,
}

/// What a client is started with.
pub(super) struct Part<'a> {
    /// Its account.
    pub(super) account: &'a str,
    /// The other's account.
    pub(super) peer: &'a str,
    /// The password of its account.
    pub(super) password: &'a str,
    /// The certificates that it trusts.
    pub(super) authorities: PathBuf,
    /// Where it connects, the first one first.
    pub(super) addresses: Vec<String>,
}

impl Part<'_> {
    /// slixmpp, with this Python.
    pub(super) fn slixmpp(&self, python: &Path) -> Command {
        let mut command = command(python);
        command.arg(script("demo.py"));
        command.args([self.account, self.password, self.peer]);
        command.arg(&self.authorities).args(&self.addresses);
        command
    }

    /// xmpp.js, of the node_modules of this folder; the script stands beside a link to them in `folder`, for Node looks
    /// for modules there.
    pub(super) fn xmpp_js(&self, npm: &Path, folder: &Path) -> Result<Command> {
        let modules = npm.join("node_modules");
        let modules = std::fs::canonicalize(&modules)
            .with_context(|| format!("{} is needed", modules.display()))?;
        std::os::unix::fs::symlink(modules, folder.join("node_modules"))?;
        let here = folder.join("demo.mjs");
        std::fs::copy(script("demo.mjs"), &here)?;
        let mut command = command(Path::new("node"));
        command.arg(here).args([self.account, self.password]);
        command.arg(self.peer).args(&self.addresses);
        command.env("NODE_EXTRA_CA_CERTS", &self.authorities);
        Ok(command)
    }
}

fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

impl Speaker {
    /// Starts it. What it says goes to the scene and, with the seconds since the beginning, to `log`; what it complains
    /// of goes beside that, to a file that ends with `.err`. When it ends, `ended` is told who did.
    pub(super) fn start(
        mut command: Command,
        who: usize,
        log: &Path,
        scene: &Arc<Scene>,
        ended: SyncSender<usize>,
    ) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log.with_extension("err"))?)
            .spawn()
            .context("a client cannot be started")?;
        let input = child.stdin.take().context("it has an input")?;
        let output = child.stdout.take().context("it has an output")?;
        let scene = scene.clone();
        let mut log = File::create(log)?;
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let at = scene.elapsed().as_secs_f32();
                // The tally does not need it.
                let _ = writeln!(log, "{at:8.3} {line}");
                match serde_json::from_str(&line) {
                    Ok(event) => scene.hear(who, event),
                    Err(_) => break,
                }
            }
            // Nobody listens once the demonstration is over.
            let _ = ended.try_send(who);
        });
        Ok(Self { child, input })
    }

    /// Tells it something.
    pub(super) fn tell(&mut self, word: &str) -> Result<()> {
        writeln!(self.input, "{word}").context("a client does not listen")
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
