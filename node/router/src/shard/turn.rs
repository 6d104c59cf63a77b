//! One turn of a shard: what a machine may use while it handles one input, and where its effects
//! go.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Answer, AskId, Bell, Delivered, Origin, Receipt, ShardId, SinkRef};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::entropy::Entropy;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, Kind, Rec, StanzaType, parse_rec};
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::stream_error::StreamError;

use super::{Effect, PeerFrame, Reply, Request, RequestId};
use crate::RouterOptions;
use crate::account::{Account, MailboxPace, Session};
use crate::environment::Environment;
use crate::modules::registration::Challenges;

/// What an account does with a reply.
pub type Run = Box<dyn FnOnce(&mut Account, &mut Turn<'_>, Reply) + Send>;
/// What is done with a reply outside any account.
pub type RunFree = Box<dyn FnOnce(&mut Turn<'_>, Reply) + Send>;

/// What goes on when a reply comes.
pub enum Then {
    /// In an account, if it is still there.
    Account {
        /// Its bare JID.
        account: Arc<Jid>,
        /// Whether the account handles nothing else until then.
        gates: bool,
        /// What to do.
        run: Run,
    },
    /// The shard's own: the account that was loaded.
    Load(Arc<Jid>),
    /// The shard's own: the streams that its former owner has left.
    Streams,
    /// Without an account: registration, for instance.
    Free(RunFree),
}

/// Effects and open requests of a shard.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) effects: Vec<Effect>,
    pub(crate) waiting: HashMap<RequestId, (Then, Option<Receipt>)>,
    /// A stream that a former owner has left did not reach its account.
    pub(crate) misses_stream: bool,
    last_request: u64,
    /// How many messages to mailboxes were forwarded lately.
    pub(crate) mailbox_pace: MailboxPace,
}

/// A stanza on its way through a turn.
#[derive(Clone, Copy)]
pub(crate) struct Cause {
    origin: Origin,
    /// Where its buffer begins: what has another buffer follows from the stanza, and is not it.
    buffer: *const u8,
}

impl Cause {
    /// The stanza of that buffer.
    pub(crate) fn new(origin: Origin, buf: &Bytes) -> Self {
        Self {
            origin,
            buffer: buf.as_ptr(),
        }
    }
}

/// What follows from two frames goes one way: this receipt, of the first, holds that of the second. False if there is
/// none that could.
fn holds_as_well(first: Option<&Receipt>, second: Option<&Receipt>) -> bool {
    match (first, second) {
        (Some(first), Some(second)) => {
            first.carry(second.clone());
            true
        }
        (None, Some(_)) => false,
        (_, None) => true,
    }
}

/// Whether stanzas of the one origin can travel behind so many of the other.
fn continues(before: Option<Origin>, stanzas: usize, next: Option<Origin>) -> bool {
    match (before, next) {
        (None, None) => true,
        (Some(before), Some(next)) => {
            before.session == next.session && before.sequence + stanzas as u64 == next.sequence
        }
        _ => false,
    }
}

/// Whether a stanza that arrives under this number is the next one.
fn follows(delivered: &Delivered, arrival: u64) -> bool {
    match delivered.arrival {
        0 => arrival == 0,
        first => first + delivered.batch.recs.len() as u64 == arrival,
    }
}

/// One turn of a shard.
pub struct Turn<'a> {
    /// What does not change.
    pub env: &'a Environment,
    /// The limits in force.
    pub options: Arc<RouterOptions>,
    /// Which shard.
    pub shard: ShardId,
    /// The epoch under which the shard is served, and gives out log positions.
    pub epoch: u32,
    /// The present moment.
    pub now: Timestamp,
    /// Randomness.
    pub entropy: &'a mut dyn Entropy,
    /// The stanza that is being handled, where it may come twice.
    pub(crate) cause: Option<Cause>,
    /// The number of the stanza that arrives at an account; 0 if none does.
    pub(crate) arrival: u64,
    /// Where that stanza lies in the account's log, if that owes it until a client has got it.
    pub(crate) logged: Option<NonZeroU64>,
    /// Held by all that follows from the frame that is being handled.
    pub(crate) receipt: Option<Receipt>,
    /// What the strangers of the shard's hosts were asked.
    pub(crate) challenges: &'a mut Challenges,
    pub(crate) out: &'a mut Outbox,
}

