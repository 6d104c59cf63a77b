//! What is asked of shards, and what they answer.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza_error::StanzaError;
use rookery_xmpp::stream_error::StreamError;

use super::ShardId;
use crate::seen::Seen;

/// What may be asked of a shard.
#[derive(Clone, Debug)]
pub enum Question {
    /// The SCRAM keys of an account. Answered alike, and after one read of the store, for all accounts: those that are
    /// in memory or not, do not exist, or are disabled.
    Credentials {
        /// The account.
        account: Jid,
    },
    /// Binds a resource (RFC 6120 7).
    Bind {
        /// The authenticated account.
        account: Jid,
        /// The resource the client wants, prepared; `None` lets the server choose.
        resource: Option<String>,
        /// Where the client connects from.
        address: IpAddr,
    },
    /// Lets the stream of a bound session be resumed (XEP-0198 3): from the answer on, the shard numbers what it
    /// delivers, and keeps it until it is acknowledged.
    Enable {
        /// The account.
        account: Jid,
        /// The number of the first stanza that counts.
        first: u64,
    },
    /// Goes on with the stream of an earlier session of the account (XEP-0198 5).
    Resume {
        /// The authenticated account.
        account: Jid,
        /// The name that the stream was given.
        id: String,
        /// How many stanzas the client has got.
        h: u32,
        /// Where the client connects from.
        address: IpAddr,
    },
    /// In-band registration before authentication (XEP-0077): an IQ in canonical bytes.
    Register {
        /// The virtual host of the stream.
        host: String,
        /// Where the client connects from, for the throttle.
        address: IpAddr,
        /// The IQ.
        iq: Bytes,
        /// The token of an invitation that the client has shown before (XEP-0445).
        invite: Option<Box<ShownToken>>,
    },
    /// The operator's questions, from the admin API.
    Admin(AdminQuestion),
}

/// The token of an invitation, on its way to whoever knows what it is worth. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownToken {
    /// The token, as the client wrote it.
    pub token: String,
    /// How long ago it was found good, in milliseconds: what was good then is good for the whole stream.
    pub age_ms: u64,
}

impl std::fmt::Debug for ShownToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShownToken(…, {} ms ago)", self.age_ms)
    }
}

/// What the admin API asks of shards.
#[derive(Clone, Debug)]
pub enum AdminQuestion {
    /// Creates an account, past the registration throttle.
    CreateAccount {
        /// The account.
        account: Jid,
        /// Its password; only keys derived from it are stored.
        password: String,
        /// Whether it is created though its name is reserved, looks like another or was another's.
        force: bool,
    },
    /// Removes an account: its sessions are closed, and it is deleted with everything it owns, when its grace is over.
    DeleteAccount {
        /// The account.
        account: Jid,
        /// Whether it has no grace.
        now: bool,
    },
    /// Changes how an account stands.
    Moderate {
        /// The account.
        account: Jid,
        /// What is done.
        step: Moderation,
    },
    /// Sets a new password; sessions stay.
    SetPassword {
        /// The account.
        account: Jid,
        /// The new password.
        password: String,
    },
    /// Disables an account (its sessions are closed, nobody can log in) or enables it again.
    SetEnabled {
        /// The account.
        account: Jid,
        /// Whether logins are allowed.
        enabled: bool,
    },
    /// What is known of an account.
    ShowAccount {
        /// The account.
        account: Jid,
    },
    /// The sessions of one shard.
    ListSessions {
        /// Only those of this bare JID.
        account: Option<Jid>,
        /// Which shard: this question goes to every shard.
        shard: ShardId,
    },
    /// Closes the sessions of a bare JID, or the one of a full JID.
    CloseSessions {
        /// Whose.
        jid: Jid,
        /// What the client is told.
        error: StreamError,
    },
}

