//! `rookery dev`: a whole server for `localhost`, below one folder.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::TypedValueParser;
use rookery_proto::admin::Listener;
use toml::{Table, Value};

use super::{Failure, Launch, certificate, dev_account, say};
use crate::config::Source;
use crate::operation::{MachineMemory, OpenFiles};
use crate::server::Server;

/// Run a whole server for `localhost`, to try things out.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// The folder for everything the server writes.
    #[arg(long, value_name = "DIR", default_value = "rookery-data")]
    dir: PathBuf,
    /// Added to the ports 5222 (STARTTLS), 5223 (direct TLS) and 5280 (HTTP).
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = offset())]
    port_offset: u16,
    /// Lift rate limits, registration throttles and what is asked of passwords, for measuring.
    #[arg(long)]
    unlimited: bool,
    /// Override an option, as in `--set log.filter=debug`. May be given many times.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// What a new server for development says to whoever started it.
pub struct Greeting {
    dir: PathBuf,
}

impl DevArgs {
    pub(super) fn launch(self) -> Result<Launch, Failure> {
        let failed = |what: &str, cause: &dyn std::fmt::Display| {
            Failure::software(format!("cannot {what} {}: {cause}", self.dir.display()))
        };
        // Absolute, for the summary is read long after the shell has gone elsewhere.
        let dir = std::path::absolute(&self.dir).map_err(|cause| failed("find", &cause))?;
        let files = certificate::for_localhost(&dir.join("tls"))
            .map_err(|cause| failed("make a certificate in", &cause))?;
        let source = Source {
            file: None,
            presets: self.presets(&dir, &files),
            set: self.set,
        };
        Ok(Launch {
            source,
            dev: Some(Greeting { dir }),
        })
    }

    fn presets(&self, dir: &Path, files: &certificate::Files) -> Table {
        let mut presets = Table::new();
        let mut set = |name, options: &[(&str, Value)]| section(&mut presets, name, options);
        let server = [
            ("hosts", strings(["localhost"])),
            ("admins", strings([ADMIN])),
            ("data_dir", path(dir)),
        ];
        set("server", &server);
        set("log", &[("filter", Value::from("warn"))]);
        set("http", &[("listen", self.loopback(5280))]);
        set("registration", &[("mode", Value::from("on"))]);
        // Nobody else reaches it, so nobody has anything to complain about.
        set("contact", &[("forced", Value::from(true))]);
        // Where `--set store.backend=scylla` asks for a database, it is a small one.
        set("scylla", &[("copies", Value::from(1))]);
        let connection = [
            ("starttls", self.loopback(5222)),
            ("direct_tls", self.loopback(5223)),
            ("connections_max", connections(CONNECTIONS_MAX)),
        ];
        set("connection", &connection);
        let certificate = Table::from_iter([
            ("host".to_owned(), Value::from("localhost")),
            ("chain".to_owned(), path(&files.chain)),
            ("key".to_owned(), path(&files.key)),
        ]);
        set("tls", &[("certificates", Value::from(vec![certificate]))]);
        if self.unlimited {
            lift_limits(&mut presets);
        }
        presets
    }

    /// Both loopback addresses, where the machine has IPv6.
    fn loopback(&self, port: u16) -> Value {
        let port = port + self.port_offset;
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let v6 = v6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        let all = [SocketAddr::from((Ipv4Addr::LOCALHOST, port))]
            .into_iter()
            .chain(v6);
        strings(all.map(|address| address.to_string()))
    }
}

impl Greeting {
    /// Makes the operator's account and tells a person what there is to do.
    pub async fn greet(&self, server: &Server) -> Result<(), Failure> {
        let in_cluster = server.listeners().iter().any(|it| it.name == "cluster");
        let account = if in_cluster {
            // Whose shards are placed when all nodes have come, and not before this one listens.
            dev_account::Outcome::Elsewhere
        } else {
            dev_account::ensure(server.shards(), ADMIN, &self.dir.join("admin.password"))
                .await
                .map_err(|error| Failure::software(format!("cannot make {ADMIN}: {error}")))?
        };
        say(&self.summary(server.listeners(), &account));
        Ok(())
    }

