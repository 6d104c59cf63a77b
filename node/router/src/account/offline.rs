//! Messages for an account that nobody reads at the moment: they go into its log, and come back in order with their
//! time (XEP-0160, XEP-0203) when a session becomes available.
//!
//! ```text
//! keep_offline ─► Append ─► (durable) stored += 1            a session becomes available
//!                                                              │
//!      ┌────────────────────── ReadLog (a page) ◄──────────────┤
//!      ▼                                                       │
//!   Deliver with <delay/> ─► TrimLog ─► next page … until empty; meanwhile new messages go to the log, behind
//!      └─ the session's queue is full: the log keeps them, and a second later it is tried again
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_store::StoreError;
use rookery_store::log::{Append, LogEntry, LogQuery, Position};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, Flags, Rec, append_child, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::Account;
use crate::shard::{Reply, Request, Turn};

/// How long the log waits for a session that reads too slowly.
const STALL: Duration = Duration::from_secs(1);

/// How many messages are read and delivered at once: enough to be quick, and less than a session's queue holds.
const PAGE_MESSAGES: usize = 100;

/// What the account knows of its log.
pub(crate) struct Offline {
    epoch: u32,
    next_sequence: u64,
    /// Messages in the log.
    stored: u64,
    /// Messages on their way into it.
    appending: u64,
    /// Where each message that was refused by the store must be bounced to.
    batch: Vec<Kept>,
    /// The session that gets the log at the moment.
    draining: Option<SessionId>,
    /// A session read too slowly: the log waits for it until then.
    stalled_until: Timestamp,
}

/// A message on its way into the log.
struct Kept {
    from: Arc<Jid>,
    to: Arc<Jid>,
    position: Position,
    bytes: Bytes,
    rec: Rec,
}

impl Offline {
    pub(super) fn new(epoch: u32, tail: Option<Position>, stored: u64) -> Self {
        // A new epoch begins its own count; within one the count goes on.
        let next_sequence = tail
            .filter(|t| t.epoch() == epoch)
            .map_or(1, |t| t.sequence() + 1);
        Self {
            epoch,
            next_sequence,
            stored,
            appending: 0,
            batch: Vec::new(),
            draining: None,
            stalled_until: Timestamp(0),
        }
    }

    /// Messages in the log.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Whether older messages are still in the log or on their way into it or out of it: newer ones must stay behind.
    pub(super) fn holds_any(&self) -> bool {
        self.draining.is_some() || self.stored + self.appending > 0
    }

    /// A session did not take what it was given.
    pub(super) fn stall(&mut self, now: Timestamp) {
        self.draining = None;
        self.stalled_until = now.plus(STALL);
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.appending == 0 && self.batch.is_empty() && self.draining.is_none()
    }
}

impl Account {
    /// Keeps a message for later, if it is of the kind that is kept (XEP-0160 3, XEP-0334); the others are dropped or
    /// answered as RFC 6121 8.5.2.2 says. [`Account::flush_offline`] writes what was kept.
    pub(super) fn keep_offline(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        if !is_kept(rec.flags) {
            return;
        }
        let held = self.offline.stored + self.offline.appending;
        if held >= turn.options.offline_messages_max {
            let error = StanzaError::new(Condition::ServiceUnavailable)
                .with_text("the mailbox of this account is full");
            return turn.bounce(from, to, buf, rec, &error);
        }
        let position = Position::new(self.offline.epoch, self.offline.next_sequence);
        let Ok(position) = position else {
            return turn.bounce(
                from,
                to,
                buf,
                rec,
                &store_refusal(&StoreError::Invalid("position")),
            );
        };
        self.offline.next_sequence += 1;
        self.offline.appending += 1;
        let bytes = Bytes::copy_from_slice(rec.bytes(buf));
        let (from, to) = (from.clone(), to.clone());
        self.offline.batch.push(Kept {
            from,
            to,
            position,
            bytes,
            rec: rec.moved_to(0),
        });
    }

