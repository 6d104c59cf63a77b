//! What all connections of a process share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{counter, gauge};
use rookery_control::GuardOptions;
use rookery_session::carrier::{RoutersRef, SessionId, Sink, ToSession};
use rookery_session::event::Admission as LoginAdmission;
use rookery_session::{BandwidthOptions, LoginGuard, SessionConfig};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};
use rookery_xmpp::xml::XmlLimits;
use tokio::sync::{Notify, Semaphore};

use crate::admission::{Admission, Origin, Refusal};
use crate::bans::Bans;
use crate::complaints::Complaints;
use crate::flood::{Act, Flood, Flooded};
use crate::guard::LoginWatch;
use crate::inbox::Inbox;
use crate::pace::StreamLimits;
use crate::proxied::HeaderError;
use crate::spent::Spent;
use crate::{ConnectionConfig, ConnectionOptions, FloodOptions, Quota, TlsHosts};

/// The surroundings of a connection.
pub(crate) struct Shared {
    pub(crate) tls: Arc<TlsHosts>,
    pub(crate) session: Arc<ArcSwap<SessionConfig>>,
    pub(crate) routers: RoutersRef,
    pub(crate) options: ConnectionOptions,
    /// How fast streams are read, from now on.
    pub(crate) bandwidth: Arc<ArcSwap<StreamLimits>>,
    pub(crate) quota: Quota,
    pub(crate) xml: XmlLimits,
    pub(crate) write_stall: Duration,
    /// Key derivation costs milliseconds of a core: only so many at once.
    pub(crate) verifications: Arc<Semaphore>,
    /// Headers of load balancers that are awaited: only so many at once.
    pub(crate) headers: Arc<Semaphore>,
    pub(crate) header_within: Duration,
    login_guard: Mutex<LoginGuard>,
    watch: Mutex<LoginWatch>,
    flood: Mutex<Flood>,
    complaints: Mutex<Complaints>,
    spent: Mutex<Spent>,
    bans: ArcSwap<Bans>,
    node: u32,
    serial: AtomicU64,
    places: Mutex<Places>,
    /// Rings when a connection leaves.
    left: Notify,
}

/// Who is here.
struct Places {
    admission: Admission,
    present: HashMap<u64, Present>,
    /// Sessions whose clients are lost, and may come back.
    waiting: HashMap<u64, Present>,
    /// Nobody comes in any more.
    closed: bool,
}

/// One connection.
struct Present {
    inbox: Arc<Inbox>,
    address: IpAddr,
    /// Once it has proved who it is.
    account: Option<Arc<Jid>>,
}

impl Shared {
    /// The surroundings of a role that starts now.
    pub(crate) fn new(
        config: ConnectionConfig,
        tls: Arc<TlsHosts>,
        session: Arc<ArcSwap<SessionConfig>>,
        routers: RoutersRef,
    ) -> Arc<Self> {
        let ConnectionConfig {
            node,
            options,
            bandwidth,
            quota,
            xml,
            login_guard,
            guard,
            flood,
        } = config;
        let admission = Admission::new(&options);
        Arc::new(Self {
            tls,
            session,
            routers,
            bandwidth: Arc::new(ArcSwap::from_pointee(StreamLimits::new(bandwidth))),
            quota,
            xml,
            write_stall: Duration::from_millis(options.write_stall_ms),
            verifications: Arc::new(Semaphore::new(options.verifications_max.max(1) as usize)),
            headers: Arc::new(Semaphore::new(options.handshakes_max)),
            header_within: Duration::from_millis(options.proxy_header_ms),
            login_guard: Mutex::new(LoginGuard::new(login_guard)),
            watch: Mutex::new(LoginWatch::new(guard, Timestamp::now())),
            flood: Mutex::new(Flood::new(flood)),
            complaints: Mutex::default(),
            spent: Mutex::new(Spent::new()),
            bans: ArcSwap::default(),
            node,
            serial: AtomicU64::new(first_serial(Timestamp::now())),
            places: Mutex::new(Places {
                admission,
                present: HashMap::new(),
                waiting: HashMap::new(),
                closed: false,
            }),
            left: Notify::new(),
            options,
        })
    }

