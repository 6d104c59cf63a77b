//! Wires the roles of one process: who is handed what.
//!
//! ```text
//! found: certificates, store, control ─► start: arbiters ─► router (shards) ─► connection (listeners)
//! stop:  shards settle ─► arbiters ─► control ─► store
//! ```

use std::path::Path;
use std::sync::Arc;

use actix::{Arbiter, ArbiterHandle};
use rookery_connection::{
    ConnectionConfig, ConnectionOptions, ConnectionRole, TlsHosts, TlsLoadError,
};
use rookery_control::{ClusterSecret, Control, NodeId};
use rookery_router::environment::Environment;
use rookery_router::modules::{Registry, all};
use rookery_router::shard::Services;
use rookery_router::{Contact, RouterRole, ServerInfo, StartError as RouterError};
use rookery_session::carrier::{RoutersRef, ShardId};
use rookery_store::{Backend, ScyllaStore, SqliteStore, Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::{Jid, JidError, prepare_domain};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::Shards;
use crate::backup::in_use;
use crate::backup::restore::{Restored, is_marked};
use crate::bans;
use crate::cluster::{self, Cluster, ClusterError, Founded};
use crate::config::{Config, Role};
use crate::drain;
use crate::guard;
use crate::names;
use crate::noticed;
use crate::operation::{Folder, FolderError};
use crate::quota::QuotaKeeper;
use crate::retention;
use crate::secret;
use crate::session_settings::SessionSettings;
use crate::watchers::{Teller, WatcherOptions};

/// What the roles stand on.
pub struct Foundation {
    /// The store.
    pub store: Arc<dyn Store>,
    /// As which router this node tells that it uses the store; none where nobody else can reach it.
    pub store_user: Option<u32>,
    /// What the store brings that was restored.
    pub restored: Restored,
    /// The control group.
    pub control: Control,
    /// The node's number.
    pub node: u32,
    /// The node's part in a cluster, if it is in one.
    pub cluster: Option<Cluster>,
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
}

/// The roles, running.
pub struct Roles {
    store_use: Option<JoinHandle<()>>,
    foundation: Foundation,
    router: Arc<RouterRole>,
    connection: Arc<ConnectionRole>,
    arbiters: Vec<Arbiter>,
}

/// Why a role does not start; for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store.
    #[error("the store does not start: {0}")]
    Store(#[from] StoreError),
    /// The store holds a part of a backup.
    #[error(
        "a backup was being restored into the store and is not finished: finish `rookery restore` first"
    )]
    HalfRestored,
    /// The control group and the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsLoadError),
    /// The router role.
    #[error(transparent)]
    Router(#[from] RouterError),
    /// The connection role.
    #[error(transparent)]
    Connection(#[from] rookery_connection::StartError),
    /// A host or an admin that is no address.
    #[error("`{text}` under [server] is not an address: {cause}")]
    Address {
        /// What was written.
        text: String,
        /// What is wrong with it.
        cause: JidError,
    },
}

impl RolesError {
    /// Whether the same start fails again until the operator has changed something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Store(error) => matches!(
                error,
                StoreError::NewerSchema { .. } | StoreError::Corrupt(_)
            ),
            Self::Cluster(error) => error.is_final(),
            Self::HalfRestored | Self::Tls(_) | Self::Address { .. } => true,
            Self::Folder(_) | Self::Router(_) | Self::Connection(_) => false,
        }
    }
}

