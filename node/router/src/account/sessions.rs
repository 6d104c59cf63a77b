//! The sessions of an account, and what its shard knows of each.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_session::carrier::{SessionId, SessionSummary, SinkRef};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::reading::Reading;
use super::stream::Stream;

/// How long a session that did not take something gets no messages, and how long a store that
/// failed is left alone.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// How many arrivals are known to have been kept: more than all queues of a session hold, so that the refusal of the
/// last one finds what the first one's has done.
const KEPT_MAX: usize = 1_024;

/// One bound session.
pub struct Session {
    /// Its id in the cluster.
    pub id: SessionId,
    /// Its full JID.
    pub jid: Arc<Jid>,
    /// The way to it.
    pub sink: SinkRef,
    /// Where its client connects from.
    pub address: IpAddr,
    /// When it was bound.
    pub bound: Timestamp,
    /// Its last broadcast presence; `None` until the first, and again after `unavailable`. In a place of its own: a
    /// session is a part of its account, and half a kilobyte is where the allocator's next larger size begins.
    pub availability: Option<Box<Availability>>,
    /// Whether it asked for the roster: only such sessions get pushes (RFC 6121 2.1.6).
    pub wants_roster: bool,
    /// Whether it asked for the block list, and gets its pushes (XEP-0191 3.3).
    pub wants_block_list: bool,
    /// Whether it asked for copies of messages that it is not given itself (XEP-0280 4).
    pub carbons: bool,
    /// Whom it sent directed presence, to be told when it ends (RFC 6121 4.6.3).
    pub directed: BTreeSet<Arc<Jid>>,
    /// What it was given of the messages for the bare JID.
    pub(super) reading: Reading,
    /// The number of the next stanza that it sends.
    pub(super) next_stanza: u64,
    /// It did not take something: until then it gets no messages.
    pub(super) behind_until: Timestamp,
    /// It did not take a large answer: until then it gets none.
    pub(super) unanswered_until: Timestamp,
    /// How often its client was wrong about the account's password (XEP-0077 3.3).
    pub(crate) wrong_passwords: u8,
    /// Its node says what its client has not got: it is about to be over, and has taken nothing for the others.
    pub(super) is_leaving: bool,
    /// Its stream, if that can be resumed.
    pub(super) stream: Option<Stream>,
    /// The last address it wrote to, as written and prepared: most stanzas of a chat go to one
    /// address.
    pub(super) last_to: Option<(Box<[u8]>, Arc<Jid>)>,
}

/// A session's available presence.
#[derive(Clone, Debug)]
pub struct Availability {
    /// The stanza as broadcast, stamped with the full JID.
    pub stanza: Bytes,
    /// RFC 6121 4.7.2.3; a negative one gets no messages for the bare JID.
    pub priority: i8,
    /// `<show/>`'s text, empty for plain availability.
    pub show: String,
}

impl Session {
    /// A session that was just bound.
    pub fn new(jid: Arc<Jid>, sink: SinkRef, address: IpAddr, bound: Timestamp) -> Self {
        Self {
            id: sink.session(),
            jid,
            sink,
            address,
            bound,
            availability: None,
            wants_roster: false,
            wants_block_list: false,
            carbons: false,
            directed: BTreeSet::new(),
            reading: Reading::new(),
            next_stanza: 0,
            behind_until: Timestamp(0),
            unanswered_until: Timestamp(0),
            wrong_passwords: 0,
            is_leaving: false,
            stream: None,
            last_to: None,
        }
    }

    /// Whether messages for the bare JID may go here.
    pub fn takes_messages(&self) -> bool {
        let is_ending = self.stream.as_ref().is_some_and(Stream::is_ending);
        !is_ending
            && !self.is_leaving
            && self.availability.as_ref().is_some_and(|a| a.priority >= 0)
    }

    /// Whether it reads too slowly to be given messages now.
    pub(super) fn is_behind(&self, now: Timestamp) -> bool {
        now < self.behind_until
    }

    fn summary(&self) -> SessionSummary {
        SessionSummary {
            jid: (*self.jid).clone(),
            address: self.address,
            bound: self.bound,
            priority: self.availability.as_ref().map(|a| a.priority),
            show: self
                .availability
                .as_ref()
                .map(|a| a.show.clone())
                .unwrap_or_default(),
        }
    }
}

