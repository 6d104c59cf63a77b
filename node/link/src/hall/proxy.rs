//! A session of another node, as a shard sees it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rookery_session::carrier::{Answer, Delivered, Delivery, Full, SessionId, Sink, ToSession};
use rookery_xmpp::jid::Jid;

use super::Accepted;
use crate::ticket::Ticket;
use crate::wire::{Announced, Down, DownBody, WRONG_PASSWORD_SINCE, answer_since};

/// Puts what a shard says to a session on the link. What the session does not take comes back to
/// the shard as undelivered: later than within a process, and in order, since all that was sent in
/// the same round comes back as well.
pub(crate) struct Proxy {
    session: SessionId,
    link: Arc<Accepted>,
    /// In which epoch its shard speaks to it.
    epoch: Option<u32>,
    /// Its address, known once it is bound.
    jid: OnceLock<Arc<Jid>>,
    /// How often it did not take something.
    round: AtomicU32,
}

impl Proxy {
    pub(super) fn new(session: SessionId, link: Arc<Accepted>, epoch: Option<u32>) -> Self {
        Self {
            session,
            link,
            epoch,
            jid: OnceLock::new(),
            round: AtomicU32::new(0),
        }
    }

    /// For a session that an earlier owner of its shard has bound.
    pub(super) fn announced(
        announced: &Announced,
        link: Arc<Accepted>,
        epoch: Option<u32>,
    ) -> Self {
        Self {
            session: announced.session,
            link,
            epoch,
            jid: OnceLock::from(announced.jid.clone()),
            round: AtomicU32::new(announced.round),
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.session
    }

    pub(super) fn jid(&self) -> Option<&Arc<Jid>> {
        self.jid.get()
    }

    /// The session did not take something of this round: the next one begins.
    pub(super) fn behind(&self, round: u32) {
        // Everything else of the round comes back as well, and changes nothing.
        let next = round.wrapping_add(1);
        let _ = self
            .round
            .compare_exchange(round, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What a node of an older build is told instead of an answer that it does not know.
    fn as_understood(&self, frame: ToSession) -> ToSession {
        match frame {
            ToSession::Answer { ask, answer }
                if !self.link.half.line().understands(answer_since(&answer)) =>
            {
                let answer = answer.without_reasons();
                ToSession::Answer { ask, answer }
            }
            frame => frame,
        }
    }

    fn down(&self, frame: ToSession, ticket: Option<Ticket>) -> Down {
        Down {
            body: DownBody::Session {
                session: self.session,
                round: self.round.load(Ordering::Relaxed),
                jid: self.jid.get().cloned(),
                epoch: self.epoch,
                ticket,
                frame,
            },
        }
    }
}

impl Sink for Proxy {
    fn session(&self) -> SessionId {
        self.session
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        let frame = self.as_understood(frame);
        if matches!(frame, ToSession::WrongPassword)
            && !self.link.half.line().understands(WRONG_PASSWORD_SINCE)
        {
            return Ok(());
        }
        if let ToSession::Answer { answer, .. } = &frame
            && let Some(jid) = answer.binds()
        {
            // A session is bound once.
            let _ = self.jid.set(jid.clone());
        }
        if matches!(frame, ToSession::Deliver(_)) {
            let pushed = self.link.half.push(self.down(frame, None), 0);
            return pushed.map_err(|refused| match refused.into_frame().body {
                DownBody::Session { frame, .. } => Full(frame),
                _ => unreachable!("a frame for a session was pushed"),
            });
        }
        let half = &self.link.half;
        let is_answer = matches!(frame, ToSession::Answer { .. });
        let has_room = !is_answer || half.line().has_room_for_answer();
        if has_room && half.push_always(self.down(frame.clone(), None)) {
            return Ok(());
        }
        // Whoever asked must not wait in vain.
        if let ToSession::Answer { ask, .. } = frame {
            let answer = Answer::Unavailable;
            if half.push_always(self.down(ToSession::Answer { ask, answer }, None)) {
                if has_room {
                    tracing::warn!(node = self.link.node, "an answer is too large for a link");
                }
                return Ok(());
            }
        }
        Err(Full(frame))
    }

    fn remembers(&self) -> bool {
        true
    }

    fn may_be_resumed(&self) -> bool {
        true
    }

    fn is_cut_off(&self) -> bool {
        self.link.half.line().is_down()
    }

    fn deliver(&self, delivered: Delivered) -> Delivery {
        let (ticket, taken) = Ticket::new();
        let down = self.down(ToSession::Deliver(delivered), Some(ticket));
        match self.link.half.push(down, 0) {
            Ok(()) => Delivery::Pending(Box::pin(taken)),
            Err(_) => Delivery::NotTaken,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.link.forget(self.session);
    }
}
