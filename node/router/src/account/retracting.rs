//! What retractions do to an account's archive (XEP-0424 4 and 5): the message that is retracted leaves it, and a
//! tombstone stands in its place.
//!
//! ```text
//! archived retraction ─► waits until it is in the log, and all before it ─► FindLog ─► ReplaceLog ─► the next
//! ```
//!
//! Both who wrote it and who got it keep archives, and each does this by itself. Only its own sender, whatever his
//! client, may retract a message, and only in the conversation that it was part of. Of several with one id the newest
//! is meant. What is not found among the newest entries stays, and so do retractions. A message that still waits for
//! its reader is not given to him any more, but its retraction is.
//!
//! The receipt of the retraction's frame is held until then: if this owner dies, the next one is sent the retraction
//! again, and carries it out again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::Receipt;
use rookery_store::log::{Key, LogEntry, LogSearch, Marks, Position};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Flags, Rec, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::Account;
use crate::modules::retraction::{Retraction, is_tombstone, tombstone};
use crate::shard::{Reply, Request, Turn};

/// The retractions of an account that are to be carried out, one after another.
#[derive(Default)]
pub(super) struct Retracting {
    waiting: VecDeque<Waiting>,
    /// The store is asked at the moment.
    under_way: bool,
    /// The store failed, and is asked again with the next second.
    stalled: bool,
}

/// A retraction that is archived.
struct Waiting {
    retraction: Retraction,
    from: Arc<Jid>,
    to: Arc<Jid>,
    /// Its own place; what it retracts is before. None where an earlier owner gave it one.
    position: Option<Position>,
    stamp: Timestamp,
    /// Of its frame.
    receipt: Option<Receipt>,
}

impl Retracting {
    /// Whether nothing is left to do.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && !self.under_way
    }

    /// Whether one more of this sender may wait at the account.
    fn has_room(&self, account: &Jid, from: &Jid) -> bool {
        let senders = || self.waiting.iter().map(|it| &it.from);
        let of_sender = senders().filter(|it| it.same_bare(from)).count();
        let of_others = || senders().filter(|it| !it.same_bare(account)).count();
        let is_own = from.same_bare(account);
        of_sender < WAITING_OF_ONE_MAX && (is_own || of_others() < WAITING_OF_OTHERS_MAX)
    }

    /// What was to be at these places was refused, and its sender is told so: what it retracts stays.
    pub(super) fn forget(&mut self, refused: impl Iterator<Item = Position>) {
        for position in refused {
            self.waiting.retain(|it| it.position != Some(position));
        }
    }
}

impl Account {
    /// What a message that is to be archived retracts. An error where too many retractions wait already, of its sender
    /// or of all others than the account itself: neither one stranger nor all of them take the room that it needs.
    pub(super) fn retraction(
        &self,
        from: &Jid,
        buf: &[u8],
        rec: Rec,
    ) -> Result<Option<Retraction>, StanzaError> {
        let found = Retraction::find(buf, rec);
        match found.is_some() && !self.retracting.has_room(self.jid(), from) {
            true => Err(StanzaError::new(Condition::ResourceConstraint)
                .with_type(ErrorType::Wait)
                .with_text("other retractions wait to be carried out")),
            false => Ok(found),
        }
    }

    /// A retraction has been given its place in the archive.
    pub(super) fn retracts(
        &mut self,
        turn: &mut Turn<'_>,
        (from, to): (&Arc<Jid>, &Arc<Jid>),
        retraction: Option<Retraction>,
        position: Option<Position>,
    ) {
        let Some(retraction) = retraction else {
            return;
        };
        self.retracting.waiting.push_back(Waiting {
            retraction,
            from: from.clone(),
            to: to.clone(),
            position,
            stamp: turn.now,
            receipt: turn.receipt.clone(),
        });
        self.retract_next(turn);
    }

    /// A message comes again. If an earlier owner has put a retraction into the log, it may not have followed it.
    pub(super) fn retracts_again(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        if self.archives(turn, from, buf, rec)
            && let Ok(retraction) = self.retraction(from, buf, rec)
        {
            self.retracts(turn, (from, to), retraction, None);
        }
    }

