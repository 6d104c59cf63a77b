//! Messages for an account that nobody reads at the moment: they go into its log, and come back in
//! order with their time (XEP-0160, XEP-0203) when a session becomes available.
//!
//! ```text
//! keep_offline ─► Append ─► (durable) stored += 1            a session becomes available
//!                                                              │
//!      ┌────────────────────── ReadLog (a page) ◄──────────────┤
//!      ▼                                                       │
//!   Deliver with <delay/> ─► TrimLog ─► next page … until empty; meanwhile new messages go to the log, behind
//!      │                        └─ fails: a second later only this is tried again, for the page was given
//!      └─ the session's queue is full: the log keeps them, and a second later it is tried again
//! ```
//!
//! One chain of requests is under way at a time; whatever happens meanwhile is looked at between
//! its steps.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Delivered, Origin, Origins, SessionId};
use rookery_store::StoreError;
use rookery_store::log::{Append, LogEntry, LogQuery, Position};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, Flags, Rec, append_child, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::sessions::STALL;
use super::{Account, repeats};
use crate::shard::{Reply, Request, Turn};

/// How many messages are read and delivered at once: enough to be quick, and less than a session's
/// queue holds.
const PAGE_MESSAGES: usize = 100;

/// How many bytes of them are delivered at once, a single larger message aside.
const PAGE_BYTES: usize = 262_144;

/// What the account knows of its log.
pub(crate) struct Offline {
    epoch: u32,
    next_sequence: u64,
    /// Messages in the log, as far as is known.
    stored: u64,
    /// An append failed that may have come through all the same: there may be more than is known.
    may_be_more: bool,
    /// The log is to be read until it is empty, whatever is known of it.
    to_be_read: bool,
    /// Messages on their way into it.
    appending: u64,
    /// The first position of each append on its way. A store may carry them out in any order, and what
    /// has overtaken an older one must wait for it: it would be delivered first, and the older one
    /// trimmed with it.
    under_way: VecDeque<Position>,
    /// Where each message that was refused by the store must be bounced to.
    batch: Vec<Kept>,
    /// Appends that came through, to notice one during a read.
    appended: u64,
    /// How many messages the next read asks for: no more than fitted, where they are large.
    page: usize,
    /// A read, a delivery or a trim is under way.
    draining: bool,
    /// The session that gets the log at the moment.
    reader: Option<SessionId>,
    /// The page that a session took and the log still holds: its number of entries and the last of
    /// them.
    given: Option<(u64, Position)>,
    /// The store failed: the log is left alone until then.
    stalled_until: Timestamp,
}

/// A message on its way into the log.
struct Kept {
    from: Arc<Jid>,
    to: Arc<Jid>,
    position: Position,
    bytes: Bytes,
    rec: Rec,
    origin: Option<Origin>,
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
            may_be_more: false,
            to_be_read: false,
            appending: 0,
            under_way: VecDeque::new(),
            batch: Vec::new(),
            appended: 0,
            page: PAGE_MESSAGES,
            draining: false,
            reader: None,
            given: None,
            stalled_until: Timestamp(0),
        }
    }

    /// Messages in the log.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Whether older messages are still in the log or on their way into it or out of it: newer ones
    /// must stay behind.
    pub(super) fn holds_any(&self) -> bool {
        self.draining || self.to_be_read || self.stored + self.appending > 0
    }

    /// What is below is in the log, or never will be: everything above is on its way, or may come
    /// before the store reads.
    fn settled_below(&self) -> Option<Position> {
        let next = Position::new(self.epoch, self.next_sequence).ok();
        let kept = self.batch.first().map(|message| message.position);
        self.under_way.front().copied().or(kept).or(next)
    }

    /// An append failed: it may have come through all the same.
    fn append_failed(&mut self) {
        self.may_be_more = true;
        self.to_be_read = true;
    }

    /// So many have left the log.
    fn trimmed(&mut self, count: u64) {
        self.given = None;
        self.draining = false;
        self.stored = self.stored.saturating_sub(count);
        self.to_be_read |= self.may_be_more;
    }

    /// The chain of requests ends for now: the store failed.
    fn stall(&mut self, now: Timestamp) {
        self.draining = false;
        self.stalled_until = now.plus(STALL);
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.appending == 0 && self.batch.is_empty() && !self.draining && self.given.is_none()
    }
}

