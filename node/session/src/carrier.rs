//! What a session and its account's shard say to one another, and what carries it.
//!
//! ```text
//! connection role                                   router role
//! session ── ToShard::Ask(Question) ─────────────►  shard      before and while binding
//!         ◄─ ToSession::Answer(Answer) ───────────
//!         ── ToShard::Stanzas(Batch) ────────────►             once bound: all stanzas of one read
//!         ◄─ ToSession::Deliver(Delivered) ───────
//!         ◄─ ToSession::Remember ─────────────────             what the next owner of the shard must know
//!         ◄─ ToSession::WrongPassword ────────────             asked for it once more, the client did not know it
//!         ◄─ ToSession::Close(StreamError) ───────             conflict, removal, shutdown
//!         ── ToShard::Left ──────────────────────►             what its client has not got
//!         ── ToShard::Closed ────────────────────►
//!
//!         ── ToShard::Announce ──────────────────►  the shard's next owner, ahead of all other frames
//! ```
//!
//! Frames of one session stay in order. Every queue on the way is bounded: a full shard gives the frame back, and the
//! session stops reading its socket; a full session gives the frame back, and the shard decides what becomes of it.

mod logged;
mod proving;
mod questions;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, Kind, Rec, StanzaType};
use rookery_xmpp::stream_error::StreamError;

use crate::seen::Seen;

pub use self::logged::Logged;
pub use self::proving::{WRONG_PASSWORDS_MAX, WrongPasswords, wrong_too_often};
pub use self::questions::{
    AccountSummary, AdminAnswer, AdminQuestion, Answer, Barred, Moderation, Question, Resumed,
    SessionSummary, ShownToken,
};
pub use crate::receipt::{Bell, Receipt, ReceiptRef, Receipts, Stands, Tenure, Word};

/// Names a session in the whole cluster, for ever: a node never gives out a serial twice, also not after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The connection node that holds the socket.
    pub node: u32,
    /// The node's count, started above every count of the node's earlier lives.
    pub serial: u64,
}

/// One of the fixed number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard of a bare JID (DESIGN: `hash(bare JID) mod N`). FNV-1a with a final mix: the same on every node and in
    /// every version, for the answer decides who owns an account.
    pub fn of(bare: &str, shards: u16) -> Self {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in bare.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash ^= hash >> 32;
        Self((hash % u64::from(shards.max(1))) as u16)
    }
}

/// Where stanzas come from. A hop that may see them twice, because a shard's owner was gone before it could say what it
/// had done, drops what it has seen: of one session's stanzas for one recipient the numbers only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session whose client sent them.
    pub session: SessionId,
    /// The number of the first in that session; those behind it follow without a gap.
    pub sequence: u64,
}

impl Origin {
    /// Where the stanza comes from that is so many behind the first.
    pub fn plus(self, stanzas: usize) -> Self {
        Self {
            sequence: self.sequence.saturating_add(stanzas as u64),
            ..self
        }
    }

    /// Where a copy of the stanza comes from (XEP-0280). Copies are counted by themselves, in the upper half of the
    /// serials, which no session ever has: they go another way than what the same session sends to the same
    /// recipient, so that together the numbers would not grow.
    pub fn of_copy(self) -> Self {
        let session = SessionId {
            serial: self.session.serial | 1 << 63,
            ..self.session
        };
        Self { session, ..self }
    }
}

/// Whose the stanzas of one delivery are, where a session may be given them twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Nobody sends them a second time.
    None,
    /// One session's, one behind the other: the first is this one.
    Run(Origin),
    /// Each from somewhere else, as they lay in a log; as many as there are stanzas.
    Each(Box<[Option<Origin>]>),
}

impl Origins {
    /// Where the stanza comes from that stands there.
    pub fn at(&self, index: usize) -> Option<Origin> {
        match self {
            Self::None => None,
            Self::Run(first) => Some(first.plus(index)),
            Self::Each(all) => all.get(index).copied().flatten(),
        }
    }
}

impl From<Option<Origin>> for Origins {
    fn from(first: Option<Origin>) -> Self {
        first.map_or(Self::None, Self::Run)
    }
}

/// Matches an [`Answer`] to its [`Question`] within one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u32);

