//! The mover of one shard: hands inputs to the machine and runs its effects. It holds no rule.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message,
    ResponseActFuture, WrapFuture,
};
use metrics::counter;
use rookery_session::carrier::{
    Answer, Delivery, Full, SessionId, ShardId, ShardInput, Tenure as CarrierTenure, ToSession,
    ToShard,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::OsEntropy;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::perform::perform;
use super::{
    Admission, Arrival, Effect, Gate, Input, PeerFrame, Reply, Request, RequestId, Services, Shard,
    Standing,
};
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
    /// How it came, if another node served it before.
    pub arrival: Option<Arrival>,
}

/// One shard's actor.
pub struct ShardActor {
    shard: Shard,
    standing: Arc<Standing>,
    gate: Gate,
    /// Until it answers all.
    arrival: Option<Arrival>,
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
            standing: Arc::new(Standing::new(lease)),
            gate: Gate::new(tenure.awaited),
            arrival: tenure.arrival,
            env,
            services,
            peers,
            entropy: OsEntropy,
            next: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// Handles what may be handled now, and what follows from it at once.
    fn run(&mut self, input: Input, ctx: &mut Context<Self>) {
        if let Some(receipt) = input.receipt() {
            let tenure: Arc<dyn CarrierTenure> = self.standing.clone();
            receipt.enter(&tenure);
        }
        match self.gate.admit(input, self.standing.may_act()) {
            Admission::Now(input) => self.handle_all(input, ctx),
            Admission::InTurn => {
                while let Some(input) = self.gate.next_ready() {
                    self.handle_all(input, ctx);
                }
            }
            Admission::Held(first) => {
                if first {
                    // A node has hundreds of shards and one lease: whoever renews it warns.
                    tracing::debug!(shard = self.shard.id().0, "no lease, the shard waits");
                    counter!("rookery_router_leases_lapsed_total").increment(1);
                }
            }
            Admission::Refused(from, ask) => {
                let answer = Answer::Unavailable;
                // Who asked may be gone.
                let _ = from.send(ToSession::Answer { ask, answer });
            }
        }
        if self.arrival.is_some() {
            self.look_whether_open();
        }
    }

    /// Tells how long the shard answered nobody, once it answers all.
    fn look_whether_open(&mut self) {
        if self.gate.awaited().is_empty() && self.standing.may_act() {
            self.arrival.take().inspect(Arrival::open);
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
                if let Err(Full(ToSession::Answer { answer, .. })) = lost
                    && let Some(input) = never_heard(to.session(), &answer)
                {
                    self.next.push_back(Input::Session(input));
                }
            }
            Effect::WrongPassword { to } => {
                // It is counted whether it is taken or not.
                let _ = to.send(ToSession::WrongPassword);
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
            Request::Deliver { to, delivered } => {
                return self.deliver(id, to.deliver(*delivered), ctx);
            }
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

impl Actor for ShardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.env.options.load().shard_queue_max as usize);
        if !self.gate.awaited().is_empty() {
            ctx.run_later(Gate::ANNOUNCED_WITHIN, |actor, ctx| {
                if !actor.gate.awaited().is_empty() {
                    let (shard, nodes) = (actor.shard.id().0, actor.gate.awaited());
                    tracing::debug!(shard, ?nodes, "nodes have not announced their sessions");
                    actor.gate.wait_no_more();
                    actor.run(Input::AllAnnounced(0), ctx);
                }
            });
        }
        self.look_whether_open();
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
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Retire, _: &mut Self::Context) -> Self::Result {
        // Nothing new comes to it any more.
        let settled = tokio::time::timeout(Shard::SETTLED_WITHIN, self.shard.is_settled());
        let retire = |_, actor: &mut Self, _: &mut Context<Self>| actor.retire();
        Box::pin(settled.into_actor(self).then(retire))
    }
}

impl ShardActor {
    /// The shard is served no more, and the next owner is left what it needs.
    fn retire(&self) -> ResponseActFuture<Self, ()> {
        // Who has lost its lease has nothing to leave: there may be another owner already.
        let left = self
            .standing
            .may_act()
            .then(|| self.shard.left_to_next(Timestamp::now()));
        self.standing.retire();
        let services = self.services.clone();
        let written = async move {
            let perform = |request| perform(services.clone(), request);
            match left {
                Some(left) => left.write(perform).await,
                None => true,
            }
        };
        let stop = |is_written: bool, actor: &mut Self, ctx: &mut Context<Self>| {
            if !is_written {
                let shard = actor.shard.id().0;
                tracing::warn!(
                    shard,
                    "not all that nobody else has was left to the next owner"
                );
            }
            ctx.stop();
        };
        Box::pin(written.into_actor(self).map(stop))
    }
}

/// What a shard must be told when a session died before it heard that it is bound, or goes on with another.
fn never_heard(session: SessionId, answer: &Answer) -> Option<ToShard> {
    let (jid, receipt) = (answer.binds()?.clone(), None);
    Some(match answer {
        Answer::Resumed(_) => ToShard::Detached {
            session,
            jid,
            receipt,
        },
        _ => ToShard::Closed {
            session,
            jid,
            receipt,
        },
    })
}