    /// Lets a connection in, or says why not. `secures` tells that TLS begins at once.
    pub(crate) fn enter(self: &Arc<Self>, origin: Origin, secures: bool) -> Result<Seat, Refusal> {
        let now = Timestamp::now();
        let place = match self.turns_away(origin, secures, now) {
            None => self.take_place(origin, now),
            Some(refusal) => Err(refusal),
        };
        if let Err(refusal) = &place {
            self.refused(refusal.cause(), origin.address);
        }
        place
    }

    /// Why nobody comes in from there now, whatever room there is. A load balancer itself is only held to bans.
    fn turns_away(&self, origin: Origin, secures: bool, now: Timestamp) -> Option<Refusal> {
        let Origin { address, is_proxy } = origin;
        if self.bans.load().bans_address(address, now) {
            return Some(Refusal::Banned);
        }
        if is_proxy {
            return None;
        }
        if !lock(&self.watch).lets_in(address, now) {
            return Some(Refusal::Guarded);
        }
        let acts = [Act::Connect, Act::Handshake];
        let acts = &acts[..1 + usize::from(secures)];
        let taken = acts.iter().try_for_each(|act| self.take(*act, address));
        taken.err().map(Refusal::Flooded)
    }

    /// Whether somebody may do this now. It is counted.
    fn take(&self, act: Act, address: IpAddr) -> Result<(), Flooded> {
        lock(&self.flood).take(act, address, self.quota.now_ms())
    }

