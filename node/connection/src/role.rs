//! Starts and drains the connection role.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::ArbiterHandle;
use arc_swap::ArcSwap;
use rookery_control::{BanList, GuardBlock, GuardList, GuardOptions, LoginReport};
use rookery_session::carrier::{RoutersRef, Sink, ToSession};
use rookery_session::{BandwidthOptions, LoginGuardOptions, SessionConfig};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};
use rookery_xmpp::xml::XmlLimits;
use tokio::sync::watch;

use crate::bans::Bans;
use crate::listener::Listener;
use crate::shared::Shared;
use crate::{ConnectionOptions, FloodOptions, Quota, TlsHosts};

/// What the role is told at its start.
pub struct ConnectionConfig {
    /// The node's number in its cluster; it becomes part of every session's id.
    pub node: u32,
    /// The role's own options.
    pub options: ConnectionOptions,
    /// How fast streams are read.
    pub bandwidth: BandwidthOptions,
    /// The traffic budgets of accounts and networks.
    pub quota: Quota,
    /// What a client may send once it is authenticated.
    pub xml: XmlLimits,
    /// What becomes of failed logins on this node.
    pub login_guard: LoginGuardOptions,
    /// What becomes of failed logins on all nodes together.
    pub guard: GuardOptions,
    /// How often strangers may knock.
    pub flood: FloodOptions,
}

/// Why the role could not start; for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The caller gave no thread to run on.
    #[error("the connection role needs at least one arbiter")]
    NoArbiter,
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for clients: {cause}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// The running connection role: all client connections of this process.
pub struct ConnectionRole {
    shared: Arc<Shared>,
    starttls: Vec<SocketAddr>,
    direct_tls: Vec<SocketAddr>,
    backlog: u32,
    arbiters: Vec<ArbiterHandle>,
    /// Whether connections are accepted.
    open: watch::Sender<bool>,
}

impl ConnectionRole {
    /// Binds every address and accepts clients on every arbiter. When it returns, connections are
    /// accepted. Sessions that begin later take `session` as it is then. Must be called inside an
    /// actix system.
    ///
    /// # Errors
    /// An address cannot be bound, or there is no arbiter.
    pub fn start(
        config: ConnectionConfig,
        tls: Arc<TlsHosts>,
        session: Arc<ArcSwap<SessionConfig>>,
        routers: RoutersRef,
        arbiters: &[ArbiterHandle],
    ) -> Result<Self, StartError> {
        if arbiters.is_empty() {
            return Err(StartError::NoArbiter);
        }
        let options = &config.options;
        let starttls = bind(&options.starttls, false, options.backlog)?;
        let direct_tls = bind(&options.direct_tls, true, options.backlog)?;
        let role = Self {
            starttls: starttls.iter().map(Listener::address).collect(),
            direct_tls: direct_tls.iter().map(Listener::address).collect(),
            backlog: options.backlog,
            arbiters: arbiters.to_vec(),
            shared: Shared::new(config, tls, session, routers),
            open: watch::Sender::new(true),
        };
        for listener in starttls.into_iter().chain(direct_tls) {
            role.accept(&listener)?;
        }
        Ok(role)
    }

    /// Accepts nobody any more: whoever connects is refused by the system at once, and goes elsewhere.
    pub fn close_ports(&self) {
        self.open.send_replace(false);
    }

    /// Accepts clients again where it did at the start.
    ///
    /// # Errors
    /// An address cannot be bound: some are open, and the next try opens all.
    pub fn open_ports(&self) -> Result<(), StartError> {
        self.open.send_replace(false);
        let starttls = bind(&self.starttls, false, self.backlog)?;
        let direct_tls = bind(&self.direct_tls, true, self.backlog)?;
        self.open.send_replace(true);
        for listener in starttls.into_iter().chain(direct_tls) {
            self.accept(&listener)?;
        }
        Ok(())
    }