impl Roles {
    /// Opens the store and the control group: in the folder, which blocks for some milliseconds, or
    /// with a database of its own, which is waited for as long as the configuration says.
    pub async fn found(config: &Config, folder: &Folder) -> Result<Foundation, RolesError> {
        let tls = Arc::new(tls_hosts(config)?);
        let hosts = hosts(config)?;
        let environment = environment(config, &hosts)?;
        let store_user = store_user(config)?;
        let store = open_store(config, folder.path()).await?;
        // Said before it is looked whether somebody restores, who looks in the other order.
        if let Some(node) = store_user {
            in_use::announce(&*store, node, Timestamp::now()).await?;
        }
        if is_marked(&*store).await? {
            // Whoever finishes the restore shall not wait for this node to be forgotten.
            if let Some(node) = store_user {
                in_use::withdraw(&*store, node).await?;
            }
            return Err(RolesError::HalfRestored);
        }
        let restored = Restored::of(&*store).await?;
        let Founded {
            control,
            node,
            cluster,
        } = cluster::found(config, folder)?;
        if let Some(cluster) = &cluster
            && let Err(error) = cluster.check_shards(config, &control).await
        {
            if let Some(node) = store_user {
                in_use::withdraw(&*store, node).await?;
            }
            return Err(error.into());
        }
        if config.server.has(Role::Router) {
            // A server that is alone has its rules before its first client; in a cluster there may be no quorum yet.
            let configured = names::configure(control.clone(), config.names.clone());
            match cluster {
                Some(_) => drop(tokio::spawn(configured)),
                None => configured.await,
            }
        }
        let own = folder.secret(SECRET)?;
        let policy = control.policy();
        let sessions = SessionSettings::new(config, &hosts, &environment, own, &policy);
        let (own, in_cluster) = ((folder.join(SECRET), own), cluster.is_some());
        secret::begin(&control, &sessions, own, (restored.secret, in_cluster)).await;
        let quota = QuotaKeeper::new(config, &control, node, cluster.is_some());
        let (watchers, _) = watch::channel(Arc::new(config.watchers.clone()));
        Ok(Foundation {
            watchers,
            store,
            store_user,
            restored,
            control,
            node: u32::try_from(node.get()).map_err(|_| ClusterError::Number(node))?,
            cluster,
            environment,
            tls,
            sessions,
            quota,
        })
    }

    /// Starts the roles on the threads that are theirs. When it returns, clients are accepted. Must be
    /// called inside an actix system.
    pub fn start(config: &Config, foundation: Foundation) -> Result<Self, RolesError> {
        let (arbiters, handles) = threads(config.server.arbiters());
        let Foundation {
            store,
            control,
            environment,
            tls,
            sessions,
            node,
            cluster,
            quota,
            restored,
            store_user,
            watchers: _,
        } = &foundation;
        let derivations = config.router.derivations_max;
        let services = Services::new(store.clone(), control.clone(), derivations);
        let router = match cluster {
            None => {
                let above = restored.epoch;
                RouterRole::start_above(environment.clone(), &services, &handles, above)?
            }
            Some(cluster) => {
                let surroundings = cluster.surroundings();
                RouterRole::join(environment.clone(), &services, &handles, surroundings)?
            }
        };
        let router = Arc::new(router);
        let connection = ConnectionConfig {
            node: *node,
            options: connection_options(config),
            bandwidth: config.bandwidth.clone(),
            quota: quota.quota(),
            xml: config.xml.clone(),
            login_guard: config.login_guard.clone(),
            guard: config.guard.clone(),
            flood: config.flood.clone(),
        };
        let (tls, shared, routers) = (tls.clone(), sessions.shared(), router.routers());
        let connection = ConnectionRole::start(connection, tls, shared, routers, &handles)?;
        tokio::spawn(sessions.clone().follow(control.watch()));
        tokio::spawn(quota.clone().keep(config.quota.policy()));
        let connection = Arc::new(connection);
        tokio::spawn(bans::follow(control.watch_bans(), connection.clone()));
        if config.server.has(Role::Connection) {
            let node = NodeId::new(u64::from(*node)).unwrap_or(NodeId::FIRST);
            tokio::spawn(guard::report(control.clone(), node, connection.clone()));
            tokio::spawn(guard::follow(control.watch_guard(), connection.clone()));
        }
        if let Some(cluster) = cluster {
            cluster.take_part(control, &router, *restored);
            let (control, role) = (control.clone(), connection.clone());
            let emptied = drain::follow(control, cluster.node(), role, config.cluster.clone());
            tokio::spawn(emptied);
        }
        tokio::spawn(names::follow(control.watch_names()));
        if config.server.has(Role::Router) {
            keep_house(&foundation, &router);
        }
        let store_use = store_user.map(|node| tokio::spawn(in_use::keep(store.clone(), node)));
        Ok(Self {
            store_use,
            foundation,
            router,
            connection,
            arbiters,
        })
    }

