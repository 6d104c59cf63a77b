//! What was given to sessions that live and die with their shard: the log owes it until they are sure to have it.
//!
//! ```text
//! message ──► append (owed) and delivered ──► unsure ── acknowledged (XEP-0198), or written a second ago ──► a tick
//!                                               │                       what is not archived leaves the log, and the
//!                                               │                       cursor passes what is
//!                                               ├─ the session ends without it: it waits in the log as any other
//!                                               └─ the process dies: whoever loads the account finds it owed
//! ```
//!
//! A session on another node has a copy there, and this is not needed: its message is kept twice until the client has
//! it. Here one kill of the process would take both, and with them what a sender was told is received.
//!
//! What its client has is known of a stream that can be resumed. Of other sessions it is taken for granted a second
//! after it was given to them; so a crash gives their clients again what came in that second.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_session::carrier::SinkRef;
use rookery_store::log::{Marks, Position};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Rec;
use rookery_xmpp::stanza_error::StanzaError;

use super::Account;
use super::arrive::is_kept_in_order;
use super::offline::{Offline, is_kept};
use crate::shard::{Reply, Request, Turn};

/// How long a session that acknowledges nothing is given to write what it was given.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// What was given and may not be with the client, in the order of the log.
#[derive(Default)]
pub(super) struct Unsure {
    given: VecDeque<Given>,
    /// What is sure is being cleared.
    is_clearing: bool,
}

struct Given {
    position: Position,
    at: Timestamp,
    is_archived: bool,
}

impl Unsure {
    /// This is given, behind all that was.
    pub(super) fn push(&mut self, position: Position, at: Timestamp, is_archived: bool) {
        let given = Given {
            position,
            at,
            is_archived,
        };
        // What lay in the log may be given behind what came later.
        let behind = self.given.partition_point(|it| it.position < position);
        self.given.insert(behind, given);
    }

    /// Whether this was given.
    pub(super) fn has(&self, position: Position) -> bool {
        let found = self.given.binary_search_by_key(&position, |it| it.position);
        found.is_ok()
    }

    /// Whether this, which was read just now, was given.
    pub(super) fn knows(&mut self, position: Position, is_archived: bool) -> bool {
        let found = self.given.binary_search_by_key(&position, |it| it.position);
        let given = found.ok().and_then(|at| self.given.get_mut(at));
        given.is_some_and(|given| {
            given.is_archived = is_archived;
            true
        })
    }

    /// Nobody has got this. False if that is not known.
    fn take_back(&mut self, position: Position) -> bool {
        let found = self.given.binary_search_by_key(&position, |it| it.position);
        found.is_ok_and(|at| self.given.remove(at).is_some())
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<Position> {
        self.given.front().map(|it| it.position)
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.given.is_empty() && !self.is_clearing
    }

    /// Takes out what is sure, from the first on.
    fn take_sure(&mut self, mut is_sure: impl FnMut(&Given) -> bool) -> Option<Sure> {
        let mut sure = None;
        while let Some(first) = self.given.front()
            && is_sure(first)
            && let Some(given) = self.given.pop_front()
        {
            let sure = sure.get_or_insert(Sure {
                last: given.position,
                archived: 0,
                others: 0,
            });
            sure.last = given.position;
            match given.is_archived {
                true => sure.archived += 1,
                false => sure.others += 1,
            }
        }
        sure
    }
}

/// Entries that the log owes no more.
struct Sure {
    last: Position,
    archived: u64,
    others: u64,
}

/// A position as deliveries name it.
pub(super) fn place(position: Position) -> Option<NonZeroU64> {
    NonZeroU64::new(position.pack() as u64)
}

/// The position that a delivery names.
pub(super) fn position(place: NonZeroU64) -> Option<Position> {
    Position::unpack(i64::try_from(place.get()).ok()?).ok()
}

impl Offline {
    /// What lies there, behind everything else, is given at once.
    pub(super) fn gives_unsure(&mut self, position: Position, now: Timestamp, is_archived: bool) {
        if !self.holds_any() {
            self.read = Some(position);
        }
        self.unsure.push(position, now, is_archived);
    }

    /// Whether something with such an origin may lie where a session says that a former owner of the shard has put it.
    fn may_have(&self, position: Position, has_origin: bool) -> bool {
        !has_origin || position.epoch() >= self.epoch || self.earlier.have(position)
    }

    /// A former owner of the shard gave what lies there to a session that has it still.
    pub(super) fn was_given(&mut self, position: Position, has_origin: bool, now: Timestamp) {
        let is_known = Some(position) <= self.cursor || self.unsure.has(position);
        if is_known || !self.may_have(position, has_origin) {
            return;
        }
        self.unsure.push(position, now, false);
        self.stored = self.stored.saturating_sub(1);
        // What it is, is seen then.
        self.to_be_read = true;
    }

