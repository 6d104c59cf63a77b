//! A whole node: started from a configuration, told by signals, drained.
//!
//! ```text
//! start: folder and lock ─► roles (store, control, router, connection) ─► admin ─► http ─► pid file
//! drain: listeners close ─► clients hear system-shutdown ─► shards write what they hold ─► control, store
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use metrics::gauge;
use rookery_connection::StartError as Connection;
use rookery_proto::admin::Listener;
use rookery_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::admin::{AdminPort, AdminPortError, Shards};
use crate::cluster::{ClusterError, ShardCountDiffers};
use crate::config::{Config, Role, Source};
use crate::http::HttpPort;
use crate::leaving;
use crate::metrics::Metrics;
use crate::operation::{
    Ceilings, Folder, FolderError, LogHandle, MachineMemory, OpenFiles, PidFile,
};
use crate::operator::{FLUSH_MS_MAX, Operator, Parts};
use crate::roles::{Roles, RolesError};
use crate::web::{WebError, WebPort};

/// A node that runs.
pub struct Server {
    roles: Roles,
    operator: Operator,
    shards: Shards,
    listeners: Vec<Listener>,
    drain_within: Duration,
    signals: Signals,
    // In the order in which they go.
    _admin: AdminPort,
    _pid: PidFile,
    _folder: Folder,
}

/// Why a node does not start; for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A role.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// The admin API.
    #[error(transparent)]
    Admin(#[from] AdminPortError),
    /// The HTTP port.
    #[error("cannot listen on {address} for http: {cause}")]
    Http {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The public pages.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Signals.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
    /// Not even what the server opens for itself can be open.
    #[error(
        "at most {} files can be open, and a server without any client needs {}: raise LimitNOFILE \
         (systemd) or `ulimit -Hn`", OpenFiles::reachable().max, OpenFiles::OWN_MIN
    )]
    TooFewFiles,
    /// No failure: the node was told to end before it had started.
    #[error("told to stop by {0} before it had started")]
    Stopped(StopCause),
}

impl StartError {
    /// Whether the same start fails again until the operator has changed something: a supervisor need not try.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Roles(error) => error.is_final(),
            Self::Admin(error) => error.is_final(),
            Self::TooFewFiles => true,
            Self::Folder(_) | Self::Http { .. } | Self::Web(_) => false,
            Self::Signals(_) | Self::Stopped(_) => false,
        }
    }

    /// Whether somebody else listens where the node wants to.
    pub fn is_busy_port(&self) -> bool {
        let (Self::Roles(RolesError::Connection(Connection::Listen { cause, .. }))
        | Self::Roles(RolesError::Cluster(ClusterError::Listen { cause, .. }))
        | Self::Web(WebError { cause, .. })
        | Self::Http { cause, .. }) = self
        else {
            return false;
        };
        cause.kind() == io::ErrorKind::AddrInUse
    }
}

/// Why a node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// SIGTERM or SIGINT.
    Signal(&'static str),
    /// The admin API.
    Operator,
    /// This node's member of the control group has failed, and has said why in the log.
    Control,
    /// The cluster has said that this node was removed.
    Removed,
    /// The cluster has another number of shards.
    Shards(ShardCountDiffers),
}

impl StopCause {
    /// Whether the process was not told to end: it must say so by its exit code, so that it is started again.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Control | Self::Removed | Self::Shards(_))
    }

    /// Whether the next start would end in the same way: a supervisor need not try.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Removed | Self::Shards(_))
    }
}

/// Signals that came since the start; until then they end the process at once.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal(name) => name,
            Self::Operator => "operator",
            Self::Control => "the control group's member on this node has failed",
            Self::Removed => {
                "this node was removed from the cluster: remove its data folder and join as a new node"
            }
            Self::Shards(differs) => return differs.fmt(f),
        })
    }
}

/// Has the accounts deleted whose time is over.
fn sweep(roles: &Roles, operator: &Operator, store: &Arc<dyn Store>, shards: &Shards) {
    tokio::spawn(leaving::keep(
        store.clone(),
        roles.environment(),
        operator.control().clone(),
        shards.clone(),
        roles.is_first_router(),
    ));
}

impl Server {
    /// Starts everything. When it returns, clients are accepted. Must be called inside an actix
    /// system.
    pub async fn start(
        config: Config,
        source: Source,
        log: LogHandle,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let mut signals = Signals::receive().map_err(StartError::Signals)?;
        info!(version = crate::VERSION, folder = %config.server.data_dir.display(), "starting");
        take_measure_of_machine(&Ceilings::of(&config))?;
        let folder = Folder::open(&config.server.data_dir)?;
        // A database is waited for, and whoever wants the node to end does not wait with it.
        let foundation = tokio::select! {
            founded = Roles::found(&config, &folder) => founded?,
            cause = told_to_end(&mut signals.terminate, &mut signals.interrupt) => {
                return Err(StartError::Stopped(cause));
            }
        };
        let operator = Operator::new(Parts {
            log,
            source,
            config: config.clone(),
            store: foundation.store.clone(),
            control: foundation.control.clone(),
            environment: foundation.environment.clone(),
            tls: foundation.tls.clone(),
            sessions: foundation.sessions.clone(),
            quota: foundation.quota.clone(),
            watchers: foundation.watchers.clone(),
            cluster: foundation.cluster.clone(),
        });
        let (store, tls) = (foundation.store.clone(), foundation.tls.clone());
        let environment = foundation.environment.clone();
        let roles = Roles::start(&config, foundation)?;
        let within = Duration::from_millis(config.admin.answer_ms_max);
        let shards = Shards::new(roles.routers(), operator.control().clone(), within);
        if config.server.has(Role::Router) {
            sweep(&roles, &operator, &store, &shards);
        }
        let socket = config.admin.socket(&config.server);
        let admin = AdminPort::start(
            &config.admin,
            socket,
            folder.join("copy"),
            operator.clone(),
            store,
            shards.clone(),
        )
        .await?;
        let http = HttpPort::start(&config.http.listen, metrics, operator.clone())
            .await
            .map_err(|(address, cause)| StartError::Http { address, cause })?;
        let asked = (operator.control().clone(), shards.clone());
        let web = WebPort::start(&config.web, asked, environment, tls).await?;
        let ports = [http.addresses(), web.addresses()];
        let listeners = listeners(&roles, &operator, &admin, ports);
        listeners.iter().for_each(say_where);
        operator.serves(roles.connection().clone(), listeners.clone());
        Ok(Self {
            roles,
            operator,
            shards,
            listeners,
            signals,
            drain_within: Duration::from_millis(config.connection.drain_ms_max),
            _admin: admin,
            _pid: PidFile::write(config.server.pid_file())?,
            _folder: folder,
        })
    }

