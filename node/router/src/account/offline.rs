//! Messages for an account that nobody reads at the moment: they wait in its log, and come back in
//! order with their time (XEP-0160, XEP-0203) when a session becomes available.
//!
//! ```text
//! keep_offline ─► Append ─► (durable) stored += 1            a session becomes available
//!                                                              │
//!      ┌──── ReadLog (a page of what is owed) ◄────────────────┤
//!      ▼                                                       │
//!   Deliver with <delay/> ─► what is not archived is removed ─► the cursor is kept, if something is ─► next page …
//!      │                        └─ fails: a second later only this is tried again, for the page was given
//!      └─ the session's queue is full: the log keeps them, and a second later it is tried again
//! ```
//!
//! Until the log is empty of what is owed, new messages go into it, behind. One chain of requests is under way at a
//! time; whatever happens meanwhile is looked at between its steps.
//!
//! The cursor says up to where the log owes nothing. What is removed needs no cursor, so where nothing is archived it
//! is never written. While messages are archived that nobody waits for it moves along in memory, and is kept now and
//! then and before the account leaves the memory, so that whoever loads the account looks at few entries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_session::carrier::{Delivered, Logged, Origins, SessionId};
use rookery_store::StoreError;
use rookery_store::account::Loaded;
use rookery_store::log::{DELIVERED, LogEntry, LogQuery, LogRange, Marks, Position};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, Flags, Rec, append_child, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::appending::{Again, Kept};
use super::archiving::stanza_id;
use super::earlier::Earlier;
use super::sessions::STALL;
use super::unsure::{Unsure, is_alone};
use super::{Account, repeats};
use crate::modules::retraction::is_tombstone;
use crate::shard::{Reply, Request, Turn};

/// How many messages are read and delivered at once: enough to be quick, and less than a session's
/// queue holds.
const PAGE_MESSAGES: usize = 100;

/// How many bytes of them are delivered at once, a single larger message aside.
const PAGE_BYTES: usize = 262_144;

/// How long an append that failed may be on its way through a database all the same: longer than it is tried.
const LATE: Duration = Duration::from_secs(60);

/// What the account knows of its log.
pub(crate) struct Offline {
    pub(super) epoch: u32,
    next_sequence: u64,
    /// The log owes nothing up to here.
    pub(super) cursor: Option<Position>,
    /// What it owes up to here was given to sessions, and they may not be sure to have it.
    pub(super) read: Option<Position>,
    /// What that is.
    pub(super) unsure: Unsure,
    /// What lay there when the account was loaded.
    pub(super) earlier: Earlier,
    /// Something came back while a page was read or given: behind that it is read again.
    pub(super) reread: Option<Option<Position>>,
    /// Entries that are only archived, above the cursor as it was last kept.
    pub(super) passed: u64,
    /// The cursor is being kept.
    pub(super) keeping: bool,
    /// Messages in the log that wait, as far as is known.
    pub(super) stored: u64,
    /// An append failed that may have come through all the same: there may be more than is known.
    may_be_more: bool,
    /// The log is to be read until it is empty, whatever is known of it.
    pub(super) to_be_read: bool,
    /// The first position of an append that failed: what is below the cursor from there on may have come since.
    pub(super) doubtful: Option<Position>,
    /// When the last of them failed.
    doubted: Timestamp,
    /// Waiting messages on their way into it.
    pub(super) appending: u64,
    /// The senders of what is put aside now were told that it has arrived.
    pub(super) is_told: bool,
    /// What is only archived and not yet durable: entries and bytes.
    pub(super) archiving: (u64, usize),
    /// What is to be archived and was refused by the store.
    pub(super) again: Vec<Again>,
    /// The first position of each append on its way. A store may carry them out in any order, and what
    /// has overtaken an older one must wait for it: it would be delivered first, and the older one
    /// trimmed with it.
    pub(super) under_way: VecDeque<Position>,
    /// What goes into the log with the next append.
    pub(super) batch: Vec<Kept>,
    /// Appends that came through, to notice one during a read.
    pub(super) appended: u64,
    /// How many messages the next read asks for: no more than fitted, where they are large.
    page: usize,
    /// A read, a delivery or a trim is under way.
    pub(super) draining: bool,
    /// The session that gets the log at the moment.
    reader: Option<SessionId>,
    /// The page that a session took and the log still owes.
    pub(super) given: Option<Given>,
    /// The store failed: the log is left alone until then.
    stalled_until: Timestamp,
}