    /// The way to the shards.
    pub fn routers(&self) -> RoutersRef {
        self.router.routers()
    }

    /// What all shards of this process share.
    pub fn environment(&self) -> Arc<Environment> {
        self.foundation.environment.clone()
    }

    /// Whether this node does, of what one router of a cluster does, its turn now.
    pub fn is_first_router(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let router = self.router.clone();
        move || router.serves(ShardId(0))
    }

    /// The connection role.
    pub fn connection(&self) -> &Arc<ConnectionRole> {
        &self.connection
    }

    /// Stops what serves no client any more: shards when they have carried out what came before,
    /// then the control group. The store writes what is queued when the last of its users lets it
    /// go.
    pub async fn stop(self, shards: &Shards) {
        for _ in 0..SETTLING_ROUNDS {
            shards.settle(|shard| self.may_answer(shard)).await;
            self.written().await;
        }
        // Sessions without a node are left to whoever has their shards next, this process perhaps.
        let shards = (0..self.foundation.environment.shards).map(ShardId);
        let served: Vec<_> = shards.filter(|shard| self.router.serves(*shard)).collect();
        self.router.retire(served).await;
        self.leave_store().await;
        self.foundation.quota.end();
        if let Some(cluster) = &self.foundation.cluster {
            cluster.leave(&self.foundation.control).await;
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        let arbiters = self.arbiters;
        let joined = tokio::task::spawn_blocking(move || {
            arbiters.into_iter().all(|arbiter| arbiter.join().is_ok())
        });
        if !joined.await.is_ok_and(|all_ended_well| all_ended_well) {
            tracing::error!("a thread of the roles has panicked");
        }
        self.foundation.control.stop().await;
    }

    /// Whether the shard is somebody's. What waits for one that is nobody's, before the first router for instance,
    /// waits longer than a node that stops.
    fn may_answer(&self, shard: ShardId) -> bool {
        let owner = |shard: ShardId| self.foundation.control.shards().get(shard.0)?.owner;
        self.foundation.cluster.is_none() || owner(shard).is_some()
    }

    /// Lets a restore have the store at once.
    async fn leave_store(&self) {
        let (Some(keeping), Some(node)) = (&self.store_use, self.foundation.store_user) else {
            return;
        };
        keeping.abort();
        if let Err(error) = in_use::withdraw(&*self.foundation.store, node).await {
            tracing::warn!(%error, "use of the store was not taken back, a restore waits for a minute");
        }
    }

    /// Completes when the store has written what was queued: this write changes nothing, and comes
    /// last.
    async fn written(&self) {
        let Some(host) = self.foundation.environment.hosts.first() else {
            return;
        };
        let Ok(host) = host.parse::<Jid>() else {
            return;
        };
        if let Err(error) = self
            .foundation
            .store
            .delete_document(&host, "none", "none")
            .await
        {
            tracing::warn!(%error, "store did not write what was queued");
        }
    }
}

/// What a router does beside its shards: it tells the group what they have seen, and where the first of them is, it
/// tells those who watch, and has old messages forgotten.
fn keep_house(foundation: &Foundation, router: &Arc<RouterRole>) {
    let (control, environment) = (&foundation.control, &foundation.environment);
    let this = NodeId::new(u64::from(foundation.node)).unwrap_or(NodeId::FIRST);
    tokio::spawn(noticed::report(control.clone(), this, environment.clone()));
    let (served, first) = (router.clone(), ShardId(0));
    let is_my_turn = move || served.serves(first);
    let teller = Teller {
        control: control.clone(),
        peers: router.peers(),
        environment: environment.clone(),
        is_my_turn: is_my_turn.clone(),
        options: foundation.watchers.subscribe(),
    };
    tokio::spawn(teller.keep());
    let store = foundation.store.clone();
    tokio::spawn(retention::keep(store, environment.clone(), is_my_turn));
}

/// The threads of sessions and shards, those to stop in the end first. Several are beside this one, which has the
/// links between nodes; a single one is this: what a link brings in one turn is then handled in the next and goes out
/// with the one behind, all of it at once, and nobody needs to be woken.
fn threads(count: usize) -> (Vec<Arbiter>, Vec<ArbiterHandle>) {
    if count == 1 {
        return (Vec::new(), vec![Arbiter::current()]);
    }
    let arbiters: Vec<_> = (0..count).map(|_| Arbiter::new()).collect();
    let handles = arbiters.iter().map(Arbiter::handle).collect();
    (arbiters, handles)
}

/// Opens the store that the configuration names: in the data folder `dir`, or a database.
pub(crate) async fn open_store(config: &Config, dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match config.store.backend {
        Backend::Sqlite => {
            let options = config.store.clone();
            Arc::new(SqliteStore::open(&dir.join("store"), options)?)
        }
        Backend::Scylla => Arc::new(ScyllaStore::open(config.scylla.clone()).await?),
    })
}

