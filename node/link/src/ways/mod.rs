//! The dialling side: this node's ways to all shards, wherever they are.

mod dialled;
mod kept;
mod past;
mod refuse;
mod route;
mod seated;
mod seats;
mod way;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rookery_session::carrier::{Full, PeerFrame, Peers, Routers, ShardId, ShardsRef, ToShard};
use rookery_xmpp::jid::Jid;
use tokio::runtime::Handle;
use tokio::sync::watch;

pub(crate) use dialled::Dialled;
use refuse::Loss;
use route::Place;
use seats::Seats;

use crate::clock::Clock;
use crate::mover::Dial;
use crate::wire::{Up, UpBody};
use crate::{LinkOptions, SharedMap};

/// What the dialling side is told at its start.
pub struct WaysConfig {
    /// The number of this node.
    pub node: u32,
    /// Which life of the node this is: larger than in any life before.
    pub life: u64,
    /// Bounds and times.
    pub options: LinkOptions,
    /// Who owns which shard. The number of shards never changes.
    pub map: SharedMap,
    /// The shards of this process, if it holds the router role.
    pub local: Option<ShardsRef>,
    /// How other nodes are reached.
    pub dial: Arc<dyn Dial>,
    /// The thread that moves: that of an arbiter, so that one thread owns all links.
    pub runtime: Handle,
}

/// The ways to all shards, for sessions ([`Routers`]) and for shards ([`Peers`]). Cheap to clone.
#[derive(Clone)]
pub struct Ways {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: WaysConfig,
    pub(crate) clock: Clock,
    links: ArcSwap<BTreeMap<u32, Arc<Dialled>>>,
    opening: Mutex<()>,
    places: Box<[Place]>,
    seats: Seats,
    /// Frames that shards of this process have dealt with, and that are still kept.
    settled: Mutex<Vec<(ShardId, u64)>>,
    stopped: watch::Sender<bool>,
}

impl Ways {
    /// Nothing is dialled before it is needed.
    pub fn start(config: WaysConfig) -> Self {
        let runtime = config.runtime.clone();
        let shards = config.map.load().shards();
        let inner = Arc::new(Inner {
            config,
            clock: Clock::start(),
            links: ArcSwap::default(),
            opening: Mutex::default(),
            places: (0..shards).map(|_| Place::default()).collect(),
            seats: Seats::default(),
            settled: Mutex::default(),
            stopped: watch::Sender::new(false),
        });
        runtime.spawn(crate::mover::tick(Arc::downgrade(&inner), Inner::tick));
        Self { inner }
    }

    /// Ends all links.
    pub fn stop(&self) {
        self.inner.stopped.send_replace(true);
        for link in self.inner.links.load().values() {
            link.hang_up(self.inner.clock.now());
        }
    }

    /// Ends the links to nodes that may be spoken to no more, for good: their numbers are never given again. What they
    /// were told and have not settled waits for the next owners of their shards.
    pub fn end_links_to(&self, removed: impl Fn(u32) -> bool) {
        for (node, link) in self.inner.links.load().iter() {
            if removed(*node) && link.is_now_removed() {
                tracing::warn!(node, "link to a removed node ends");
                self.inner.lose(link, Loss::Restarted);
            }
        }
    }

    /// The map has changed: frames go to the owners that it names now.
    pub fn map_changed(&self) {
        self.inner.look_after_all();
    }

    /// Frames that were sent and are not settled yet, for metrics.
    pub fn kept(&self) -> usize {
        self.inner.hear_local();
        let kept = self.inner.places.iter().map(|place| place.way().kept());
        kept.sum()
    }

    /// Bytes that wait for each node, for metrics.
    pub fn outboxes(&self) -> Vec<(u32, usize)> {
        let links = self.inner.links.load();
        let outboxes = links
            .iter()
            .map(|(node, link)| (*node, link.half.line().bytes()));
        outboxes.collect()
    }
}

impl Routers for Ways {
    fn shards(&self) -> u16 {
        self.inner.places.len() as u16
    }

    fn send(&self, shard: ShardId, frame: ToShard) -> Result<(), Full<ToShard>> {
        if let ToShard::Detached { session, .. } = &frame {
            self.inner.seats.stays_at_shard(*session);
        }
        let body = UpBody::Session(frame);
        match self.inner.offer(Up::new(shard, body)) {
            Ok(()) => Ok(()),
            Err((up, _)) => match up.body {
                UpBody::Session(frame) => Err(Full(frame)),
                _ => unreachable!("a session's frame was offered"),
            },
        }
    }

    fn send_when_room(&self, shard: ShardId, frame: ToShard) -> Pin<Box<dyn Future<Output = ()>>> {
        let body = UpBody::Session(frame);
        Box::pin(self.inner.clone().offer_when_room(Up::new(shard, body)))
    }
}

impl Peers for Ways {
    fn forward(&self, shard: ShardId, frame: PeerFrame) -> Result<(), Full<PeerFrame>> {
        let body = UpBody::Peer(frame);
        match self.inner.offer_or_keep(Up::new(shard, body)) {
            Ok(()) => Ok(()),
            Err(up) => match up.body {
                UpBody::Peer(frame) => Err(Full(frame)),
                _ => unreachable!("a shard's frame was offered"),
            },
        }
    }
}

impl Inner {
    /// The link to a node; dialled if this is its first use.
    fn link(self: &Arc<Self>, node: u32) -> Arc<Dialled> {
        if let Some(link) = self.links.load().get(&node) {
            return link.clone();
        }
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = self.links.load().get(&node) {
            return link.clone();
        }
        let link = Arc::new(Dialled::new(node, &self.config.options, self.clock.now()));
        let mut links = BTreeMap::clone(&self.links.load());
        links.insert(node, link.clone());
        self.links.store(Arc::new(links));
        drop(opening);
        let keep = crate::mover::keep_dialled(
            Arc::downgrade(self),
            link.clone(),
            self.stopped.subscribe(),
        );
        self.config.runtime.spawn(keep);
        link
    }

    /// The links, in the order of their nodes.
    #[cfg(feature = "by_hand")]
    pub(crate) fn dialled(&self) -> impl Iterator<Item = Arc<Dialled>> {
        let links = self.links.load_full();
        let all: Vec<_> = links.values().cloned().collect();
        all.into_iter()
    }

    /// Gives up nodes that are away for too long, and tries what waits for an owner.
    fn tick(self: &Arc<Self>) {
        let (now, max) = (self.clock.now(), self.config.options.away_max());
        for link in self.links.load().values() {
            if link
                .half
                .line()
                .down_for(now)
                .is_some_and(|down| down > max)
                && link.goes_away()
            {
                tracing::warn!(node = link.node, "node is away for too long");
                self.lose(link, Loss::Away);
            }
        }
        self.seats.forget_past(now);
        self.look_after_all();
    }

    /// The shard of an address.
    fn shard_of(&self, jid: &Jid) -> ShardId {
        ShardId::of(jid.bare_str(), self.places.len() as u16)
    }
}
