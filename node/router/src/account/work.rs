//! A piece of work for an account.

use std::sync::Arc;

use rookery_session::carrier::{AskId, Question, SessionId, SinkRef};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;

/// What an account is to do next.
pub(crate) enum Work {
    /// Stanzas of one of its sessions, from number `next` on.
    Submit {
        /// The session.
        session: SessionId,
        /// Its stanzas.
        batch: Batch,
        /// How many were handled already.
        next: usize,
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
    /// A session is over.
    Ended {
        /// Which.
        session: SessionId,
    },
    /// A session did not take these stanzas.
    Undelivered {
        /// The session.
        session: SessionId,
        /// The stanzas.
        batch: Batch,
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
            Self::Submit { batch, .. }
            | Self::Arrive { batch, .. }
            | Self::Undelivered { batch, .. } => Some(batch),
            Self::Ask { .. } | Self::Ended { .. } => None,
        }
    }

    /// Whether it may be answered with an error when too much waits. What ends or begins a session
    /// may not: it is bounded by the number of sessions.
    pub(crate) fn may_be_refused(&self) -> bool {
        matches!(self, Self::Submit { .. } | Self::Arrive { .. })
    }
}
