//! What others send to an account: RFC 6121 8.5 as code.
//!
//! | | full JID, session there | full JID, no such session | bare JID, sessions take messages | bare JID, none |
//! |---|---|---|---|---|
//! | normal, chat | deliver | as for the bare JID | to all that take messages | log |
//! | groupchat | deliver | `service-unavailable` | `service-unavailable` | `service-unavailable` |
//! | headline | deliver | drop | to all that take messages | drop |
//! | error | deliver | drop | drop | drop |
//! | presence | deliver | drop | to all that are available | drop |
//! | IQ get, set | deliver | `service-unavailable` | the server answers | the server answers |
//! | IQ result, error | deliver | drop | drop | drop |

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, Kind, Rec, StanzaType};
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::{Account, Work};
use crate::modules::{Flow, Stanza};
use crate::shard::Turn;

impl Account {
    /// Handles a batch for this account or one of its sessions.
    pub(super) fn arrive(
        &mut self,
        turn: &mut Turn<'_>,
        from: Arc<Jid>,
        to: Arc<Jid>,
        batch: Batch,
        mut next: usize,
    ) {
        while let Some(rec) = batch.recs.get(next) {
            if self.is_busy() {
                self.wait_in_front(Work::Arrive {
                    from,
                    to,
                    batch,
                    next,
                });
                break;
            }
            self.arrive_one(turn, &from, &to, &batch.buf, *rec);
            next += 1;
        }
        self.flush_offline(turn);
    }

    fn arrive_one(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        let stanza = Stanza {
            buf,
            rec,
            from,
            to: Some(to),
        };
        match turn.env.modules.arrive(self, turn, stanza) {
            Flow::Continue | Flow::Replace(_) => {}
            Flow::Reject(error) => return turn.bounce(from, to, buf, rec, &error),
            Flow::Drop => return,
        }
        match rec.kind {
            Kind::Message => self.arrive_message(turn, from, to, buf, rec),
            Kind::Presence => self.arrive_presence(turn, from, to, buf, rec),
            Kind::Iq => self.arrive_iq(turn, from, to, buf, rec),
            Kind::Other => {}
        }
    }

    fn arrive_message(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        let session = to
            .resource()
            .and_then(|resource| self.sessions.by_resource(resource));
        if let Some(session) = session
            && !(self.offline.holds_any() && session.takes_messages())
        {
            return turn.deliver(&session.sink, &session.jid, buf, rec);
        }
        match rec.stanza_type {
            StanzaType::Groupchat => {
                turn.bounce(
                    from,
                    to,
                    buf,
                    rec,
                    &StanzaError::new(Condition::ServiceUnavailable),
                );
            }
            StanzaType::Error => {}
            StanzaType::Headline => {
                if to.is_bare() {
                    self.deliver_to_all(turn, buf, rec);
                }
            }
            _ => self.deliver_or_keep(turn, from, to, buf, rec),
        }
    }

    /// Normal and chat messages: to every session that takes messages, or into the log.
    fn deliver_or_keep(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        if self.offline.holds_any() || !self.deliver_to_all(turn, buf, rec) {
            self.keep_offline(turn, from, to, buf, rec);
        }
    }

    fn deliver_to_all(&self, turn: &mut Turn<'_>, buf: &Bytes, rec: Rec) -> bool {
        let mut delivered = false;
        for session in self
            .sessions
            .iter()
            .filter(|session| session.takes_messages())
        {
            turn.deliver(&session.sink, &session.jid, buf, rec);
            delivered = true;
        }
        delivered
    }

    fn arrive_iq(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        let request = matches!(rec.stanza_type, StanzaType::Get | StanzaType::Set);
        match to.resource() {
            Some(resource) => match self.sessions.by_resource(resource) {
                Some(session) => turn.deliver(&session.sink, &session.jid, buf, rec),
                None if request => {
                    let error = StanzaError::new(Condition::ServiceUnavailable);
                    turn.bounce(from, to, buf, rec, &error);
                }
                None => {}
            },
            None if request => self.foreign_iq(turn, from, to, buf, rec),
            None => {}
        }
    }

    /// A session's queue was full, or the session was gone. Messages go to the account's other sessions or its log,
    /// requests are answered; a session that misses presence or an answer cannot be right any more, so it is closed.
    pub(super) fn undelivered(&mut self, turn: &mut Turn<'_>, id: SessionId, batch: &Batch) {
        let mut broken = false;
        let ended = self.sessions.get(id).is_none();
        for rec in &batch.recs {
            match (rec.kind, rec.stanza_type) {
                (Kind::Message, StanzaType::None | StanzaType::Normal | StanzaType::Chat) => {
                    self.keep_undelivered(turn, &batch.buf, *rec);
                }
                (Kind::Iq, StanzaType::Get | StanzaType::Set) => {
                    self.bounce_undelivered(turn, &batch.buf, *rec);
                }
                _ => broken = true,
            }
        }
        self.offline.stall(turn.now);
        self.flush_offline(turn);
        if broken && !ended {
            let error = StreamError::new(StreamCondition::ResourceConstraint)
                .with_text("the client reads too slowly");
            self.end_session(turn, id, error);
        }
    }

    fn keep_undelivered(&mut self, turn: &mut Turn<'_>, buf: &Bytes, rec: Rec) {
        let Some((from, to)) = addresses(buf, rec, self.jid()) else {
            return;
        };
        self.keep_offline(turn, &from, &to, buf, rec);
    }

    fn bounce_undelivered(&self, turn: &mut Turn<'_>, buf: &Bytes, rec: Rec) {
        let Some((from, to)) = addresses(buf, rec, self.jid()) else {
            return;
        };
        turn.bounce(
            &from,
            &to,
            buf,
            rec,
            &StanzaError::new(Condition::ServiceUnavailable),
        );
    }
}

/// Who sent a stanza and to whom, read from its canonical bytes.
fn addresses(buf: &Bytes, rec: Rec, own: &Arc<Jid>) -> Option<(Arc<Jid>, Arc<Jid>)> {
    let element = rookery_xmpp::element::Element::parse(rec.bytes(buf)).ok()?;
    let from = Arc::new(Jid::parse(element.attr("from")?).ok()?);
    let to = element.attr("to").and_then(|to| Jid::parse(to).ok());
    Some((from, to.map_or_else(|| own.clone(), Arc::new)))
}