    /// A second went by: where the store failed, it is asked again.
    pub(super) fn retract_again(&mut self, turn: &mut Turn<'_>) {
        self.retracting.stalled = false;
        self.retract_next(turn);
    }

    /// Carries out the oldest retraction, if all before it is in the log.
    pub(super) fn retract_next(&mut self, turn: &mut Turn<'_>) {
        if self.retracting.under_way || self.retracting.stalled {
            return;
        }
        let end = self.offline.settled_below();
        let is_there = |at: Position| end.is_none_or(|end| at < end);
        let waiting = &mut self.retracting.waiting;
        let is_ready = |next: &Waiting| next.position.is_none_or(is_there);
        if !waiting.front().is_some_and(is_ready) {
            return;
        }
        let Some(next) = waiting.pop_front() else {
            return;
        };
        self.retracting.under_way = true;
        let search = LogSearch {
            key: Key::new(next.from.as_str(), &next.retraction.of),
            before: next.position,
            among: turn.env.archive.load().retract_entries_max as usize,
            limit: CANDIDATES_MAX,
        };
        let request = Request::FindLog(Jid::clone(self.jid()), search);
        let of_others = std::mem::replace(&mut turn.receipt, next.receipt.clone());
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Log(found) => account.retract_one_of(turn, next, &found),
            _ => account.retracting_failed(next),
        });
        turn.receipt = of_others;
    }

    fn retract_one_of(&mut self, turn: &mut Turn<'_>, next: Waiting, found: &[LogEntry]) {
        let meant = |entry: &&LogEntry| next.means(self.jid(), entry);
        let stone = found.iter().find(meant).and_then(|entry| {
            let is_done = is_tombstone(&entry.stanza);
            let message = Element::parse(&entry.stanza).ok().filter(|_| !is_done)?;
            let retracted = next.retraction.retracted(next.stamp);
            Some((entry.position, tombstone(&message, retracted)))
        });
        let Some((position, stone)) = stone else {
            return self.retracted(turn);
        };
        let request = Request::ReplaceLog(Jid::clone(self.jid()), position, stone);
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Done => account.retracted(turn),
            _ => account.retracting_failed(next),
        });
    }

    fn retracted(&mut self, turn: &mut Turn<'_>) {
        self.retracting.under_way = false;
        self.retract_next(turn);
    }

    fn retracting_failed(&mut self, next: Waiting) {
        self.retracting.waiting.push_front(next);
        self.retracting.under_way = false;
        self.retracting.stalled = true;
    }
}

impl Waiting {
    /// Whether an entry is the message that is retracted: the sender's own (section 5), in the same conversation, with
    /// that id, and neither through a room nor a retraction, which must stay (section 4).
    fn means(&self, account: &Jid, entry: &LogEntry) -> bool {
        let Some(rec) = parse_rec(&entry.stanza) else {
            return false;
        };
        let address = |name| Jid::parse(&rec.attr_str(&entry.stanza, name)?).ok();
        let (from, to) = (address("from"), address("to"));
        // Without `to` it was for the account itself.
        let is_to = to.map_or_else(|| account.same_bare(&self.to), |to| to.same_bare(&self.to));
        let stanza = &entry.stanza[..];
        entry.marks.contains(Marks::ARCHIVED)
            && is_to
            && from.is_some_and(|from| from.same_bare(&self.from))
            && rec
                .id_str(stanza)
                .is_some_and(|id| *id == *self.retraction.of)
            && !rec.flags.contains(Flags::MUC)
            && Retraction::find(stanza, rec).is_none()
    }
}

/// Retractions of one sender that wait for the store. Each is one of the messages that are on their way into the
/// archive.
const WAITING_OF_ONE_MAX: usize = 64;

/// Those of all senders but the account itself. The store may look at all entries that a retraction can mean for each
/// of them: some milliseconds.
const WAITING_OF_OTHERS_MAX: usize = 256;

/// Messages of one sender with one id that are looked at.
const CANDIDATES_MAX: usize = 8;
