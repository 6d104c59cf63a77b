//! Starts the node's part in its cluster, or the only member of a server that has none.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fs, io};

use rookery_control::raft::{Mailbox, Transport};
use rookery_control::{Control, ControlStatus, Directory, NodeId, NodeRole};
use rookery_proto::control::admission_server::AdmissionServer;
use rookery_proto::control::control_server::ControlServer;
use rookery_proto::raft::raft_server::RaftServer;
use rookery_router::{RouterRole, Surroundings};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::OsEntropy;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::service::Routes;

use super::admission::{Gate, JOINS_MAX, Parts, TokenRefused};
use super::authorization::AuthorizationLayer;
use super::backoff::Backoff;
use super::book::Book;
use super::control_service::ControlService;
use super::credentials::{Credentials, CredentialsError, Generation, check_issued};
use super::files::{Files, write_private};
use super::identity::Identity;
use super::link::GrpcLink;
use super::port::Bound;
use super::raft_service::RaftService;
use super::rest;
use super::shard_count::{self, ShardCountDiffers};
use super::shards::ShardWays;
use super::token::Token;
use super::transport::{GrpcTransport, Way};
use super::version;
use super::watches::Watches;
use crate::backup::restore::Restored;
use crate::config::{Config, Role};
use crate::operation::Folder;

/// This node's part in its cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    files: Files,
    book: Arc<Book>,
    link: Arc<GrpcLink>,
    gate: Gate,
    shards: ShardWays,
    addresses: Vec<SocketAddr>,
}

/// What a node stands on.
pub struct Founded {
    /// The way to the control group.
    pub control: Control,
    /// The node's number in its cluster.
    pub node: NodeId,
    /// The cluster, unless the server is alone.
    pub cluster: Option<Cluster>,
}

/// Why the node takes no part in its cluster; the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The node's certificate.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A role is configured that the certificate does not give.
    #[error("`server.roles` has `{role}`, which the certificate of {identity} does not give")]
    Role {
        /// Which role.
        role: &'static str,
        /// Whose certificate.
        identity: Identity,
    },
    /// The node's id does not fit into a session's id.
    #[error("node {0} is above the largest number of a node")]
    Number(NodeId),
    /// An address cannot be bound.
    #[error("cannot listen on {address} for the cluster: {cause}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// A mark cannot be written or removed.
    #[error("cannot write or remove {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The node has taken part in the group, and what it has voted and acknowledged is gone. Without knowing it, it
    /// would vote a second time.
    #[error(
        "this node is a member of the control group, but its log in {} is gone (lost, or the folder is a copy): \
         put the log back, or `rookery admin nodes remove {node}` on another member, empty the data folder and join \
         as a new node", path.display()
    )]
    LogGone {
        /// Where the log was.
        path: PathBuf,
        /// Which node this is.
        node: NodeId,
    },
    /// The number of shards is not the cluster's.
    #[error(transparent)]
    Shards(#[from] ShardCountDiffers),
    /// The control group.
    #[error("the control group does not start: {0}")]
    Control(#[from] rookery_control::StartError),
}

impl ClusterError {
    /// Whether the same start fails again until the operator has changed something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Credentials(_) | Self::Role { .. } | Self::Number(_) | Self::LogGone { .. } => {
                true
            }
            Self::Shards(_) => true,
            Self::Control(error) => error.is_final(),
            Self::Listen { .. } | Self::File { .. } => false,
        }
    }
}

/// What is common to all that is started.
struct Ground {
    credentials: Credentials,
    files: Files,
    book: Arc<Book>,
    identity: Identity,
    /// Where this node is reached.
    address: String,
    link: Arc<GrpcLink>,
}

/// Starts the control group's part on this node. Blocks for some milliseconds. Must be called inside a runtime.
pub fn found(config: &Config, folder: &Folder) -> Result<Founded, ClusterError> {
    if config.cluster.listen.is_empty() {
        let node = NodeId::new(u64::from(config.server.node)).unwrap_or(NodeId::FIRST);
        let (options, policy) = (config.control.clone(), config.registration.policy());
        let control = Control::start(options, &folder.join("control"), node, policy)?;
        return Ok(Founded {
            control,
            node,
            cluster: None,
        });
    }
    version::hold_back(config.cluster.protocol_max);
    let ground = Ground::prepare(config)?;
    let mut bound = Vec::new();
    for &address in &config.cluster.listen {
        let cause = |cause| ClusterError::Listen { address, cause };
        bound.push(Bound::bind(address).map_err(cause)?);
    }
    let (control, mailbox) = match config.server.roles.contains(&Role::Control) {
        true => ground.member(config, folder)?,
        false => (ground.remote(config), None),
    };
    let cluster = ground.serve(config, control.clone(), mailbox, bound);
    Ok(Founded {
        control,
        node: ground.identity.node,
        cluster: Some(cluster),
    })
}

