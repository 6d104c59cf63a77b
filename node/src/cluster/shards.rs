//! The cluster's shards as this node takes part in them.
//!
//! ```text
//! control group ── shard map ──► SharedMap ─► Ways (our frames find the owner), Hall (others' are judged)
//!                      └───────► Ownership ─► RouterRole::serve, retire ─► "handed over"
//! control group ◄── Renew ── every third of a lease ── Lease (ends by this node's own clock)
//! ```
//!
//! A node that holds no shards has a lease too: that it lives is what the others follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use rookery_control::{
    Control, Directory, NodeId, NodeRole, Renewal, ShardMap, ShardPolicy, ShardsRefused,
};
use rookery_link::{
    CarrierServer, Hall, HallConfig, Owner, Rights, ShardMap as Owners, SharedMap, Ways, WaysConfig,
};
use rookery_router::carrier::InProcess;
use rookery_router::shard::{Arrival, Tenure};
use rookery_router::{Lease, Ownership, OwnershipStep, RouterRole, Surroundings};
use rookery_session::carrier::ShardId;
use rookery_xmpp::clock::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::book::Book;
use super::credentials::Credentials;
use super::identity::Identity;
use super::moves::Moves;
use super::node_dial::NodeDial;
use super::queues;
use super::shard_count::{self, ShardCountDiffers};
use crate::backup::restore::Restored;
use crate::config::{Config, Role};
use crate::secret;

/// The ways to the shards, and the right to serve some. Cheap to clone.
#[derive(Clone)]
pub(super) struct ShardWays {
    carrier: Arc<InProcess>,
    map: SharedMap,
    ways: Ways,
    hall: Hall,
    lease: Lease,
    book: Arc<Book>,
    node: NodeId,
    renewal: Renewal,
    policy: ShardPolicy,
    /// The version of the map that this node serves by.
    followed: watch::Sender<u64>,
    /// Whether a cluster with another number of shards ends this node.
    count_matters: bool,
    /// Why this node can be of no use, once the map has shown that the cluster has another number of shards.
    misfit: watch::Sender<Option<ShardCountDiffers>>,
}

impl ShardWays {
    /// Nothing is served and nobody is dialled yet. Must be called inside a runtime, which moves
    /// all frames between nodes.
    pub(super) fn prepare(
        config: &Config,
        identity: &Identity,
        book: Arc<Book>,
        credentials: Credentials,
    ) -> Self {
        let shards = config.router.shards.max(1);
        let carrier = InProcess::new(shards);
        let nobody = Owners {
            version: 0,
            owners: vec![Owner::default(); usize::from(shards)],
        };
        let map = nobody.shared();
        let (number, life) = (number(identity.node), Timestamp::now().as_millis());
        let dial = NodeDial {
            book: Arc::clone(&book),
            credentials,
            cluster: identity.cluster.clone(),
            options: config.link.clone(),
        };
        let hall = Hall::start(HallConfig {
            node: number,
            life,
            options: config.link.clone(),
            map: map.clone(),
            shards: carrier.clone(),
            admit: Arc::new(rights),
            runtime: Handle::current(),
        });
        let ways = Ways::start(WaysConfig {
            node: number,
            life,
            options: config.link.clone(),
            map: map.clone(),
            local: Some(carrier.clone()),
            dial: Arc::new(dial),
            runtime: Handle::current(),
        });
        Self {
            carrier,
            map,
            ways,
            hall,
            lease: Lease::none(),
            book,
            node: identity.node,
            renewal: Renewal {
                incarnation: life,
                routes: config.server.roles.contains(&Role::Router),
                draining: false,
            },
            policy: config.cluster.shard_policy(shards),
            followed: watch::Sender::new(0),
            count_matters: shard_count::matters(config),
            misfit: watch::Sender::new(None),
        }
    }

    /// What other nodes call.
    pub(super) fn service(&self) -> CarrierServer<Hall> {
        self.hall.service()
    }

