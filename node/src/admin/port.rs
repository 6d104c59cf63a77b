//! Where the API listens: the Unix socket, and TCP with mutual TLS.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rookery_proto::DESCRIPTORS;
use rookery_proto::admin::backup_server::BackupServer;
use rookery_proto::admin::bans_server::BansServer;
use rookery_proto::admin::control_group_server::ControlGroupServer;
use rookery_proto::admin::events_server::EventsServer;
use rookery_proto::admin::guard_server::GuardServer;
use rookery_proto::admin::invites_server::InvitesServer;
use rookery_proto::admin::names_server::NamesServer;
use rookery_proto::admin::nodes_server::NodesServer;
use rookery_proto::admin::quota_server::QuotaServer;
use rookery_proto::admin::registration_server::RegistrationServer;
use rookery_proto::admin::server_server::ServerServer;
use rookery_proto::admin::sessions_server::SessionsServer;
use rookery_proto::admin::shards_server::ShardsServer;
use rookery_proto::admin::throttle_server::ThrottleServer;
use rookery_proto::admin::users_server::UsersServer;
use rookery_store::Store;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tracing::warn;

use super::authorization::AuthorizationLayer;
use super::backup::BackupService;
use super::bans::BansService;
use super::control_group::ControlGroupService;
use super::events::EventsService;
use super::guard::GuardService;
use super::health;
use super::invites::InvitesService;
use super::names::NamesService;
use super::nodes::NodesService;
use super::quota::QuotaService;
use super::registration::RegistrationService;
use super::server::ServerService;
use super::sessions::SessionsService;
use super::shard_map::ShardsService;
use super::shards::Shards;
use super::socket::{self, SocketError};
use super::throttle::ThrottleService;
use super::users::UsersService;
use crate::config::AdminOptions;
use crate::operation::listen_on;
use crate::operator::Operator;

/// The running admin API. It serves until the runtime ends; the socket's file goes with this value.
pub struct AdminPort {
    socket: PathBuf,
    addresses: Vec<SocketAddr>,
}

/// Why the API cannot be served; for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum AdminPortError {
    /// The Unix socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// An address cannot be bound.
    #[error("cannot listen on {address} for the admin API: {cause}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// One of the TLS files cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The certificates cannot be used.
    #[error("the admin API's certificates cannot be used: {0}")]
    Tls(tonic::transport::Error),
}

impl AdminPortError {
    /// Whether the same start fails again until the operator has changed something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Unreadable { .. } | Self::Tls(_) => true,
            Self::Socket(_) | Self::Listen { .. } => false,
        }
    }
}

impl AdminPort {
    /// Binds the socket and every address, then serves. A copy of the store that a backup reads is made at `copy`.
    pub async fn start(
        options: &AdminOptions,
        socket: PathBuf,
        copy: PathBuf,
        operator: Operator,
        store: Arc<dyn Store>,
        shards: Shards,
    ) -> Result<Self, AdminPortError> {
        let routes = routes(operator, store, shards, copy);
        let layer = AuthorizationLayer::new(options);
        let listener = socket::bind(&socket)?;
        let server = Server::builder()
            .layer(layer.clone())
            .add_routes(routes.clone());
        let incoming = UnixListenerStream::new(listener);
        tokio::spawn(async move { report(server.serve_with_incoming(incoming).await) });
        let mut port = Self {
            socket,
            addresses: Vec::new(),
        };
        if options.listen.is_empty() {
            return Ok(port);
        }
        let tls = mutual_tls(options)?;
        for &address in &options.listen {
            let listener =
                listen_on(address).map_err(|cause| AdminPortError::Listen { address, cause })?;
            let at = listener.local_addr().unwrap_or(address);
            let incoming = TcpIncoming::from(listener);
            let builder = Server::builder()
                .tls_config(tls.clone())
                .map_err(AdminPortError::Tls)?;
            let server = builder.layer(layer.clone()).add_routes(routes.clone());
            tokio::spawn(async move { report(server.serve_with_incoming(incoming).await) });
            port.addresses.push(at);
        }
        Ok(port)
    }

    /// The path of the Unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The bound TCP addresses.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for AdminPort {
    fn drop(&mut self) {
        // A next start would replace it; this is for those who look into the folder.
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn routes(operator: Operator, store: Arc<dyn Store>, shards: Shards, copy: PathBuf) -> Routes {
    let control = operator.control().clone();
    let backup = BackupService::new(operator.clone(), Arc::clone(&store), copy);
    let invites = InvitesServer::new(InvitesService::new(operator.clone(), Arc::clone(&store)));
    let names = NamesServer::new(NamesService::new(operator.clone(), Arc::clone(&store)));
    let users = UsersServer::new(UsersService::new(operator.clone(), store, shards.clone()));
    let sessions = SessionsServer::new(SessionsService::new(shards.clone()));
    let nodes = NodesServer::new(NodesService::new(operator.clone()));
    let shard_map = ShardsServer::new(ShardsService::new(operator.clone()));
    let group = ControlGroupServer::new(ControlGroupService::new(operator.clone()));
    let bans = BansServer::new(BansService::new(operator.clone()));
    let throttle = ThrottleServer::new(ThrottleService::new(control.clone()));
    let events = EventsServer::new(EventsService::new(control.clone()));
    let guard = GuardServer::new(GuardService::new(control));
    let quota = QuotaServer::new(QuotaService::new(&operator, shards));
    let registration = RegistrationServer::new(RegistrationService::new(operator.clone()));
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(health::follow(reporter, operator.clone()));
    let server = ServerServer::new(ServerService::new(operator));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection()
        .build_v1()
        .expect("the descriptors were made by our build");
    let v1alpha = reflection()
        .build_v1alpha()
        .expect("the descriptors were made by our build");
    Routes::new(users)
        .add_service(sessions)
        .add_service(registration)
        .add_service(quota)
        .add_service(bans)
        .add_service(throttle)
        .add_service(events)
        .add_service(guard)
        .add_service(invites)
        .add_service(names)
        .add_service(nodes)
        .add_service(shard_map)
        .add_service(group)
        .add_service(BackupServer::new(backup))
        .add_service(server)
        .add_service(health)
        .add_service(v1)
        .add_service(v1alpha)
}

fn mutual_tls(options: &AdminOptions) -> Result<ServerTlsConfig, AdminPortError> {
    let read = |path: &Path| {
        let unreadable = |cause| AdminPortError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        std::fs::read(path).map_err(unreadable)
    };
    let identity = Identity::from_pem(read(&options.certificate)?, read(&options.key)?);
    let client_ca = Certificate::from_pem(read(&options.client_ca)?);
    Ok(ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(client_ca))
}

fn report(ended: Result<(), tonic::transport::Error>) {
    if let Err(error) = ended {
        warn!(%error, "admin api ended");
    }
}
