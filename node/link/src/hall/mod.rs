//! The accepting side: links of other nodes that need shards of this one.

mod accepted;
mod gone;
mod proxy;
mod rights;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rookery_session::carrier::{ShardId, ShardsRef};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use tokio::runtime::Handle;

pub(crate) use accepted::Accepted;
use gone::{Gone, gone};
pub use rights::Rights;

use crate::SharedMap;
use crate::broken::Broken;
use crate::clock::Clock;
use crate::wire::Hello;
use crate::{LIFE_AHEAD_MS_MAX, LinkOptions};

/// What a connection, by what its TLS or an interceptor left in the request's extensions, may say for
/// a node; `None` if it may not speak for it at all.
pub type Admit = Arc<dyn Fn(u32, &tonic::Extensions) -> Option<Rights> + Send + Sync>;

/// What the accepting side is told at its start.
pub struct HallConfig {
    /// The number of this node.
    pub node: u32,
    /// Which life of the node this is, larger than in any life before: when it began, in milliseconds since 1970. Peers
    /// refuse one that begins more than a day after now by their clocks.
    pub life: u64,
    /// Bounds and times.
    pub options: LinkOptions,
    /// Who owns which shard.
    pub map: SharedMap,
    /// The shards of this process.
    pub shards: ShardsRef,
    /// Who may speak for which node.
    pub admit: Admit,
    /// The thread that moves: that of an arbiter, so that one thread owns all links.
    pub runtime: Handle,
}

/// The accepting side of all links, and the gRPC service to add to a server. Cheap to clone.
#[derive(Clone)]
pub struct Hall {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: HallConfig,
    pub(crate) clock: Clock,
    links: Mutex<BTreeMap<u32, Arc<Accepted>>>,
    /// Nodes without a lease, each with the life that had its last one.
    ended_leases: ArcSwap<BTreeMap<u32, u64>>,
}

impl Hall {
    /// Accepts links from now on, as soon as the service is served.
    pub fn start(config: HallConfig) -> Self {
        let runtime = config.runtime.clone();
        let inner = Arc::new(Inner {
            config,
            clock: Clock::start(),
            links: Mutex::default(),
            ended_leases: ArcSwap::default(),
        });
        runtime.spawn(crate::mover::tick(
            Arc::downgrade(&inner),
            |hall: &Arc<Inner>| hall.tick(),
        ));
        Self { inner }
    }

    /// The nodes that are connected now, in their order.
    pub fn nodes(&self) -> Vec<u32> {
        let links = self.inner.links();
        let connected = links.iter().filter(|(_, link)| !link.half.line().is_down());
        connected.map(|(node, _)| *node).collect()
    }

    /// Ends the links of nodes that may speak no more, and with them their sessions here.
    pub fn end_links_of(&self, gone: impl Fn(u32) -> bool) {
        let mut ended = Vec::new();
        self.inner.links().retain(|node, link| {
            let gone = gone(*node);
            if gone {
                ended.push(link.clone());
            }
            !gone
        });
        for link in ended {
            tracing::warn!(node = link.node, "link of a removed node ends");
            link.lose();
        }
    }

    /// The nodes that have no lease any more, from now on, each with the life of it that had the last one. A node in
    /// such a life is waited for no longer than it takes to dial again; as long as its link is up it is served.
    pub fn leases_ended(&self, nodes: BTreeMap<u32, u64>) {
        self.inner.ended_leases.store(Arc::new(nodes));
    }

    /// Bytes that wait for the sessions of each node, for metrics.
    pub fn outboxes(&self) -> Vec<(u32, usize)> {
        let links = self.inner.links();
        let outboxes = links
            .iter()
            .map(|(node, link)| (*node, link.half.line().bytes()));
        outboxes.collect()
    }
}

impl Inner {
    /// A connection begins with this hello: its link, its number, and what to answer.
    pub(crate) fn welcome(
        self: &Arc<Self>,
        hello: &Hello,
        extensions: &tonic::Extensions,
    ) -> Result<(Arc<Accepted>, u64, Hello), Broken> {
        let HallConfig { node, options, .. } = &self.config;
        if hello.to != *node {
            return Err(Broken::WrongNode {
                found: *node,
                wanted: hello.to,
            });
        }
        let rights = (self.config.admit)(hello.from, extensions);
        let rights = rights.ok_or(Broken::Forbidden(hello.from))?;
        if hello.life > Timestamp::now().as_millis() + LIFE_AHEAD_MS_MAX {
            return Err(Broken::Unborn(hello.from));
        }
        let version = hello
            .common(options.version, options.version_oldest)
            .ok_or(Broken::Version {
                oldest: hello.oldest,
                newest: hello.newest,
                own_oldest: options.version_oldest,
                own_newest: options.version,
            })?;
        let (link, resumed) = self.link(hello)?;
        let (generation, reply) = link.connect(hello, version, resumed, rights)?;
        Ok((link, generation, reply))
    }

    /// The link that a hello asks for, and whether it was here before.
    fn link(self: &Arc<Self>, hello: &Hello) -> Result<(Arc<Accepted>, bool), Broken> {
        let mut links = self.links();
        if let Some(link) = links.get(&hello.from) {
            if hello.life < link.life {
                return Err(Broken::Outlived(hello.from));
            }
            if (hello.life, hello.link) == (link.life, link.link) {
                return Ok((link.clone(), true));
            }
        }
        let link = Accepted::new(self.clone(), hello);
        let before = links.insert(hello.from, link.clone());
        drop(links);
        if let Some(before) = before {
            tracing::info!(node = hello.from, "node begins a new link");
            before.lose();
        }
        Ok((link, false))
    }

    /// Ends a link for good, unless another one has begun since.
    fn give_up(&self, link: &Arc<Accepted>) {
        let mut links = self.links();
        if links
            .get(&link.node)
            .is_some_and(|known| Arc::ptr_eq(known, link))
        {
            links.remove(&link.node);
        }
        drop(links);
        link.lose();
    }

    /// Gives up nodes that are away for too long, and tells the others what has been dealt with.
    fn tick(&self) {
        let lost = self.take_gone();
        let links: Vec<_> = self.links().values().cloned().collect();
        for link in links {
            link.tell_settled();
            link.recall_of_ended();
            link.half.wake_if_needed();
        }
        for (link, why) in lost {
            tracing::warn!(node = link.node, ?why, "node is given up, its sessions end");
            link.lose();
        }
    }

    /// The links that are waited for no more, which are not known from now on.
    fn take_gone(&self) -> Vec<(Arc<Accepted>, Gone)> {
        let (now, away_max) = (self.clock.now(), self.config.options.away_max());
        let ended = self.ended_leases.load();
        let mut lost = Vec::new();
        self.links().retain(|node, link| {
            let has_lease = ended.get(node).is_none_or(|life| link.life > *life);
            let gone = gone(link.half.line().down_for(now), has_lease, away_max);
            lost.extend(gone.map(|why| (link.clone(), why)));
            gone.is_none()
        });
        lost
    }

    /// The shard of an address.
    fn shard_of(&self, jid: &Jid) -> ShardId {
        ShardId::of(jid.bare_str(), self.config.map.load().shards())
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Accepted>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
