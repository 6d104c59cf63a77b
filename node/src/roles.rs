//! Wires the roles of one process: who is handed what.
//!
//! ```text
//! found: store ─┐
//!        control ┴─► start: arbiters ─► router (shards) ─► connection (listeners)
//! ```

use std::sync::Arc;

use actix::{Arbiter, ArbiterHandle};
use rookery_connection::{ConnectionConfig, ConnectionRole, TlsHosts, TlsLoadError};
use rookery_control::{Control, NodeId};
use rookery_router::environment::Environment;
use rookery_router::modules::{Registry, registry};
use rookery_router::shard::Services;
use rookery_router::{RouterRole, StartError as RouterError};
use rookery_session::carrier::RoutersRef;
use rookery_store::{SqliteStore, Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::{Jid, JidError, prepare_domain};

use crate::admin::Shards;
use crate::config::Config;
use crate::operation::Folder;

/// What the roles stand on.
pub struct Foundation {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The control group.
    pub control: Control,
    /// What the shards share.
    pub environment: Arc<Environment>,
    /// The virtual hosts' certificates.
    pub tls: Arc<TlsHosts>,
}

/// The roles, running.
pub struct Roles {
    foundation: Foundation,
    router: RouterRole,
    connection: Arc<ConnectionRole>,
    arbiters: Vec<Arbiter>,
}

/// Why a role does not start; for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The store.
    #[error("the store does not start: {0}")]
    Store(#[from] StoreError),
    /// The control group.
    #[error("the control group does not start: {0}")]
    Control(#[from] rookery_control::StartError),
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

impl Roles {
    /// Opens the store and the control group in the folder. Blocks for some milliseconds.
    pub fn found(config: &Config, folder: &Folder) -> Result<Foundation, RolesError> {
        let tls = Arc::new(TlsHosts::load(&config.tls)?);
        let store = SqliteStore::open(&folder.join("store"), config.store.clone())?;
        let node = NodeId::new(u64::from(config.server.node)).unwrap_or(FIRST_NODE);
        let policy = config.registration.policy();
        let control =
            Control::start(config.control.clone(), &folder.join("control"), node, policy)?;
        Ok(Foundation { store: Arc::new(store), control, environment: environment(config)?, tls })
    }

    /// Starts the roles on threads of their own. When it returns, clients are accepted.
    pub fn start(config: &Config, foundation: Foundation) -> Result<Self, RolesError> {
        let arbiters: Vec<_> = (0..config.server.arbiters()).map(|_| Arbiter::new()).collect();
        let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
        let Foundation { store, control, environment, tls } = &foundation;
        let derivations = config.router.derivations_max;
        let services = Services::new(store.clone(), control.clone(), derivations);
        let router = RouterRole::start(environment.clone(), &services, &handles)?;
        let connection = ConnectionConfig {
            node: config.server.node,
            options: config.connection.clone(),
            xml: config.xml.clone(),
            login_guard: LoginGuard::new(config.login_guard.clone()),
        };
        let session = Arc::new(session_config(config));
        let connection =
            ConnectionRole::start(connection, tls.clone(), session, router.routers(), &handles)?;
        Ok(Self { foundation, router, connection: Arc::new(connection), arbiters })
    }

    /// The way to the shards.
    pub fn routers(&self) -> RoutersRef {
        self.router.routers()
    }

    /// The connection role.
    pub fn connection(&self) -> &Arc<ConnectionRole> {
        &self.connection
    }

    /// Stops what serves no client any more: shards when they have carried out what came before, then the control
    /// group, then the store.
    pub async fn stop(self, shards: &Shards) {
        shards.settle().await;
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        self.foundation.control.stop().await;
    }
}

fn environment(config: &Config) -> Result<Arc<Environment>, RolesError> {
    let address = |text: &String, cause| RolesError::Address { text: text.clone(), cause };
    let host = |text: &String| {
        prepare_domain(text).map(|host| host.into_owned()).map_err(|cause| address(text, cause))
    };
    let admin = |text: &String| text.parse::<Jid>().map_err(|cause| address(text, cause));
    let hosts = config.server.hosts.iter().map(host).collect::<Result<Vec<_>, _>>()?;
    let admins = config.server.admins.iter().map(admin).collect::<Result<Vec<_>, _>>()?;
    let modules = Registry::new(registry::all());
    Ok(Environment::new(hosts, admins, config.router.clone(), modules, Timestamp::now()))
}
