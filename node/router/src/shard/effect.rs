//! What goes into a shard and what comes out of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_control::{NameKind, RegistrationRefused, ReservationId};
use rookery_session::carrier::{
    Answer, AskId, Bell, Delivered, PeerFrame, Receipt, SessionId, ShardId, ShardInput, SinkRef,
    ToShard,
};
use rookery_store::StoreError;
use rookery_store::account::{Found, NewAccount};
use rookery_store::log::{Append, LogEntry, LogQuery, LogRange, LogSearch, LogUsage, Position};
use rookery_store::name::Tombstone;
use rookery_store::roster::RosterChange;
use rookery_store::standing::Standing;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::{Credentials, ScramKeys};
use rookery_xmpp::stream_error::StreamError;

use super::{InviteReply, InviteRequest};
use crate::{PasswordFlaw, PasswordOptions};

/// Matches a [`Reply`] to its [`Request`] within one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something that happened to a shard.
pub enum Input {
    /// A session, or the admin API, speaks.
    Session(ToShard),
    /// Another shard, or this one, forwards stanzas.
    Peer(PeerFrame),
    /// A request was carried out.
    Replied(RequestId, Reply),
    /// A session did not take what it was sent: its queue is full or it is gone.
    Undelivered(SessionId, Arc<Jid>, Delivered),
    /// Another shard's queue was full: these stanzas come back.
    Refused(PeerFrame),
    /// This node has announced all of its sessions to this owner of the shard.
    AllAnnounced(u32),
    /// A second went by.
    Tick,
}

impl From<ShardInput> for Input {
    fn from(input: ShardInput) -> Self {
        match input {
            ShardInput::Session(frame) => Self::Session(frame),
            ShardInput::Peer(frame) => Self::Peer(frame),
            ShardInput::Refused(frame) => Self::Refused(frame),
            ShardInput::AllAnnounced(node) => Self::AllAnnounced(node),
            ShardInput::Undelivered {
                session,
                jid,
                delivered,
            } => Self::Undelivered(session, jid, *delivered),
        }
    }
}

impl Input {
    /// The receipt of a frame that somebody keeps until this shard has dealt with it.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Session(
                ToShard::Stanzas { receipt, .. }
                | ToShard::Closed { receipt, .. }
                | ToShard::Detached { receipt, .. },
            ) => receipt.as_ref(),
            Self::Session(ToShard::Left { delivered, .. }) => delivered.receipt.as_ref(),
            Self::Peer(frame) => frame.receipt.as_ref(),
            _ => None,
        }
    }
}

/// Something that a shard wants done, in the order given.
pub enum Effect {
    /// Give a session stanzas; what it refuses comes back as [`Input::Undelivered`].
    Deliver {
        /// The session.
        to: SinkRef,
        /// Its full JID.
        jid: Arc<Jid>,
        /// The stanzas.
        delivered: Delivered,
    },
    /// Have a session's node remember this, for the shard's next owner.
    Remember {
        /// The session.
        to: SinkRef,
        /// What is remembered.
        state: Bytes,
    },
    /// Answer a question.
    Answer {
        /// Who asked.
        to: SinkRef,
        /// From the question.
        ask: AskId,
        /// The answer.
        answer: Answer,
    },
    /// Tell a session's node that its client did not know the account's password.
    WrongPassword {
        /// The session.
        to: SinkRef,
    },
    /// End a session.
    Close {
        /// The session.
        to: SinkRef,
        /// What its client is told.
        error: StreamError,
    },
    /// Carry stanzas to another shard.
    Forward(ShardId, PeerFrame),
    /// Do this and reply.
    Request(RequestId, Request),
}

