//! What the operator can ask of the running node and tell it, from the admin API, from HTTP and by
//! signals.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use rookery_connection::{ConnectionRole, TlsHosts, TlsLoadError};
use rookery_control::{Control, NameOptions, NameRuleError, NamesRefused, Unavailable};
use rookery_proto::admin::{Component, HostStatus, Listener, ShowStatusResponse};
use rookery_router::environment::Environment;
use rookery_router::{Contact, ServerInfo};
use rookery_session::BandwidthOptions;
use rookery_store::Store;
use rookery_xmpp::clock::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::cluster::{Cluster, CredentialsError, RestError, ShardCountDiffers, compare_shards};
use crate::config::{Config, Problems, Role, Source, changed_options};
use crate::operation::{Ceilings, FilterError, LogHandle, MachineMemory, OpenFiles, mebibytes};
use crate::quota::QuotaKeeper;
use crate::roles::set_registration;
use crate::session_settings::SessionSettings;
use crate::watchers::WatcherOptions;

/// The handle: cheap to clone, for any thread.
#[derive(Clone)]
pub struct Operator(Arc<Inner>);

/// What a node is made of, as far as its operator is concerned.
pub struct Parts {
    /// The running log.
    pub log: LogHandle,
    /// Where the configuration comes from.
    pub source: Source,
    /// The configuration as it is in force.
    pub config: Config,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The control group.
    pub control: Control,
    /// What the shards share.
    pub environment: Arc<Environment>,
    /// The virtual hosts' certificates.
    pub tls: Arc<TlsHosts>,
    /// What new sessions are told.
    pub sessions: SessionSettings,
    /// The node's part of the traffic budgets.
    pub quota: QuotaKeeper,
    /// Who is told what happens.
    pub watchers: watch::Sender<Arc<WatcherOptions>>,
    /// The node's part in a cluster, if it is in one.
    pub cluster: Option<Cluster>,
}

struct Inner {
    parts: Parts,
    running: ArcSwap<Config>,
    started: Timestamp,
    /// Filled when the roles accept clients.
    serving: OnceLock<Serving>,
    stopping: watch::Sender<bool>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// What there is once clients are accepted.
struct Serving {
    connection: Arc<ConnectionRole>,
    listeners: Vec<Listener>,
}

/// What became of a new configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// What holds from now on.
    pub applied: Vec<String>,
    /// Options that differ from what runs.
    pub needs_restart: Vec<String>,
}

