//! What a session sent and must not be told to have been dealt with, though nothing more is done with it.
//!
//! * When its client had begun to go on by another way: the client says it again. If this owner is gone before the
//!   client has heard how much counts, the next one asks the session's node. So its receipts are held until the client
//!   speaks by the new way, or the node says that the session is over.
//! * What was refused when another session had taken its resource: nobody can tell its client, who would take it for
//!   received. So its receipts are held until the node says that the session is over.

use std::time::Duration;

use rookery_session::carrier::{Receipt, SessionId};
use rookery_xmpp::clock::Timestamp;

/// What is held.
#[derive(Default)]
pub(super) struct Void {
    held: Vec<Held>,
    /// The client has not said anything yet by the way by which it goes on.
    is_unheard: bool,
}

struct Held {
    session: SessionId,
    _receipt: Receipt,
    until: Timestamp,
}

impl Void {
    /// The client goes on by another way: from now on what comes by the one before is held.
    pub(super) fn begins(&mut self) {
        self.is_unheard = true;
    }

    /// A session has sent what has this receipt, when its client had begun to go on by another way.
    pub(super) fn hold(&mut self, session: SessionId, receipt: Receipt, now: Timestamp) {
        if self.is_unheard {
            self.hold_refused(session, receipt, now);
        }
    }

    /// The same of what was refused, when the session had no place any more.
    pub(super) fn hold_refused(&mut self, session: SessionId, receipt: Receipt, now: Timestamp) {
        if self.held.len() < HELD_MAX {
            self.held.push(Held {
                session,
                _receipt: receipt,
                until: now.plus(HEARD_WITHIN),
            });
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_quiet(&self) -> bool {
        self.held.is_empty()
    }

    /// The client has heard how much counts.
    pub(super) fn is_heard(&mut self) {
        self.is_unheard = false;
        self.held.clear();
    }

    /// The node of this session counts no more.
    pub(super) fn is_over(&mut self, session: SessionId) {
        self.held.retain(|held| held.session != session);
    }

    /// What is held for too long is let go.
    pub(super) fn look_at_the_clock(&mut self, now: Timestamp) {
        self.held.retain(|held| now < held.until);
    }
}

/// How many frames are held.
const HELD_MAX: usize = 1_024;

/// Within this time a client has heard that it goes on, or that its session has no place any more. Longer they are not
/// held: they take room on the way from its former node.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
