//! The sections that belong to the node itself: the server, its log, its admin API, its HTTP port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rookery_control::ShardPolicy;
use rookery_proto::PROTOCOL;
use serde::{Deserialize, Serialize};

rookery_xmpp::options! {
    /// The server as a whole.
    pub struct ServerOptions {
        /// The virtual hosts: the domains of the accounts that live here. At least one. Each needs
        /// a certificate under `tls.certificates`.
        pub hosts: Vec<String> = Vec::new(), "";
        /// The folder that holds everything the server writes. One server a folder; it is created
        /// with access for its owner only.
        pub data_dir: PathBuf = PathBuf::from("/var/lib/rookery"), "";
        /// What this process does: `connection` holds the clients' sockets, `router` the accounts,
        /// `control` the decisions of the whole cluster. A single server does all three.
        pub roles: Vec<Role> = vec![Role::Connection, Role::Router, Role::Control], "";
        /// The number of this node, part of every session's id. In a cluster the certificate says
        /// it, and this number is passed over.
        pub node: u32 = 1, "";
        /// Accounts whose owners operate the server. They are told to the modules that ask who may
        /// do what.
        pub admins: Vec<String> = Vec::new(), "";
        /// Threads that serve clients and accounts; 0 takes one for every two cores, for the rest
        /// of a core's time goes to the kernel's network work.
        pub arbiters: u32 = 0, "threads";
        /// Where the process id is written; empty for `rookery.pid` in the data folder.
        pub pid_file: PathBuf = PathBuf::new(), "";
    }
}

rookery_xmpp::options! {
    /// What is logged, and how.
    pub struct LogOptions {
        /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, also by part of the server
        /// as in `info,rookery_router=debug`. The admin API changes it while the server runs.
        pub filter: String = "info".to_owned(), "";
        /// `human` for terminals and the journal, `json` for log collectors: one object a line.
        pub format: LogFormat = LogFormat::Human, "";
    }
}

rookery_xmpp::options! {
    /// The operator's API (gRPC).
    pub struct AdminOptions {
        /// The Unix socket, for its owner and root only; empty for `admin.sock` in the data folder.
        pub socket: PathBuf = PathBuf::new(), "";
        /// Addresses for operators on other machines, of which `[::]` stands for IPv6 alone. They need the three files
        /// below: both sides show certificates.
        pub listen: Vec<SocketAddr> = Vec::new(), "";
        /// The certificate chain shown to operators on TCP, a PEM file.
        pub certificate: PathBuf = PathBuf::new(), "";
        /// Its private key, a PEM file.
        pub key: PathBuf = PathBuf::new(), "";
        /// The certificates that issue operators' certificates, a PEM file. Nobody else gets
        /// through.
        pub client_ca: PathBuf = PathBuf::new(), "";
        /// Names (a DNS name, or the common name) in the certificates of those who may do
        /// everything over TCP.
        pub operators: Vec<String> = Vec::new(), "";
        /// Names in the certificates of those who may only look, such as a dashboard. Whoever is on
        /// neither list is refused, for a certificate says who somebody is and not what they may
        /// do.
        pub observers: Vec<String> = Vec::new(), "";
        /// How long one call may wait for the shards, the store and the control group. Longer than
        /// the slowest of them (a control group that elects a leader, a database that does not
        /// answer).
        pub answer_ms_max: u64 = 20_000, "ms";
    }
}

rookery_xmpp::options! {
    /// The HTTP port: `/metrics` for Prometheus, `/healthz`, `/readyz`. It has no access control,
    /// so it listens on loopback unless told otherwise.
    pub struct HttpOptions {
        /// Addresses, of which `[::]` stands for IPv6 alone; an empty list switches the port off.
        pub listen: Vec<SocketAddr> =
            vec![(Ipv4Addr::LOCALHOST, 5280).into(), (Ipv6Addr::LOCALHOST, 5280).into()], "";
    }
}

rookery_xmpp::options! {
    /// The node's part in a cluster. Without it the server is alone and opens no internal port.
    pub struct ClusterOptions {
        /// Addresses of the internal port, on which the nodes talk to one another over mutual TLS, of which `[::]`
        /// stands for IPv6 alone; an empty list for a server that is alone. Keep it closed to the world all the same.
        pub listen: Vec<SocketAddr> = Vec::new(), "";
        /// Where the other nodes reach this one, as `host:port`. It may differ from what is
        /// listened on, behind a translation of addresses or a name.
        pub address: String = String::new(), "";
        /// Members of the control group to ask first, as `host:port`: a node that was away cannot
        /// know where the others have gone. `rookery cluster join` says which.
        pub peers: Vec<String> = Vec::new(), "";
        /// The node's certificate, a PEM file; empty for the one that `rookery cluster` put into the
        /// data folder. It says which node this is and which roles it may hold.
        pub certificate: PathBuf = PathBuf::new(), "";
        /// Its private key, a PEM file; empty for the one in the data folder.
        pub key: PathBuf = PathBuf::new(), "";
        /// The cluster's authority, a PEM file; empty for the one in the data folder. Whoever it has
        /// not signed is refused. All three files are read again at each reload.
        pub ca: PathBuf = PathBuf::new(), "";
        /// The newest version of the protocol to speak with other nodes. Lower than its default it
        /// holds the node back in an upgrade: no other node comes to need what an older build does
        /// not know, so the upgrade can be undone. `link.version` does the same for stanzas.
        pub protocol_max: u32 = PROTOCOL, "";
        /// How long a router may serve its shards without word from the control group, and others
        /// wait for one that is gone. Shorter leases cost more entries of the log.
        pub lease_ms: u64 = 5_000, "ms";
        /// How long the control group waits on top: what two clocks may drift apart over a lease.
        pub lease_margin_ms: u64 = 500, "ms";
        /// Shards that move from one living router to another at once.
        pub shard_moves_max: u16 = 16, "shards";
        /// Clients of a node that is drained are sent away in waves: how many at once. Each logs in at
        /// another node, which must bear it.
        pub drain_wave_clients: u32 = 200, "clients";
        /// How long to wait before the next wave of clients is sent away.
        pub drain_wave_ms: u64 = 1_000, "ms";
    }
}

impl ClusterOptions {
    /// What the control group is told of a cluster of so many shards.
    pub fn shard_policy(&self, shards: u16) -> ShardPolicy {
        ShardPolicy {
            shards,
            lease_ms: self.lease_ms,
            margin_ms: self.lease_margin_ms,
            moves_max: self.shard_moves_max,
        }
    }
}

/// What a process does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds the clients' sockets.
    Connection,
    /// Owns accounts.
    Router,
    /// Takes part in the decisions of the whole cluster.
    Control,
}

impl Role {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Router => "router",
            Self::Control => "control",
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl ServerOptions {
    /// Whether the process has this role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// How many threads serve clients and accounts, the 0 of the configuration resolved.
    pub fn arbiters(&self) -> usize {
        if self.arbiters > 0 {
            return self.arbiters as usize;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / 2).max(1)
    }

    /// Where the process id is written.
    pub fn pid_file(&self) -> PathBuf {
        or_in(&self.pid_file, &self.data_dir, "rookery.pid")
    }
}

impl AdminOptions {
    /// Where the Unix socket lies.
    pub fn socket(&self, server: &ServerOptions) -> PathBuf {
        or_in(&self.socket, &server.data_dir, "admin.sock")
    }
}

fn or_in(given: &Path, dir: &Path, name: &str) -> PathBuf {
    if given.as_os_str().is_empty() {
        dir.join(name)
    } else {
        given.to_owned()
    }
}
