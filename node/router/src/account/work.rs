//! A piece of work for an account.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{
    AskId, Delivered, Kept, Origin, Question, Receipt, SessionId, SinkRef,
};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;

use super::Stranded;

/// What an account is to do next.
pub(crate) enum Work {
    /// Stanzas of one of its sessions, from number `next` on.
    Submit {
        /// The session.
        session: SessionId,
        /// Its full JID.
        from: Arc<Jid>,
        /// The number of the first stanza.
        sequence: u64,
        /// Its stanzas.
        batch: Batch,
        /// How many were handled already.
        next: usize,
        /// Held until they have been dealt with.
        receipt: Option<Receipt>,
    },
    /// Stanzas for the account or one of its sessions, from number `next` on.
    Arrive {
        /// The sender.
        from: Arc<Jid>,
        /// The address: the account's bare JID or a full one.
        to: Arc<Jid>,
        /// The stanzas.
        batch: Batch,
        /// How many were handled already.
        next: usize,
        /// Whose they are, where they may come twice.
        origin: Option<Origin>,
        /// Held until they have been dealt with.
        receipt: Option<Receipt>,
    },
    /// A question.
    Ask {
        /// Who asks.
        from: SinkRef,
        /// From the question.
        ask: AskId,
        /// The question.
        question: Question,
    },
    /// A session's client has got so many of what was numbered.
    Acked {
        /// The session.
        session: SessionId,
        /// How many.
        acked: u64,
    },
    /// A session's node does not serve it any more.
    Detached {
        /// Which.
        session: SessionId,
        /// Held until that has been dealt with.
        receipt: Option<Receipt>,
    },
    /// A session is over.
    Ended {
        /// Which.
        session: SessionId,
        /// Held until that has been dealt with.
        receipt: Option<Receipt>,
    },
    /// A session that an earlier owner of the shard has bound.
    Announced {
        /// The way to it.
        from: SinkRef,
        /// Its full JID.
        jid: Arc<Jid>,
        /// Where its client connects from.
        address: IpAddr,
        /// What the earlier owner had remembered.
        state: Bytes,
        /// What its node has kept of a stream that can be resumed.
        kept: Option<Box<Kept>>,
    },
    /// A stream that a former owner of the shard has left in the store.
    Stranded(Box<Stranded>),
    /// A session that is about to be over has not shown its client these stanzas, as far as is known.
    Left {
        /// The session.
        session: SessionId,
        /// The stanzas.
        delivered: Box<Delivered>,
    },
    /// A session did not take these stanzas.
    Undelivered {
        /// The session.
        session: SessionId,
        /// The stanzas.
        delivered: Box<Delivered>,
    },
}

impl Work {
    /// How many stanzas it holds.
    pub(crate) fn stanzas(&self) -> usize {
        self.batch().map_or(0, |batch| batch.recs.len())
    }

    /// How many bytes of stanzas it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.batch().map_or(0, Batch::stanza_bytes)
    }

    fn batch(&self) -> Option<&Batch> {
        match self {
            Self::Submit { batch, .. } | Self::Arrive { batch, .. } => Some(batch),
            Self::Left { delivered, .. } | Self::Undelivered { delivered, .. } => {
                Some(&delivered.batch)
            }
            Self::Ask { .. }
            | Self::Acked { .. }
            | Self::Detached { .. }
            | Self::Ended { .. }
            | Self::Announced { .. }
            | Self::Stranded(_) => None,
        }
    }

    /// What all that follows from it holds.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        match self {
            Self::Submit { receipt, .. }
            | Self::Arrive { receipt, .. }
            | Self::Detached { receipt, .. }
            | Self::Ended { receipt, .. } => receipt.clone(),
            Self::Left { delivered, .. } | Self::Undelivered { delivered, .. } => {
                delivered.receipt.clone()
            }
            Self::Ask { .. } | Self::Acked { .. } | Self::Announced { .. } | Self::Stranded(_) => {
                None
            }
        }
    }

    /// The session at whose end it is said, when its node takes nothing for it any more.
    pub(crate) fn ends(&self) -> Option<SessionId> {
        match self {
            Self::Detached { session, .. }
            | Self::Ended { session, .. }
            | Self::Left { session, .. } => Some(*session),
            _ => None,
        }
    }

    /// Of which session it is said, by its client or its node.
    pub(crate) fn is_said_of(&self) -> Option<SessionId> {
        match self {
            Self::Submit { session, .. } | Self::Acked { session, .. } => Some(*session),
            other => other.ends(),
        }
    }

    /// Whether it is older than everything that waits, and changes nothing that is being written.
    pub(crate) fn never_waits(&self) -> bool {
        matches!(
            self,
            Self::Undelivered { .. } | Self::Left { .. } | Self::Acked { .. }
        )
    }

    /// Whether it may be answered with an error when too much waits. What ends or begins a session
    /// may not: it is bounded by the number of sessions.
    pub(crate) fn may_be_refused(&self) -> bool {
        matches!(self, Self::Submit { .. } | Self::Arrive { .. })
    }
}