/// What a session tells a shard.
#[derive(Clone)]
pub enum ToShard {
    /// A question; the answer goes to `from`.
    Ask {
        /// Who asks: the sink gets the answer, and for [`Question::Bind`] all later deliveries.
        from: SinkRef,
        /// Comes back with the answer.
        ask: AskId,
        /// What is asked.
        question: Question,
    },
    /// Stanzas of a bound session, in the order in which the client sent them.
    Stanzas {
        /// The session that read them.
        session: SessionId,
        /// Its full JID, already stamped as `from` on every stanza.
        from: Arc<Jid>,
        /// Number of the first stanza, counted from 0 for the session: a hop that sees a number twice drops it.
        sequence: u64,
        /// The stanzas.
        batch: Batch,
        /// Where somebody keeps the frame until it is settled.
        receipt: Option<Receipt>,
    },
    /// The session is about to be over, and its client has not got this, or has not said so. It is for the account's
    /// other sessions, or for its log.
    Left {
        /// Which session.
        session: SessionId,
        /// Its full JID.
        jid: Arc<Jid>,
        /// What it was sent; with the receipt, where somebody keeps the frame until it is settled.
        delivered: Box<Delivered>,
    },
    /// The client has got so many of the numbered stanzas ([`Delivered::number`]).
    Acked {
        /// Which session.
        session: SessionId,
        /// Its full JID.
        jid: Arc<Jid>,
        /// How many, since the stream could be resumed first.
        acked: u64,
    },
    /// The node of the session does not serve it any more. If its stream can be resumed, it waits for that.
    Detached {
        /// Which session.
        session: SessionId,
        /// Its full JID.
        jid: Arc<Jid>,
        /// Where somebody keeps the frame until it is settled.
        receipt: Option<Receipt>,
    },
    /// The session is over: the stream was closed, or its socket was lost.
    Closed {
        /// Which session.
        session: SessionId,
        /// Its full JID.
        jid: Arc<Jid>,
        /// Where somebody keeps the frame until it is settled.
        receipt: Option<Receipt>,
    },
    /// A session that an earlier owner of the shard has bound.
    Announce {
        /// The way to it.
        from: SinkRef,
        /// Its full JID.
        jid: Arc<Jid>,
        /// Where its client connects from.
        address: IpAddr,
        /// What the earlier owner said last in [`ToSession::Remember`]; empty if it said nothing.
        state: Bytes,
        /// What the session's node has kept of a stream that can be resumed.
        kept: Option<Box<Kept>>,
    },
}

impl ToShard {
    /// What a session says at its end: what its client has not got, as far as anybody misses it, and that it is over.
    /// What that was to hold back ended with the session.
    pub fn last_words<'a>(
        session: SessionId,
        jid: &'a Arc<Jid>,
        left: Vec<Delivered>,
    ) -> impl Iterator<Item = Self> + 'a {
        let missed = left.into_iter().filter(|left| is_missed(&left.batch));
        let left = missed.map(move |delivered| Self::Left {
            session,
            jid: jid.clone(),
            delivered: Box::new(Delivered {
                receipt: None,
                ..delivered
            }),
        });
        left.chain(std::iter::once(Self::Closed {
            session,
            jid: jid.clone(),
            receipt: None,
        }))
    }
}

/// Whether anybody misses something of a batch: presence and answers nobody does.
fn is_missed(batch: &Batch) -> bool {
    let is_request = |rec: &Rec| matches!(rec.stanza_type, StanzaType::Get | StanzaType::Set);
    let is_missed =
        |rec: &Rec| rec.kind == Kind::Message || rec.kind == Kind::Iq && is_request(rec);
    batch.recs.iter().any(is_missed)
}

/// What a shard tells a session.
#[derive(Clone, Debug)]
pub enum ToSession {
    /// The answer to a question.
    Answer {
        /// From the question.
        ask: AskId,
        /// The answer.
        answer: Answer,
    },
    /// Stanzas for the client, in order.
    Deliver(Delivered),
    /// What the shard's next owner must know of the session. It means nothing to the session itself.
    Remember(Bytes),
    /// The client was asked for the account's password once more and did not know it: a failed login, which the
    /// session's node counts also when the session is over.
    WrongPassword,
    /// The session must end with this stream error.
    Close(StreamError),
}

/// Stanzas for a client.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The stanzas.
    pub batch: Batch,
    /// Whose they are, where the session may be given them twice.
    pub origins: Origins,
    /// Held until the session's queue has them.
    pub receipt: Option<Receipt>,
    /// The number of the first as it arrived at the account, the others follow; 0 if they did not arrive, but
    /// are the account's own. Its shard wants to know if they come back.
    pub arrival: u64,
    /// Of a stream that can be resumed: the number of the first among all that the shard has delivered to it, from 1
    /// on. 0 if they are not counted.
    pub number: u64,
    /// Where they lie in the account's log, if that owes them until the client has got them.
    pub logged: Logged,
}

