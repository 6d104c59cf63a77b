//! A router or a connection node: the product's own links, lease, ownership and handle of the control
//! group, and its shards' machines. What `node/src/cluster/shards.rs` and `node/router/src/role.rs` move,
//! this moves by hand.

mod budgets;
mod control_requests;
mod serving;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rookery_control::{
    Control, ControlOptions, EndedLeases, NodeId, Renewal, ShardMap as Placements, ShardPolicy,
    Updates,
};
use rookery_link::{
    Dial, DialError, Hall, HallConfig, LinkOptions, Owner, ShardMap, SharedMap, Ways, WaysConfig,
};
use rookery_router::environment::Environment;
use rookery_router::modules::{Registry, all};
use rookery_router::shard::{Input, Reply, RequestId};
use rookery_router::{ArchiveOptions, Lease, Ownership, PasswordOptions, RouterOptions};
use rookery_session::carrier::{Bell, ShardId};
use rookery_xmpp::entropy::Seeded;
use tokio::runtime::{EnterGuard, Handle};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::clock::{Drift, MS, Micros, NodeClock};
use super::control_link::ControlLink;
use super::mailboxes::Mailboxes;
use super::oracle::Given;
use super::planted::Planted;
use super::shard_mover::{LEFT_TO_NEXT, ShardMover, Surroundings, Word};
use budgets::Budgets;

/// What every process of a run is started with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) planted: Option<Planted>,
    pub(crate) policy: ShardPolicy,
    pub(crate) control: ControlOptions,
    pub(crate) router: RouterOptions,
    pub(crate) archive: ArchiveOptions,
    pub(crate) link: LinkOptions,
    /// What its shards tell the oracle at once.
    pub(crate) given: Given,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    /// It serves shards.
    pub(crate) routes: bool,
    /// Clients connect to it.
    pub(crate) connects: bool,
}

/// A running process.
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) life: u32,
    pub(crate) clock: NodeClock,
    pub(crate) ways: Ways,
    pub(crate) hall: Hall,
    pub(crate) updates: Updates,
    pub(crate) control_link: Arc<ControlLink>,
    pub(crate) mailboxes: Mailboxes,
    /// What the world is to do, in order.
    pub(crate) words: Vec<Word>,
    /// What its clients may use. Where no client connects there is none.
    pub(crate) budgets: Option<Budgets>,
    settings: Settings,
    env: Arc<Environment>,
    lease: Lease,
    control: Control,
    ownership: Ownership,
    maps: watch::Receiver<Arc<Placements>>,
    endings: watch::Receiver<Arc<EndedLeases>>,
    seen: u64,
    /// The version of the map that this node serves by.
    followed: watch::Sender<u64>,
    map: SharedMap,
    movers: BTreeMap<ShardId, ShardMover>,
    late_stops: Vec<(Micros, ShardId)>,
    /// Those that wait, until that time, for the end of what clients have sent.
    retiring: BTreeMap<ShardId, (Bell, Micros)>,
    /// What was written for the next owners of shards, and until when these are kept waiting for it.
    left_to_next: BTreeMap<ShardId, (usize, Micros)>,
    replies: Replies,
    entropy: Seeded,
    next_tick: Micros,
    next_telling: Micros,
}

/// Replies for tenures of shards.
type Replies = Arc<Mutex<VecDeque<(ShardId, u32, RequestId, Reply)>>>;