    fn summary(&self, listeners: &[Listener], account: &dev_account::Outcome) -> String {
        let at = |name: &str| {
            let found = listeners.iter().filter(|listener| listener.name == name);
            found
                .map(|listener| listener.address.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let dir = self.dir.display();
        let password = match account {
            dev_account::Outcome::Created(password) => {
                format!("{ADMIN}, password {password} (kept in {dir}/admin.password)")
            }
            dev_account::Outcome::Known => format!("{ADMIN} (password in {dir}/admin.password)"),
            dev_account::Outcome::Elsewhere => {
                format!("{ADMIN} (made earlier, password not kept here)")
            }
        };
        let (socket, http) = (at("admin"), at("http"));
        // As it was called, so that the lines can be pasted: `rookery` need not be on the path.
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "rookery".to_owned());
        let first_http = http.split(',').next().unwrap_or_default();
        format!(
            "rookery {version} serves localhost

  XMPP        {starttls} (STARTTLS)
              {direct} (direct TLS)
  accounts    any client can register at localhost, or:
              {program} admin --socket {socket} users create NAME@localhost
  operator    {password}
  trust       {dir}/tls/ca.pem issued the server's certificate
  admin API   {program} admin --socket {socket} server status
              grpcurl -plaintext -unix {socket} list
  monitoring  http://{first_http}/metrics /healthz /readyz
  data        {dir}
  stop        Ctrl-C
",
            version = crate::VERSION,
            starttls = at("starttls"),
            direct = at("direct-tls"),
        )
    }
}

/// The highest port stays a port.
fn offset() -> impl TypedValueParser<Value = u16> {
    clap::value_parser!(u16).range(..=60_000)
}

fn lift_limits(presets: &mut Table) {
    for (name, key, value) in UNLIMITED {
        section(presets, name, &[(*key, Value::from(*value))]);
    }
    section(
        presets,
        "connection",
        &[("connections_max", connections(usize::MAX))],
    );
    section(
        presets,
        "registration",
        &[("mode", Value::from("unthrottled"))],
    );
    for guard in ["login_guard", "guard"] {
        section(presets, guard, &[("enabled", Value::from(false))]);
    }
    let any = [("common_refused", Value::from(false))];
    section(presets, "passwords", &any);
    for key in FLOODS {
        section(presets, "flood", &[(*key, Value::from("off"))]);
    }
}

fn section(presets: &mut Table, name: &str, options: &[(&str, Value)]) {
    let table = presets
        .entry(name)
        .or_insert_with(|| Value::Table(Table::new()));
    let table = table.as_table_mut().expect("presets are tables of tables");
    table.extend(
        options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone())),
    );
}

/// So many, or as many as the process can ever hold open, and the machine in its memory.
fn connections(wanted: usize) -> Value {
    let files = OpenFiles::reachable().connections().clamp(1, 1_000_000);
    let memory = MachineMemory::read().map_or(u64::MAX, |memory| memory.bytes);
    let room = usize::try_from(memory / CONNECTION_BYTES).unwrap_or(usize::MAX);
    let possible = files.min(room.max(1));
    Value::from(i64::try_from(possible.min(wanted)).unwrap_or(i64::MAX))
}

fn strings<T: Into<Value>>(texts: impl IntoIterator<Item = T>) -> Value {
    Value::Array(texts.into_iter().map(Into::into).collect())
}

fn path(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

/// The operator's account.
const ADMIN: &str = "admin@localhost";

/// As in a configuration without the option.
const CONNECTIONS_MAX: usize = 50_000;

/// Memory for each connection: some times what one takes in its handshake, the dearest moment of its life.
const CONNECTION_BYTES: u64 = 128 * 1_024;

/// What strangers may do how often.
const FLOODS: &[&str] = &[
    "connects_per_address",
    "connects_per_prefix",
    "handshakes_per_address",
    "handshakes_per_prefix",
    "logins_per_address",
    "logins_per_prefix",
    "registrations_per_address",
    "registrations_per_prefix",
];

/// All clients of a measurement come from one address, as fast as they can, and some wait long for
/// their turn.
const UNLIMITED: &[(&str, &str, i64)] = &[
    ("bandwidth", "client_rate", 0),
    ("bandwidth", "client_stanzas_per_second", 0),
    ("connection", "connections_per_address_max", 1_000_000),
    ("connection", "connections_per_prefix_max", 1_000_000),
    ("connection", "handshakes_max", 1_000_000),
    ("connection", "handshakes_per_prefix_max", 1_000_000),
    ("connection", "backlog", 65_535),
    ("session", "login_timeout_ms", 600_000),
    ("session", "registration_timeout_ms", 600_000),
    ("session", "registration_requests_max", 1_000_000),
    ("passwords", "length_min", 1),
    ("passwords", "strength_min", 0),
    ("router", "resources_max", 10_000),
    ("router", "presence_fanout_per_s", 100_000_000),
    ("router", "presence_fanout_burst", 1_000_000_000),
    ("router", "offline_messages_max", 1_000_000),
];