impl Delivered {
    /// Takes the first stanzas out; how many bytes they had.
    pub fn drop_first(&mut self, stanzas: usize) -> usize {
        let before = self.batch.stanza_bytes();
        self.batch.recs.drain(..stanzas);
        match &mut self.origins {
            Origins::None => {}
            Origins::Run(first) => *first = first.plus(stanzas),
            Origins::Each(each) => *each = each[stanzas..].into(),
        }
        self.logged = self.logged.behind(stanzas);
        for number in [&mut self.arrival, &mut self.number] {
            if *number != 0 {
                *number += stanzas as u64;
            }
        }
        before - self.batch.stanza_bytes()
    }

    /// Keeps what stays, of what has neither an arrival nor a number.
    pub fn retain(&mut self, stays: &[bool]) {
        let origins = (0..self.batch.recs.len()).map(|at| self.origins.at(at));
        let left = origins.zip(stays).filter(|(_, stays)| **stays);
        self.origins = Origins::Each(left.map(|(origin, _)| origin).collect());
        self.logged = self.logged.filtered(stays.iter().copied());
        let mut stays = stays.iter();
        self.batch.recs.retain(|_| stays.next() == Some(&true));
    }
}

impl From<Batch> for Delivered {
    /// Stanzas that nobody sends a second time.
    fn from(batch: Batch) -> Self {
        Self {
            batch,
            origins: Origins::None,
            receipt: None,
            arrival: 0,
            number: 0,
            logged: Logged::NOT,
        }
    }
}

/// Stanzas from one sender to one recipient, on their way between two shards.
#[derive(Clone, Debug)]
pub struct PeerFrame {
    /// Who sent them: a full JID for a client's stanzas, a bare one for what an account says
    /// itself.
    pub from: Arc<Jid>,
    /// For whom they are; its bare form decides the shard.
    pub to: Arc<Jid>,
    /// The stanzas.
    pub batch: Batch,
    /// Whose they are, where they may be sent twice.
    pub origin: Option<Origin>,
    /// Held until they have been dealt with.
    pub receipt: Option<Receipt>,
}

impl PeerFrame {
    /// Stanzas that nobody sends a second time.
    pub fn new(from: Arc<Jid>, to: Arc<Jid>, batch: Batch) -> Self {
        Self {
            from,
            to,
            batch,
            origin: None,
            receipt: None,
        }
    }
}

/// What reaches a shard from outside it, whoever carries it.
#[derive(Clone)]
pub enum ShardInput {
    /// A session, or the admin API, speaks.
    Session(ToShard),
    /// Another shard forwards stanzas.
    Peer(PeerFrame),
    /// Stanzas of this shard that another one did not take come back.
    Refused(PeerFrame),
    /// This node has announced all of its sessions to the shard's new owner.
    AllAnnounced(u32),
    /// A session did not take what it was sent: its queue is full or it is gone.
    Undelivered {
        /// Which session.
        session: SessionId,
        /// Its full JID.
        jid: Arc<Jid>,
        /// What it did not take.
        delivered: Box<Delivered>,
    },
}

impl ShardInput {
    /// The receipt of the frame, to be held until it has been dealt with.
    pub fn receipt_mut(&mut self) -> Option<&mut Option<Receipt>> {
        match self {
            Self::Session(
                ToShard::Stanzas { receipt, .. }
                | ToShard::Closed { receipt, .. }
                | ToShard::Detached { receipt, .. },
            ) => Some(receipt),
            Self::Peer(frame) | Self::Refused(frame) => Some(&mut frame.receipt),
            Self::Undelivered { delivered, .. }
            | Self::Session(ToShard::Left { delivered, .. }) => Some(&mut delivered.receipt),
            Self::Session(
                ToShard::Ask { .. } | ToShard::Acked { .. } | ToShard::Announce { .. },
            )
            | Self::AllAnnounced(_) => None,
        }
    }
}

/// The queue of a receiver is full; the frame comes back.
#[derive(Debug)]
pub struct Full<T>(pub T);

/// Where a shard sends what is meant for one session: its actor in this process, or a link to another node.
pub trait Sink: Send + Sync {
    /// Which session this is.
    fn session(&self) -> SessionId;

    /// Queues a frame. `Err` when the session's queue is full (in frames, stanzas or bytes) or the session is gone;
    /// answers and closes are always taken. A session on another node may refuse stanzas later: they
    /// come back to its shard as [`ShardInput::Undelivered`].
    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>>;

    /// Whether the session's node keeps what it is told with [`ToSession::Remember`]. In a process that is its whole
    /// cluster nobody would ever ask for it.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether it can be told of a stream that can be resumed: what is numbered, and how that is acknowledged.
    fn may_be_resumed(&self) -> bool {
        false
    }

    /// Whether what it is given is in the process of its shard alone, and would be gone with it.
    fn is_alone(&self) -> bool {
        false
    }

    /// Whether the session's node cannot be reached now, and what it says waits there.
    fn is_cut_off(&self) -> bool {
        false
    }

