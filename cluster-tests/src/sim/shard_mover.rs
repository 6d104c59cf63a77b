//! The mover of one shard: what `node/router/src/shard/actor.rs` does, without an actor. It looks at the
//! lease before each input, runs the effects in order, and holds no rule of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rookery_link::Ways;
use rookery_router::Lease;
use rookery_router::environment::Environment;
use rookery_router::shard::{
    Admission, Effect, Gate, Input, Reply, Request, RequestId, Shard, Standing,
};
use rookery_session::carrier::{
    Answer, Bell, Delivered, Delivery, Full, Peers, SessionId, ShardId, SinkRef, Tenure, ToSession,
    ToShard,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::Seeded;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, StanzaType};
use tokio::time::Instant;

use super::inbox::numbers;
use super::message;
use super::oracle::Given;
use super::planted::Planted;

/// One shard and what it waits for.
pub(crate) struct ShardMover {
    shard: Shard,
    /// The epoch of its placement; the machine's own differs only where that is planted.
    epoch: u32,
    standing: Arc<Standing>,
    gate: Gate,
    /// Until when announcements are awaited, by the process's clock.
    awaits_until: Instant,
    next: VecDeque<Input>,
    deliveries: Vec<(RequestId, Taken)>,
    /// The newest session of each resource that has resumed a stream.
    resumed: BTreeMap<Jid, SessionId>,
}

/// Tells whether a session has taken something.
type Taken = Pin<Box<dyn Future<Output = bool> + Send>>;

/// What a mover is lent for one input.
pub(crate) struct Surroundings<'a> {
    pub(crate) ways: &'a Ways,
    pub(crate) now: Timestamp,
    pub(crate) entropy: &'a mut Seeded,
    pub(crate) planted: Option<Planted>,
    pub(crate) given: &'a Given,
    pub(crate) words: &'a mut Vec<Word>,
}

/// What a mover wants of the world, or tells it.
pub(crate) enum Word {
    /// Have this done; the reply is for this tenure of the shard.
    Request(ShardId, u32, RequestId, Request),
    /// The shard has acted under this epoch, upon these messages.
    Acted(ShardId, u32, Vec<u64>),
    /// A message was answered with an error.
    Bounced(u64),
    /// A shard keeps these messages for a stream that can be resumed.
    Mirrored(Vec<u64>),
    /// A shard has sent these messages to a session, under this epoch, and their senders keep them until it has them.
    OnItsWay(ShardId, u32, Vec<u64>),
    /// A session has not taken these messages.
    CameBack(Vec<u64>),
    /// A node has told the owner of a shard, under this epoch, that it keeps these messages for such a stream.
    Announced(ShardId, u32, Vec<u64>),
    /// A shard, under this epoch, leaves so many writes to its next owner.
    Leaves(ShardId, u32, usize),
    /// A shard is served here no more.
    Retired(ShardId),
}

impl ShardMover {
    /// The shard is served from now on.
    pub(crate) fn new(
        id: ShardId,
        (epoch, awaited): (u32, BTreeSet<u32>),
        env: &Arc<Environment>,
        lease: &Lease,
    ) -> Self {
        Self {
            shard: Shard::new(id, epoch, env.clone()),
            epoch,
            standing: Arc::new(Standing::new(lease.clone())),
            gate: Gate::new(awaited),
            awaits_until: Instant::now() + Gate::ANNOUNCED_WITHIN,
            next: VecDeque::new(),
            deliveries: Vec::new(),
            resumed: BTreeMap::new(),
        }
    }

    /// The epoch under which it is served.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Handles one input, and those that follow from it at once. Without a lease what comes is held.
    pub(crate) fn run(&mut self, mut input: Input, around: &mut Surroundings<'_>) {
        if let Some(receipt) = input.receipt() {
            let tenure: Arc<dyn Tenure> = self.standing.clone();
            receipt.enter(&tenure);
        }
        if around.planted == Some(Planted::SettledTooEarly) {
            input = without_receipt(input);
        }
        if around.planted == Some(Planted::FormerBelieved) {
            self.takes_former_for_present(&mut input);
        }
        let may_act = self.may_act(&input, around);
        match self.gate.admit(input, may_act) {
            Admission::Now(input) => self.act(input, around),
            Admission::InTurn => {
                while let Some(input) = self.gate.next_ready() {
                    self.act(input, around);
                }
            }
            Admission::Held(_) => {}
            Admission::Refused(from, ask) => {
                let answer = Answer::Unavailable;
                // Who asked may be gone.
                let _ = from.send(ToSession::Answer { ask, answer });
            }
        }
    }