impl Account {
    /// Keeps a message for later, if it is of the kind that is kept (XEP-0160 3, XEP-0334); the
    /// others are dropped or answered as RFC 6121 8.5.2.2 says. [`Account::flush_offline`] writes
    /// what was kept.
    pub(super) fn keep_offline(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        if !is_kept(rec.flags) {
            if rec.flags.contains(Flags::BODY) {
                let error = StanzaError::new(Condition::ServiceUnavailable);
                turn.bounce(from, to, buf, rec, &error);
            }
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
            origin: turn.origin_of(buf),
        });
    }

    /// Writes the messages that were kept in this turn: one append for all.
    pub(super) fn flush_offline(&mut self, turn: &mut Turn<'_>) {
        if self.offline.batch.is_empty() {
            return;
        }
        let kept = std::mem::take(&mut self.offline.batch);
        let first = kept[0].position;
        self.offline.under_way.push_back(first);
        let appends = kept
            .iter()
            .map(|message| {
                let owner = Jid::clone(self.jid());
                Append::new(owner, message.position, message.bytes.clone(), turn.now)
                    .of(message.origin.map(repeats::stored))
            })
            .collect();
        self.request_beside(
            turn,
            Request::Append(appends),
            move |account, turn, reply| {
                account.offline.appending -= kept.len() as u64;
                account.offline.under_way.retain(|other| *other != first);
                match reply {
                    Reply::Done => {
                        account.offline.stored += kept.len() as u64;
                        account.offline.appended += 1;
                    }
                    Reply::Failed(error) => {
                        account.offline.append_failed();
                        bounce_all(turn, &kept, &store_refusal(&error));
                    }
                    _ => bounce_all(turn, &kept, &store_refusal(&StoreError::Invalid("reply"))),
                }
                account.drain_offline(turn);
            },
        );
    }

    /// Gives the log to a session that takes messages, if there is one and something to give.
    pub(super) fn drain_offline(&mut self, turn: &mut Turn<'_>) {
        if turn.now < self.offline.stalled_until || self.offline.draining {
            return;
        }
        if self.offline.given.is_some() {
            return self.trim_page(turn);
        }
        let reader = self.sessions.readers(turn.now).next();
        let worth_it = self.offline.stored > 0 || self.offline.to_be_read;
        let Some(reader) = reader.filter(|_| worth_it) else {
            return;
        };
        self.offline.reader = Some(reader.id);
        self.read_offline_page(turn);
    }

    fn read_offline_page(&mut self, turn: &mut Turn<'_>) {
        self.offline.draining = true;
        let appended = self.offline.appended;
        let oldest = self.offline.under_way.front().copied();
        let query = LogQuery {
            before: self.offline.settled_below(),
            ..LogQuery::after(None, self.offline.page)
        };
        let request = Request::ReadLog(Jid::clone(self.jid()), query);
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Log(entries) if !entries.is_empty() => account.give_page(turn, entries),
            Reply::Log(_) => {
                account.offline.draining = false;
                if oldest.is_some() && account.offline.under_way.front().copied() == oldest {
                    // The end of that append goes on.
                    return;
                }
                if oldest.is_none() && account.offline.appended == appended {
                    // Somebody else emptied the log, if it was not us: retention, for instance.
                    account.offline.stored = 0;
                    account.offline.to_be_read = false;
                }
                account.drain_offline(turn);
            }
            _ => account.offline.stall(turn.now),
        });
    }

    fn give_page(&mut self, turn: &mut Turn<'_>, mut entries: Vec<LogEntry>) {
        let fit = page_length(&entries);
        self.offline.page = if fit < entries.len() {
            fit
        } else {
            PAGE_MESSAGES.min(2 * self.offline.page)
        };
        entries.truncate(fit);
        let reader = self.offline.reader;
        let session = self
            .sessions
            .readers(turn.now)
            .find(|s| Some(s.id) == reader);
        let session = session.map(|session| (session.id, session.sink.clone()));
        let (Some((id, to)), Some(last)) = (session, entries.last()) else {
            self.offline.draining = false;
            return self.drain_offline(turn);
        };
        let given = (entries.len() as u64, last.position);
        entries.retain(|entry| !self.is_from_blocked(&entry.stanza));
        let delivered = Box::new(delayed(&entries, self.jid().domain()));
        let request = Request::Deliver { to, delivered };
        self.request_beside(turn, request, move |account, turn, reply| {
            if matches!(reply, Reply::Done) {
                account.offline.given = Some(given);
                return account.trim_page(turn);
            }
            account.offline.draining = false;
            // It may never have room for as many at once.
            account.offline.page = (fit / 2).max(1);
            account.sessions.falls_behind(id, None, turn.now);
            account.drain_offline(turn);
        });
    }

    /// The page that was given leaves the log.
    fn trim_page(&mut self, turn: &mut Turn<'_>) {
        let Some((count, through)) = self.offline.given else {
            return;
        };
        self.offline.draining = true;
        let request = Request::TrimLog(Jid::clone(self.jid()), through);
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Done => {
                account.offline.trimmed(count);
                account.drain_offline(turn);
            }
            _ => account.offline.stall(turn.now),
        });
    }

    /// XEP-0191 3.3: whom the account blocked meanwhile is not heard.
    fn is_from_blocked(&self, stanza: &[u8]) -> bool {
        self.blocks_anybody()
            && Element::parse(stanza)
                .ok()
                .and_then(|stanza| Jid::parse(stanza.attr("from")?).ok())
                .is_some_and(|from| !self.jid().same_bare(&from) && self.blocks(&from))
    }
}