impl Process {
    /// Starts a node, for the `life`th time.
    pub(crate) fn start(
        id: u32,
        life: u32,
        roles: Roles,
        drift: Drift,
        settings: &Settings,
        now: Micros,
    ) -> Self {
        let Roles { routes, connects } = roles;
        let clock = NodeClock::start(drift, now);
        let handle = clock.runtime().handle().clone();
        let guard = handle.enter();
        let node = NodeId::new(u64::from(id)).expect("nodes are numbered from 1");
        let control_link = Arc::new(ControlLink::new(settings.planted));
        let (control, updates) = Control::remote(
            &settings.control,
            node,
            u64::from(life),
            control_link.clone(),
        );
        let env = environment(settings, drift, now);
        let mailboxes = Mailboxes::new(settings.router.shard_queue_max as usize);
        let map = nobodys(settings.policy.shards);
        let lease = Lease::none();
        let renewal = Renewal {
            incarnation: u64::from(life),
            routes,
            draining: false,
        };
        let followed = watch::Sender::new(0);
        let served = (lease.clone(), followed.subscribe());
        let renew = renew(control.clone(), node, renewal, served, settings.clone());
        handle.spawn(renew);
        let planted = settings.planted;
        let budgets = connects.then(|| Budgets::start(&control, (node, life), drift, now, planted));
        let hall = hall(id, life, settings, &map, &mailboxes, &handle);
        let local = routes.then_some(&mailboxes);
        let ways = ways(id, life, settings, &map, local, &handle);
        drop(guard);
        Self {
            id,
            life,
            clock,
            ways,
            hall,
            updates,
            control_link,
            mailboxes,
            words: Vec::new(),
            budgets,
            settings: settings.clone(),
            env,
            lease,
            maps: control.watch_shards(),
            endings: control.watch_ended_leases(),
            control,
            ownership: Ownership::new(node),
            seen: 0,
            followed,
            map,
            movers: BTreeMap::new(),
            late_stops: Vec::new(),
            retiring: BTreeMap::new(),
            left_to_next: BTreeMap::new(),
            replies: Replies::default(),
            entropy: Seeded::new(settings.seed ^ u64::from(id) << 32 ^ u64::from(life)),
            next_tick: now,
            next_telling: now,
        }
    }

