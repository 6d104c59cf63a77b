//! A cluster of real processes for a test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use super::client::Client;
use super::{Run, command, rookery, server};

/// One node: its folder, and its process while it runs. Dropped, it is killed.
pub(crate) struct Node {
    dir: PathBuf,
    /// Where the others reach it.
    pub(crate) address: String,
    offset: u16,
    roles: String,
    peers: Vec<String>,
    /// More of the configuration, as `section.key=value`.
    pub(crate) more: Vec<String>,
    child: Option<Child>,
}

/// Nodes below one temporary folder.
pub(crate) struct Cluster {
    /// In the order in which they joined.
    pub(crate) nodes: Vec<Node>,
    // Goes last.
    root: tempfile::TempDir,
}

impl Cluster {
    /// A cluster of one node, which runs.
    pub(crate) fn init(name: &str) -> Self {
        Self::init_with(name, &[])
    }

    /// The same with more of the configuration, as `section.key=value`.
    pub(crate) fn init_with(name: &str, more: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut node = Node::new(root.path(), "n1", "control,router,connection");
        node.more = more.iter().map(|&text| text.to_owned()).collect();
        let dir = node.dir.to_str().expect("UTF-8").to_owned();
        let address = node.address.clone();
        rookery([
            "cluster",
            "init",
            "--dir",
            &dir,
            "--name",
            name,
            "--address",
            &address,
        ])
        .expect_success();
        let mut cluster = Self {
            root,
            nodes: vec![node],
        };
        cluster.nodes[0].start();
        cluster
    }

    /// A token that the first node makes.
    pub(crate) fn token(&self, roles: &str) -> String {
        let socket = self.nodes[0].socket();
        rookery([
            "cluster",
            "token",
            "--socket",
            &socket,
            "--roles",
            roles,
            "--expires",
            "5m",
        ])
        .expect_success()
        .trim()
        .to_owned()
    }

    /// A machine that has not joined.
    pub(crate) fn machine(&self, roles: &str) -> Node {
        let mut node = Node::new(self.root.path(), &format!("m{}", free_port()), roles);
        node.peers = vec![self.nodes[0].address.clone()];
        node
    }

    /// One more node, which runs.
    pub(crate) fn join(&mut self, roles: &str) {
        self.join_with(roles, &[]);
    }

    /// The same with more of the configuration, as `section.key=value`.
    pub(crate) fn join_with(&mut self, roles: &str, more: &[&str]) {
        let mut node = self.machine(roles);
        node.more = more.iter().map(|&text| text.to_owned()).collect();
        node.join(&self.token(roles)).expect_success();
        node.start();
        self.nodes.push(node);
    }

    /// The place of the leader among the nodes, as this node sees it.
    pub(crate) fn leader(&self, seen_by: usize) -> usize {
        let id = self.nodes[seen_by].control(&["leader"])["leader"].as_u64();
        usize::try_from(id.expect("an id")).expect("small") - 1
    }
}

impl Node {
    /// Makes an account, as soon as its shard is served.
    pub(crate) fn create_account(&self, jid: &str, password: &str) {
        let create = ["users", "create", jid, "--password", password];
        until(SERVED_MAX, "the shards are served", || {
            self.admin(&create).succeeded()
        });
    }

    /// What an admin command shows, as JSON.
    pub(crate) fn shown(&self, words: &[&str]) -> Value {
        let shown = self.admin(&[words, &["--json"]].concat()).expect_success();
        serde_json::from_str(&shown).expect("JSON")
    }