impl Ground {
    fn prepare(config: &Config) -> Result<Self, ClusterError> {
        let files = Files::configured(&config.cluster, &config.server.data_dir);
        let credentials = Credentials::load(&files)?;
        let identity = credentials.now().identity.clone();
        check_identity(config, &files, &identity)?;
        let address = config.cluster.address.clone();
        let book = Arc::new(Book::new(config.cluster.peers.clone()));
        let link = GrpcLink::new(Arc::clone(&book), credentials.clone(), address.clone());
        Ok(Self {
            link: Arc::new(link),
            credentials,
            files,
            book,
            identity,
            address,
        })
    }

    /// This node's member of the group. The first node of a cluster begins the group, once; every other waits until the
    /// group adds it.
    fn member(
        &self,
        config: &Config,
        folder: &Folder,
    ) -> Result<(Control, Option<Mailbox>), ClusterError> {
        let begins = self.files.founder.exists();
        let voters: &[NodeId] = if begins { &[self.identity.node] } else { &[] };
        let kept = OnceLock::new();
        let transport = |mailbox: Mailbox| -> Box<dyn Transport> {
            let _ = kept.set(mailbox.clone());
            Box::new(GrpcTransport::new(Way {
                address: self.address.clone(),
                book: Arc::clone(&self.book),
                credentials: self.credentials.clone(),
                mailbox,
            }))
        };
        let (options, policy) = (config.control.clone(), config.registration.policy());
        let dir = folder.join("control");
        let node = self.identity.node;
        let control = Control::start_member(options, &dir, node, voters, policy, transport)?;
        let mark = &self.files.member;
        write_private(mark, &node.to_string()).map_err(|cause| ClusterError::File {
            path: mark.clone(),
            cause,
        })?;
        if begins {
            // A group that lost this node's disk must not be begun a second time.
            let path = &self.files.founder;
            fs::remove_file(path).map_err(|cause| {
                let path = path.clone();
                ClusterError::File { path, cause }
            })?;
        }
        tokio::spawn(follow(control.clone(), Arc::clone(&self.book), node));
        Ok((control, kept.into_inner()))
    }

    fn remote(&self, config: &Config) -> Control {
        let incarnation = Timestamp::now().as_millis();
        let link: Arc<dyn rookery_control::Link> = Arc::<GrpcLink>::clone(&self.link);
        let (control, updates) =
            Control::remote(&config.control, self.identity.node, incarnation, link);
        tokio::spawn(Arc::clone(&self.link).follow(updates));
        control
    }

    /// Opens the port and tells the cluster that this node is there.
    fn serve(
        &self,
        config: &Config,
        control: Control,
        mailbox: Option<Mailbox>,
        bound: Vec<Bound>,
    ) -> Cluster {
        let gate = Gate::new(Parts {
            control: control.clone(),
            credentials: self.credentials.clone(),
            files: self.files.clone(),
            book: Arc::clone(&self.book),
            address: self.address.clone(),
            places: Semaphore::new(JOINS_MAX),
        });
        let (book, credentials) = (Arc::clone(&self.book), self.credentials.clone());
        let shards = ShardWays::prepare(config, &self.identity, book, credentials);
        let mut routes = Routes::default().add_service(shards.service());
        if let Some(mailbox) = mailbox {
            let raft = RaftService {
                own: self.identity.node,
                book: Arc::clone(&self.book),
                mailbox,
            };
            let raft = RaftServer::new(raft).max_decoding_message_size(ENVELOPE_BYTES_MAX);
            let control = control.clone();
            routes = routes
                .add_service(raft)
                .add_service(ControlServer::new(ControlService {
                    control,
                    gate: gate.clone(),
                    watches: Watches::default(),
                }))
                .add_service(
                    AdmissionServer::new(gate.clone()).max_decoding_message_size(JOIN_BYTES_MAX),
                );
        }
        let cluster = self.identity.cluster.clone();
        let layer = AuthorizationLayer::new(cluster, Arc::clone(&self.book));
        let addresses = bound.iter().filter_map(Bound::address).collect();
        for port in bound {
            port.serve(self.credentials.clone(), layer.clone(), routes.clone());
        }
        let roles: Vec<_> = config.server.roles.iter().copied().map(node_role).collect();
        let (link, address) = (Arc::clone(&self.link), self.address.clone());
        let book = Arc::clone(&self.book);
        let (node, resting) = (self.identity.node, self.files.resting.clone());
        tokio::spawn(async move {
            let (at, does) = (address.clone(), roles.clone());
            enlist(control.clone(), link, book, node, address, roles).await;
            rest::end(&control, node, &resting).await;
            keep_format(&control, node, at, does).await;
        });
        Cluster(Arc::new(Inner {
            credentials: self.credentials.clone(),
            files: self.files.clone(),
            book: Arc::clone(&self.book),
            link: Arc::clone(&self.link),
            gate,
            shards,
            addresses,
        }))
    }
}