    /// Writes the messages that were kept in this turn: one append for all.
    pub(super) fn flush_offline(&mut self, turn: &mut Turn<'_>) {
        if self.offline.batch.is_empty() {
            return;
        }
        let kept = std::mem::take(&mut self.offline.batch);
        let appends = kept
            .iter()
            .map(|message| {
                let owner = Jid::clone(self.jid());
                Append::new(owner, message.position, message.bytes.clone(), turn.now)
            })
            .collect();
        self.request_beside(
            turn,
            Request::Append(appends),
            move |account, turn, reply| {
                account.offline.appending -= kept.len() as u64;
                match reply {
                    Reply::Done => account.offline.stored += kept.len() as u64,
                    Reply::Failed(error) => bounce_all(turn, &kept, &store_refusal(&error)),
                    _ => bounce_all(turn, &kept, &store_refusal(&StoreError::Invalid("reply"))),
                }
                account.drain_offline(turn);
            },
        );
    }

    /// Gives the log to a session that takes messages, if there is one and something to give.
    pub(super) fn drain_offline(&mut self, turn: &mut Turn<'_>) {
        let stalled = turn.now < self.offline.stalled_until;
        if stalled || self.offline.draining.is_some() || self.offline.stored == 0 {
            return;
        }
        let Some(session) = self
            .sessions
            .iter()
            .find(|session| session.takes_messages())
        else {
            return;
        };
        self.offline.draining = Some(session.id);
        self.read_offline_page(turn);
    }

    fn read_offline_page(&mut self, turn: &mut Turn<'_>) {
        let query = LogQuery::after(None, PAGE_MESSAGES);
        let request = Request::ReadLog(Jid::clone(self.jid()), query);
        self.request_beside(turn, request, |account, turn, reply| match reply {
            Reply::Log(entries) if !entries.is_empty() => account.give_page(turn, &entries),
            Reply::Log(_) => {
                account.offline.stored = 0;
                account.offline.draining = None;
            }
            _ => account.offline.stall(turn.now),
        });
    }

    fn give_page(&mut self, turn: &mut Turn<'_>, entries: &[LogEntry]) {
        let session = self.offline.draining.and_then(|id| self.sessions.get(id));
        let (Some(session), Some(last)) = (session, entries.last()) else {
            self.offline.draining = None;
            return self.drain_offline(turn);
        };
        let request = Request::Deliver {
            to: session.sink.clone(),
            batch: delayed(entries, self.jid().domain()),
        };
        let (given, through) = (entries.len() as u64, last.position);
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Done => account.trim_page(turn, given, through),
            _ => account.offline.stall(turn.now),
        });
    }

    fn trim_page(&mut self, turn: &mut Turn<'_>, given: u64, through: Position) {
        let request = Request::TrimLog(Jid::clone(self.jid()), through);
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Done => {
                account.offline.stored = account.offline.stored.saturating_sub(given);
                account.read_offline_page(turn);
            }
            _ => account.offline.stall(turn.now),
        });
    }
}

/// Which messages wait for an absent reader: those that say something, unless their sender asked otherwise.
fn is_kept(flags: Flags) -> bool {
    let hinted_away = flags.intersects(Flags::NO_STORE | Flags::NO_PERMANENT_STORE);
    let only_state = flags.contains(Flags::CHAT_STATE)
        && !flags.intersects(
            Flags::BODY | Flags::SUBJECT | Flags::RECEIPT | Flags::MARKER | Flags::STORE,
        );
    !hinted_away && !only_state
}

/// The messages as they are delivered late (XEP-0203: stamped by the server, with the time of arrival), in one buffer.
fn delayed(entries: &[LogEntry], host: &str) -> Batch {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.stanza.len() + 96).sum());
    let mut recs = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(rec) = parse_rec(&entry.stanza) else {
            continue;
        };
        let delay = Element::new("delay", ns::DELAY)
            .with_attr("from", host)
            .with_attr("stamp", datetime::format(entry.received));
        let mut child = Vec::new();
        delay.write(&mut child);
        recs.push(append_child(&entry.stanza, &rec, &child, &mut out));
    }
    Batch {
        buf: out.into(),
        recs,
    }
}

/// What a client is told when the store does not take something.
pub(crate) fn store_refusal(error: &StoreError) -> StanzaError {
    match error {
        StoreError::Full => StanzaError::new(Condition::ResourceConstraint)
            .with_type(ErrorType::Wait)
            .with_text("the server's disk is full"),
        _ => StanzaError::new(Condition::InternalServerError).with_type(ErrorType::Wait),
    }
}

fn bounce_all(turn: &mut Turn<'_>, kept: &[Kept], error: &StanzaError) {
    for message in kept {
        turn.bounce(
            &message.from,
            &message.to,
            &message.bytes,
            message.rec,
            error,
        );
    }
}