/// What a shard asks of store, control group and key derivation.
pub enum Request {
    /// Everything that is kept of an account, or of what is left of it.
    Load(Jid),
    /// Creates an account.
    CreateAccount(Box<NewAccount>),
    /// Replaces an account's keys.
    SetCredentials(Jid, Box<Credentials>),
    /// Allows or forbids logins.
    SetEnabled(Jid, bool),
    /// Changes how an account stands.
    SetStanding(Jid, Standing),
    /// Deletes an account and all it owns, and puts a tombstone in its place if there is one.
    DeleteAccount(Jid, Option<Tombstone>),
    /// Changes a roster.
    UpdateRoster(Jid, RosterChange),
    /// Reads a document.
    Document {
        /// Whose.
        owner: Jid,
        /// In which collection.
        collection: &'static str,
        /// Under which key.
        key: String,
    },
    /// Reads all documents of a collection.
    Documents {
        /// Whose.
        owner: Jid,
        /// Which collection.
        collection: &'static str,
    },
    /// Writes a document.
    PutDocument {
        /// Whose.
        owner: Jid,
        /// In which collection.
        collection: &'static str,
        /// Under which key.
        key: String,
        /// The new content.
        document: Bytes,
    },
    /// Deletes a document.
    DeleteDocument {
        /// Whose.
        owner: Jid,
        /// In which collection.
        collection: &'static str,
        /// Under which key.
        key: String,
    },
    /// Appends to logs.
    Append(Vec<Append>),
    /// Gives a session stanzas and says whether it took them.
    Deliver {
        /// The session.
        to: SinkRef,
        /// The stanzas.
        delivered: Box<Delivered>,
    },
    /// Waits until frames have been dealt with.
    Settled(Bell),
    /// Reads from a log.
    ReadLog(Jid, LogQuery),
    /// Looks for archived entries of a key.
    FindLog(Jid, LogSearch),
    /// Puts another stanza in the place of the entry there, if there is one.
    ReplaceLog(Jid, Position, Bytes),
    /// Forgets a log's entries of this range.
    RemoveLog(Jid, LogRange),
    /// Keeps a position of a log under a name.
    SetCursor(Jid, &'static str, Position),
    /// Counts what a log holds.
    LogUsage(Jid),
    /// Derives SCRAM keys from a password; the salt is drawn where it is done.
    Derive {
        /// The password.
        password: String,
        /// 16 random bytes.
        salt: [u8; 16],
        /// PBKDF2's iterations.
        iterations: u32,
    },
    /// Whether an account may have this password.
    JudgePassword {
        /// The password.
        password: String,
        /// Whose it is to be.
        account: Jid,
        /// What is asked of passwords.
        rules: Arc<PasswordOptions>,
    },
    /// Whether this is the password of these keys.
    VerifyPassword {
        /// The password.
        password: String,
        /// The keys.
        keys: Box<ScramKeys>,
    },
    /// Draws a captcha.
    DrawCaptcha {
        /// What is to be read.
        text: String,
        /// What else it looks like.
        seed: u64,
        /// How much later the next one is drawn.
        pace: Duration,
    },
    /// Whether anybody may register at all.
    RegistrationIsOpen,
    /// Whether a rule withholds this localpart.
    CheckName(String),
    /// Takes a place in the registration throttle.
    Reserve {
        /// The virtual host.
        host: String,
        /// Where the client connects from.
        address: IpAddr,
        /// The localpart it wants.
        name: String,
    },
    /// Asks about an invitation.
    Invite(InviteRequest),
    /// The account was made: the place stays taken.
    CommitReservation(ReservationId),
    /// The account was not made: the place is given back.
    ReleaseReservation(ReservationId),
}

/// What came of a [`Request`].
#[derive(Debug)]
pub enum Reply {
    /// It is done, and durable.
    Done,
    /// What there is of the account.
    Loaded(Found),
    /// Whether there was something to delete.
    Deleted(bool),
    /// The document, if there is one.
    Document(Option<Bytes>),
    /// The collection's documents by key.
    Documents(Vec<(String, Bytes)>),
    /// Entries of a log.
    Log(Vec<LogEntry>),
    /// What a log holds.
    LogUsage(LogUsage),
    /// Keys.
    Credentials(Box<Credentials>),
    /// The password is too long, or has characters that no password may have (RFC 8265 4.2).
    BadPassword,
    /// The password is not good enough.
    PasswordFlaw(PasswordFlaw),
    /// Whether it is the password.
    PasswordIs(bool),
    /// A picture, as PNG.
    Drawn(Bytes),
    /// Too many wait for pictures.
    NotDrawn,
    /// Whether anybody may register.
    RegistrationIsOpen(bool),
    /// Anybody may, and a moderator has to approve the account.
    RegistrationNeedsApproval,
    /// The rule that withholds the name, with what it withholds, if one does.
    Name(Option<(String, NameKind)>),
    /// The answer about an invitation.
    Invite(InviteReply),
    /// A place in the throttle.
    Reserved(ReservationId),
    /// A place in the throttle, for an account that a moderator has to approve.
    ReservedToAwait(ReservationId),
    /// The throttle refuses.
    RegistrationRefused(RegistrationRefused),
    /// The place in the throttle had expired when it was to be kept: whoever took it must undo what
    /// it was taken for.
    NotReserved,
    /// The session's queue is full, or the session is gone.
    NotTaken,
    /// The store refuses.
    Failed(StoreError),
}