    fn take_place(self: &Arc<Self>, origin: Origin, now: Timestamp) -> Result<Seat, Refusal> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let node = self.node;
        let session = SessionId { node, serial };
        let inbox = Arc::new(Inbox::new(session, origin.address, self));
        let mut places = self.places();
        if places.closed {
            return Err(Refusal::Full);
        }
        // Again, under the lock: a ban may have come in between.
        if self.bans.load().bans_address(origin.address, now) {
            return Err(Refusal::Banned);
        }
        let gave_way = places.admission.enter(origin, serial)?;
        let gave_way = gave_way.and_then(|serial| places.present.get(&serial));
        let gave_way = gave_way.map(|present| (present.inbox.clone(), present.address));
        let present = Present {
            inbox: inbox.clone(),
            address: origin.address,
            account: None,
        };
        places.present.insert(serial, present);
        drop(places);
        if let Some((inbox, address)) = gave_way {
            inbox.cut();
            self.refused("gave_way", address);
        }
        counter!("rookery_connections_accepted_total").increment(1);
        gauge!("rookery_connections").increment(1);
        Ok(Seat {
            shared: self.clone(),
            origin,
            inbox,
            stranger: true,
        })
    }

    /// Other bans, from now on: whom they concern is closed. Gives how many.
    pub(crate) fn set_bans(&self, bans: Bans) -> usize {
        let bans = Arc::new(bans);
        let now = Timestamp::now();
        // Under the lock, so that nobody comes in between by the list before.
        let places = self.places();
        self.bans.store(bans.clone());
        let is_banned = |present: &&Present| {
            let account = present.account.as_deref();
            bans.bans_address(present.address, now)
                || account.is_some_and(|jid| bans.bans_account(jid, now))
        };
        let banned = |all: &HashMap<u64, Present>| -> Vec<_> {
            let banned = all.values().filter(is_banned);
            banned.map(|present| present.inbox.clone()).collect()
        };
        let (present, waiting) = (banned(&places.present), banned(&places.waiting));
        drop(places);
        present.iter().for_each(|inbox| turn_away(inbox));
        // They have nobody who could be told.
        waiting.iter().for_each(|inbox| inbox.cut());
        present.len() + waiting.len()
    }

    /// Other limits of streams, from now on, for those that are open as well.
    pub(crate) fn set_bandwidth(&self, options: BandwidthOptions) {
        self.bandwidth.store(Arc::new(StreamLimits::new(options)));
    }

    /// Whether nobody may use this account now.
    pub(crate) fn bans_account(&self, jid: &Jid, now: Timestamp) -> bool {
        self.bans.load().bans_account(jid, now)
    }

    /// Whether connections from there begin with a load balancer's header.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut trusted = self.options.proxy_trusted.iter();
        trusted.any(|network| network.contains(&address))
    }

    /// Whether a client that connected in clear may begin TLS now.
    pub(crate) fn admits_handshake(&self, origin: Origin) -> bool {
        if origin.is_proxy {
            return true;
        }
        let taken = self.take(Act::Handshake, origin.address);
        if let Err(flooded) = taken {
            self.refused(flooded.cause(), origin.address);
        }
        taken.is_ok()
    }

    /// Whether a try to log in may go on, and how soon; where it is refused, a word for why.
    pub(crate) fn admits_login(
        &self,
        address: IpAddr,
        account: Option<&Jid>,
        now: Timestamp,
    ) -> Result<LoginAdmission, &'static str> {
        if let Err(flooded) = self.take(Act::Login, address) {
            self.complain(flooded.cause(), address);
            return Err("flooded");
        }
        if !lock(&self.watch).admits(address, account, now) {
            self.complain("guarded", address);
            return Err("guarded");
        }
        match lock(&self.login_guard).admit(address, account, now) {
            LoginAdmission::Refused => Err("throttled"),
            admission => Ok(admission),
        }
    }

    /// Whether a stranger may try to register now.
    pub(crate) fn admits_registration(&self, address: IpAddr) -> bool {
        let taken = self.take(Act::Register, address);
        if let Err(flooded) = taken {
            let cause = flooded.cause();
            counter!("rookery_registrations_refused_total", "cause" => cause).increment(1);
            self.complain(cause, address);
        }
        taken.is_ok()
    }

    /// How an admitted try to log in ended.
    pub(crate) fn login_ended(
        &self,
        address: IpAddr,
        account: Option<&Jid>,
        succeeded: bool,
        now: Timestamp,
    ) {
        lock(&self.login_guard).report(address, account, succeeded, now);
        lock(&self.watch).ended(address, account, succeeded);
    }

    /// The client of a session did not know the password of its account, so often: as many failed logins.
    pub(crate) fn failed_to_prove(&self, address: IpAddr, account: &Jid, times: u8) {
        let now = Timestamp::now();
        for _ in 0..times {
            lock(&self.login_guard).failed_elsewhere(address, account, now);
            lock(&self.watch).failed_to_prove(address, account);
            counter!("rookery_client_logins_total", "mechanism" => "OLD-PASSWORD", "outcome" => "failed")
                .increment(1);
        }
    }

    /// A connection is closed as it comes.
    pub(crate) fn refused(&self, cause: &'static str, address: IpAddr) {
        counter!("rookery_connections_refused_total", "cause" => cause).increment(1);
        self.complain(cause, address);
    }

    /// A client began as a load balancer does that nobody trusts: the operator has forgotten to name it, or somebody
    /// tries to be another.
    pub(crate) fn forged_header(&self, address: IpAddr) {
        let forged = lock(&self.complaints).count("proxy_not_trusted", self.quota.now_ms());
        if let Some(times) = forged {
            tracing::warn!(%address, times, "proxy header from an address that is not trusted, closed");
        }
    }

    /// What a trusted load balancer says is no header.
    pub(crate) fn broken_header(&self, proxy: IpAddr, error: &HeaderError) {
        counter!("rookery_connections_refused_total", "cause" => "proxy").increment(1);
        let broken = lock(&self.complaints).count("proxy_header", self.quota.now_ms());
        if let Some(times) = broken {
            tracing::warn!(%proxy, %error, times, "connections of a trusted proxy closed");
        }
    }

    /// Tells the operator of a refusal, but not of each in a flood.
    fn complain(&self, cause: &'static str, address: IpAddr) {
        let refused = lock(&self.complaints).count(cause, self.quota.now_ms());
        if let Some(refused) = refused {
            tracing::info!(%address, cause, refused, "clients refused");
        }
    }

    /// Other limits of connections, floods and failed logins from now on.
    pub(crate) fn set_limits(
        &self,
        options: &ConnectionOptions,
        flood: FloodOptions,
        guard: GuardOptions,
    ) {
        self.places().admission.set_options(options);
        lock(&self.flood).set_options(flood);
        lock(&self.watch).set_options(guard);
    }

    /// What streams of accounts have used up.
    pub(crate) fn spent(&self) -> MutexGuard<'_, Spent> {
        lock(&self.spent)
    }

    /// What this node knows of logins.
    pub(crate) fn watch(&self) -> MutexGuard<'_, LoginWatch> {
        lock(&self.watch)
    }

    /// Networks of which the limits against floods remember something.
    pub(crate) fn flood_entries(&self) -> usize {
        lock(&self.flood).entries()
    }

    /// Lets nobody in any more; those who are here.
    pub(crate) fn close(&self) -> Vec<Arc<Inbox>> {
        let mut places = self.places();
        places.closed = true;
        places.inboxes()
    }

    /// Those who are here.
    pub(crate) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        self.places().inboxes()
    }

    /// How many are here.
    pub(crate) fn connections(&self) -> usize {
        self.places().admission.connections()
    }

    /// Those whose clients are lost.
    pub(crate) fn waiting(&self) -> Vec<Arc<Inbox>> {
        let places = self.places();
        let waiting = places.waiting.values();
        waiting.map(|waiting| waiting.inbox.clone()).collect()
    }

    /// Completes when nobody is here, and no client is waited for.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.connections() == 0 && self.places().waiting.is_empty() {
                return;
            }
            left.await;
        }
    }

    /// The failed logins of this process.
    pub(crate) fn login_guard(&self) -> MutexGuard<'_, LoginGuard> {
        lock(&self.login_guard)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        lock(&self.places)
    }
}