/// A page that a session took.
#[derive(Clone, Copy)]
pub(super) struct Given {
    entries: u64,
    last: Position,
    /// Some of it belongs to the archive.
    has_archived: bool,
    /// Some of it does not, and is in the log still.
    has_others: bool,
}

impl Given {
    fn of(entries: &[LogEntry]) -> Option<Self> {
        Some(Self {
            entries: entries.len() as u64,
            last: entries.last()?.position,
            has_archived: entries.iter().any(is_archived),
            has_others: !entries.iter().all(is_archived),
        })
    }
}

fn is_archived(entry: &LogEntry) -> bool {
    entry.marks.contains(Marks::ARCHIVED)
}

impl Offline {
    pub(super) fn new(epoch: u32, loaded: &Loaded) -> Self {
        // A new epoch begins its own count; within one the count goes on.
        let next_sequence = loaded
            .log_tail
            .filter(|t| t.epoch() == epoch)
            .map_or(1, |t| t.sequence() + 1);
        Self {
            epoch,
            next_sequence,
            cursor: loaded.delivered,
            read: loaded.delivered,
            unsure: Unsure::default(),
            earlier: Earlier::of(epoch, &loaded.recent, loaded.owed, loaded.delivered),
            reread: None,
            passed: 0,
            keeping: false,
            stored: loaded.owed,
            may_be_more: false,
            to_be_read: false,
            doubtful: None,
            doubted: Timestamp(0),
            appending: 0,
            is_told: false,
            archiving: (0, 0),
            again: Vec::new(),
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

    /// Messages in the log that wait.
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
    pub(super) fn settled_below(&self) -> Option<Position> {
        let kept = self.batch.first().map(|message| message.position);
        let under_way = self.under_way.front().copied();
        under_way.or(kept).or_else(|| self.next_position())
    }

    /// The place of what comes next.
    pub(super) fn next_position(&self) -> Option<Position> {
        Position::new(self.epoch, self.next_sequence).ok()
    }

    /// An append failed: it may have come through all the same.
    pub(super) fn append_failed(&mut self, first: Position, now: Timestamp) {
        self.may_be_more = true;
        self.to_be_read = true;
        self.doubted = now;
        self.doubtful = Some(self.doubtful.map_or(first, |known| known.min(first)));
    }

    /// Where something may come into the log still that was told to have failed, unless that is long ago.
    pub(super) fn open_from(&self, now: Timestamp) -> Option<Position> {
        let is_open = now.since(self.doubted) < LATE;
        self.doubtful.filter(|_| is_open)
    }

    /// A page is owed no more.
    fn settled(&mut self, page: Given) {
        self.given = None;
        self.draining = false;
        self.cursor = self.cursor.max(Some(page.last));
        self.read = self.read.max(self.cursor);
        self.stored = self.stored.saturating_sub(page.entries);
        self.to_be_read |= self.may_be_more;
    }

    /// All up to there was read and given, but for what came back meanwhile.
    fn read_through(&mut self, last: Option<Position>) {
        self.read = match self.reread.take() {
            Some(behind) => self.read.min(behind),
            None => self.read.max(last),
        };
    }

    /// A page was given to a session that is not sure to have it.
    fn given_unsure(&mut self, page: Given, entries: &[(Position, bool)], now: Timestamp) {
        self.draining = false;
        self.read_through(Some(page.last));
        self.stored = self.stored.saturating_sub(page.entries);
        self.to_be_read |= self.may_be_more;
        for (position, is_archived) in entries {
            self.unsure.push(*position, now, *is_archived);
        }
    }

    /// The range up to an entry that is owed no more, with what may have come late.
    pub(super) fn range_through(&self, last: Position) -> LogRange {
        let above = self.cursor.and_then(|cursor| cursor.next().ok());
        let from = above.map(|above| self.doubtful.map_or(above, |it| it.min(above)));
        LogRange {
            from,
            ..LogRange::through(last).sparing_archived()
        }
    }

    /// The next position.
    pub(super) fn take_position(&mut self) -> Result<Position, StoreError> {
        let position = Position::new(self.epoch, self.next_sequence);
        let position = position.map_err(|_| StoreError::Invalid("position"))?;
        self.next_sequence += 1;
        Ok(position)
    }

    /// Whether the cursor has passed entries since it was kept, and can be kept again.
    pub(super) fn has_moved(&self) -> bool {
        self.passed > 0 && self.stored == 0 && !self.to_be_read
    }

    /// Moves the cursor over what is only archived, where nothing is owed.
    pub(super) fn move_along(&mut self) {
        let owes = self.stored + self.appending > 0 || self.to_be_read;
        if self.passed == 0 || owes || self.draining || self.given.is_some() || self.keeping {
            return;
        }
        let unsure = self.unsure.first();
        let settled = unsure.or_else(|| self.settled_below());
        self.cursor = self.cursor.max(settled.and_then(Position::previous));
        self.read = self.read.max(self.cursor);
    }

    /// The chain of requests ends for now: the store failed.
    fn stall(&mut self, now: Timestamp) {
        self.draining = false;
        self.stalled_until = now.plus(STALL);
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        let on_its_way = self.appending > 0 || self.archiving.0 > 0 || !self.batch.is_empty();
        let is_sure = self.unsure.is_quiet();
        !on_its_way && !self.draining && self.given.is_none() && !self.keeping && is_sure
    }
}

impl Account {
    /// Keeps a message for later, if it is of the kind that is kept (XEP-0160 3, XEP-0334); the
    /// others are dropped or answered as RFC 6121 8.5.2.2 says. [`Account::flush_offline`] writes
    /// what was kept: once, also where it is archived as well. Gives the place in the log.
    pub(super) fn keep_offline(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
        marks: Marks,
    ) -> Option<Position> {
        if !is_kept(rec.flags) {
            if rec.flags.contains(Flags::BODY) {
                let error = StanzaError::new(Condition::ServiceUnavailable);
                turn.bounce(from, to, buf, rec, &error);
            }
            return None;
        }
        let held = self.offline.stored + self.offline.appending;
        let position = match held >= turn.options.offline_messages_max {
            true => Err(StanzaError::new(Condition::ServiceUnavailable)
                .with_text("the mailbox of this account is full")),
            false => self
                .offline
                .take_position()
                .map_err(|it| store_refusal(&it)),
        };
        match position {
            Ok(position) => {
                self.offline.appending += 1;
                self.offline.batch.push(Kept {
                    from: from.clone(),
                    to: to.clone(),
                    position,
                    bytes: Bytes::copy_from_slice(rec.bytes(buf)),
                    rec: rec.moved_to(0),
                    origin: turn.origin_of(buf),
                    marks,
                    is_given: false,
                    is_told: self.offline.is_told,
                });
                Some(position)
            }
            Err(error) => {
                turn.bounce(from, to, buf, rec, &error);
                None
            }
        }
    }

    /// Gives the log to a session that takes messages, if there is one and something to give.
    pub(super) fn drain_offline(&mut self, turn: &mut Turn<'_>) {
        let under_way = self.offline.draining || self.offline.keeping;
        if turn.now < self.offline.stalled_until || under_way {
            return;
        }
        if self.offline.given.is_some() {
            return self.settle_page(turn);
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
        self.offline.reread = None;
        let appended = self.offline.appended;
        let oldest = self.offline.under_way.front().copied();
        let query = LogQuery {
            before: self.offline.settled_below(),
            ..LogQuery::after(self.offline.read, self.offline.page).only(Marks::OWED)
        };
        let request = Request::ReadLog(Jid::clone(self.jid()), query);
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Log(entries) if !entries.is_empty() => account.give_page(turn, entries),
            Reply::Log(_) => {
                account.offline.draining = false;
                if account.offline.reread.is_some() {
                    account.offline.read_through(None);
                    return account.drain_offline(turn);
                }
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
        // What a former owner appended late is not among those that are counted: more may wait than is known then.
        let epoch = self.offline.epoch;
        self.offline.to_be_read |= entries.iter().any(|it| it.position.epoch() < epoch);
        let last = entries.last().map(|entry| entry.position);
        let unsure = &mut self.offline.unsure;
        entries.retain(|entry| !unsure.knows(entry.position, is_archived(entry)));
        let Some(given) = Given::of(&entries) else {
            // All of it was given before.
            self.offline.draining = false;
            self.offline.read_through(last);
            return self.drain_offline(turn);
        };
        let reader = self.offline.reader;
        let session = self
            .sessions
            .readers(turn.now)
            .find(|s| Some(s.id) == reader);
        let session = session.map(|it| (it.id, it.sink.clone(), it.stream.is_some()));
        let Some((id, to, is_mirrored)) = session else {
            self.offline.draining = false;
            return self.drain_offline(turn);
        };
        // What the mirror of a stream has its node may not have. What is not sure, or came back since, lies before this
        // page, and would leave the log with it.
        let lies_before = self.offline.unsure.first().is_some() || self.offline.reread.is_some();
        let is_unsure = is_mirrored || is_alone(turn, &to) || lies_before;
        let places = |entry: &LogEntry| (entry.position, is_archived(entry));
        let places: Vec<_> = entries.iter().filter(|_| is_unsure).map(places).collect();
        entries.retain(|it| !self.is_from_blocked(&it.stanza) && !is_tombstone(&it.stanza));
        let delivered = Box::new(delayed(&entries, self.jid()));
        let request = Request::Deliver { to, delivered };
        self.request_beside(turn, request, move |account, turn, reply| {
            if matches!(reply, Reply::Done) && !places.is_empty() {
                account.offline.given_unsure(given, &places, turn.now);
                return account.drain_offline(turn);
            }
            if matches!(reply, Reply::Done) {
                account.offline.given = Some(given);
                return account.settle_page(turn);
            }
            account.offline.draining = false;
            // It may never have room for as many at once.
            account.offline.page = (fit / 2).max(1);
            account.sessions.falls_behind(id, None, turn.now);
            account.drain_offline(turn);
        });
    }

    /// The page that was given is owed no more: what does not belong to the archive leaves the log, and the cursor is
    /// kept for what does. In this order a crash in between leaves nothing behind that nobody would look at again.
    fn settle_page(&mut self, turn: &mut Turn<'_>) {
        let Some(given) = self.offline.given else {
            return;
        };
        self.offline.draining = true;
        let owner = Jid::clone(self.jid());
        let (request, left) = if given.has_others {
            let request = Request::RemoveLog(owner, self.offline.range_through(given.last));
            let has_others = false;
            (
                request,
                given.has_archived.then_some(Given {
                    has_others,
                    ..given
                }),
            )
        } else {
            (Request::SetCursor(owner, DELIVERED, given.last), None)
        };
        self.request_beside(turn, request, move |account, turn, reply| {
            match (reply, left) {
                (Reply::Done, Some(left)) => {
                    account.offline.given = Some(left);
                    account.settle_page(turn);
                }
                (Reply::Done, None) => {
                    account.offline.settled(given);
                    account.drain_offline(turn);
                }
                _ => account.offline.stall(turn.now),
            }
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

/// Which messages wait for their reader: those that say something, unless their sender wants them stored nowhere
/// (XEP-0160 3, XEP-0334 4.2). What must not be stored for good (4.1) waits as all others, and leaves the log when it
/// was given.
pub(super) fn is_kept(flags: Flags) -> bool {
    // What makes of a chat state (XEP-0085 5.1) a message that says more. Thread, ids and hints do not.
    let beside_state = Flags::BODY
        | Flags::SUBJECT
        | Flags::RECEIPT
        | Flags::MARKER
        | Flags::ENCRYPTED
        | Flags::OTHER_CHILD
        | Flags::STORE;
    let only_state = flags.contains(Flags::CHAT_STATE) && !flags.intersects(beside_state);
    !flags.contains(Flags::NO_STORE) && !only_state
}

/// The messages as they are delivered late (XEP-0203: stamped by the server, with the time of
/// arrival; XEP-0359: with their place in the archive), in one buffer. A former owner of the shard may have given the
/// session some of them without a word of it to anybody, so each says whose it is.
fn delayed(entries: &[LogEntry], account: &Jid) -> Delivered {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.stanza.len() + 96).sum());
    let mut recs = Vec::with_capacity(entries.len());
    let mut origins = Vec::with_capacity(entries.len());
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(rec) = parse_rec(&entry.stanza) else {
            continue;
        };
        let delay = Element::new("delay", ns::DELAY)
            .with_attr("from", account.domain())
            .with_attr("stamp", datetime::format(entry.received));
        let mut child = Vec::new();
        delay.write(&mut child);
        if is_archived(entry) {
            stanza_id(account, entry.position).write(&mut child);
        }
        recs.push(append_child(&entry.stanza, &rec, &child, &mut out));
        origins.push(entry.origin.map(repeats::carried));
        places.push(entry.position.pack() as u64);
    }
    let batch = Batch {
        buf: out.into(),
        recs,
    };
    Delivered {
        origins: Origins::Each(origins.into()),
        logged: Logged::Each(places.into()),
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