/// How many entries are given at once: at least one, and no more than fit.
fn page_length(entries: &[LogEntry]) -> usize {
    let mut bytes = 0;
    let fit = entries.iter().take_while(|entry| {
        bytes += entry.stanza.len();
        bytes <= PAGE_BYTES
    });
    fit.count().max(1)
}

/// Which messages wait for an absent reader: those that say something, unless their sender asked
/// otherwise.
fn is_kept(flags: Flags) -> bool {
    let hinted_away = flags.intersects(Flags::NO_STORE | Flags::NO_PERMANENT_STORE);
    let only_state = flags.contains(Flags::CHAT_STATE)
        && !flags.intersects(
            Flags::BODY | Flags::SUBJECT | Flags::RECEIPT | Flags::MARKER | Flags::STORE,
        );
    !hinted_away && !only_state
}

/// The messages as they are delivered late (XEP-0203: stamped by the server, with the time of
/// arrival), in one buffer. A former owner of the shard may have given the session some of them without a word of it
/// to anybody, so each says whose it is.
fn delayed(entries: &[LogEntry], host: &str) -> Delivered {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.stanza.len() + 96).sum());
    let mut recs = Vec::with_capacity(entries.len());
    let mut origins = Vec::with_capacity(entries.len());
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
        origins.push(entry.origin.map(repeats::carried));
    }
    let batch = Batch {
        buf: out.into(),
        recs,
    };
    Delivered {
        origins: Origins::Each(origins.into()),
        ..Delivered::from(batch)
    }
}

/// What a client is told when the store does not take something.
pub(crate) fn store_refusal(error: &StoreError) -> StanzaError {
    match error {
        StoreError::Full => StanzaError::new(Condition::ResourceConstraint)
            .with_type(ErrorType::Wait)
            .with_text("the server's disk is full"),
        StoreError::Busy | StoreError::Unavailable(_) => {
            StanzaError::new(Condition::ResourceConstraint)
                .with_type(ErrorType::Wait)
                .with_text("the server's store cannot be used at the moment; try again later")
        }
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
