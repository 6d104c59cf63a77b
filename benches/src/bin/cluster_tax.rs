//! Question: how much more CPU does a message cost in three processes, one a role, over gRPC and mutual TLS, than in
//! one process that is a whole server?
//!
//! ```text
//! cargo build --release --workspace
//! target/release/cluster_tax --routers 1
//! ```
//!
//! All are started here, and stopped again: `rookery dev` and `cluster-tests up`, with an Apache Cassandra that has
//! nothing to do meanwhile. The same loadgen drives all in turn, so that a busy quarter of an hour hits all alike;
//! the CPU is that of all server processes together.
//!
//! What is the same? A process that is a whole server writes each message into its log before its sender hears of it,
//! for one kill would take all that is known of it. In a cluster two processes know it, and none writes. So the cluster
//! is compared with both: with the one that keeps the same promise, and with one that is told not to
//! (`router.deliver_durably`), which does the same work.
//!
//! With `--archived` every message is archived, by the cluster and by one process that uses the same database: what
//! the tax is where an archive is kept.
//!
//! Answer, on two shared cores: see the table in `deploy/SIZING.md`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Parser;
use rookery_benches::child::{Server, free_port, sibling};
use serde_json::Value;

/// The option by which every message is archived.
const ARCHIVED: &str = "archive.default=always";

/// Measures one process and a cluster with the same messages, in turn.
#[derive(Debug, Parser)]
struct Options {
    /// Routers of the cluster.
    #[arg(long, default_value_t = 1)]
    routers: u32,
    /// Connection nodes of the cluster.
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8.0)]
    duration: f64,
    /// How often to repeat all.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Archive every message, in one database for all.
    #[arg(long)]
    archived: bool,
    /// A folder that keeps the database's files.
    #[arg(long, default_value = ".check/cql")]
    cache: PathBuf,
}

