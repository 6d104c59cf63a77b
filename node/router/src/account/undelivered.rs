//! What becomes of stanzas that a session did not take, because its queue was full or it was gone.
//!
//! | | |
//! |---|---|
//! | message for the bare JID that another session took | dropped: the account has it |
//! | message (chat, normal) | the account's other sessions, or its log |
//! | message (groupchat), IQ get or set | answered with `service-unavailable` |
//! | message (headline, error), presence and answers of strangers | dropped |
//! | presence of contacts, pushes and answers of the server | the session ends: it cannot be right any more |
//!
//! A stranger must not be able to end a session by sending more than it reads, so only what the
//! session relies on ends it.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Delivered, SessionId};
use rookery_store::log::Marks;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Kind, Rec, StanzaType};
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::absent::addresses;
use super::{Account, unsure};
use crate::shard::{Cause, Turn};

impl Account {
    /// A session did not take these stanzas. For a while it gets no messages, so that they stay in
    /// order.
    pub(super) fn undelivered(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        delivered: &Delivered,
    ) {
        let session = self.sessions.get(id);
        if session.is_none() && self.is_former(id) {
            return;
        }
        // What has no number was refused by the mirror, which is full.
        if let Some(stream) = session.and_then(|it| it.stream.as_ref())
            && delivered.number != 0
        {
            return stream.mirror.missed(delivered.number, turn.receipt.clone());
        }
        if self.find_other_ways(turn, id, delivered) {
            let error = StreamError::new(StreamCondition::ResourceConstraint)
                .with_text("the client reads too slowly");
            self.end_session(turn, id, error);
        }
    }

    /// A session is about to be over, and its client has not got these stanzas, or has not said so (XEP-0198 6): what
    /// the session alone relied on is of no use to anybody.
    pub(super) fn left(&mut self, turn: &mut Turn<'_>, id: SessionId, delivered: &Delivered) {
        if self.is_former(id) {
            return;
        }
        let delivered = self.stream_ends(id, delivered);
        self.offline.is_told = true;
        self.find_other_ways(turn, id, &delivered);
        self.offline.is_told = false;
        self.drain_offline(turn);
    }

    /// Finds other ways for stanzas that a session missed. True if it relied on one of them.
    fn find_other_ways(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        delivered: &Delivered,
    ) -> bool {
        let first = (delivered.arrival != 0).then_some(delivered.arrival);
        self.sessions.falls_behind(id, first, turn.now);
        let mut broken = false;
        let batch = &delivered.batch;
        for (at, rec) in batch.recs.iter().enumerate() {
            let arrival = first.map(|first| first + at as u64);
            let origin = delivered.origins.at(at);
            let logged = delivered.logged.at(at);
            turn.cause = origin.map(|origin| Cause::new(origin, &batch.buf));
            match addresses(&batch.buf, *rec) {
                Some((from, to)) => {
                    let place = (arrival, logged);
                    broken |= self.missed(turn, (&from, &to), &batch.buf, *rec, place);
                }
                // Without a sender it is the server's own.
                None => broken = true,
            }
        }
        self.flush_offline(turn);
        broken
    }

    /// Finds another way for a stanza that a session missed, and that arrived under this number. True if
    /// the session relied on it.
    fn missed(
        &mut self,
        turn: &mut Turn<'_>,
        (from, to): (&Arc<Jid>, &Arc<Jid>),
        buf: &Bytes,
        rec: Rec,
        (arrival, logged): (Option<u64>, Option<NonZeroU64>),
    ) -> bool {
        match (rec.kind, rec.stanza_type) {
            (Kind::Message, StanzaType::Headline | StanzaType::Error) => {}
            (Kind::Message, _) if self.is_copy(from, rec) => {}
            (Kind::Message, StanzaType::Groupchat)
            | (Kind::Iq, StanzaType::Get | StanzaType::Set) => {
                let error = StanzaError::new(Condition::ServiceUnavailable);
                turn.bounce(from, to, buf, rec, &error);
            }
            (Kind::Message, _) => {
                let arrival = arrival.filter(|_| to.is_bare());
                if !self.is_elsewhere(turn, arrival, logged) {
                    // Where it is archived, it is so already, and says where.
                    self.keep_offline(turn, from, to, buf, rec, Marks::OWED);
                }
            }
            _ => return self.is_own_or_host(turn, from) || self.roster.is_publisher(from),
        }
        false
    }

    /// Whether a message is with another session, or in the log, where it waits from now on. It may have been given
    /// again from there after others had refused it.
    fn is_elsewhere(
        &mut self,
        turn: &Turn<'_>,
        arrival: Option<u64>,
        logged: Option<NonZeroU64>,
    ) -> bool {
        if arrival.is_some_and(|arrival| self.sessions.one_took(arrival)) {
            return true;
        }
        let position = logged.and_then(unsure::position);
        let has_origin = turn.cause.is_some();
        let waits = position.is_some_and(|it| self.offline.takes_back(it, has_origin));
        let is_kept = arrival.is_some_and(|arrival| !self.sessions.keeps(arrival));
        waits || is_kept
    }

    fn is_own_or_host(&self, turn: &Turn<'_>, from: &Jid) -> bool {
        self.jid().same_bare(from) || (from.local().is_none() && turn.env.is_local(from.domain()))
    }
}