    /// A client of the node, over direct TLS.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.dir(), self.port(5223)).expect("it is let in")
    }

    /// What the node answers to a stranger who registers.
    pub(crate) fn register(&self, name: &str, password: &str) -> String {
        let mut client = self.client();
        client.send(&format!(
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
             <password>{password}</password></query></iq>"
        ));
        let begun = client.heard(">");
        match begun.ends_with("/>") {
            true => begun,
            false => begun + &client.heard("</iq>"),
        }
    }

    fn new(root: &Path, name: &str, roles: &str) -> Self {
        Self {
            dir: root.join(name),
            address: format!("127.0.0.1:{}", free_port()),
            offset: server::free_offset(),
            roles: roles.to_owned(),
            peers: Vec::new(),
            more: Vec::new(),
            child: None,
        }
    }

    /// Shows a token.
    pub(crate) fn join(&self, token: &str) -> Run {
        let dir = self.dir.to_str().expect("UTF-8");
        rookery([
            "cluster",
            "join",
            token,
            "--dir",
            dir,
            "--address",
            &self.address,
        ])
    }

    /// Starts its server and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let command = self.command();
        self.child = Some(server::until_ready(command));
    }

    /// Starts its server, which must not call itself ready: what it says goes to a file.
    pub(crate) fn start_unready(&mut self) {
        let said = std::fs::File::create(self.said()).expect("a file");
        let child = self.command().stdout(said).spawn();
        self.child = Some(child.expect("the program runs"));
    }

    /// Where it says what it has to say.
    pub(crate) fn said(&self) -> PathBuf {
        self.dir.with_extension("said")
    }

    /// Sends its server a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let id = i32::try_from(child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("it runs");
    }

    /// The command that runs its server; what it logs goes to a file.
    fn command(&self) -> Command {
        let roles: Vec<_> = self
            .roles
            .split(',')
            .map(|role| format!("{role:?}"))
            .collect();
        let peers: Vec<_> = self.peers.iter().map(|peer| format!("{peer:?}")).collect();
        let set = [
            ("server.roles", format!("[{}]", roles.join(", "))),
            ("cluster.listen", format!("[{:?}]", self.address)),
            ("cluster.address", self.address.clone()),
            ("cluster.peers", format!("[{}]", peers.join(", "))),
            ("log.filter", "info,raft=debug".to_owned()),
        ];
        let mut command = command();
        command.arg("dev").arg("--dir").arg(&self.dir);
        command.arg("--port-offset").arg(self.offset.to_string());
        for (key, value) in set {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        for text in &self.more {
            command.arg("--set").arg(text);
        }
        std::fs::create_dir_all(&self.dir).expect("a folder");
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.log());
        command.stderr(Stdio::from(log.expect("a log")));
        command
    }

    fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).expect("a log")
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("a child");
    }

    /// Waits for the end of its server, which comes by itself.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("it runs");
        child.wait().expect("a child")
    }

    /// One of its ports, by the number it has without an offset.
    pub(crate) fn port(&self, port: u16) -> u16 {
        port + self.offset
    }

    /// The first line of what its HTTP port answers for a path.
    pub(crate) fn http(&self, path: &str) -> String {
        server::http(self.port(5280), path)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// Runs its server, which ends by itself and never calls itself ready.
    pub(crate) fn refused(&self) -> std::process::ExitStatus {
        let mut command = self.command();
        let ended = command
            .stdout(Stdio::piped())
            .spawn()
            .and_then(Child::wait_with_output)
            .expect("the program runs");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(!said.lines().any(|line| line == "ready"), "{said}");
        ended.status
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn socket(&self) -> String {
        self.dir
            .join("admin.sock")
            .to_str()
            .expect("UTF-8")
            .to_owned()
    }

    /// `rookery admin` for it.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Run {
        let socket = self.socket();
        let first = ["admin", "--socket", &socket];
        rookery(first.into_iter().chain(arguments.iter().copied()))
    }

    /// `rookery cluster renew` for it.
    pub(crate) fn renew(&self, arguments: &[&str]) -> Run {
        self.beside(&["cluster", "renew"], arguments)
    }

    /// `rookery check` for it, as a connection node.
    pub(crate) fn check(&self) -> Run {
        let file = self.dir.join("rookery.toml");
        let text = "[server]\nhosts = [\"localhost\"]\nroles = [\"connection\"]\n";
        std::fs::write(&file, text).expect("a configuration");
        let listen = format!("cluster.listen=[{:?}]", self.address);
        let file = file.to_str().expect("UTF-8");
        let arguments = ["--config", file, "--set", &listen];
        self.beside(&["check", "--no-dns"], &arguments)
    }

    /// A command over its files.
    fn beside(&self, words: &[&str], arguments: &[&str]) -> Run {
        let peers: Vec<_> = self.peers.iter().map(|peer| format!("{peer:?}")).collect();
        let set = [
            format!("server.data_dir={}", self.dir.display()),
            format!("cluster.address={}", self.address),
            format!("cluster.peers=[{}]", peers.join(", ")),
        ];
        let set = set.iter().flat_map(|option| ["--set", option]);
        let words = words.iter().copied();
        rookery(words.chain(set).chain(arguments.iter().copied()))
    }

    /// `rookery admin control … --json`.
    pub(crate) fn control(&self, arguments: &[&str]) -> Value {
        let arguments = [&["control"], arguments, &["--json"]].concat();
        let shown = self.admin(&arguments).expect_success();
        serde_json::from_str(&shown).expect("JSON")
    }

    /// The ids of the voters, as it sees them.
    pub(crate) fn voters(&self) -> Vec<u64> {
        let shown = self.control(&["members"]);
        let members = shown["members"].as_array().expect("a list").iter();
        members
            .filter(|member| member["voter"] == true)
            .map(|member| member["id"].as_u64().expect("an id"))
            .collect()
    }
}

impl Drop for Node {
    #[expect(clippy::print_stdout, reason = "what a failed test has to say")]
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            println!("--- log of {}\n{log}", self.dir.display());
        }
    }
}

/// How soon a cluster that has just begun serves its shards.
const SERVED_MAX: Duration = Duration::from_secs(30);

/// Looks until there is what is wanted, for at most this long. Each look runs a program, which takes its time.
pub(crate) fn until(within: Duration, what: &str, mut look: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < within, "{what} within {within:?}");
    }
    begun.elapsed()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