    /// Whoever asks for the time is told this node's until the guard goes.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.clock.runtime().enter()
    }

    /// The version of the shard map that this node knows.
    pub(crate) fn known_map(&self) -> u64 {
        self.maps.borrow().version()
    }

    /// The version of the ended leases that this node knows.
    pub(crate) fn known_endings(&self) -> u64 {
        self.endings.borrow().version
    }

    /// The version of the policy that this node knows.
    pub(crate) fn known_policy(&self) -> u64 {
        self.control.policy().version
    }

    /// Whether this process may act for a shard under this epoch now.
    pub(crate) fn acts_for(&mut self, shard: ShardId, epoch: u32, now: Micros) -> bool {
        self.clock.run(now);
        let _guard = self.enter();
        let serves = self
            .movers
            .get(&shard)
            .is_some_and(|mover| mover.epoch() == epoch);
        serves && self.lease.holds()
    }

    /// A request of a shard was carried out.
    pub(crate) fn replied(&mut self, shard: ShardId, epoch: u32, request: RequestId, reply: Reply) {
        if request == LEFT_TO_NEXT {
            if let Some((left, _)) = self.left_to_next.get_mut(&shard) {
                *left = left.saturating_sub(1);
                self.next_telling = 0;
            }
            return;
        }
        push(&self.replies, shard, epoch, request, reply);
    }

    /// It is `now`: everything that is due happens, until nothing more follows.
    pub(crate) fn run(&mut self, now: Micros) {
        self.control_link.set_wall(self.clock.drift().wall(now));
        self.clock.run(now);
        self.follow_map(now);
        self.follow_leases();
        self.tick(now);
        for _ in 0..ROUNDS_MAX {
            let worked = self.work(now);
            self.clock.run(now);
            if !worked {
                return;
            }
        }
    }

    fn tick(&mut self, now: Micros) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + self.clock.drift().lasts(1_000 * MS);
        let shards: Vec<_> = self.movers.keys().copied().collect();
        for shard in shards {
            self.with_mover(shard, now, |mover, around| mover.run(Input::Tick, around));
        }
    }

    /// Hands the shards what has come for them. False if nothing had.
    fn work(&mut self, now: Micros) -> bool {
        let mut worked = false;
        let shards: Vec<_> = self.movers.keys().copied().collect();
        for shard in shards {
            self.with_mover(shard, now, ShardMover::poll);
        }
        while let Some((shard, epoch, request, reply)) = self.next_reply() {
            worked = true;
            self.with_mover(shard, now, |mover, around| {
                if mover.epoch() == epoch {
                    mover.run(Input::Replied(request, reply), around);
                }
            });
        }
        while let Some((shard, input)) = self.mailboxes.next() {
            worked = true;
            self.with_mover(shard, now, |mover, around| mover.run(input, around));
        }
        self.retire_settled(now);
        self.carry_out_requests();
        worked
    }

    fn next_reply(&self) -> Option<(ShardId, u32, RequestId, Reply)> {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.pop_front()
    }

    fn with_mover(
        &mut self,
        shard: ShardId,
        now: Micros,
        run: impl FnOnce(&mut ShardMover, &mut Surroundings<'_>),
    ) {
        let Some(mut mover) = self.movers.remove(&shard) else {
            return;
        };
        self.surrounded(now, |around| run(&mut mover, around));
        self.movers.insert(shard, mover);
    }

    fn surrounded(&mut self, now: Micros, run: impl FnOnce(&mut Surroundings<'_>)) {
        let handle = self.clock.runtime().handle().clone();
        let _guard = handle.enter();
        run(&mut Surroundings {
            ways: &self.ways,
            now: self.clock.drift().wall(now),
            entropy: &mut self.entropy,
            planted: self.settings.planted,
            given: &self.settings.given,
            words: &mut self.words,
        });
    }
}

fn push(replies: &Replies, shard: ShardId, epoch: u32, request: RequestId, reply: Reply) {
    let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
    replies.push_back((shard, epoch, request, reply));
}

fn environment(settings: &Settings, drift: Drift, now: Micros) -> Arc<Environment> {
    let modules = Registry::new(all());
    let router = settings.router.clone();
    let environment = Environment::new([HOST.to_owned()], [], router, modules, drift.wall(now));
    environment
        .archive
        .store(Arc::new(settings.archive.clone()));
    // Judging would take more time than all else that is simulated.
    let passwords = PasswordOptions {
        length_min: 1,
        common_refused: false,
        strength_min: 0,
        ..PasswordOptions::default()
    };
    environment.passwords.store(Arc::new(passwords));
    environment
}

/// A map in which nobody owns anything.
fn nobodys(shards: u16) -> SharedMap {
    let owners = vec![Owner::default(); usize::from(shards)];
    let map = ShardMap { version: 0, owners };
    map.shared()
}

/// Renews the lease in time, for ever. It counts from before it was asked for, and only once the shards are
/// served by the map that it was granted under.
async fn renew(
    control: Control,
    node: NodeId,
    renewal: Renewal,
    (lease, mut followed): (Lease, watch::Receiver<u64>),
    settings: Settings,
) {
    let pause = Duration::from_millis(settings.policy.lease_ms) / 3;
    let mut configured = false;
    loop {
        if !configured && renewal.routes {
            configured = control.configure_shards(settings.policy).await.is_ok();
        }
        let asked = Instant::now();
        if let Ok(granted) = control.renew_lease(node, renewal).await {
            let caught_up = followed.wait_for(|version| *version >= granted.map_version);
            let lasts = match settings.planted {
                Some(Planted::LeaseTooLong) => granted.lasts + pause,
                _ => granted.lasts,
            };
            if let Ok(Ok(_)) = tokio::time::timeout_at(asked + pause, caught_up).await {
                lease.extend(asked, lasts);
            }
        }
        tokio::time::sleep_until(asked + pause).await;
    }
}

fn hall(
    id: u32,
    life: u32,
    settings: &Settings,
    map: &SharedMap,
    mailboxes: &Mailboxes,
    handle: &Handle,
) -> Hall {
    Hall::start(HallConfig {
        node: id,
        life: u64::from(life),
        options: settings.link.clone(),
        map: map.clone(),
        shards: Arc::new(mailboxes.clone()),
        admit: Arc::new(|_, _| Some(rookery_link::Rights::ALL)),
        runtime: handle.clone(),
    })
}

fn ways(
    id: u32,
    life: u32,
    settings: &Settings,
    map: &SharedMap,
    local: Option<&Mailboxes>,
    handle: &Handle,
) -> Ways {
    Ways::start(WaysConfig {
        node: id,
        life: u64::from(life),
        options: settings.link.clone(),
        map: map.clone(),
        local: local.map(|mailboxes| Arc::new(mailboxes.clone()) as _),
        dial: Arc::new(Nowhere),
        runtime: handle.clone(),
    })
}

/// Nobody is dialled: the world makes the connections.
struct Nowhere;

impl Dial for Nowhere {
    fn dial(
        &self,
        _node: u32,
    ) -> Pin<Box<dyn Future<Output = Result<Channel, DialError>> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// The only host.
pub(crate) const HOST: &str = "localhost";

/// Shards that talk to one another without end are a bug, which the journal would show.
const ROUNDS_MAX: usize = 64;