/// The sessions of one account, in the order in which they were bound.
#[derive(Default)]
pub struct Sessions {
    all: Vec<Session>,
    /// How many stanzas have arrived.
    arrivals: u64,
    /// What was kept because all refused it, of late.
    kept: BTreeSet<u64>,
}

impl Sessions {
    /// None, under this epoch. Arrivals of each epoch have numbers of their own: a session may give back what a former
    /// owner of the shard has numbered.
    pub(super) fn new(epoch: u32) -> Self {
        Self {
            arrivals: u64::from(epoch) << 32,
            ..Self::default()
        }
    }

    /// Numbers the next stanza that arrives. Those that are behind no longer read again from it on.
    pub(super) fn next_arrival(&mut self, now: Timestamp) -> u64 {
        self.arrivals += 1;
        for session in &mut self.all {
            if session.reading.is_behind() && !session.is_behind(now) {
                session.reading.catches_up(self.arrivals);
            }
        }
        self.arrivals
    }

    /// A session begins to get messages for the bare JID.
    pub(super) fn begins_to_read(&mut self, id: SessionId) {
        let next = self.arrivals + 1;
        if let Some(session) = self.get_mut(id) {
            session.reading.begins(next);
        }
    }

    /// A session has not taken what it was sent, from this arrival on if it was one, and is sent no
    /// messages for a while.
    pub(super) fn falls_behind(&mut self, id: SessionId, arrival: Option<u64>, now: Timestamp) {
        let from = arrival.unwrap_or(self.arrivals + 1);
        let Some(session) = self.get_mut(id) else {
            return;
        };
        session.behind_until = now.plus(STALL);
        session.reading.falls_behind(from);
    }

    /// The session's node begins to say what its client has not got. Of what it says nobody knows under which number it
    /// arrived, so none of that counts as taken.
    pub(super) fn leaves(&mut self, id: SessionId) {
        if let Some(session) = self.get_mut(id) {
            session.is_leaving = true;
        }
    }

    /// Whether a session took what arrived under this number for all.
    pub(super) fn one_took(&self, arrival: u64) -> bool {
        let mut readers = self.all.iter().filter(|session| session.takes_messages());
        readers.any(|session| session.reading.took(arrival))
    }

    /// Notes that what arrived under this number is kept, for no session took it. True once: all that were given it
    /// refuse it.
    pub(super) fn keeps(&mut self, arrival: u64) -> bool {
        let is_first = self.kept.insert(arrival);
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_first();
        }
        is_first
    }

    /// Adds one.
    pub fn insert(&mut self, session: Session) {
        // Most accounts have one or two, and a vector would make room for four.
        self.all.reserve_exact(1);
        self.all.push(session);
    }

    /// Takes one out.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        let at = self.all.iter().position(|session| session.id == id)?;
        Some(self.all.remove(at))
    }

    /// Takes all out.
    pub fn drain(&mut self) -> Vec<Session> {
        std::mem::take(&mut self.all)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// By id.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.all.iter().find(|session| session.id == id)
    }

    /// By id, to change it.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.all.iter_mut().find(|session| session.id == id)
    }

    /// By resource.
    pub fn by_resource(&self, resource: &str) -> Option<&Session> {
        self.all
            .iter()
            .find(|session| session.jid.resource() == Some(resource))
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.all.iter()
    }

    /// All, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.all.iter_mut()
    }

    /// Those that have sent available presence.
    pub fn available(&self) -> impl Iterator<Item = &Session> {
        self.all
            .iter()
            .filter(|session| session.availability.is_some())
    }

    /// Those that get messages for the bare JID now.
    pub(super) fn readers(&self, now: Timestamp) -> impl Iterator<Item = &Session> {
        self.all
            .iter()
            .filter(move |session| session.takes_messages() && !session.is_behind(now))
    }

    /// Those that have asked for the roster.
    pub fn interested(&self) -> impl Iterator<Item = &Session> {
        self.all.iter().filter(|session| session.wants_roster)
    }

    /// What an operator sees.
    pub fn summaries(&self) -> Vec<SessionSummary> {
        self.all.iter().map(Session::summary).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thousands may wait for their clients (XEP-0198 5), and the allocator's next size is 640.
    #[test]
    fn a_session_takes_no_more_than_half_a_kilobyte_in_its_account() {
        let bytes = size_of::<Session>();
        assert!(bytes <= 512, "{bytes} bytes");
    }
}