/// As which node a router tells that it uses a store which others can reach: the embedded one is guarded by the lock of
/// its folder.
fn store_user(config: &Config) -> Result<Option<u32>, ClusterError> {
    if config.store.backend != Backend::Scylla || !config.server.has(Role::Router) {
        return Ok(None);
    }
    if config.cluster.listen.is_empty() {
        return Ok(Some(config.server.node));
    }
    let (identity, _) = cluster::inspect(config)?;
    Ok(u32::try_from(identity.node.get()).ok())
}

/// The hosts' certificates. Only clients are shown them, so that other nodes may have none.
pub(crate) fn tls_hosts(config: &Config) -> Result<TlsHosts, TlsLoadError> {
    match config.server.has(Role::Connection) {
        true => TlsHosts::load(&config.tls),
        false => TlsHosts::load_without_clients(&config.tls),
    }
}

/// A node without the role listens for no clients.
fn connection_options(config: &Config) -> ConnectionOptions {
    let mut options = config.connection.clone();
    if !config.server.roles.contains(&Role::Connection) {
        options.starttls.clear();
        options.direct_tls.clear();
    }
    options
}

fn hosts(config: &Config) -> Result<Vec<String>, RolesError> {
    let prepared = config.server.hosts.iter().map(|text| {
        let prepared = prepare_domain(text).map(|host| host.into_owned());
        prepared.map_err(|cause| RolesError::Address {
            text: text.clone(),
            cause,
        })
    });
    prepared.collect()
}

fn environment(config: &Config, hosts: &[String]) -> Result<Arc<Environment>, RolesError> {
    let admins = config.server.admins.iter().map(|text| {
        text.parse::<Jid>().map_err(|cause| RolesError::Address {
            text: text.clone(),
            cause,
        })
    });
    let admins = admins.collect::<Result<Vec<_>, _>>()?;
    let (options, modules) = (config.router.clone(), Registry::new(all()));
    let environment = Environment::new(hosts.to_vec(), admins, options, modules, Timestamp::now());
    environment.archive.store(Arc::new(config.archive.clone()));
    environment.names.store(Arc::new(config.names.clone()));
    environment
        .invites
        .store(Arc::new(config.invite_settings()));
    let contact = Contact::new(config.contact.clone());
    environment.contact.store(Arc::new(contact));
    let server_info = ServerInfo::new(&config.server_info);
    environment.server_info.store(Arc::new(server_info));
    set_registration(&environment, config);
    environment
        .accounts
        .store(Arc::new(config.accounts.clone()));
    Ok(environment)
}

/// The secret that a node keeps in its data folder, if there is one: the cluster's if it was ever told.
pub(crate) fn kept_secret(dir: &Path) -> Option<ClusterSecret> {
    let bytes = std::fs::read(dir.join(SECRET)).ok()?;
    bytes.try_into().ok().map(ClusterSecret::new)
}

/// The file of the secret that all nodes share.
const SECRET: &str = "decoy.secret";

/// What registration asks for, from now on.
pub(crate) fn set_registration(environment: &Environment, config: &Config) {
    environment
        .passwords
        .store(Arc::new(config.passwords.clone()));
    let form = config.registration_form.clone();
    environment.form.store(Arc::new(form));
    environment.captcha.store(Arc::new(config.captcha.clone()));
}

/// The longest way of a stanza through shards and store: an account is read, a message is stored
/// for it, an error for its sender finds another account that must be read.
const SETTLING_ROUNDS: u32 = 3;