    fn act(&mut self, input: Input, around: &mut Surroundings<'_>) {
        let messages = messages(&input);
        around.given.came(self.shard.id(), self.epoch, &messages);
        let acted = Word::Acted(self.shard.id(), self.epoch, messages);
        around.words.push(acted);
        if let Input::Undelivered(_, _, delivered) = &input
            && delivered.number == 0
        {
            let back = Word::CameBack(numbers(delivered).collect());
            around.words.push(back);
        }
        if let Input::Session(ToShard::Announce {
            kept: Some(kept), ..
        }) = &input
        {
            let known = kept.unacked.iter().flat_map(numbers).collect();
            let announced = Word::Announced(self.shard.id(), self.epoch, known);
            around.words.push(announced);
        }
        self.handle_all(input, around);
    }

    /// Goes on with what sessions on other nodes have taken.
    pub(crate) fn poll(&mut self, around: &mut Surroundings<'_>) {
        if !self.gate.awaited().is_empty() && Instant::now() >= self.awaits_until {
            self.gate.wait_no_more();
            self.run(Input::AllAnnounced(0), around);
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut known = Vec::new();
        self.deliveries
            .retain_mut(|(id, taken)| match taken.as_mut().poll(&mut cx) {
                Poll::Pending => true,
                Poll::Ready(taken) => {
                    known.push((*id, taken));
                    false
                }
            });
        for (id, taken) in known {
            self.run(Input::Replied(id, delivered(taken)), around);
        }
    }

    /// What the end of its service waits for.
    pub(crate) fn is_settled(&self) -> Bell {
        self.shard.is_settled()
    }

    /// The shard is served no more. The next owner goes on with the sessions, and is sent all that was not dealt with.
    pub(crate) fn retire(self, around: &mut Surroundings<'_>) {
        // Who has lost its lease has nothing to leave: there may be another owner already.
        if self.standing.may_act() {
            let (shard, epoch) = (self.shard.id(), self.epoch);
            let left = self.shard.left_to_next(around.now).requests();
            around.words.push(Word::Leaves(shard, epoch, left.len()));
            let left = left.into_iter();
            let words = left.map(|request| Word::Request(shard, epoch, LEFT_TO_NEXT, request));
            around.words.extend(words);
        }
        self.standing.retire();
        around.words.push(Word::Retired(self.shard.id()));
    }

    fn may_act(&self, input: &Input, around: &Surroundings<'_>) -> bool {
        match around.planted {
            Some(Planted::AnswerAfterLease) if matches!(input, Input::Replied(..)) => true,
            _ => self.standing.may_act(),
        }
    }

    fn handle_all(&mut self, input: Input, around: &mut Surroundings<'_>) {
        self.next.push_back(input);
        while let Some(input) = self.next.pop_front() {
            let mut effects = Vec::new();
            self.shard
                .handle(input, around.now, around.entropy, &mut effects);
            for effect in effects {
                self.execute(effect, around);
            }
        }
    }

    fn execute(&mut self, effect: Effect, around: &mut Surroundings<'_>) {
        match effect {
            Effect::Deliver { to, jid, delivered } => {
                bounces(&delivered.batch, around.words);
                let mirrored = mirrored(&to, &delivered);
                let kept = kept_by_senders(&to, &delivered);
                let refused = to.send(ToSession::Deliver(delivered));
                if refused.is_ok() {
                    let on_its_way = Word::OnItsWay(self.shard.id(), self.epoch, kept);
                    around.words.extend([Word::Mirrored(mirrored), on_its_way]);
                }
                if let Err(Full(ToSession::Deliver(delivered))) = refused {
                    self.next
                        .push_back(Input::Undelivered(to.session(), jid, delivered));
                }
            }
            Effect::Remember { to, state } => {
                // Who is gone needs no next owner.
                let _ = to.send(ToSession::Remember(state));
            }
            Effect::Answer { to, ask, answer } => {
                if let Answer::Resumed(resumed) = &answer {
                    self.resumed.insert((*resumed.jid).clone(), to.session());
                }
                let lost = to.send(ToSession::Answer { ask, answer });
                if let Err(Full(ToSession::Answer {
                    answer: Answer::Bound(jid),
                    ..
                })) = lost
                {
                    let session = to.session();
                    let closed = ToShard::Closed {
                        session,
                        jid,
                        receipt: None,
                    };
                    self.next.push_back(Input::Session(closed));
                }
            }
            Effect::WrongPassword { to } => {
                let _ = to.send(ToSession::WrongPassword);
            }
            Effect::Close { to, error } => {
                // One that is gone needs not be told.
                let _ = to.send(ToSession::Close(error));
            }
            Effect::Forward(shard, frame) if shard == self.shard.id() => {
                bounces(&frame.batch, around.words);
                self.next.push_back(Input::Peer(frame));
            }
            Effect::Forward(shard, frame) => {
                bounces(&frame.batch, around.words);
                if let Err(Full(frame)) = around.ways.forward(shard, frame)
                    && around.planted != Some(Planted::RefusedDropped)
                {
                    self.next.push_back(Input::Refused(frame));
                }
            }
            Effect::Request(id, request) => self.request(id, request, around),
        }
    }

    /// What a session says that has been resumed as another one since, says that one.
    fn takes_former_for_present(&self, input: &mut Input) {
        let (Input::Session(
            ToShard::Stanzas {
                session, from: jid, ..
            }
            | ToShard::Left { session, jid, .. }
            | ToShard::Acked { session, jid, .. }
            | ToShard::Detached { session, jid, .. }
            | ToShard::Closed { session, jid, .. },
        )
        | Input::Undelivered(session, jid, _)) = input
        else {
            return;
        };
        if let Some(present) = self.resumed.get(&**jid)
            && present.serial > session.serial
        {
            *session = *present;
        }
    }

    fn request(&mut self, id: RequestId, request: Request, around: &mut Surroundings<'_>) {
        let (to, given) = match request {
            Request::Deliver { to, delivered } => (to, delivered),
            Request::Settled(bell) => {
                let settled = async move {
                    bell.await;
                    true
                };
                return self.deliveries.push((id, Box::pin(settled)));
            }
            request => {
                let (shard, epoch) = (self.shard.id(), self.epoch);
                return around.words.push(Word::Request(shard, epoch, id, request));
            }
        };
        let mirrored = mirrored(&to, &given);
        let taken = match to.deliver(*given) {
            _ if around.planted == Some(Planted::TrimTooEarly) => true,
            Delivery::Taken => true,
            Delivery::NotTaken => false,
            Delivery::Pending(taken) => return self.deliveries.push((id, taken)),
        };
        if taken {
            around.words.push(Word::Mirrored(mirrored));
        }
        self.next.push_back(Input::Replied(id, delivered(taken)));
    }
}

/// The messages that a shard keeps itself when this sink takes them. Only the sink that it has put before a session's
/// own does not say that it may be resumed.
fn mirrored(to: &SinkRef, delivered: &Delivered) -> Vec<u64> {
    match to.may_be_resumed() {
        true => Vec::new(),
        false => numbers(delivered).collect(),
    }
}

/// The messages that are kept by who sent them, until this sink's session has them.
fn kept_by_senders(to: &SinkRef, delivered: &Delivered) -> Vec<u64> {
    match to.may_be_resumed() && delivered.receipt.is_some() {
        true => numbers(delivered).collect(),
        false => Vec::new(),
    }
}

/// Stands for what a shard that is served no more has written for its next owner.
pub(crate) const LEFT_TO_NEXT: RequestId = RequestId(u64::MAX);

fn delivered(taken: bool) -> Reply {
    if taken { Reply::Done } else { Reply::NotTaken }
}

/// The input, as if nobody waited to hear that it was dealt with.
fn without_receipt(mut input: Input) -> Input {
    match &mut input {
        Input::Session(
            ToShard::Stanzas { receipt, .. }
            | ToShard::Closed { receipt, .. }
            | ToShard::Detached { receipt, .. },
        ) => {
            *receipt = None;
        }
        Input::Session(ToShard::Left { delivered, .. }) => delivered.receipt = None,
        Input::Peer(frame) => frame.receipt = None,
        _ => {}
    }
    input
}

/// The numbers of the messages in an input.
fn messages(input: &Input) -> Vec<u64> {
    let batch = match input {
        Input::Session(ToShard::Stanzas { batch, .. }) => batch,
        Input::Peer(frame) | Input::Refused(frame) => &frame.batch,
        Input::Undelivered(_, _, delivered) => &delivered.batch,
        _ => return Vec::new(),
    };
    let ids = batch.recs.iter().filter_map(|rec| rec.id(&batch.buf));
    ids.filter_map(message::number_of_id).collect()
}

/// Tells which messages were answered with an error.
fn bounces(batch: &Batch, words: &mut Vec<Word>) {
    let errors = batch
        .recs
        .iter()
        .filter(|rec| rec.stanza_type == StanzaType::Error);
    words.extend(
        errors
            .filter_map(|rec| message::number_of_id(rec.id(&batch.buf)?))
            .map(Word::Bounced),
    );
}
