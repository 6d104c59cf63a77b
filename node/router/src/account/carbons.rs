//! Who of an account's sessions gets a copy of a message (XEP-0280 7 and 8).
//!
//! | the message went | copies go to |
//! |---|---|
//! | out of a session | all others: `<sent/>` |
//! | to the session that it was for | all others: `<received/>` |
//! | to all that take messages | those that take none |
//! | into the log | those that take none and say so, by their priority: all others may yet be given it |
//! | to nobody, as an error does whose session is gone | all |
//!
//! Only sessions that asked for copies get any, and the sender's never its own. What one of the account's sessions
//! sends to the account itself is copied where it arrives, once. A session that reads too slowly is given no copies
//! meanwhile; one that it does not take is dropped: it is not kept, and ends nothing.
//!
//! While no session has asked, a message costs the look at one flag.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_store::log::Position;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Flags, Kind, Rec, StanzaType};

use super::archiving::identified;
use super::{Account, Session};
use crate::modules::Stanza;
use crate::modules::carbons::{Direction, copy, is_eligible};
use crate::shard::Turn;

/// Of how many messages of each direction that were copied the last ones are known, so that their errors are copied as
/// well: errors come at once, but for those of servers that are out of reach. 1 kB an account that uses copies.
const RECENT_MAX: usize = 64;

/// Copies of one account.
#[derive(Default)]
pub(super) struct Carbons {
    /// Whether any session has asked for them.
    on: bool,
    /// What the account has sent, which errors that come may answer.
    sent: Recent,
    /// What it was sent, which its own errors may answer: nobody else's messages make it forget what it has sent.
    received: Recent,
}

/// The last messages of one direction that were copied: hashes of who is at the other end, and of their ids.
#[derive(Default)]
struct Recent(VecDeque<u64>);

/// Who is given a message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// One session.
    To(SessionId),
    /// All that take messages.
    Readers,
    /// Whoever reads the log.
    Log,
    /// Nobody.
    Nobody,
}

impl Recent {
    fn hash(peer: &Jid, id: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (peer.as_str(), id).hash(&mut hasher);
        hasher.finish()
    }

    fn add(&mut self, peer: &Jid, id: &[u8]) {
        if self.0.len() == RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Self::hash(peer, id));
    }

    fn has(&self, peer: &Jid, id: &[u8]) -> bool {
        self.0.contains(&Self::hash(peer, id))
    }
}

impl Carbons {
    /// Whether this message is copied: by its own looks, and an error by what it answers.
    fn copies(
        &mut self,
        direction: Direction,
        (from, peer): (&Jid, &Jid),
        buf: &Bytes,
        rec: Rec,
    ) -> bool {
        let (same, answered) = match direction {
            Direction::Sent => (&mut self.sent, &self.received),
            Direction::Received => (&mut self.received, &self.sent),
        };
        if rec.kind == Kind::Message && rec.stanza_type == StanzaType::Error {
            return rec.id(buf).is_some_and(|id| answered.has(peer, id));
        }
        let eligible = is_eligible(direction, from, buf, rec);
        if let Some(id) = rec.id(buf).filter(|_| eligible) {
            same.add(peer, id);
        }
        eligible
    }
}

impl Account {
    /// A session wants copies from now on, or no more.
    pub(crate) fn set_carbons(&mut self, turn: &mut Turn<'_>, id: SessionId, on: bool) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.carbons = on;
            turn.remember(session);
        }
        self.count_carbons();
    }

    /// Looks again whether anybody wants copies.
    pub(crate) fn count_carbons(&mut self) {
        self.carbons.on = self.sessions.iter().any(|session| session.carbons);
    }

    /// Copies what one of the sessions sends (XEP-0280 8), with the id of its place in the archive if it has one
    /// (XEP-0313 3.6), by which the others know how far they have seen. What no host reads is refused, and what is for
    /// the account itself is copied as it arrives.
    pub(super) fn copy_sent(
        &mut self,
        turn: &mut Turn<'_>,
        stanza: Stanza<'_>,
        position: Option<Position>,
    ) {
        let Stanza { buf, rec, from, to } = stanza;
        let Some(to) = to.filter(|_| self.carbons.on) else {
            return;
        };
        let to_host = to.local().is_none() && turn.env.is_local(to.domain());
        if to_host
            || self.jid().same_bare(to)
            || !self.carbons.copies(Direction::Sent, (from, to), buf, rec)
        {
            return;
        }
        let all = |_: &Session| true;
        match position.map(|position| identified(buf, rec, self.jid(), position)) {
            Some((buf, rec)) => self.copy_to(turn, Direction::Sent, from, (&buf, rec), all),
            None => self.copy_to(turn, Direction::Sent, from, (buf, rec), all),
        }
    }

    /// Whether what arrives is to be copied.
    pub(super) fn is_copied(&mut self, from: &Arc<Jid>, buf: &Bytes, rec: Rec) -> bool {
        self.carbons.on
            && self
                .carbons
                .copies(Direction::Received, (from, from), buf, rec)
    }

    /// Copies what was sent to the account (XEP-0280 7), for those that are not given it.
    pub(super) fn copy_received(
        &self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
        given: Given,
    ) {
        let now = turn.now;
        let misses = |session: &Session| given.misses(session, now);
        self.copy_to(turn, Direction::Received, from, (buf, rec), misses);
    }

    fn copy_to(
        &self,
        turn: &mut Turn<'_>,
        direction: Direction,
        from: &Arc<Jid>,
        (buf, rec): (&Bytes, Rec),
        misses: impl Fn(&Session) -> bool,
    ) {
        for session in self.sessions.iter() {
            if session.carbons
                && session.jid != *from
                && !session.is_behind(turn.now)
                && misses(session)
            {
                let copy = copy(direction, self.jid(), &session.jid, buf, rec);
                turn.deliver_copy(&session.sink, &session.jid, copy);
            }
        }
    }

    /// Whether this is a copy that a session did not take. Only the account itself writes in its bare JID's name.
    pub(super) fn is_copy(&self, from: &Jid, rec: Rec) -> bool {
        rec.flags.contains(Flags::CARBONS) && *from == **self.jid()
    }
}

impl Given {
    /// Whether a session is not given the message itself, now or later.
    fn misses(self, session: &Session, now: Timestamp) -> bool {
        match self {
            Self::To(id) => session.id != id,
            Self::Readers => !session.takes_messages() || session.is_behind(now),
            Self::Log => session.availability.is_some() && !session.takes_messages(),
            Self::Nobody => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_messages_that_were_copied_the_last_are_known() {
        let peer = Jid::parse("juliet@capulet.lit/balcony").expect("a valid JID");
        let other = Jid::parse("juliet@capulet.lit/garden").expect("a valid JID");
        let mut recent = Recent::default();
        for id in 0..=RECENT_MAX {
            recent.add(&peer, id.to_string().as_bytes());
        }
        assert_eq!(recent.0.len(), RECENT_MAX);
        assert!(!recent.has(&peer, b"0"));
        assert!(recent.has(&peer, b"1") && recent.has(&peer, b"64"));
        assert!(!recent.has(&other, b"64"));
    }
}