impl Turn<'_> {
    /// Gives a session a stanza that is already in canonical bytes. Neighbouring stanzas of one
    /// buffer for one session travel as one batch.
    pub fn deliver(&mut self, to: &SinkRef, jid: &Arc<Jid>, buf: &Bytes, rec: Rec) {
        let origin = self.origin_of(buf);
        let logged = self.logged;
        if let Some(Effect::Deliver {
            jid: last,
            delivered,
            ..
        }) = self.out.effects.last_mut()
            && Arc::ptr_eq(last, jid)
            && delivered.batch.buf.as_ptr() == buf.as_ptr()
            && continues(delivered.origins.at(0), delivered.batch.recs.len(), origin)
            && follows(delivered, self.arrival)
            && delivered
                .logged
                .continues(delivered.batch.recs.len(), logged)
            && holds_as_well(delivered.receipt.as_ref(), self.receipt.as_ref())
        {
            delivered.batch.recs.push(rec);
            return;
        }
        let batch = Batch {
            buf: buf.clone(),
            recs: vec![rec],
        };
        let delivered = Delivered {
            batch,
            origins: origin.into(),
            receipt: self.receipt.clone(),
            arrival: self.arrival,
            number: 0,
            logged: logged.into(),
        };
        self.out.effects.push(Effect::Deliver {
            to: to.clone(),
            jid: jid.clone(),
            delivered,
        });
    }

    /// Gives a session a copy of the stanza that is being handled. A shard's next owner may make it again, so it has an
    /// origin; but one of its own, for the stanza itself goes other ways.
    pub(crate) fn deliver_copy(&mut self, to: &SinkRef, jid: &Arc<Jid>, copy: Bytes) {
        let rec = parse_rec(&copy).expect("the server writes canonical stanzas");
        let batch = Batch {
            buf: copy,
            recs: vec![rec],
        };
        let delivered = Delivered {
            origins: self.cause.map(|cause| cause.origin.of_copy()).into(),
            receipt: self.receipt.clone(),
            ..Delivered::from(batch)
        };
        self.out.effects.push(Effect::Deliver {
            to: to.clone(),
            jid: jid.clone(),
            delivered,
        });
    }

    /// What follows holds these receipts as well.
    pub(crate) fn holds(&mut self, receipts: Vec<Receipt>) {
        if receipts.is_empty() {
            return;
        }
        let held = self.receipt.take();
        let held = held.unwrap_or_else(|| Bell::with_receipt().1);
        receipts.into_iter().for_each(|receipt| held.carry(receipt));
        self.receipt = Some(held);
    }

    /// The stanza that is being handled has this form now.
    pub(crate) fn replaced(&mut self, buf: &Bytes) {
        if let Some(cause) = &mut self.cause {
            cause.buffer = buf.as_ptr();
        }
    }

    /// Whose stanza this is, if it is the one that is being handled.
    pub(crate) fn origin_of(&self, buf: &Bytes) -> Option<Origin> {
        let cause = self.cause?;
        (cause.buffer == buf.as_ptr()).then_some(cause.origin)
    }

    /// Has a session's node remember what the shard's next owner must know of it.
    pub(crate) fn remember(&mut self, session: &Session) {
        if session.sink.remembers() {
            let (to, state) = (session.sink.clone(), session.remembered());
            self.out.effects.push(Effect::Remember { to, state });
        }
    }

    /// Gives a session a stanza that the server made.
    pub fn deliver_bytes(&mut self, to: &SinkRef, jid: &Arc<Jid>, stanza: Bytes) {
        let rec = parse_rec(&stanza).expect("the server writes canonical stanzas");
        self.deliver(to, jid, &stanza, rec);
    }

    /// Sends a stanza towards any JID. For a local one it goes to the shard that owns it; for a
    /// remote one it is answered with an error, until federation exists.
    pub fn route(&mut self, from: &Arc<Jid>, to: &Arc<Jid>, buf: &Bytes, rec: Rec) {
        if !self.env.is_local(to.domain()) {
            self.bounce(
                from,
                to,
                buf,
                rec,
                &StanzaError::new(Condition::RemoteServerNotFound),
            );
            return;
        }
        let origin = self.origin_of(buf);
        if let Some(Effect::Forward(_, last)) = self.out.effects.last_mut()
            && Arc::ptr_eq(&last.from, from)
            && Arc::ptr_eq(&last.to, to)
            && last.batch.buf.as_ptr() == buf.as_ptr()
            && continues(last.origin, last.batch.recs.len(), origin)
            && holds_as_well(last.receipt.as_ref(), self.receipt.as_ref())
        {
            last.batch.recs.push(rec);
            return;
        }
        let shard = self.env.shard_of(to.bare_str());
        let batch = Batch {
            buf: buf.clone(),
            recs: vec![rec],
        };
        let frame = PeerFrame {
            from: from.clone(),
            to: to.clone(),
            batch,
            origin,
            receipt: self.receipt.clone(),
        };
        self.out.effects.push(Effect::Forward(shard, frame));
    }

    /// Sends a stanza that the server made towards any JID.
    pub fn route_bytes(&mut self, from: &Arc<Jid>, to: &Arc<Jid>, stanza: Bytes) {
        let rec = parse_rec(&stanza).expect("the server writes canonical stanzas");
        self.route(from, to, &stanza, rec);
    }

    /// Sends a tree towards any JID.
    pub fn route_element(&mut self, from: &Arc<Jid>, to: &Arc<Jid>, stanza: &Element) {
        self.route_bytes(from, to, stanza.to_bytes());
    }

    /// Answers a stanza with an error, if such a stanza may be answered at all (RFC 6120 8.3.1).
    /// The error goes to the sender in the name of the recipient. Of presence only requests for a
    /// subscription are answered: anything else would let a roster full of dead addresses flood its
    /// owner.
    pub fn bounce(
        &mut self,
        sender: &Arc<Jid>,
        recipient: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
        error: &StanzaError,
    ) {
        let silent = rec.kind == Kind::Presence && rec.stanza_type != StanzaType::Subscribe;
        if silent || !self.env.is_local(sender.domain()) {
            return;
        }
        let reply = error.reply_to(
            rec.bytes(buf),
            &rec.moved_to(0),
            Some(recipient.as_str()),
            Some(sender.as_str()),
        );
        if let Some(reply) = reply {
            self.route_bytes(recipient, sender, reply);
        }
    }

    /// Answers a question.
    pub fn answer(&mut self, to: &SinkRef, ask: AskId, answer: Answer) {
        self.out.effects.push(Effect::Answer {
            to: to.clone(),
            ask,
            answer,
        });
    }

    /// The client of a session did not know its account's password.
    pub fn wrong_password(&mut self, to: &SinkRef) {
        let to = to.clone();
        self.out.effects.push(Effect::WrongPassword { to });
    }

    /// Ends a session.
    pub fn close(&mut self, to: &SinkRef, error: StreamError) {
        self.out.effects.push(Effect::Close {
            to: to.clone(),
            error,
        });
    }

    /// Asks for something to be done outside; `then` goes on with the reply.
    pub fn request(&mut self, request: Request, then: Then) {
        self.out.last_request += 1;
        let id = RequestId(self.out.last_request);
        let then = (then, self.receipt.clone());
        self.out.waiting.insert(id, then);
        self.out.effects.push(Effect::Request(id, request));
    }

    /// Asks for something outside any account.
    pub fn request_free(
        &mut self,
        request: Request,
        run: impl FnOnce(&mut Turn<'_>, Reply) + Send + 'static,
    ) {
        self.request(request, Then::Free(Box::new(run)));
    }

    /// The shard that owns a bare JID.
    pub fn shard_of(&self, jid: &Jid) -> ShardId {
        self.env.shard_of(jid.bare_str())
    }
}