impl Places {
    fn inboxes(&self) -> Vec<Arc<Inbox>> {
        let present = self.present.values();
        present.map(|present| present.inbox.clone()).collect()
    }
}

/// Every change to what is shared is complete before anything could panic, and a lost count does no harm.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a session of somebody who is banned; why is the operator's business.
fn turn_away(inbox: &Inbox) {
    let error = StreamError::new(StreamCondition::PolicyViolation).with_text("banned");
    // One that is closed already is on its way out.
    let _ = inbox.send(ToSession::Close(error));
}

/// A connection's place, given back when it is dropped.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    origin: Origin,
    inbox: Arc<Inbox>,
    stranger: bool,
}

impl Seat {
    /// Where shards send what is for this connection.
    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Where the client connects from.
    pub(crate) fn address(&self) -> IpAddr {
        self.origin.address
    }

    /// The same, and whether it is a load balancer's own.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// A place without a client, which may come back. Where there are too many, or no more shall be, the session ends
    /// at once.
    pub(crate) fn waits(&self) -> Waiting {
        let serial = self.inbox.session().serial;
        let mut places = self.shared.places();
        let account = places.present.get(&serial);
        let waiting = Present {
            inbox: self.inbox.clone(),
            address: self.address(),
            account: account.and_then(|present| present.account.clone()),
        };
        places.waiting.insert(serial, waiting);
        let is_closed = places.closed;
        let are_too_many = places.waiting.len() > self.shared.options.sessions_waiting_max;
        drop(places);
        gauge!("rookery_sessions_waiting").increment(1);
        if is_closed {
            self.inbox.leave();
        } else if are_too_many {
            self.inbox.cut();
        }
        Waiting {
            shared: self.shared.clone(),
            serial,
        }
    }

    /// The client proved who it is.
    pub(crate) fn authenticated(&mut self, jid: Arc<Jid>) {
        if !std::mem::replace(&mut self.stranger, false) {
            return;
        }
        let mut places = self.shared.places();
        let serial = self.inbox.session().serial;
        places.admission.authenticated(self.origin, serial);
        if let Some(present) = places.present.get_mut(&serial) {
            present.account = Some(jid.clone());
        }
        // Behind that, so that one of the two sees a ban that comes just now. Those before have made the login fail.
        drop(places);
        if self.shared.bans_account(&jid, Timestamp::now()) {
            turn_away(&self.inbox);
        }
    }
}

/// The place of a session whose client is lost, given back when it is dropped.
pub(crate) struct Waiting {
    shared: Arc<Shared>,
    serial: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.places().waiting.remove(&self.serial);
        gauge!("rookery_sessions_waiting").decrement(1);
        self.shared.left.notify_waiters();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let serial = self.inbox.session().serial;
        let mut places = self.shared.places();
        places.admission.leave(self.origin, serial, self.stranger);
        places.present.remove(&serial);
        drop(places);
        gauge!("rookery_connections").decrement(1);
        self.shared.left.notify_waiters();
    }
}

/// Above every serial of this node's earlier lives: they began at earlier milliseconds, and no life
/// takes 2²² connections in each of its milliseconds.
fn first_serial(now: Timestamp) -> u64 {
    now.as_millis() << 22
}