/// Why nothing was changed by a reload; for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificates(#[from] TlsLoadError),
    /// The node's certificate for the cluster cannot be used.
    #[error(transparent)]
    Cluster(#[from] CredentialsError),
    /// The number of shards is not the cluster's.
    #[error(transparent)]
    Shards(#[from] ShardCountDiffers),
    /// The log filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A rule about names is none.
    #[error(transparent)]
    NameRule(#[from] NameRuleError),
    /// The control group does not take over the rules about names.
    #[error("rules about names: {0}")]
    Names(#[from] NamesRefused),
    /// The control group does not take over what it is configured with.
    #[error("the control group is out of reach: {0}")]
    Control(#[from] Unavailable),
}

impl Operator {
    /// A handle for a node that starts now.
    pub fn new(parts: Parts) -> Self {
        let running = ArcSwap::from_pointee(parts.config.clone());
        let (stopping, _) = watch::channel(false);
        let started = Timestamp::now();
        Self(Arc::new(Inner {
            parts,
            running,
            started,
            serving: OnceLock::new(),
            stopping,
            reloading: Mutex::default(),
        }))
    }

    /// The node accepts clients from now on.
    pub fn serves(&self, connection: Arc<ConnectionRole>, listeners: Vec<Listener>) {
        // Only the start of the server calls this, once.
        let _ = self.0.serving.set(Serving {
            connection,
            listeners,
        });
    }

    /// The running log.
    pub fn log(&self) -> &LogHandle {
        &self.0.parts.log
    }

    /// The control group.
    pub fn control(&self) -> &Control {
        &self.0.parts.control
    }

    /// The limits of streams that are in force.
    pub fn bandwidth(&self) -> BandwidthOptions {
        self.0.running.load().bandwidth.clone()
    }

    /// The secret by which names without an account pretend to have salts here.
    pub fn decoy_secret(&self) -> [u8; 32] {
        self.0.parts.sessions.shared().load().decoy_secret
    }

    /// The node's part of the traffic budgets.
    pub fn quota(&self) -> &QuotaKeeper {
        &self.0.parts.quota
    }

    /// The node's part in a cluster, if it is in one.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.0.parts.cluster.as_ref()
    }

    /// Whether the node has this role.
    pub fn has(&self, role: Role) -> bool {
        self.0.running.load().server.has(role)
    }

    /// The virtual hosts.
    pub fn hosts(&self) -> BTreeSet<String> {
        self.0.parts.environment.hosts.clone()
    }

    /// Health, part by part. Each part has a moment to answer.
    pub async fn components(&self) -> Vec<Component> {
        let store = tokio::time::timeout(PATIENCE, self.0.parts.store.health()).await;
        let control = tokio::time::timeout(PATIENCE, self.0.parts.control.status()).await;
        let store = match store {
            Ok(Ok(())) => component("store", true, String::new()),
            Ok(Err(error)) => component("store", false, error.to_string()),
            Err(_) => component("store", false, "does not answer".to_owned()),
        };
        let control = match control {
            Ok(Ok(status)) => match (status.leader, status.write_error) {
                (_, Some(error)) => component("control", false, error),
                (None, None) => component("control", false, "has no leader".to_owned()),
                (Some(_), None) => {
                    let detail = format!("term {}, {} applied", status.term, status.applied);
                    component("control", true, detail)
                }
            },
            Ok(Err(error)) => component("control", false, error.to_string()),
            Err(_) => component("control", false, "does not answer".to_owned()),
        };
        let shards = self.shards();
        let removal = self.cluster().and_then(Cluster::removal);
        let removal = removal.map(|why| component("membership", false, why.to_owned()));
        let parts = [
            removal,
            Some(store),
            Some(control),
            shards,
            Some(self.listeners()),
            Some(self.machine()),
            self.draining(),
        ];
        parts.into_iter().flatten().collect()
    }

    /// What the node may use of its machine. It works on a machine that is too small, until that is full.
    fn machine(&self) -> Component {
        let ceilings = Ceilings::of(&self.0.running.load());
        let (files, memory) = (OpenFiles::reachable(), MachineMemory::read());
        let is_short = files.max < ceilings.files
            || memory.is_some_and(|memory| memory.bytes < ceilings.expected_bytes());
        let memory = memory.map_or_else(String::new, |memory| {
            format!(" of {}", mebibytes(memory.bytes))
        });
        let advice = match is_short {
            true => ": too little for all of them, see `rookery check`",
            false => "",
        };
        let detail = format!(
            "with {} clients {} of {} files, {}{memory} of memory{advice}",
            ceilings.connections,
            ceilings.files,
            files.max,
            mebibytes(ceilings.expected_bytes())
        );
        component("machine", true, detail)
    }

    /// Where people reach the public pages, if there are any.
    pub fn web_base(&self) -> Option<String> {
        let base = self.0.running.load().web.base_url.clone();
        (!base.is_empty()).then_some(base)
    }

    /// Whether registration may be opened to strangers.
    pub fn allows_strangers(&self) -> bool {
        let contact = self.0.parts.environment.contact.load();
        contact.options.allows_strangers()
    }

    /// What the shards share.
    pub fn environment(&self) -> &Environment {
        &self.0.parts.environment
    }

    /// How names are checked.
    pub fn names(&self) -> Arc<NameOptions> {
        self.0.parts.environment.names.load_full()
    }

    /// The ways to the shards, and those that are served here. Nodes that need none have no such part.
    fn shards(&self) -> Option<Component> {
        let cluster = self.cluster()?;
        if !self.has(Role::Router) && !self.has(Role::Connection) {
            return None;
        }
        let (healthy, detail) = cluster.standing(self.control());
        Some(component("shards", healthy, detail))
    }

    /// That the operator wants the node empty. Its other parts are well, but none who takes clients takes any then.
    fn draining(&self) -> Option<Component> {
        if !self.cluster()?.is_draining(self.control()) {
            return None;
        }
        let takes_clients = self.has(Role::Connection);
        let detail = match takes_clients {
            true => "no client is let in",
            false => "no shard is given to it",
        };
        Some(component(DRAINING, !takes_clients, detail.to_owned()))
    }

    /// Everything a person wants to see first.
    pub async fn status(&self) -> ShowStatusResponse {
        let components = self.components().await;
        let serving = self.0.serving.get();
        let connections = serving.map_or(0, |serving| serving.connection.connections() as u64);
        let mut listeners = serving.map_or_else(Vec::new, |serving| serving.listeners.clone());
        if components.iter().any(|part| part.name == DRAINING) {
            listeners.retain(|at| !CLIENT_PORTS.contains(&at.name.as_str()));
        }
        let roles = &self.0.running.load().server.roles;
        ShowStatusResponse {
            version: crate::VERSION.to_owned(),
            started_ms: self.0.started.as_millis(),
            uptime_ms: Timestamp::now()
                .as_millis()
                .saturating_sub(self.0.started.as_millis()),
            process_id: std::process::id(),
            roles: roles
                .iter()
                .copied()
                .map(Role::name)
                .map(str::to_owned)
                .collect(),
            connections,
            hosts: self.host_counts().await,
            ready: components.iter().all(|component| component.healthy),
            components,
            listeners,
        }
    }

    /// Reads the configuration and the certificates again. Applies all that can be, or nothing when
    /// something is wrong.
    pub async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let _one_at_a_time = self.0.reloading.lock().await;
        let fresh = self.0.parts.source.load_checked()?;
        let running = self.0.running.load_full();
        if self.cluster().is_some() && fresh.router.shards != running.router.shards {
            compare_shards(fresh.router.shards, self.control().shards().len())?;
        }
        let changed = changed_options(&running, &fresh);
        let (live, needs_restart): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|option| is_live(option));
        let next = running.with_options_of(&fresh, &live);
        self.apply(&running, &next).await?;
        self.0.running.store(Arc::new(next));
        let applied = ["certificates".to_owned()]
            .into_iter()
            .chain(live)
            .collect();
        tracing::info!(?applied, ?needs_restart, "configuration reloaded");
        Ok(ReloadReport {
            applied,
            needs_restart,
        })
    }

    /// What can fail goes first, so that nothing has changed when it does.
    async fn apply(&self, running: &Config, next: &Config) -> Result<(), ReloadError> {
        let parts = &self.0.parts;
        parts.tls.check(&next.tls)?;
        if let Some(cluster) = &parts.cluster {
            cluster.check_files()?;
        }
        if running.registration != next.registration {
            let policy = next.registration.policy();
            parts.control.configure_registration(policy).await?;
        }
        if running.names != next.names && self.has(Role::Router) {
            let rules = next.names.rules(Timestamp::now())?;
            parts.control.configure_names(rules).await?;
        }
        if running.quota != next.quota {
            parts.quota.reconfigure(next.quota.policy()).await?;
        }
        parts.tls.reload(&next.tls)?;
        if let Some(cluster) = &parts.cluster {
            cluster.reload()?;
        }
        if parts.log.filter() != next.log.filter {
            parts.log.set_filter(&next.log.filter)?;
        }
        parts
            .environment
            .options
            .store(Arc::new(next.router.clone()));
        parts
            .environment
            .archive
            .store(Arc::new(next.archive.clone()));
        parts.environment.names.store(Arc::new(next.names.clone()));
        let invites = Arc::new(next.invite_settings());
        parts.environment.invites.store(invites);
        let contact = Contact::new(next.contact.clone());
        parts.environment.contact.store(Arc::new(contact));
        let server_info = ServerInfo::new(&next.server_info);
        parts.environment.server_info.store(Arc::new(server_info));
        parts.watchers.send_replace(Arc::new(next.watchers.clone()));
        parts.sessions.reconfigure(next, &parts.environment);
        set_registration(&parts.environment, next);
        let accounts = Arc::new(next.accounts.clone());
        parts.environment.accounts.store(accounts);
        if let Some(serving) = self.0.serving.get() {
            serving.connection.set_login_guard(next.login_guard.clone());
            serving.connection.set_bandwidth(next.bandwidth.clone());
            let (flood, guard) = (next.flood.clone(), next.guard.clone());
            serving
                .connection
                .set_limits(&next.connection, flood, guard);
        }
        Ok(())
    }

    /// Has the cluster empty this node until it starts again, and waits for that, so long at most. Gives the shards and
    /// the connections that are left; nothing if the node is in no cluster.
    pub async fn rest(&self, within: Duration) -> Option<Result<(usize, usize), RestError>> {
        let cluster = self.cluster()?;
        if let Err(error) = cluster.rest(self.control()).await {
            return Some(Err(error));
        }
        let left = || {
            let serving = self.0.serving.get();
            let connections = serving.map_or(0, |serving| serving.connection.connections());
            (cluster.shards_owned(self.control()), connections)
        };
        let empty = async {
            while left() != (0, 0) {
                tokio::time::sleep(LOOK).await;
            }
        };
        // What is left then is told.
        let _ = tokio::time::timeout(within, empty).await;
        Some(Ok(left()))
    }

    /// Tells the node to drain and stop; it has stopped within the returned number of milliseconds.
    pub fn stop(&self) -> u64 {
        self.0.stopping.send_replace(true);
        self.0.running.load().connection.drain_ms_max + FLUSH_MS_MAX
    }

    /// Completes when the node was told to stop.
    pub async fn told_to_stop(&self) {
        let mut stopping = self.0.stopping.subscribe();
        // The sender lives as long as this handle.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    fn listeners(&self) -> Component {
        if *self.0.stopping.borrow() {
            return component("listeners", false, "the server stops".to_owned());
        }
        match self.0.serving.get() {
            Some(serving) => {
                let count = serving.connection.connections();
                let plural = if count == 1 { "" } else { "s" };
                component("listeners", true, format!("{count} connection{plural}"))
            }
            None => component("listeners", false, "the server starts".to_owned()),
        }
    }

    async fn host_counts(&self) -> Vec<HostStatus> {
        let mut counts = Vec::new();
        // A node without that role has a store, and that is not the one of the accounts.
        let keeps_accounts = self.has(Role::Router);
        for host in self.hosts() {
            let mut accounts = None;
            if keeps_accounts {
                let counted = self.0.parts.store.count_accounts(&host);
                // A store that is out of reach is told among the components.
                let counted = tokio::time::timeout(PATIENCE, counted).await;
                accounts = counted.ok().and_then(Result::ok);
            }
            counts.push(HostStatus { host, accounts });
        }
        counts
    }
}

fn component(name: &str, healthy: bool, detail: String) -> Component {
    Component {
        name: name.to_owned(),
        healthy,
        detail,
    }
}

fn is_live(option: &str) -> bool {
    LIVE.iter().any(|prefix| option.starts_with(prefix)) && !FIXED.contains(&option)
}

/// The part of a node that its operator wants empty.
pub const DRAINING: &str = "draining";

/// The listeners for clients, which are closed while a node is drained.
const CLIENT_PORTS: [&str; 2] = ["starttls", "direct-tls"];

/// Sections and options whose new values hold without a restart.
const LIVE: &[&str] = &[
    "log.filter",
    "tls.",
    "session.",
    "login_guard.",
    "bandwidth.",
    "flood.",
    "guard.",
    "connection.connections_per_",
    "connection.handshakes_max",
    "connection.handshakes_per_prefix_max",
    "registration.",
    "passwords.",
    "registration_form.",
    "captcha.",
    "names.",
    "invites.",
    "web.base_url",
    "contact.",
    "server_info.",
    "watchers.",
    "accounts.",
    "quota.",
    "archive.",
    "router.",
];

/// Exceptions from [`LIVE`].
const FIXED: &[&str] = &[
    "router.shards",
    "router.derivations_max",
    "router.shard_queue_max",
];

/// How long a part may take to say how it does: shorter than what a load balancer grants a health
/// check.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often an emptied node looks whether it is.
const LOOK: Duration = Duration::from_millis(200);

/// After the last client is gone: the shards' last writes, one fsync, the control group's stop.
pub const FLUSH_MS_MAX: u64 = 5_000;