/// What is done about an account that is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moderation {
    /// One that leaves is in use again, as before.
    Restore,
    /// One that awaits approval may be used.
    Approve,
    /// One that awaits approval is deleted.
    Deny {
        /// Whether its name is withheld.
        tombstone: bool,
    },
    /// It is deleted, if its grace is over, or if it awaits approval since before that time.
    EndDue {
        /// The time.
        awaiting_before: Timestamp,
    },
}

/// Why nobody logs in to an account, for those who know its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// It awaits a moderator's approval.
    AwaitsApproval,
    /// It was removed, and will be deleted.
    Leaves,
}

/// What a shard answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The account's keys; `None` when there is no such account or it may not log in.
    Credentials(Option<Arc<Credentials>>),
    /// The account's keys, though nobody may log in: who proves to know them is told why, everybody else nothing.
    Barred(Arc<Credentials>, Barred),
    /// Bound; the full JID.
    Bound(Arc<Jid>),
    /// The stream can be resumed.
    Enabled {
        /// Under this name.
        id: String,
        /// For so many seconds after its end.
        max_s: u32,
    },
    /// The session goes on with an earlier stream. What that one's client has not got follows.
    Resumed(Resumed),
    /// There is no such stream.
    NotResumed {
        /// How many stanzas its client had sent, where that is still known.
        h: Option<u32>,
    },
    /// An IQ result or error, in canonical bytes.
    Iq(Bytes),
    /// Refused, with the error for the client's IQ.
    Refused(StanzaError),
    /// The answer to an operator.
    Admin(AdminAnswer),
    /// The shard cannot answer now (store or control group out of reach).
    Unavailable,
}

impl Answer {
    /// The same for a node of a build that knows no accounts which are not in use: as of one that is not there.
    pub fn without_reasons(self) -> Self {
        match self {
            Self::Barred(..) => Self::Credentials(None),
            Self::Admin(AdminAnswer::Leaving(_)) => Self::Admin(AdminAnswer::Done),
            other => other,
        }
    }

    /// The full JID that the session has by it.
    pub fn binds(&self) -> Option<&Arc<Jid>> {
        match self {
            Self::Bound(jid) | Self::Resumed(Resumed { jid, .. }) => Some(jid),
            _ => None,
        }
    }
}

/// What a session must know of the stream that it goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The full JID.
    pub jid: Arc<Jid>,
    /// The name of the stream, which it keeps.
    pub id: String,
    /// For how many seconds it can be resumed again.
    pub max_s: u32,
    /// How many stanzas the client has sent, modulo 2^32.
    pub h: u32,
    /// How many it has got.
    pub acked: u64,
    /// What it has got of whom.
    pub seen: Seen,
}

/// Answers to the admin API.
#[derive(Clone, Debug)]
pub enum AdminAnswer {
    /// It is done, durably.
    Done,
    /// It is done, and the account is deleted at that time.
    Leaving(Timestamp),
    /// There is no such account or session.
    NotFound,
    /// The account exists already.
    AlreadyExists,
    /// The request was wrong; the text says why.
    Invalid(String),
    /// An account.
    Account(Box<AccountSummary>),
    /// Sessions.
    Sessions(Vec<SessionSummary>),
    /// How many sessions were closed.
    Closed(u32),
}

/// An account as the operator sees it.
#[derive(Clone, Debug)]
pub struct AccountSummary {
    /// The bare JID.
    pub account: Jid,
    /// When it was made.
    pub created: Timestamp,
    /// Whether its owner may log in.
    pub enabled: bool,
    /// When its last session ended, if it ever had one.
    pub last_seen: Option<Timestamp>,
    /// Contacts in its roster.
    pub roster_items: u32,
    /// Messages waiting in its log.
    pub offline_messages: u64,
    /// Its sessions.
    pub sessions: Vec<SessionSummary>,
}

/// A session as the operator sees it.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    /// The full JID.
    pub jid: Jid,
    /// Where the client connects from.
    pub address: IpAddr,
    /// When it was bound.
    pub bound: Timestamp,
    /// Its presence priority; `None` while it has not sent presence.
    pub priority: Option<i8>,
    /// Its `<show/>`, empty for plain availability.
    pub show: String,
}
