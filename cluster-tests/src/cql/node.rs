//! One node of the database: a process, its settings, its log.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::java;
use crate::live::process::Life;

/// A node; dropped, it is killed, unless it was [released](Self::release).
pub(super) struct Node {
    jars: PathBuf,
    folder: PathBuf,
    life: Life,
    child: Child,
    released: bool,
}

impl Node {
    /// Starts the node at one of all addresses, with an empty disk.
    pub(super) fn start(
        jars: &Path,
        folder: PathBuf,
        (index, addresses): (usize, &[IpAddr]),
        port: u16,
        life: Life,
    ) -> Result<Self> {
        for name in ["tmp", "triggers"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        std::fs::write(folder.join("logback.xml"), LOGBACK)?;
        std::fs::write(
            folder.join("cassandra.yaml"),
            settings(index, addresses, port)?,
        )?;
        let child = launch(jars, &folder, life)?;
        let jars = jars.to_owned();
        Ok(Self {
            jars,
            folder,
            life,
            child,
            released: false,
        })
    }

    /// Starts the process again.
    pub(super) fn launch(&mut self) -> Result<()> {
        self.child = launch(&self.jars, &self.folder, self.life)?;
        Ok(())
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it live on.
    pub(super) fn release(mut self) {
        self.released = true;
    }

    /// SIGKILL: a crash.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let raw = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(raw).context("a child has a process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// How it ended by itself, if it did. Whoever was killed by a test has not.
    pub(super) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        if status.signal() == Some(Signal::KILL.as_raw()) {
            return None;
        }
        let log = self.log();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Some(format!("ended with {status}:\n{}", tail.join("\n")))
    }

    /// Whether it answers and holds all `others` for up, as its log says.
    pub(super) fn is_ready(&self, others: &[String]) -> bool {
        let log = self.log();
        let is_up = |other: &String| {
            let of_other = format!("/{other}:");
            let mut news = log.lines().rev().filter(|line| line.contains(&of_other));
            let last = news.find(|line| line.contains("now UP") || line.contains("now DOWN"));
            last.is_some_and(|line| line.contains("now UP"))
        };
        log.contains("Starting listening for CQL clients") && others.iter().all(is_up)
    }

    /// The file that it logs to.
    pub(super) fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(index: usize, addresses: &[IpAddr], port: u16) -> Result<String> {
    let step = i128::from(u64::MAX) / addresses.len() as i128;
    let token = i128::from(i64::MIN + 1) + index as i128 * step;
    let seeds: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let address = seeds.get(index).context("a node has an address")?;
    let values = [
        ("{TOKEN}", token.to_string()),
        ("{SEEDS}", seeds.join(",")),
        ("{ADDRESS}", address.clone()),
        ("{RING_PORT}", (port + 1).to_string()),
        ("{PORT}", port.to_string()),
    ];
    let replace = |text: String, (name, value): (&str, String)| text.replace(name, &value);
    Ok(values.into_iter().fold(SETTINGS.to_owned(), replace))
}

/// The process may not lock memory, which would more than double what it takes.
fn launch(jars: &Path, folder: &Path, life: Life) -> Result<Child> {
    let log = File::create(folder.join("log"))?;
    let shown = folder.display();
    let agent = std::fs::read_dir(jars)?
        .flatten()
        .map(|file| file.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("jamm-"))
        })
        .context("jamm is among the jars")?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -l 0; exec \"$@\"", "sh"]);
    command.args(life.wrapper());
    if rustix::process::geteuid().is_root() {
        command.args([
            "setpriv",
            "--inh-caps=-ipc_lock",
            "--bounding-set=-ipc_lock",
        ]);
    }
    if life == Life::OnItsOwn {
        command.process_group(0);
    }
    command.arg(java::path()).args(INSIDE.split_whitespace());
    command
        .arg(format!("-javaagent:{}", agent.display()))
        .args(MACHINE.split_whitespace());
    for (name, value) in [
        ("java.io.tmpdir", format!("{shown}/tmp")),
        ("jna.tmpdir", format!("{shown}/tmp")),
        ("logback.configurationFile", format!("{shown}/logback.xml")),
        ("cassandra.config", format!("file://{shown}/cassandra.yaml")),
        ("cassandra.storagedir", shown.to_string()),
        ("cassandra.triggers_dir", format!("{shown}/triggers")),
    ] {
        command.arg(format!("-D{name}={value}"));
    }
    command
        .arg("-cp")
        .arg(format!("{}/*", jars.display()))
        .arg("org.apache.cassandra.service.CassandraDaemon")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("the database cannot be started")
}

const SETTINGS: &str = include_str!("../../cassandra/cassandra.yaml");
const LOGBACK: &str = include_str!("../../cassandra/logback.xml");

/// A small heap, and only the first compiler: a test's database never lives long enough to earn back the second.
const MACHINE: &str = "-Xms448m -Xmx448m -Xss256k -XX:MaxDirectMemorySize=256m -XX:+UseSerialGC \
    -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError -XX:+PerfDisableSharedMem \
    -Djdk.attach.allowAttachSelf=true -Djava.net.preferIPv4Stack=true \
    -Dio.netty.tryReflectionSetAccessible=true -Dio.netty.allocator.maxOrder=11 \
    -Dcassandra-foreground=yes -Dcassandra.ring_delay_ms=1000 \
    -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.superuser_setup_delay_ms=0";

/// What the database needs of the JDK's inside.
const INSIDE: &str = "--add-exports java.base/jdk.internal.misc=ALL-UNNAMED \
    --add-exports java.base/java.lang.ref=ALL-UNNAMED \
    --add-exports java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED \
    --add-exports java.rmi/sun.rmi.registry=ALL-UNNAMED \
    --add-exports java.rmi/sun.rmi.server=ALL-UNNAMED \
    --add-exports java.sql/java.sql=ALL-UNNAMED \
    --add-exports jdk.unsupported/sun.misc=ALL-UNNAMED \
    --add-opens java.base/java.io=ALL-UNNAMED \
    --add-opens java.base/java.lang=ALL-UNNAMED \
    --add-opens java.base/java.lang.module=ALL-UNNAMED \
    --add-opens java.base/java.lang.reflect=ALL-UNNAMED \
    --add-opens java.base/java.net=ALL-UNNAMED \
    --add-opens java.base/java.nio=ALL-UNNAMED \
    --add-opens java.base/java.util=ALL-UNNAMED \
    --add-opens java.base/sun.nio.ch=ALL-UNNAMED \
    --add-opens java.base/jdk.internal.loader=ALL-UNNAMED \
    --add-opens java.base/jdk.internal.math=ALL-UNNAMED \
    --add-opens java.base/jdk.internal.module=ALL-UNNAMED \
    --add-opens java.base/jdk.internal.ref=ALL-UNNAMED \
    --add-opens java.base/jdk.internal.reflect=ALL-UNNAMED \
    --add-opens java.base/jdk.internal.util.jar=ALL-UNNAMED \
    --add-opens jdk.management/com.sun.management.internal=ALL-UNNAMED";