    /// Which node this is.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// What the router role stands in.
    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings {
            carrier: self.carrier.clone(),
            peers: Arc::new(self.ways.clone()),
            routers: Arc::new(self.ways.clone()),
            lease: self.lease.clone(),
        }
    }

    /// Takes part from now on, over a store that may have been restored.
    pub(super) fn take_part(
        &self,
        control: &Control,
        router: &Arc<RouterRole>,
        restored: Restored,
    ) {
        tokio::spawn(self.clone().renew(control.clone(), restored));
        tokio::spawn(self.clone().follow_leases(control.clone()));
        tokio::spawn(queues::tell(self.ways.clone(), self.hall.clone()));
        tokio::spawn(self.clone().follow(control.clone(), router.clone()));
    }

    /// Serves no more, and lets others take over at once.
    pub(super) async fn leave(&self, control: &Control) {
        self.lease.end();
        self.ways.stop();
        if let Err(error) = control.leave(self.node).await {
            tracing::warn!(%error, "the lease was not given back, others wait until it has ended");
        }
    }

    /// Whether this node knows the way to every shard and serves those that it was given, and how it stands.
    pub(super) fn standing(&self, control: &Control) -> (bool, String) {
        let lease = self.renewal.routes.then(|| self.lease.holds());
        let map = control.shards();
        let owned = (map.owned(), map.len());
        standing(map.version(), *self.followed.borrow(), lease, owned)
    }

    /// Completes when the map has shown that this node's number of shards is not the cluster's.
    pub(super) async fn misfit(&self) -> ShardCountDiffers {
        let mut misfit = self.misfit.subscribe();
        loop {
            if let Some(differs) = *misfit.borrow_and_update() {
                return differs;
            }
            // The sender is there as long as this is.
            if misfit.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether the map has as many shards as this node. If not, and that matters, nothing is served by it.
    fn fits(&self, map: &ShardMap) -> bool {
        let Err(differs) = shard_count::compare(self.policy.shards, map.len()) else {
            return true;
        };
        if !self.count_matters {
            if self.followed.borrow().eq(&0) {
                tracing::warn!(%differs, "accounts are not found by this node's admin API");
            }
            return true;
        }
        self.lease.end();
        self.misfit.send_replace(Some(differs));
        false
    }

    /// Renews the lease in time, for ever. It counts from before it was asked for, and only once the
    /// shards are served by the map that it was granted under: a node that slept has lost some.
    async fn renew(self, control: Control, restored: Restored) {
        if self.renewal.routes {
            self.tell_restored(&control, restored).await;
        }
        let (mut configured, mut lag) = (false, Lag::default());
        let mut directory = control.watch_directory();
        let pause = Duration::from_millis(self.policy.lease_ms) / RENEWALS_A_LEASE;
        loop {
            if !configured && self.renewal.routes {
                let told = control.configure_shards(self.policy).await;
                configured = !matches!(told, Err(ShardsRefused::Unavailable(_)));
                if let (true, Err(error)) = (configured, told) {
                    tracing::error!(%error, "the control group does not take the shards' configuration");
                }
            }
            let asked = Instant::now();
            let draining = is_draining(&directory.borrow_and_update(), self.node);
            let renewal = Renewal {
                draining,
                ..self.renewal
            };
            match control.renew_lease(self.node, renewal).await {
                Ok(granted) => {
                    let mut followed = self.followed.subscribe();
                    let caught_up = followed.wait_for(|version| *version >= granted.map_version);
                    let caught_up = tokio::time::timeout_at(asked + pause, caught_up).await;
                    if let Ok(Ok(_)) = caught_up {
                        self.lease.extend(asked, granted.lasts);
                    }
                    if lag.is_news(asked, matches!(caught_up, Ok(Ok(_)))) {
                        self.tell_lag(granted.map_version);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, left_ms = self.lease.left().as_millis() as u64, "lease not renewed");
                }
            }
            gauge!("rookery_lease_left_seconds").set(self.lease.left().as_secs_f64());
            // At once when the operator wants something else of this node.
            let changed = async {
                while directory.changed().await.is_ok() {
                    if is_draining(&directory.borrow(), self.node) != draining {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            };
            let _ = tokio::time::timeout_at(asked + pause, changed).await;
        }
    }

    /// Tells that a lease does not count here: to the group this node serves, and nobody else does.
    fn tell_lag(&self, granted: u64) {
        let (followed, left) = (*self.followed.borrow(), self.lease.left());
        tracing::warn!(
            granted,
            followed,
            left_ms = left.as_millis() as u64,
            "lease granted under a version of the map that this node does not serve by yet: not extended"
        );
    }

    /// Tells the group what was restored with the store, before this node can be given a shard.
    async fn tell_restored(&self, control: &Control, restored: Restored) {
        if restored.epoch > 0 {
            self.raise_epochs(control, restored.epoch).await;
        }
        if let Some(secret) = restored.secret {
            secret::restore(control, secret).await;
        }
    }

    /// Tells the group what epochs the store has, before this node can be given a shard. Tries for ever.
    async fn raise_epochs(&self, control: &Control, above: u32) {
        while let Err(error) = control.raise_epochs(above).await {
            if let ShardsRefused::Shards(_) = error {
                tracing::error!(above, %error, "epochs of the restored store refused");
                return std::future::pending().await;
            }
            tracing::warn!(above, %error, "epochs of the restored store not told");
            tokio::time::sleep(TELL_AGAIN).await;
        }
    }

    /// Tells the hall whom to wait for no longer, for ever.
    async fn follow_leases(self, control: Control) {
        let mut endings = control.watch_ended_leases();
        loop {
            let ended = endings.borrow_and_update().clone();
            let nodes = ended.nodes.iter();
            let nodes = nodes.map(|(node, life)| (number(*node), *life)).collect();
            self.hall.leases_ended(nodes);
            if endings.changed().await.is_err() {
                return;
            }
        }
    }

    /// Does what the shard map asks of this node, for ever.
    async fn follow(self, control: Control, router: Arc<RouterRole>) {
        let mut maps = control.watch_shards();
        let mut ownership = Ownership::new(self.node);
        let mut moves = Moves::new(self.node);
        let mut before = Arc::<ShardMap>::default();
        let mut places = Places::default();
        loop {
            let map = maps.borrow_and_update().clone();
            if !self.fits(&map) {
                return;
            }
            let seen = before.version();
            tell_called_off(&before, &map, self.node);
            let (mut steps, mut arrivals) = (Vec::new(), BTreeMap::new());
            for change in map.since(seen) {
                let arrival = moves.follow(before.get(change.shard), change, Instant::now());
                arrivals.extend(arrival.map(|it| (change.shard, it)));
                ownership.follow(change, &mut steps);
            }
            arrivals.values().for_each(Arrival::count);
            before = Arc::clone(&map);
            let seen = map.version();
            let awaited = self.awaited(&control);
            let tenure = |shard: ShardId, epoch| Tenure {
                shard,
                epoch,
                awaited: awaited.clone(),
                arrival: arrivals.get(&shard.0).copied(),
            };
            self.carry_out(&steps, &map, &router, tenure).await;
            places.changed(steps.len(), seen);
            let removed =
                |node| NodeId::new(u64::from(node)).is_some_and(|id| self.book.is_removed(id));
            self.hall.end_links_of(removed);
            self.ways.end_links_to(removed);
            self.followed.send_replace(seen);
            gauge!("rookery_shards_served").set(ownership.serving() as f64);
            let handed: Vec<_> = ownership.handed_over().collect();
            for (shard, epoch) in handed {
                if let Err(error) = control.handed_over(self.node, shard.0, epoch).await {
                    tracing::debug!(shard = shard.0, %error, "hand-over not told");
                }
            }
            let again = tokio::time::sleep(TELL_AGAIN);
            tokio::select! {
                changed = maps.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    /// The nodes that have sessions to announce: those of which the group says so, for one that has just started is not
    /// linked with all of them, and those that are linked, for the group may have heard of one too late.
    fn awaited(&self, control: &Control) -> BTreeSet<u32> {
        let (directory, ended) = (control.directory(), control.watch_ended_leases());
        let ended = ended.borrow().clone();
        let known = directory.with_clients(&ended).map(number);
        let linked = self.hall.nodes().into_iter();
        linked.chain(known).chain([number(self.node)]).collect()
    }

    /// Stops first, so that nobody is sent to a shard that is not served any more.
    async fn carry_out(
        &self,
        steps: &[OwnershipStep],
        map: &ShardMap,
        router: &RouterRole,
        tenure: impl Fn(ShardId, u32) -> Tenure,
    ) {
        let stops = steps.iter().filter_map(|step| match step {
            OwnershipStep::Stop(shard) => Some(*shard),
            _ => None,
        });
        router.retire(stops).await;
        let starts = steps.iter().filter_map(|step| match step {
            OwnershipStep::Start(shard, epoch) => Some(tenure(*shard, *epoch)),
            _ => None,
        });
        router.serve(starts);
        self.map
            .store(Arc::new(owners(map, self.map.load().shards())));
        self.ways.map_changed();
    }
}

/// Tells which shards a router was to hand over, and keeps. Who has asked for the move was told that it is under way.
fn tell_called_off(before: &ShardMap, now: &ShardMap, node: NodeId) {
    for change in now.since(before.version()) {
        let Some(known) = before.get(change.shard) else {
            continue;
        };
        let Some(to) = known.moving_to.filter(|_| known.owner == Some(node)) else {
            continue;
        };
        let kept = change.placement;
        if kept.owner == Some(node) && kept.moving_to.is_none() {
            let (shard, to) = (change.shard, to.get());
            tracing::warn!(
                shard,
                to,
                "a move is called off: the router it was to go to was not heard of, or takes no shard now"
            );
        }
    }
}

/// For how long this node has stayed behind the map that its leases are granted under.
#[derive(Default)]
struct Lag {
    since: Option<Instant>,
    is_told: bool,
}

impl Lag {
    /// Takes what became of a lease that was asked for then. True once for each time that the node stays behind.
    fn is_news(&mut self, asked: Instant, caught_up: bool) -> bool {
        if caught_up {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(asked);
        let is_long = since.elapsed() > LAG_MAX;
        is_long && !std::mem::replace(&mut self.is_told, is_long)
    }
}

/// What has changed since the log was told. Shards move one by one, hundreds when a router comes or goes: a line for
/// each would bury what else happens.
#[derive(Default)]
struct Places {
    steps: usize,
    told: Option<Instant>,
}

impl Places {
    /// Tells the sum of the steps, unless it has just told one: then a later call does.
    fn changed(&mut self, steps: usize, version: u64) {
        self.steps += steps;
        let is_early = self.told.is_some_and(|told| told.elapsed() < TOLD_EVERY);
        if self.steps == 0 || is_early {
            return;
        }
        let steps = std::mem::take(&mut self.steps);
        self.told = Some(Instant::now());
        tracing::info!(steps, version, "shards have changed places");
    }
}

/// Whether the operator wants the node empty.
pub(crate) fn is_draining(directory: &Directory, node: NodeId) -> bool {
    directory.node(node).is_some_and(|node| node.draining)
}

/// How a node stands that follows the shards by a version of the map, where it knows of another. A router's lease
/// holds, or does not. Between two versions a node serves all that does not move; a router that stays behind gets no
/// lease (see [`ShardWays::renew`]), and without one it is not ready. Of all shards so many have an owner: while some
/// have none, which is so only while no router lives, accounts of theirs cannot be reached by any node.
fn standing(
    known: u64,
    followed: u64,
    lease: Option<bool>,
    (owned, all): (u16, u16),
) -> (bool, String) {
    let served = format!("{owned} of {all} have an owner");
    match lease {
        _ if known == 0 => (false, "no router was heard of yet".to_owned()),
        _ if followed == 0 => (false, "no map is followed yet".to_owned()),
        Some(false) => (false, format!("no lease, {served}")),
        _ if owned < all => (false, served),
        _ if followed < known => {
            let told = format!("{served}, version {followed} of the map, on the way to {known}");
            (true, told)
        }
        _ => (true, format!("{served}, version {followed} of the map")),
    }
}

/// What the certificate that came with a connection lets this node say, if it is the node's. One that has neither role
/// asks for its operator.
fn rights(node: u32, extensions: &tonic::Extensions) -> Option<Rights> {
    let caller = extensions.get::<Identity>();
    let caller = caller.filter(|caller| number(caller.node) == node)?;
    Some(Rights {
        has_sessions: caller.may(NodeRole::Connection),
        has_shards: caller.may(NodeRole::Router),
    })
}

/// The map as the carrier wants it.
fn owners(map: &ShardMap, shards: u16) -> Owners {
    let owner = |shard| {
        let placement = map.get(shard).unwrap_or_default();
        Owner {
            node: placement.owner.map(number).unwrap_or(0),
            epoch: placement.epoch,
        }
    };
    Owners {
        version: map.version(),
        owners: (0..shards).map(owner).collect(),
    }
}

/// Ids above were refused at the start.
fn number(node: NodeId) -> u32 {
    u32::try_from(node.get()).unwrap_or(0)
}

/// A lease outlives two renewals that fail.
const RENEWALS_A_LEASE: u32 = 3;

/// What a node may stay behind the map without a word: hundreds of shards that stop take so long.
const LAG_MAX: Duration = Duration::from_secs(2);

/// Between two lines of the log about shards that move.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Before what the group was not told is told again.
const TELL_AGAIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(node: u64, roles: &[NodeRole]) -> tonic::Extensions {
        let mut extensions = tonic::Extensions::default();
        extensions.insert(Identity {
            cluster: "nest".to_owned(),
            node: NodeId::new(node).expect("not zero"),
            roles: roles.to_vec(),
        });
        extensions
    }

    #[test]
    fn a_certificate_of_the_control_role_alone_may_not_ask_for_keys() {
        let control = rights(2, &identity(2, &[NodeRole::Control]));
        let nothing = Rights {
            has_sessions: false,
            has_shards: false,
        };
        assert_eq!(control, Some(nothing));
        let connection = rights(2, &identity(2, &[NodeRole::Connection]));
        assert!(connection.is_some_and(|rights| rights.has_sessions && !rights.has_shards));
        assert_eq!(rights(3, &identity(2, &[NodeRole::Router])), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_stays_behind_its_map_says_so_once_each_time() {
        let mut lag = Lag::default();
        let second = Duration::from_secs(1);
        for _ in 0..2 {
            let mut told = Vec::new();
            for _ in 0..5 {
                let asked = Instant::now();
                tokio::time::advance(second).await;
                told.push(lag.is_news(asked, false));
            }
            assert_eq!(told, [false, false, true, false, false]);
            assert!(!lag.is_news(Instant::now(), true));
        }
        tokio::time::advance(5 * second).await;
        assert!(!lag.is_news(Instant::now(), false), "only for a moment");
    }

    #[test]
    fn a_node_is_ready_when_it_follows_the_map_and_a_router_when_its_lease_holds_too() {
        let ready = |known, followed, lease| standing(known, followed, lease, (4, 4)).0;
        assert!(!ready(0, 0, None) && !ready(0, 0, Some(true)));
        assert!(!ready(9, 0, None) && !ready(9, 0, Some(true)));
        assert!(
            ready(9, 8, None) && ready(9, 8, Some(true)),
            "a shard moves"
        );
        assert!(!ready(9, 8, Some(false)));
        assert!(ready(9, 9, None) && ready(9, 9, Some(true)));
        assert!(!ready(9, 9, Some(false)));
    }

    #[test]
    fn a_node_of_a_cluster_in_which_shards_have_no_owner_says_how_many_and_is_not_ready() {
        for (owned, lease) in [(0, None), (3, None), (3, Some(true))] {
            let (ready, told) = standing(9, 9, lease, (owned, 4));
            assert!(
                !ready && told.contains(&format!("{owned} of 4 have an owner")),
                "{told}"
            );
        }
        assert!(
            standing(9, 9, None, (4, 4))
                .1
                .contains("4 of 4 have an owner")
        );
    }
}