impl Cluster {
    /// The bound addresses of the internal port.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0.addresses
    }

    /// Which node this is.
    pub fn node(&self) -> NodeId {
        self.0.shards.node()
    }

    /// Completes when the cluster has said that this node was removed: it can never be of use again.
    pub async fn expelled(&self) {
        self.0.book.expelled().await;
    }

    /// Whether this node looks for accounts as the cluster does, as far as the group can be asked now.
    ///
    /// # Errors
    /// The configuration has another number of shards, and a role that needs the right one.
    pub async fn check_shards(
        &self,
        config: &Config,
        control: &Control,
    ) -> Result<(), ClusterError> {
        Ok(shard_count::check_start(config, control).await?)
    }

    /// Completes when it turns out that the cluster has another number of shards than this node.
    pub async fn misfit(&self) -> ShardCountDiffers {
        self.0.shards.misfit().await
    }

    /// Why this node is of no use to its cluster, if it was removed.
    pub fn removal(&self) -> Option<&'static str> {
        self.0.book.removal(self.node())
    }

    /// Waits for the cluster's word on whether this node is still one of it, for a moment: where nobody answers, a node
    /// serves by what it knows.
    pub async fn answered(&self) {
        let either = async {
            tokio::select! {
                () = self.0.book.answered() => {}
                () = self.0.book.expelled() => {}
            }
        };
        let _ = tokio::time::timeout(ANSWERED_WITHIN, either).await;
    }

    /// Where its files are.
    pub(super) fn files(&self) -> &Files {
        &self.0.files
    }

    /// What the router role of this node stands in.
    pub fn surroundings(&self) -> Surroundings {
        self.0.shards.surroundings()
    }

    /// Renews this node's lease and serves the shards that it is given, from now on.
    ///
    /// The store holds what was appended up to the epoch `above`.
    pub fn take_part(&self, control: &Control, router: &Arc<RouterRole>, restored: Restored) {
        self.0.shards.take_part(control, router, restored);
    }

    /// Whether this node knows the way to every shard and serves those that it was given, and how it stands.
    pub fn standing(&self, control: &Control) -> (bool, String) {
        self.0.shards.standing(control)
    }

    /// Serves no shard any more, and lets others take over at once.
    pub async fn leave(&self, control: &Control) {
        self.0.shards.leave(control).await;
    }

    /// Whether the files could be taken over.
    pub fn check_files(&self) -> Result<(), CredentialsError> {
        let fresh = Generation::read(&self.0.files)?;
        check_issued(&self.0.files, &fresh.identity)
    }

    /// Reads certificate, key and authority again.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        self.0.credentials.reload(&self.0.files)
    }

    /// A token with which one node may join, and when it expires.
    pub async fn create_token(
        &self,
        roles: Vec<NodeRole>,
        valid: Duration,
    ) -> Result<(Token, Timestamp), TokenRefused> {
        self.0.gate.create_token(roles, valid).await
    }

    /// How the group stands as another member sees it; `None` if that one does not tell.
    pub async fn status_of(&self, node: NodeId) -> Option<ControlStatus> {
        let asked = tokio::time::timeout(PATIENCE, self.0.link.status_of(node)).await;
        asked.ok().flatten()
    }
}

