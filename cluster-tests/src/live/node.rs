//! One node of a cluster: its folder, its ports, its process.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::ports;
use super::process::{Life, Process};
use super::record::Ports;
use crate::suite::say;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// A member of the control group.
    Control,
    /// Serves shards.
    Router,
    /// Holds the clients' connections.
    Connection,
}

impl Role {
    /// As configuration and certificates write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Router => "router",
            Self::Connection => "connection",
        }
    }
}

/// What all nodes of a cluster have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The server's binary.
    pub(crate) rookery: PathBuf,
    /// Whether rate limits and throttles are lifted.
    pub(crate) unlimited: bool,
    /// Options of the configuration, `section.key=value`.
    pub(crate) options: Vec<String>,
    /// How long processes live.
    pub(crate) life: Life,
    /// Whether somebody at a terminal waits for the cluster, and wants to know for what.
    pub(crate) tells: bool,
}

impl Settings {
    /// Says what is waited for.
    pub(crate) fn tell(&self, what: &str) {
        if self.tells {
            say(what);
        }
    }
}

/// Where a node runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The address of its ports.
    pub(crate) address: IpAddr,
    /// The network namespace, if it is not this process's.
    pub(crate) namespace: Option<String>,
}

impl Place {
    /// On loopback, where this process is.
    pub(crate) fn loopback() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            namespace: None,
        }
    }
}

/// A node, which may run.
pub(crate) struct Node {
    /// Its name in this cluster, as `router2`.
    pub(crate) name: String,
    /// What it does.
    pub(crate) role: Role,
    /// Its id in the cluster.
    pub(crate) id: u64,
    /// Where it runs.
    pub(crate) place: Place,
    /// Where it listens.
    pub(crate) ports: Ports,
    folder: PathBuf,
    peers: Vec<String>,
    process: Option<Process>,
}

impl Node {
    /// A machine that is in no cluster yet, with its folder below `root`.
    pub(crate) fn new(root: &Path, name: String, role: Role, place: Place) -> Result<Self> {
        let folder = root.join(&name);
        std::fs::create_dir_all(&folder)?;
        let free = || match place.namespace {
            Some(_) => Ok(ports::next()),
            None => ports::free(place.address),
        };
        let connects = role == Role::Connection;
        let ports = Ports {
            starttls: connects.then(free).transpose()?,
            direct_tls: connects.then(free).transpose()?,
            http: Some(free()?),
            cluster: Some(free()?),
            cql: None,
        };
        Ok(Self {
            name,
            role,
            id: 0,
            place,
            ports,
            folder,
            peers: Vec::new(),
            process: None,
        })
    }

    /// `rookery cluster init`: this node is the first.
    pub(crate) fn init(&mut self, settings: &Settings, cluster: &str) -> Result<()> {
        let told = self.tool(settings, &["cluster", "init", "--name", cluster])?;
        self.joined(&told)
    }

    /// `rookery cluster join`: this node is one more.
    pub(crate) fn join(
        &mut self,
        settings: &Settings,
        token: &str,
        peers: &[String],
    ) -> Result<()> {
        self.peers = peers.to_vec();
        let told = self.tool(settings, &["cluster", "join", token])?;
        self.joined(&told)
    }

    fn tool(&self, settings: &Settings, words: &[&str]) -> Result<String> {
        let (folder, address) = (self.folder.display().to_string(), self.cluster_address());
        let mut all = self.within_namespace();
        all.push(settings.rookery.display().to_string());
        all.extend(words.iter().map(ToString::to_string));
        all.extend(["--dir".to_owned(), folder, "--address".to_owned(), address]);
        run(&all)
    }

    fn joined(&mut self, told: &str) -> Result<()> {
        let id = told
            .strip_prefix("node ")
            .and_then(|rest| rest.split_whitespace().next());
        self.id = id.context("the id of the new node")?.parse()?;
        Ok(())
    }

    /// Starts its process and waits until it is ready.
    pub(crate) fn start(&mut self, settings: &Settings) -> Result<()> {
        self.launch(settings)?;
        self.wait_until_ready()
    }

    /// Starts its process.
    pub(crate) fn launch(&mut self, settings: &Settings) -> Result<()> {
        let words = self.command(settings);
        self.process = Some(Process::start(settings.life, &words, &self.log())?);
        Ok(())
    }

