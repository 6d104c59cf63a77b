//! Question: what does a message, a login, an idle session cost Rookery, beside Debian's Prosody
//! and beside a bare TLS relay, on this machine, in these minutes?
//!
//! ```text
//! cargo build --release -p rookery-loadgen -p rookery-benches && ./rookery build
//! ./rookery dev --dir /tmp/r --port-offset 1000 --unlimited &
//! target/release/compare --rookery-port 6223 --rookery-pid $(cat /tmp/r/rookery.pid)
//! ```
//!
//! Relay and Prosody are started here and stopped again. All are driven by the same loadgen, in
//! turn, row by row, so that a busy quarter of an hour hits all alike; judge by the ratios. A p99
//! counts only when the two columns beside it (stolen time, cores busy with others) are near 0.
//!
//! Answer: run it; on a shared machine only the ratios of one run mean something.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Parser;
use rookery_benches::child::{Server, free_port, sibling};
use rookery_benches::prosody;
use serde_json::Value;

/// Measures relay, Rookery and Prosody with the same workloads, in turn.
#[derive(Debug, Parser)]
struct Options {
    /// Direct TLS port of a running Rookery (`dev`: 5223 + offset).
    #[arg(long, requires = "rookery_pid")]
    rookery_port: Option<u16>,
    /// Its process, may be repeated.
    #[arg(long)]
    rookery_pid: Vec<u32>,
    /// Leave Prosody out.
    #[arg(long)]
    without_prosody: bool,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    duration: f64,
    /// How often to repeat all; the table gives every run.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Idle sessions to hold.
    #[arg(long, default_value_t = 4000)]
    sessions: u32,
    /// Only messages.
    #[arg(long)]
    messages_only: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let folder = std::env::temp_dir().join(format!("rookery-compare-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = Bench::start(&options, &folder).and_then(|bench| bench.run(&options));
    // Left-overs in the temporary folder harm nobody.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

struct Bench<'a> {
    folder: &'a Path,
    loadgen: PathBuf,
    peers: Vec<Peer>,
    /// Stopped when dropped.
    _started: Vec<Server>,
}

struct Peer {
    name: &'static str,
    port: u16,
    pids: Vec<u32>,
}

impl<'a> Bench<'a> {
    fn start(options: &Options, folder: &'a Path) -> anyhow::Result<Self> {
        let mut started = Vec::new();
        let port = free_port()?;
        let relay = sibling("relay")?;
        started.push(Server::start(
            Command::new(relay).arg(format!("--port={port}")),
            port,
        )?);
        let mut peers = vec![Peer {
            name: "relay",
            port,
            pids: vec![started[0].pid()],
        }];
        if let Some(port) = options.rookery_port {
            peers.push(Peer {
                name: "rookery",
                port,
                pids: options.rookery_pid.clone(),
            });
        }
        if !options.without_prosody {
            let server = prosody::start(folder)?;
            let (port, pids) = (server.address.port(), vec![server.pid()]);
            peers.push(Peer {
                name: "prosody",
                port,
                pids,
            });
            started.push(server);
        }
        Ok(Self {
            folder,
            loadgen: sibling("loadgen")?,
            peers,
            _started: started,
        })
    }

    fn run(&self, options: &Options) -> anyhow::Result<()> {
        let duration = format!("--duration={}", options.duration);
        let timed = |extra: &[&str]| -> Vec<String> {
            extra
                .iter()
                .chain(&[duration.as_str(), "--register"])
                .map(|s| (*s).to_owned())
                .collect()
        };
        let idle = format!("--sessions={}", options.sessions);
        for round in 0..options.rounds {
            say(&format!("round {}", round + 1))?;
            self.question("messages, window 10", "messages", &timed(&["--window=10"]))?;
            self.question("messages, window 1", "messages", &timed(&["--window=1"]))?;
            self.question(
                "messages, 2,000 a second",
                "messages",
                &timed(&["--rate=2000"]),
            )?;
            if !options.messages_only {
                self.question("logins", "login", &timed(&["--concurrency=8"]))?;
                let held = [
                    idle.as_str(),
                    "--duration=1",
                    "--register",
                    "--per-account=10",
                ];
                self.question("idle sessions", "idle", &held.map(str::to_owned))?;
            }
        }
        Ok(())
    }

    /// One block of the table: the same work for each peer that can do it.
    fn question(&self, title: &str, workload: &str, arguments: &[String]) -> anyhow::Result<()> {
        say(&format!("\n{title}"))?;
        say(
            "           µs CPU/op  × relay     op/s    p50 ms    p99 ms  kB/session  steal %  others",
        )?;
        let mut relay_cpu = None;
        for peer in &self.peers {
            let workload = match (peer.name, workload) {
                ("relay", "messages") => "relay",
                ("relay", _) => continue,
                (_, workload) => workload,
            };
            let result = self.measure(peer, workload, arguments)?;
            let cpu = number(&result, "/server/cpu_us_per_operation");
            let relay = *relay_cpu.get_or_insert(cpu);
            let kind = if workload == "relay" || workload == "messages" {
                "message"
            } else {
                "login"
            };
            let ratio = if kind == "message" {
                cpu / relay
            } else {
                f64::NAN
            };
            say(&format!(
                "{:<10} {cpu:>10.2} {ratio:>8.2} {:>8.0} {:>9.3} {:>9.3} {:>11.2} {:>8.2} {:>7.2}{}",
                peer.name,
                number(&result, "/operations_per_second"),
                number(&result, &format!("/latency/{kind}/p50_ms")),
                number(&result, &format!("/latency/{kind}/p99_ms")),
                number(&result, "/server/rss_bytes_per_session") / 1e3,
                number(&result, "/machine/steal_percent"),
                number(&result, "/machine/others_cores"),
                if result["clean"] == Value::Bool(true) {
                    ""
                } else {
                    "  NOT CLEAN"
                },
            ))?;
        }
        Ok(())
    }

    fn measure(&self, peer: &Peer, workload: &str, arguments: &[String]) -> anyhow::Result<Value> {
        let file = self.folder.join("result.json");
        let mut command = Command::new(&self.loadgen);
        command
            .arg(workload)
            .args(["--tls=direct", "--insecure"])
            .args(arguments);
        command
            .arg(format!("--port={}", peer.port))
            .arg("--json")
            .arg(&file);
        command.args(peer.pids.iter().map(|pid| format!("--pid={pid}")));
        let done = command.output().context("cannot run loadgen")?;
        let complaint = String::from_utf8_lossy(&done.stderr);
        // 1 is "measured, not clean": the table says so.
        ensure!(
            matches!(done.status.code(), Some(0 | 1)),
            "{} {workload}: {complaint}",
            peer.name
        );
        serde_json::from_slice(&std::fs::read(&file)?).context("loadgen's result")
    }
}

fn number(result: &Value, pointer: &str) -> f64 {
    result
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