    /// A session did not get what lies there, and nobody else has: it waits.
    pub(super) fn takes_back(&mut self, position: Position, has_origin: bool) -> bool {
        if !self.unsure.take_back(position) {
            // What a former owner gave may wait already.
            let is_former = position.epoch() < self.epoch && self.may_have(position, has_origin);
            let waits = is_former && Some(position) > self.read;
            self.to_be_read |= waits;
            return waits;
        }
        let behind = position.previous();
        self.read = self.read.min(behind);
        if self.draining {
            self.reread = Some(self.reread.map_or(behind, |known| known.min(behind)));
        }
        self.stored += 1;
        true
    }
}

impl Account {
    /// Whether one of those that would be given a message for the bare JID lives and dies with this shard.
    pub(super) fn has_reader_alone(&self, turn: &Turn<'_>) -> bool {
        let mut readers = self.sessions.readers(turn.now);
        readers.any(|session| is_alone(turn, &session.sink))
    }

    /// Where a message lies that is given to sessions, if they are not sure to have it then.
    pub(super) fn place_if_unsure(&self, position: Position) -> Option<NonZeroU64> {
        let is_unsure = self.offline.unsure.has(position);
        is_unsure.then(|| place(position)).flatten()
    }

    /// Puts a message that is about to be given to sessions, and is not archived, into the log, if it would be gone
    /// with this process: what is kept for the absent is owed to those who are here (XEP-0160 3, XEP-0334 4).
    pub(super) fn log_unsure(
        &mut self,
        turn: &mut Turn<'_>,
        (from, to): (&Arc<Jid>, &Arc<Jid>),
        buf: &Bytes,
        rec: Rec,
    ) -> Result<(), StanzaError> {
        let is_kept = is_kept(rec.flags) && is_kept_in_order(rec.stanza_type);
        if !is_kept || !self.is_given_alone(turn, to) {
            return Ok(());
        }
        let position = self.put_aside(turn, (from, to), buf, rec, Marks::OWED)?;
        turn.logged = place(position);
        Ok(())
    }

    /// Whether a message for this address is given to a session that lives and dies with this shard.
    fn is_given_alone(&self, turn: &Turn<'_>, to: &Jid) -> bool {
        let named = to.resource();
        let named = named.and_then(|resource| self.sessions.by_resource(resource));
        match named.filter(|session| !self.must_stay_behind(session, turn.now)) {
            Some(session) => is_alone(turn, &session.sink),
            None => !self.offline.holds_any() && self.has_reader_alone(turn),
        }
    }

    /// The log owes no more what clients are sure to have.
    pub(super) fn clear_sure(&mut self, turn: &mut Turn<'_>) {
        if self.offline.unsure.given.is_empty() || self.offline.unsure.is_clearing {
            return;
        }
        let streams = self.sessions.iter().filter_map(|it| it.stream.as_ref());
        let missing = streams.filter_map(|stream| stream.mirror.first_logged());
        let missing = missing.min();
        let offline = &mut self.offline;
        let settled = offline.settled_below();
        let waits_behind = (offline.stored > 0).then_some(offline.read);
        let sure = offline.unsure.take_sure(|given| {
            missing.is_none_or(|missing| place(given.position) < Some(missing))
                && settled.is_none_or(|settled| given.position < settled)
                && waits_behind.is_none_or(|read| Some(given.position) <= read)
                && given.at.plus(WRITTEN_WITHIN) <= turn.now
        });
        if let Some(sure) = sure {
            self.clear(turn, sure);
        }
    }

    fn clear(&mut self, turn: &mut Turn<'_>, sure: Sure) {
        let offline = &mut self.offline;
        let range = offline.range_through(sure.last);
        offline.cursor = offline.cursor.max(Some(sure.last));
        offline.read = offline.read.max(offline.cursor);
        offline.passed += sure.archived;
        if sure.others == 0 {
            return self.keep_cursor(turn);
        }
        offline.unsure.is_clearing = true;
        let first = range.from;
        let request = Request::RemoveLog(Jid::clone(self.jid()), range);
        self.request_beside(turn, request, move |account, turn, reply| {
            account.offline.unsure.is_clearing = false;
            if !matches!(reply, Reply::Done) {
                // The next one removes them as well.
                let first = first.or_else(|| Position::unpack(0).ok());
                account.offline.doubtful = account.offline.doubtful.or(first).min(first);
            }
            account.keep_cursor(turn);
        });
    }
}

/// Whether what a session is given would be gone with this process, and shall not be.
pub(super) fn is_alone(turn: &Turn<'_>, sink: &SinkRef) -> bool {
    turn.options.deliver_durably && sink.is_alone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Position {
        Position::new(1, sequence).expect("small")
    }

    #[test]
    fn what_is_sure_is_taken_from_the_first_on_and_nothing_behind_what_is_not() {
        let mut unsure = Unsure::default();
        for sequence in [2, 4, 3] {
            unsure.push(at(sequence), Timestamp(sequence), sequence == 4);
        }
        assert_eq!(unsure.first(), Some(at(2)));
        assert!(unsure.has(at(3)) && !unsure.has(at(5)));
        assert!(unsure.take_sure(|given| given.position != at(2)).is_none());
        let sure = unsure
            .take_sure(|given| given.position != at(4))
            .expect("two");
        assert_eq!((sure.last, sure.others, sure.archived), (at(3), 2, 0));
        assert!(unsure.take_back(at(4)) && !unsure.take_back(at(4)));
        assert!(unsure.is_quiet());
    }
}