    /// Whether the session is over at this node: its client is not read any more, and what it has said already is
    /// followed by its last words alone.
    fn is_over(&self) -> bool {
        false
    }

    /// What this node keeps of a stream that can be resumed, for the next owner of its shard.
    fn kept(&self) -> Option<Kept> {
        None
    }

    /// Queues stanzas that the shard keeps until it knows that the session's queue took them. What is
    /// not taken does not come back.
    fn deliver(&self, delivered: Delivered) -> Delivery {
        match self.send(ToSession::Deliver(delivered)) {
            Ok(()) => Delivery::Taken,
            Err(_) => Delivery::NotTaken,
        }
    }
}

/// What is kept of a stream that can be resumed.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The name of the stream.
    pub id: String,
    /// The number of the oldest of its client's stanzas that has not been dealt with.
    pub next_stanza: u64,
    /// The number behind the last of those that have not been dealt with: they come again.
    pub again: u64,
    /// The number behind the last that was on its way to the shard. What is behind those that come again has been dealt
    /// with.
    pub submitted: u64,
    /// How many of the client's stanzas have been dealt with, modulo 2^32.
    pub h: u32,
    /// How many of the numbered stanzas the client has acknowledged.
    pub acked: u64,
    /// The numbered stanzas that it has not.
    pub unacked: Vec<Delivered>,
    /// What came of whom: the former owner of the shard may have delivered what the next is told of again.
    pub seen: Seen,
}

impl Kept {
    /// Of a stream that is over at its node, which says its last words of it: only how many stanzas its client has
    /// acknowledged.
    pub fn over(acked: u64) -> Self {
        Self {
            acked,
            ..Self::default()
        }
    }

    /// Of a stream whose node has said its last words of it: only the sessions that it was before may still say
    /// something.
    pub fn past() -> Self {
        Self {
            next_stanza: u64::MAX,
            ..Self::default()
        }
    }

    /// Whether it is [`Kept::over`] or [`Kept::past`]: every other stream has a name.
    pub fn is_over(&self) -> bool {
        self.id.is_empty()
    }

    /// Whether it is [`Kept::past`].
    pub fn is_past(&self) -> bool {
        self.is_over() && self.next_stanza == u64::MAX
    }

    /// The number of the last numbered stanza that is known.
    pub fn sent(&self) -> u64 {
        let last = self.unacked.last();
        last.map_or(self.acked, |last| {
            last.number - 1 + last.batch.recs.len() as u64
        })
    }
}

/// What became of stanzas that were given to a [`Sink`].
pub enum Delivery {
    /// The session's queue took them.
    Taken,
    /// It is full, or the session is gone.
    NotTaken,
    /// They are on their way to another node; true when they were taken.
    Pending(Pin<Box<dyn Future<Output = bool> + Send>>),
}

/// A shared [`Sink`].
pub type SinkRef = Arc<dyn Sink>;

/// The connection role's way to the shards, wherever they are.
pub trait Routers: Send + Sync {
    /// How many shards there are.
    fn shards(&self) -> u16;

    /// Queues a frame at a shard; `Err` gives it back when the shard's queue is full.
    fn send(&self, shard: ShardId, frame: ToShard) -> Result<(), Full<ToShard>>;

    /// Waits until the shard takes the frame. A session that waits does not read its socket.
    fn send_when_room(&self, shard: ShardId, frame: ToShard) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// A shared [`Routers`].
pub type RoutersRef = Arc<dyn Routers>;

/// The shards of this process, as whoever brings frames from other nodes reaches them.
pub trait Shards: Send + Sync {
    /// Queues an input at a shard; `Err` gives it back when the shard's queue is full.
    fn offer(&self, shard: ShardId, input: ShardInput) -> Result<(), Full<ShardInput>>;

    /// Waits until the shard takes the input.
    fn offer_when_room(
        &self,
        shard: ShardId,
        input: ShardInput,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Shared [`Shards`].
pub type ShardsRef = Arc<dyn Shards>;

/// A shard's way to the other shards, wherever they are.
pub trait Peers: Send + Sync {
    /// Queues stanzas at another shard; gives them back when its queue is full.
    fn forward(&self, shard: ShardId, frame: PeerFrame) -> Result<(), Full<PeerFrame>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_an_account_never_changes() {
        // Written down once: another value here would strand every stored account on the wrong shard.
        assert_eq!(ShardId::of("juliet@example.net", 1024), ShardId(657));
    }

    #[test]
    fn shards_share_the_accounts_evenly() {
        let mut counts = vec![0_u32; 16];
        for i in 0..16_000 {
            counts[usize::from(ShardId::of(&format!("user{i}@example.net"), 16).0)] += 1;
        }
        assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
    }
}