    /// Where the node listens.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The way to the shards, for what must be done before anybody else can.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Why the node must not call itself ready, if its cluster has removed it. Waits a moment for the cluster's word.
    pub async fn removal(&self) -> Option<&'static str> {
        let cluster = self.operator.cluster()?;
        cluster.answered().await;
        cluster.removal()
    }

    /// Serves until it is told to stop, or a part fails that it cannot be without. SIGHUP reloads.
    pub async fn serve(&mut self) -> StopCause {
        let control = self.operator.control().clone();
        let failed = control.failed();
        tokio::pin!(failed);
        let cluster = self.operator.cluster().cloned();
        let useless = async move {
            let Some(cluster) = cluster else {
                return std::future::pending().await;
            };
            tokio::select! {
                () = cluster.expelled() => StopCause::Removed,
                differs = cluster.misfit() => StopCause::Shards(differs),
            }
        };
        tokio::pin!(useless);
        let signals = &mut self.signals;
        loop {
            tokio::select! {
                () = &mut failed => return StopCause::Control,
                cause = &mut useless => return cause,
                cause = told_to_end(&mut signals.terminate, &mut signals.interrupt) => return cause,
                () = self.operator.told_to_stop() => return StopCause::Operator,
                _ = signals.hangup.recv() => {
                    if let Err(error) = self.operator.reload().await {
                        warn!(%error, "reload refused, everything stays as it is");
                    }
                }
            }
        }
    }

    /// Ends every session and writes what is still held, within a bound.
    pub async fn drain(self) {
        self.operator.stop();
        let left = self.roles.connection().drain(self.drain_within).await;
        let flushed = tokio::time::timeout(FLUSH, self.roles.stop(&self.shards)).await;
        if left > 0 || flushed.is_err() {
            warn!(
                sessions_cut = left,
                flushed = flushed.is_ok(),
                "drain reached its bound"
            );
        }
        info!("stopped");
    }
}

impl Signals {
    fn receive() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Completes when the process is told to end.
async fn told_to_end(terminate: &mut Signal, interrupt: &mut Signal) -> StopCause {
    tokio::select! {
        _ = terminate.recv() => StopCause::Signal("SIGTERM"),
        _ = interrupt.recv() => StopCause::Signal("SIGINT"),
    }
}

fn listeners(
    roles: &Roles,
    operator: &Operator,
    admin: &AdminPort,
    [http, web]: [&[SocketAddr]; 2],
) -> Vec<Listener> {
    let named = |name: &'static str, addresses: &[SocketAddr]| {
        let listener = |at: &SocketAddr| Listener {
            name: name.to_owned(),
            address: at.to_string(),
        };
        addresses.iter().map(listener).collect::<Vec<_>>()
    };
    let connection = roles.connection();
    let mut all = named("starttls", connection.starttls_addresses());
    all.extend(named("direct-tls", connection.direct_tls_addresses()));
    all.extend(named("http", http));
    all.extend(named("web", web));
    let socket: PathBuf = admin.socket().to_owned();
    all.push(Listener {
        name: "admin".to_owned(),
        address: socket.display().to_string(),
    });
    all.extend(named("admin", admin.addresses()));
    if let Some(cluster) = operator.cluster() {
        all.extend(named("cluster", cluster.addresses()));
    }
    all
}

fn say_where(Listener { name, address }: &Listener) {
    info!(address, port = name, "listening");
}

/// Raises the limit on files, and says what the node may use and where the machine is too small for it.
fn take_measure_of_machine(ceilings: &Ceilings) -> Result<(), StartError> {
    let (open, needed) = (OpenFiles::raise(), ceilings.files);
    if open.max < OpenFiles::OWN_MIN {
        return Err(StartError::TooFewFiles);
    }
    let connections_max = ceilings.connections;
    if open.max < needed {
        warn!(
            limit = open.max,
            needed,
            connections_max,
            "too few open files for the configured connections: raise LimitNOFILE (systemd) or \
             `ulimit -Hn`, or lower connection.connections_max"
        );
    }
    let memory = MachineMemory::read();
    let (expected, there) = (ceilings.expected_bytes(), memory.map(|memory| memory.bytes));
    gauge!("rookery_connections_max").set(connections_max as f64);
    gauge!("rookery_memory_expected_bytes").set(expected as f64);
    info!(
        connections_max,
        files = needed,
        files_max = open.max,
        memory_expected_mib = expected >> 20,
        memory_mib = there.map(|bytes| bytes >> 20),
        "ceilings"
    );
    if there.is_some_and(|there| there < expected) {
        warn!(
            "more memory is expected to be used than there is once all connections are taken: `rookery check` shows \
             by what"
        );
    }
    Ok(())
}

const FLUSH: Duration = Duration::from_millis(FLUSH_MS_MAX);