/// Where messages go, and whose CPU counts.
struct Peer {
    name: &'static str,
    words: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let folder = std::env::temp_dir().join(format!("rookery-tax-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(&options, &folder);
    let down = cluster(&["down", "--dir"], &folder.join("cluster"));
    // Left-overs in the temporary folder harm nobody.
    let _ = std::fs::remove_dir_all(&folder);
    result.and(down)
}

fn measure(options: &Options, folder: &Path) -> anyhow::Result<()> {
    let (many, database) = many_processes(options, &folder.join("cluster"))?;
    let kinds = match options.archived {
        true => vec![Alone::Archives(database)],
        false => vec![Alone::Durable, Alone::Plain],
    };
    let alone = kinds.into_iter().map(|kind| one_process(folder, &kind));
    let alone = alone.collect::<anyhow::Result<Vec<_>>>()?;
    for round in 1..=options.rounds {
        for window in [10, 1] {
            let together = cpu_us(options, folder, &many, window)?;
            for (one, _server) in &alone {
                let single = cpu_us(options, folder, one, window)?;
                let times = together / single;
                say(&format!(
                    "round {round}, window {window:2}: {} {together:.2} µs, {} {single:.2} µs, {times:.2} times",
                    many.name, one.name,
                ))?;
            }
        }
    }
    Ok(())
}

/// What a whole server in one process does with a message.
enum Alone {
    /// Writes it before its sender hears of it.
    Durable,
    /// Keeps it in memory, as a cluster does.
    Plain,
    /// Archives it in the cluster's database, in a keyspace of its own.
    Archives(String),
}

impl Alone {
    fn name(&self) -> &'static str {
        match self {
            Self::Durable => "one process",
            Self::Plain => "one process that writes nothing",
            Self::Archives(_) => "one process with the same database",
        }
    }

    fn options(&self) -> Vec<String> {
        match self {
            Self::Durable => Vec::new(),
            Self::Plain => vec!["router.deliver_durably=false".to_owned()],
            Self::Archives(database) => vec![
                ARCHIVED.to_owned(),
                "router.deliver_durably=false".to_owned(),
                "store.backend=scylla".to_owned(),
                format!("scylla.nodes=[{database:?}]"),
                "scylla.copies=1".to_owned(),
                "scylla.keyspace=alone".to_owned(),
            ],
        }
    }
}

/// A whole server in one process, which is stopped when it is dropped.
fn one_process(folder: &Path, kind: &Alone) -> anyhow::Result<(Peer, Server)> {
    let port = free_port()?;
    let folder = folder.join(kind.name());
    let mut command = Command::new(sibling("rookery")?);
    command.args(["dev", "--unlimited", "--dir"]).arg(&folder);
    let network = [
        format!("connection.starttls=[\"127.0.0.1:{port}\"]"),
        "connection.direct_tls=[]".to_owned(),
        "http.listen=[]".to_owned(),
    ];
    for option in network.into_iter().chain(kind.options()) {
        command.args(["--set", &option]);
    }
    let server = Server::start(&mut command, port)?;
    let words = vec![
        format!("--target=127.0.0.1:{port}"),
        format!("--pid={}", server.pid()),
        format!("--ca={}", folder.join("tls/ca.pem").display()),
    ];
    let name = kind.name();
    Ok((Peer { name, words }, server))
}

/// A cluster, which `cluster-tests down` stops, and where its database listens.
fn many_processes(options: &Options, folder: &Path) -> anyhow::Result<(Peer, String)> {
    let number = |name: &str, count: u32| format!("--{name}={count}");
    let mut words = vec![
        "up".to_owned(),
        "--unlimited".to_owned(),
        number("controls", 1),
        number("routers", options.routers),
        number("connections", options.connections),
        format!("--cache={}", options.cache.display()),
    ];
    if options.archived {
        words.push(format!("--set={ARCHIVED}"));
    }
    words.push("--dir".to_owned());
    cluster(&words, folder)?;
    let record: Value = serde_json::from_slice(&std::fs::read(folder.join("cluster.json"))?)?;
    let processes = record["processes"]
        .as_array()
        .context("a list of processes")?;
    // The database is not ours.
    let ours = processes
        .iter()
        .filter(|process| !process["node"].is_null());
    let pids = ours.map(|process| format!("--pid={}", process["pid"]));
    let targets = record["targets"]
        .as_array()
        .context("a list of targets")?
        .iter();
    let targets = targets
        .filter_map(Value::as_str)
        .map(|target| format!("--target={target}"));
    let ca = record["ca"].as_str().context("a file of authorities")?;
    let words = targets.chain(pids).chain([format!("--ca={ca}")]).collect();
    let name = "cluster";
    Ok((Peer { name, words }, database_at(&record)?))
}

/// The address and port of the cluster's database, as its record says.
fn database_at(record: &Value) -> anyhow::Result<String> {
    let mut processes = record["processes"].as_array().into_iter().flatten();
    let database = processes
        .find(|process| process["node"].is_null())
        .context("a database")?;
    let address = database["address"].as_str().context("an address")?;
    let port = database["ports"]["cql"].as_u64().context("a port")?;
    Ok(format!("{address}:{port}"))
}

fn cluster<W: AsRef<std::ffi::OsStr>>(words: &[W], folder: &Path) -> anyhow::Result<()> {
    let status = Command::new(sibling("cluster-tests")?)
        .args(words)
        .arg(folder)
        .status()?;
    ensure!(status.success(), "cluster-tests ended with {status}");
    Ok(())
}

/// Microseconds of server CPU for one message.
fn cpu_us(options: &Options, folder: &Path, peer: &Peer, window: u32) -> anyhow::Result<f64> {
    let json = folder.join("report.json");
    let output = Command::new(sibling("loadgen")?)
        .args(["messages", "--register", "--pairs=50"])
        .arg(format!("--window={window}"))
        .arg(format!("--duration={}", options.duration))
        .args(&peer.words)
        .arg("--json")
        .arg(&json)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "loadgen against {}: {said}",
        peer.name
    );
    let report: Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    let cpu = report["server"]["cpu_us_per_operation"].as_f64();
    cpu.context("loadgen reports no CPU of the server")
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