    /// Sends so many clients away, with `<system-shutdown/>`, and says how many are left. They connect again at once,
    /// and find another node: most follow the service's addresses, while few follow `<see-other-host/>`, and those of a
    /// cluster behind one name would look for a certificate of that other host.
    pub fn send_away(&self, clients: usize) -> usize {
        let inboxes = self.shared.inboxes();
        let error = StreamError::new(StreamCondition::SystemShutdown)
            .with_text("this node is taken out of service, connect again");
        for inbox in inboxes.iter().take(clients) {
            // One that is closed already is on its way out.
            let _ = inbox.send(ToSession::Close(error.clone()));
        }
        inboxes.len().saturating_sub(clients)
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Where streams that start TLS are accepted.
    pub fn starttls_addresses(&self) -> &[SocketAddr] {
        &self.starttls
    }

    /// Where streams that begin with TLS are accepted.
    pub fn direct_tls_addresses(&self) -> &[SocketAddr] {
        &self.direct_tls
    }

    /// Other bans, from now on: nobody whom they concern comes in, and those who are here are closed.
    /// Gives how many were.
    pub fn set_bans(&self, list: &BanList) -> usize {
        let bans = Bans::new(list);
        let version = bans.version();
        let closed = self.shared.set_bans(bans);
        tracing::info!(version, closed, "bans have changed");
        closed
    }

    /// Other limits of streams, from now on, for those that are open as well.
    pub fn set_bandwidth(&self, options: BandwidthOptions) {
        self.shared.set_bandwidth(options);
    }

    /// Takes over other limits for failed logins; what is remembered of them stays.
    pub fn set_login_guard(&self, options: LoginGuardOptions) {
        self.shared.login_guard().set_options(options);
    }

    /// Other limits of connections, floods and failed logins over all nodes, from now on. Who is here stays.
    pub fn set_limits(
        &self,
        options: &ConnectionOptions,
        flood: FloodOptions,
        guard: GuardOptions,
    ) {
        self.shared.set_limits(options, flood, guard);
    }

    /// Whom the control group lets in no more. Gives those who are new.
    pub fn set_guard_list(&self, list: Arc<GuardList>) -> Vec<GuardBlock> {
        self.shared.watch().set_list(list)
    }

    /// What the control group is to be told of logins, if there is anything: the same until it is
    /// [`logins_reported`](Self::logins_reported).
    pub fn login_report(&self) -> Option<LoginReport> {
        self.shared.watch().next_report(Timestamp::now())
    }

    /// The group has answered to the report with this number.
    pub fn logins_reported(&self, sequence: u64) {
        self.shared.watch().reported(sequence);
    }

    /// Networks of which the limits against floods remember something.
    pub fn flood_entries(&self) -> usize {
        self.shared.flood_entries()
    }

    /// Accepts nobody any more, tells every client `<system-shutdown/>`, and waits until all are
    /// gone or the time is up. Gives the number of connections that had to be cut.
    pub async fn drain(&self, within: Duration) -> usize {
        self.open.send_replace(false);
        let error = StreamError::new(StreamCondition::SystemShutdown);
        for inbox in self.shared.close() {
            // One that is closed already is on its way out.
            let _ = inbox.send(ToSession::Close(error.clone()));
        }
        for inbox in self.shared.waiting() {
            inbox.leave();
        }
        if tokio::time::timeout(within, self.shared.empty())
            .await
            .is_ok()
        {
            return 0;
        }
        let left = self.shared.inboxes();
        for inbox in &left {
            inbox.cut();
        }
        // They end with their next turn, which is due.
        let _ = tokio::time::timeout(CUT_MAX, self.shared.empty()).await;
        left.len()
    }

    fn accept(&self, listener: &Listener) -> Result<(), StartError> {
        let failed = |cause| StartError::Listen {
            address: listener.address(),
            cause,
        };
        for arbiter in &self.arbiters {
            let listener = listener.try_clone().map_err(failed)?;
            let (shared, open) = (self.shared.clone(), self.open.subscribe());
            // False only when the arbiter has stopped, and with it the process.
            arbiter.spawn_fn(move || drop(actix::spawn(listener.accept(shared, open))));
        }
        Ok(())
    }
}

fn bind(
    addresses: &[SocketAddr],
    direct_tls: bool,
    backlog: u32,
) -> Result<Vec<Listener>, StartError> {
    let bind = |&address: &SocketAddr| {
        Listener::bind(address, direct_tls, backlog)
            .map_err(|cause| StartError::Listen { address, cause })
    };
    addresses.iter().map(bind).collect()
}

/// How long cut connections have to go.
const CUT_MAX: Duration = Duration::from_secs(1);
