//! The command line.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::client::{Connector, Mechanism, SaltedPasswords, Sources, TlsMode, tls_connector};
use crate::client::{HOSTS_MAX, NETWORKS_MAX, Networks};
use crate::measure::process::{behind, exists};
use crate::workload::{funnel, knock};
use crate::workload::{idle, login, messages, mix, offline, presence, register, relay, storm};

/// Load generator for any XMPP server. It checks everything it receives: exit status 0 means that
/// nothing was lost, doubled, reordered or forged and nothing failed; 1 that something was; 2 that
/// it could not run.
///
/// Accounts are <prefix>0, <prefix>1 …; make them with `loadgen register` (or --register).
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The workloads.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create accounts in bulk (XEP-0077).
    Register(register::Register),
    /// Log in and out again: TLS, SASL, bind.
    Login(login::Login),
    /// Hold many sessions: memory per session.
    Idle(idle::Idle),
    /// Pairs that send messages, with a window or at a rate.
    Messages(messages::Messages),
    /// Rosters of friends and storms of presence.
    Presence(presence::Presence),
    /// A public server's day: chats, typing, presence, rosters, vCards, pings, logins.
    Mix(mix::Mix),
    /// Store messages for accounts that are offline, then log in and collect them.
    Offline(offline::Offline),
    /// Break all connections, and let everybody come back at once.
    Storm(storm::Storm),
    /// `messages` against a bare TLS relay (benches): what the network alone costs.
    Relay(relay::Relay),
    /// Strangers of many networks register at a rate: exactly as many as the limits allow may succeed.
    Funnel(funnel::Funnel),
    /// Somebody connects at a rate and goes no further.
    Knock(knock::Knock),
}

impl Command {
    /// The options that all workloads share.
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Register(it) => &it.common,
            Self::Login(it) => &it.common,
            Self::Idle(it) => &it.common,
            Self::Messages(it) => &it.common,
            Self::Presence(it) => &it.common,
            Self::Mix(it) => &it.common,
            Self::Offline(it) => &it.common,
            Self::Relay(it) => &it.common,
            Self::Storm(it) => &it.common,
            Self::Funnel(it) => &it.common,
            Self::Knock(it) => &it.common,
        }
    }

    /// The subcommand's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Login(_) => "login",
            Self::Idle(_) => "idle",
            Self::Messages(_) => "messages",
            Self::Presence(_) => "presence",
            Self::Mix(_) => "mix",
            Self::Offline(_) => "offline",
            Self::Relay(_) => "relay",
            Self::Storm(_) => "storm",
            Self::Funnel(_) => "funnel",
            Self::Knock(_) => "knock",
        }
    }
}

/// Options of every workload.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Where the server listens.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Its port; 5222 with STARTTLS, 5223 with direct TLS.
    #[arg(long)]
    port: Option<u16>,
    /// A node of a cluster (ADDRESS:PORT), may be repeated: sessions go round robin, results are
    /// given for each. Replaces --host and --port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    target: Vec<String>,
    /// The virtual host of the accounts.
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// How to secure the connection.
    #[arg(long, value_enum, default_value = "starttls")]
    tls: TlsMode,
    /// Accept any certificate.
    #[arg(long)]
    insecure: bool,
    /// Certificate authorities, as PEM.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/ssl/certs/ca-certificates.crt"
    )]
    ca: PathBuf,
    /// How to log in.
    #[arg(long, value_enum, default_value = "scram-sha-256")]
    mechanism: Mechanism,
    /// Accounts are named with this and a number.
    #[arg(long, default_value = "load")]
    prefix: String,
    /// The password of all accounts.
    #[arg(long, default_value = "loadgen-secret", env = "LOADGEN_PASSWORD")]
    password: String,
    /// Register the accounts first; those that exist are kept.
    #[arg(long)]
    pub(crate) register: bool,
    /// Connections to open a second while setting up, all processes together.
    #[arg(long, default_value_t = 1000.0, value_name = "PER_SECOND")]
    connect_rate: f64,
    /// Connections being opened at a time, in each process.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connecting: u32,
    /// Clients whose connection ends come back, to the next target if their own does not answer. What was under way
    /// then may be lost; that they were disconnected is reported and no failure. For `messages` and `mix`.
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Loopback addresses to connect from (127.1.0.2 …): one address has 28,000 ports.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    sources: u32,
    /// Connect from the 254 addresses of this /24 in turn, as in 127.0.9. They must be this machine's own.
    #[arg(long, value_name = "A.B.C", value_parser = prefix_24)]
    source_prefix: Option<[u8; 3]>,
    /// Say in a PROXY header that clients come from so many IPv4 /24 in turn (10.0.0.0, 10.0.1.0 …), as a load balancer
    /// does. The server must trust this machine: connection.proxy_trusted.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(NETWORKS_MAX)))]
    networks: Option<u32>,
    /// Addresses in each of --networks, in turn.
    #[arg(long, default_value_t = HOSTS_MAX, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(HOSTS_MAX)))]
    network_hosts: u32,
    /// Processes to share the sessions; one process may be limited to 20,000 sockets.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// Decides everything that is random.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Longest time for everything, in seconds; then it gives up (status 2).
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    limit: u64,
    /// A process of the server, may be repeated: its CPU time and memory are reported.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// The admin socket of a Rookery on this machine, may be repeated: as --pid with its process.
    #[arg(long, value_name = "SOCKET")]
    admin: Vec<PathBuf>,
    /// Make this file when measuring begins: for whoever disturbs the server meanwhile.
    #[arg(long, value_name = "FILE")]
    pub(crate) mark: Option<PathBuf>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a report for people: one file that needs no network.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