    /// Waits until it is ready.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let name = self.name.clone();
        let process = self.process()?;
        process
            .wait_for_line("ready", READY_MAX)
            .with_context(|| name)
    }

    fn command(&self, settings: &Settings) -> Vec<String> {
        let mut words = self.within_namespace();
        let folder = self.folder.display().to_string();
        words.extend([
            settings.rookery.display().to_string(),
            "dev".to_owned(),
            "--dir".to_owned(),
            folder,
        ]);
        if settings.unlimited {
            words.push("--unlimited".to_owned());
        }
        let at = |port: Option<u16>| match port {
            Some(port) => format!("[\"{}:{port}\"]", self.place.address),
            None => "[]".to_owned(),
        };
        let own = [
            format!("server.roles=[{:?}]", self.role.name()),
            format!("connection.starttls={}", at(self.ports.starttls)),
            format!("connection.direct_tls={}", at(self.ports.direct_tls)),
            format!("http.listen={}", at(self.ports.http)),
            format!("cluster.listen={}", at(self.ports.cluster)),
            format!("cluster.address={}", self.cluster_address()),
            format!("cluster.peers={:?}", self.peers),
            "log.filter=info".to_owned(),
        ];
        for option in own.iter().chain(&settings.options) {
            words.extend(["--set".to_owned(), option.clone()]);
        }
        words
    }

    fn within_namespace(&self) -> Vec<String> {
        match &self.place.namespace {
            Some(name) => ["ip", "netns", "exec", name].map(str::to_owned).to_vec(),
            None => Vec::new(),
        }
    }

    /// Its process.
    pub(crate) fn process(&mut self) -> Result<&mut Process> {
        self.process
            .as_mut()
            .with_context(|| format!("{} was not started", self.name))
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        let process = self.process.as_ref();
        process
            .with_context(|| format!("{} was not started", self.name))?
            .pid()
    }

    /// Where the other nodes reach it.
    pub(crate) fn cluster_address(&self) -> String {
        format!(
            "{}:{}",
            self.place.address,
            self.ports.cluster.unwrap_or_default()
        )
    }

    /// Where clients reach it, if it takes any.
    pub(crate) fn client_address(&self) -> Option<String> {
        let port = self.ports.starttls?;
        Some(format!("{}:{port}", self.place.address))
    }

    /// The authority of its certificates for clients.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("tls").join("ca.pem")
    }

    /// What it logs.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.with_extension("log")
    }

    /// Its admin socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// Its name, and what it logged last.
    pub(crate) fn trouble(&self) -> String {
        let process = self.process.as_ref();
        let log = process.map(Process::tail).unwrap_or_default();
        format!("{}, which logged last:\n{log}\n", self.name)
    }

    /// Whether it says that all it needs is there.
    pub(crate) fn is_ready(&self) -> Result<bool> {
        let port = self.ports.http.context("each node has an http port")?;
        let mut stream = TcpStream::connect((self.place.address, port))?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    }

    /// `rookery admin` for it; gives what it prints, or fails as it does.
    pub(crate) fn admin(&self, settings: &Settings, words: &[&str]) -> Result<String> {
        let socket = self.socket().display().to_string();
        let mut all = vec![settings.rookery.display().to_string()];
        let group = if words.first() == Some(&"cluster") {
            [words[0], words[1], "--socket", &socket].to_vec()
        } else {
            ["admin", "--socket", &socket].to_vec()
        };
        let rest = &words[if group[0] == "cluster" { 2 } else { 0 }..];
        all.extend(group.iter().chain(rest).map(ToString::to_string));
        run(&all)
    }

    /// `rookery admin … --json` for it.
    pub(crate) fn ask(&self, settings: &Settings, words: &[&str]) -> Result<Value> {
        let words = [words, &["--json"]].concat();
        Ok(serde_json::from_str(&self.admin(settings, &words)?)?)
    }
}

/// Runs a command to its end and gives what it printed.
pub(crate) fn run(words: &[String]) -> Result<String> {
    let (program, arguments) = words.split_first().context("a program")?;
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}: {}", words.join(" "), output.status, errors.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// What is asked may have to wait for the database.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A start waits for the database and for the control group.
const READY_MAX: Duration = Duration::from_secs(60);
