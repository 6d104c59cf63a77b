//! The mover of one shard: hands inputs to the machine and runs its effects. It holds no rule.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture,
};
use metrics::counter;
use rookery_session::carrier::{
    Answer, Delivery, Full, ShardId, ShardInput, Tenure as CarrierTenure, ToSession, ToShard,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::OsEntropy;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::perform::perform;
use super::{Effect, Input, PeerFrame, Reply, Request, RequestId, Services, Shard};
use crate::carrier::Peers;
use crate::environment::Environment;
use crate::lease::Lease;

/// A frame of a session or of the admin API.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FromSession(pub ToShard);

/// A frame of another shard.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FromPeer(pub PeerFrame);

/// Whatever a link from another node brings.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FromOutside(pub ShardInput);

/// The shard is served here no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Retire;

/// What an actor is told of the shard that it is to serve.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// Which shard.
    pub shard: ShardId,
    /// Under which epoch.
    pub epoch: u32,
    /// The nodes that will announce their sessions. Stanzas of other shards wait for that, or they
    /// would find nobody.
    pub awaited: BTreeSet<u32>,
}

/// Whether what is dropped here counts as dealt with: not without a lease, and not once the shard was
/// given up.
struct Standing {
    lease: Lease,
    retired: AtomicBool,
}

impl CarrierTenure for Standing {
    fn stands(&self) -> bool {
        !self.retired.load(Ordering::Acquire) && self.lease.holds()
    }
}

/// One shard's actor.
pub struct ShardActor {
    shard: Shard,
    standing: Arc<Standing>,
    /// What came while there was no lease.
    held: VecDeque<Input>,
    /// The nodes whose sessions are not known yet.
    awaited: BTreeSet<u32>,
    /// What came from other shards meanwhile.
    early: VecDeque<Input>,
    env: Arc<Environment>,
    services: Arc<Services>,
    peers: Arc<dyn Peers>,
    entropy: OsEntropy,
    /// Inputs that effects of this turn made.
    next: VecDeque<Input>,
    effects: Vec<Effect>,
}

impl ShardActor {
    /// An actor for one shard, which acts only while the lease holds.
    pub fn new(
        tenure: Tenure,
        lease: Lease,
        env: Arc<Environment>,
        services: Arc<Services>,
        peers: Arc<dyn Peers>,
    ) -> Self {
        Self {
            shard: Shard::new(tenure.shard, tenure.epoch, env.clone()),
            standing: Arc::new(Standing {
                lease,
                retired: AtomicBool::new(false),
            }),
            held: VecDeque::new(),
            awaited: tenure.awaited,
            early: VecDeque::new(),
            env,
            services,
            peers,
            entropy: OsEntropy,
            next: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// Handles one input, and those that follow from it at once. Without a lease nothing is served, for
    /// another node may be the owner: what comes is held. If the lease is renewed under the same epoch there
    /// was no other owner, and all that is in memory holds; else this actor is retired.
    fn run(&mut self, input: Input, ctx: &mut Context<Self>) {
        if let Some(receipt) = input.receipt() {
            let tenure: Arc<dyn CarrierTenure> = self.standing.clone();
            receipt.enter(&tenure);
        }
        if !self.standing.lease.holds() {
            return self.hold(input);
        }
        while let Some(held) = self.held.pop_front() {
            self.take(held, ctx);
        }
        self.take(input, ctx);
    }

    /// Handles an input in its turn: behind the announcements, if they are still to come.
    fn take(&mut self, input: Input, ctx: &mut Context<Self>) {
        match input {
            Input::AllAnnounced(node) => {
                self.awaited.remove(&node);
                self.begin(ctx);
            }
            Input::Peer(_) if !self.awaited.is_empty() => self.early.push_back(input),
            other => self.handle_all(other, ctx),
        }
    }

    /// All sessions are known, or will not be: what waited for them is handled.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if self.awaited.is_empty() {
            while let Some(early) = self.early.pop_front() {
                self.handle_all(early, ctx);
            }
        }
    }

    /// Keeps an input until there is a lease again; bounded by what senders may have under way. Questions
    /// are answered at once, for somebody waits for them.
    fn hold(&mut self, input: Input) {
        if self.held.is_empty() {
            tracing::warn!(shard = self.shard.id().0, "no lease, the shard waits");
            counter!("rookery_router_leases_lapsed_total").increment(1);
        }
        match input {
            Input::Tick if !self.held.is_empty() => {}
            Input::Session(ToShard::Ask { from, ask, .. }) => {
                let answer = Answer::Unavailable;
                // Who asked may be gone.
                let _ = from.send(ToSession::Answer { ask, answer });
            }
            other => self.held.push_back(other),
        }
    }

    fn handle_all(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = Timestamp::now();
        self.next.push_back(input);
        while let Some(input) = self.next.pop_front() {
            let mut effects = std::mem::take(&mut self.effects);
            let (shard, entropy) = (&mut self.shard, &mut self.entropy);
            let handled = catch_unwind(AssertUnwindSafe(|| {
                shard.handle(input, now, entropy, &mut effects)
            }));
            if handled.is_err() {
                self.start_anew();
                effects.clear();
            }
            for effect in effects.drain(..) {
                self.execute(effect, ctx);
            }
            self.effects = effects;
        }
    }