impl Common {
    /// The connector that these options describe.
    pub(crate) fn connector(&self) -> anyhow::Result<Connector> {
        Ok(Connector {
            targets: self.addresses()?,
            domain: self.domain.clone(),
            mode: self.tls,
            mechanism: self.mechanism,
            prefix: self.prefix.clone(),
            password: self.password.clone(),
            sources: match self.source_prefix {
                Some(prefix) => Sources::Prefix24(prefix),
                None if self.sources > 1 => Sources::Loopback(self.sources),
                None => Sources::Any,
            },
            networks: self.networks.map(|count| Networks {
                count,
                hosts: self.network_hosts,
            }),
            tls: tls_connector(self.insecure, &self.ca, self.tls == TlsMode::Direct)?,
            salted: SaltedPasswords::default(),
        })
    }

    /// The server's processes that are to be watched.
    pub(crate) fn watched(&self) -> anyhow::Result<Vec<u32>> {
        for &pid in &self.pid {
            anyhow::ensure!(exists(pid), "--pid {pid}: there is no such process");
        }
        let behind = self
            .admin
            .iter()
            .map(|path| behind(path).with_context(|| format!("--admin {}", path.display())));
        self.pid.iter().copied().map(Ok).chain(behind).collect()
    }

    /// How many connections one of the processes may open a second.
    pub(crate) fn connect_rate(&self) -> f64 {
        (self.connect_rate / f64::from(self.processes)).max(0.1)
    }

    /// The bound of the whole run.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    fn addresses(&self) -> anyhow::Result<Vec<std::net::SocketAddr>> {
        let port = self.port.unwrap_or(match self.tls {
            TlsMode::Starttls => 5222,
            TlsMode::Direct => 5223,
        });
        let named = match &self.target[..] {
            [] => vec![format!("{}:{port}", self.host)],
            targets => targets.to_vec(),
        };
        let resolve = |name: &String| {
            let mut found = name
                .to_socket_addrs()
                .with_context(|| format!("address {name}"))?;
            found
                .next()
                .with_context(|| format!("{name} has no address"))
        };
        named.iter().map(resolve).collect()
    }
}

/// `A.B.C`: the first three numbers of IPv4 addresses.
fn prefix_24(text: &str) -> Result<[u8; 3], String> {
    let numbers: Result<Vec<u8>, _> = text.split('.').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|it| it.try_into().ok());
    numbers.ok_or_else(|| "write it as 127.0.9".to_owned())
}

/// How long to measure.
#[derive(Debug, Args)]
pub(crate) struct Timing {
    /// Seconds to measure.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    duration: f64,
    /// Seconds of the same load before measuring.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    warmup: f64,
}

impl Timing {
    /// How long to measure.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration.clamp(0.01, SECONDS_MAX))
    }

    /// How long to warm up.
    pub(crate) fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup.clamp(0.0, SECONDS_MAX))
    }
}

const SECONDS_MAX: f64 = 1e6;