/// Who this node is by its files, and until when, with all that a start would refuse.
///
/// # Errors
/// The files are missing, do not fit together or the configuration, are not valid now, or the node's log is gone.
pub fn inspect(config: &Config) -> Result<(Identity, Timestamp), ClusterError> {
    let files = Files::configured(&config.cluster, &config.server.data_dir);
    let Generation {
        identity, expires, ..
    } = Generation::read(&files)?;
    check_identity(config, &files, &identity)?;
    Ok((identity, expires))
}

/// Refuses a configuration that does not fit the node's identity, and a member of the group without its log.
fn check_identity(config: &Config, files: &Files, identity: &Identity) -> Result<(), ClusterError> {
    check_issued(files, identity)?;
    let node = identity.node;
    if u32::try_from(node.get()).is_err() {
        return Err(ClusterError::Number(node));
    }
    let lacking = config
        .server
        .roles
        .iter()
        .find(|role| !identity.may(node_role(**role)));
    if let Some(role) = lacking {
        let (role, identity) = (role.name(), identity.clone());
        return Err(ClusterError::Role { role, identity });
    }
    let path = Control::log_file(&config.server.data_dir.join("control"));
    let is_member = config.server.has(Role::Control) && files.member.exists();
    if is_member && !has_content(&path) {
        return Err(ClusterError::LogGone { path, node });
    }
    Ok(())
}

fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

/// Keeps the book as the member knows it.
async fn follow(control: Control, book: Arc<Book>, own: NodeId) {
    let mut directory = control.watch_directory();
    loop {
        let known = directory.borrow_and_update().clone();
        book.set_directory(known);
        book.heed_own_log(own);
        if directory.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the cluster where this node is, until it has heard.
async fn enlist(
    control: Control,
    link: Arc<GrpcLink>,
    book: Arc<Book>,
    node: NodeId,
    address: String,
    roles: Vec<NodeRole>,
) {
    let mut backoff = Backoff::default();
    loop {
        // The others first: a member that was not added yet cannot say it by itself.
        let answer = link.enlist(&address, &roles).await;
        book.greeted(&answer);
        let refused = match answer {
            Ok(()) => break,
            Err(status) => status,
        };
        if matches!(
            refused.code(),
            Code::PermissionDenied | Code::FailedPrecondition
        ) {
            tracing::error!(reason = refused.message(), "the cluster refuses this node");
        }
        let is_member = control
            .directory()
            .members
            .iter()
            .any(|member| member.node == node);
        if is_member && control.is_member() {
            let format = version::format();
            let (address, roles) = (address.clone(), roles.clone());
            match control.enlist(node, address, roles, format).await {
                Ok(()) => {
                    book.greeted(&Ok(()));
                    break;
                }
                Err(error) => tracing::warn!(%error, "not enlisted, trying again"),
            }
        }
        tokio::time::sleep(backoff.after_failure(&mut OsEntropy)).await;
    }
    tracing::info!(node = node.get(), "enlisted");
}

/// Has the group know which format of commands this member speaks: one of an earlier build passes on neither what it is
/// told of it, nor what stood in the state that its snapshots replace.
async fn keep_format(control: &Control, node: NodeId, address: String, roles: Vec<NodeRole>) {
    let (mut directory, format) = (control.watch_directory(), version::format());
    let mut backoff = Backoff::default();
    let lacks = |known: &Arc<Directory>| {
        let is_member = known.members.iter().any(|member| member.node == node);
        is_member && !known.knows_format(node, format)
    };
    while control.is_member() && directory.wait_for(lacks).await.is_ok() {
        let told = control.enlist(node, address.clone(), roles.clone(), format);
        if let Err(error) = told.await {
            tracing::debug!(%error, "the group does not know what this member speaks, told again");
        }
        tokio::time::sleep(backoff.after_failure(&mut OsEntropy)).await;
    }
}

fn node_role(role: Role) -> NodeRole {
    match role {
        Role::Connection => NodeRole::Connection,
        Role::Router => NodeRole::Router,
        Role::Control => NodeRole::Control,
    }
}

/// 32 messages of a megabyte of entries each, which is what a member may be behind.
const ENVELOPE_BYTES_MAX: usize = 64 << 20;

/// Some tries and a proposal; whoever starts a node waits for it where the group has no quorum.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// How long another member may take to tell how the group stands.
const PATIENCE: Duration = Duration::from_secs(2);

/// A token, an address, and a request for a certificate. Strangers send it.
const JOIN_BYTES_MAX: usize = 16_384;