    fn execute(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Deliver { to, jid, delivered } => {
                let refused = to.send(ToSession::Deliver(delivered));
                if let Err(Full(ToSession::Deliver(delivered))) = refused {
                    counter!("rookery_router_deliveries_refused_total").increment(1);
                    self.next
                        .push_back(Input::Undelivered(to.session(), jid, delivered));
                }
            }
            Effect::Remember { to, state } => {
                // Who is gone needs no next owner.
                let _ = to.send(ToSession::Remember(state));
            }
            Effect::Answer { to, ask, answer } => {
                // Answers are always taken while the session lives. One that died while it was
                // bound never heard of its place, so nobody else will give it back.
                let lost = to.send(ToSession::Answer { ask, answer });
                if let Err(Full(ToSession::Answer {
                    answer: Answer::Bound(jid),
                    ..
                })) = lost
                {
                    let session = to.session();
                    self.next.push_back(Input::Session(ToShard::Closed {
                        session,
                        jid,
                        receipt: None,
                    }));
                }
            }
            Effect::Close { to, error } => {
                let _ = to.send(ToSession::Close(error));
            }
            Effect::Forward(shard, frame) if shard == self.shard.id() => {
                self.next.push_back(Input::Peer(frame));
            }
            Effect::Forward(shard, frame) => {
                if let Err(Full(frame)) = self.peers.forward(shard, frame) {
                    counter!("rookery_router_forwards_refused_total").increment(1);
                    self.next.push_back(Input::Refused(frame));
                }
            }
            Effect::Request(id, request) => self.request(id, request, ctx),
        }
    }

    fn request(&mut self, id: RequestId, request: Request, ctx: &mut Context<Self>) {
        let request = match request {
            Request::Deliver { to, batch } => return self.deliver(id, to.deliver(batch), ctx),
            other => other,
        };
        let work = perform(self.services.clone(), request);
        ctx.spawn(work.into_actor(self).map(move |reply, actor, ctx| {
            actor.run(Input::Replied(id, reply), ctx);
        }));
    }

    /// Says whether a session took what it was given, as soon as that is known.
    fn deliver(&mut self, id: RequestId, delivery: Delivery, ctx: &mut Context<Self>) {
        let reply = |taken| match taken {
            true => Reply::Done,
            false => Reply::NotTaken,
        };
        match delivery {
            Delivery::Taken => self.next.push_back(Input::Replied(id, reply(true))),
            Delivery::NotTaken => self.next.push_back(Input::Replied(id, reply(false))),
            Delivery::Pending(taken) => {
                ctx.spawn(taken.into_actor(self).map(move |taken, actor, ctx| {
                    actor.run(Input::Replied(id, reply(taken)), ctx);
                }));
            }
        }
    }

    /// The machine panicked: a bug. What it held in memory cannot be trusted any more, so its
    /// sessions end and its accounts are read from the store again; the other shards go on.
    fn start_anew(&mut self) {
        tracing::error!(
            shard = self.shard.id().0,
            "shard panicked, its sessions are closed"
        );
        counter!("rookery_router_shard_panics_total").increment(1);
        let fresh = Shard::new(self.shard.id(), self.shard.epoch(), self.env.clone());
        let error = StreamError::new(StreamCondition::InternalServerError);
        for sink in std::mem::replace(&mut self.shard, fresh).into_sinks() {
            // One that is closed already is on its way out.
            let _ = sink.send(ToSession::Close(error.clone()));
        }
    }
}

/// How long a new owner waits for the sessions of a node. All hear of it at once, so it is some round
/// trips; one that does not answer is on its way out.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(1);

impl Actor for ShardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.env.options.load().shard_queue_max as usize);
        if !self.awaited.is_empty() {
            ctx.run_later(ANNOUNCED_WITHIN, |actor, ctx| {
                if !actor.awaited.is_empty() {
                    let (shard, nodes) = (actor.shard.id().0, &actor.awaited);
                    tracing::debug!(shard, ?nodes, "nodes have not announced their sessions");
                    actor.awaited.clear();
                    // In its turn, and only under a lease.
                    actor.run(Input::AllAnnounced(0), ctx);
                }
            });
        }
        ctx.run_interval(Duration::from_secs(1), |actor, ctx| {
            actor.run(Input::Tick, ctx)
        });
    }
}

impl Handler<FromSession> for ShardActor {
    type Result = ();

    fn handle(&mut self, message: FromSession, ctx: &mut Self::Context) {
        self.run(Input::Session(message.0), ctx);
    }
}

impl Handler<FromPeer> for ShardActor {
    type Result = ();

    fn handle(&mut self, message: FromPeer, ctx: &mut Self::Context) {
        self.run(Input::Peer(message.0), ctx);
    }
}

impl Handler<FromOutside> for ShardActor {
    type Result = ();

    fn handle(&mut self, message: FromOutside, ctx: &mut Self::Context) {
        self.run(message.0.into(), ctx);
    }
}

impl Handler<Retire> for ShardActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        // The next owner goes on with the sessions, and is sent all that was not dealt with.
        self.standing.retired.store(true, Ordering::Release);
        ctx.stop();
    }
}
