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
use memchr::memmem;
use metrics::counter;
use rookery_session::carrier::Origin;
use rookery_store::log::Marks;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Kind, Rec, StanzaType, parse_rec};
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::carbons::Given;
use super::{Account, Session, Work};
use crate::modules::{Flow, Stanza};
use crate::shard::{Cause, Turn};

impl Account {
    /// Handles a batch for this account or one of its sessions.
    pub(super) fn arrive(&mut self, turn: &mut Turn<'_>, mut work: Work) {
        while let Work::Arrive {
            from,
            to,
            batch,
            next,
            origin,
            ..
        } = &mut work
            && let Some(rec) = batch.recs.get(*next)
        {
            if self.is_busy() {
                self.wait_in_front(work);
                break;
            }
            if self.is_new(turn, *origin, *next, &batch.buf) {
                turn.arrival = self.sessions.next_arrival(turn.now);
                self.arrive_one(turn, from, to, &batch.buf, *rec);
            } else {
                self.retracts_again(turn, from, to, &batch.buf, *rec);
            }
            *next += 1;
        }
        self.flush_offline(turn);
    }

    /// Whether a stanza has not come before. The first may still be on its way, so what holds this one is held as
    /// long.
    fn is_new(
        &mut self,
        turn: &mut Turn<'_>,
        origin: Option<Origin>,
        at: usize,
        buf: &Bytes,
    ) -> bool {
        let Some(origin) = origin.map(|first| first.plus(at)) else {
            return true;
        };
        if self.repeats.is_new(origin, turn.receipt.as_ref()) {
            turn.cause = Some(Cause::new(origin, buf));
            return true;
        }
        counter!("rookery_router_repeats_dropped_total").increment(1);
        false
    }

    fn arrive_one(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        if self.stands_aside(turn, from, to, buf, rec) {
            return;
        }
        let stanza = Stanza {
            buf,
            rec,
            from,
            to: Some(to),
        };
        match turn.env.modules.arrive(self, turn, stanza) {
            Flow::Continue => self.arrive_checked(turn, from, to, buf, rec),
            Flow::Replace(buf) => {
                let rec = parse_rec(&buf).expect("modules write canonical stanzas");
                turn.replaced(&buf);
                self.arrive_checked(turn, from, to, &buf, rec);
            }
            Flow::Reject(error) => turn.bounce(from, to, buf, rec, &error),
            Flow::Drop => {}
        }
    }

    fn arrive_checked(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
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
        let copied = self.is_copied(from, buf, rec);
        let (given, identified) = match self.archives(turn, from, buf, rec) {
            true => self.arrive_archived(turn, from, to, buf, rec),
            false => match self.log_unsure(turn, (from, to), buf, rec) {
                Ok(()) => (self.give_message(turn, from, to, buf, rec), None),
                Err(error) => return turn.bounce(from, to, buf, rec, &error),
            },
        };
        turn.logged = None;
        if copied {
            let (buf, rec) = identified
                .as_ref()
                .map_or((buf, rec), |(buf, rec)| (buf, *rec));
            self.copy_received(turn, from, buf, rec, given);
        }
    }

    /// Delivers, keeps or answers a message, and says who is given it.
    fn give_message(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) -> Given {
        let session = to
            .resource()
            .and_then(|resource| self.sessions.by_resource(resource));
        if let Some(session) = session
            && !(is_kept_in_order(rec.stanza_type) && self.must_stay_behind(session, turn.now))
        {
            turn.deliver(&session.sink, &session.jid, buf, rec);
            return Given::To(session.id);
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
                if to.is_bare() && self.deliver_to_all(turn, buf, rec) {
                    return Given::Readers;
                }
            }
            _ => return self.deliver_or_keep(turn, from, to, buf, rec),
        }
        Given::Nobody
    }

    /// Normal and chat messages: to every session that takes messages, or into the log.
    fn deliver_or_keep(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) -> Given {
        if self.offline.holds_any() || !self.deliver_to_all(turn, buf, rec) {
            self.keep_offline(turn, from, to, buf, rec, Marks::OWED);
            return Given::Log;
        }
        Given::Readers
    }

    /// Whether a message for this session would overtake older ones in the log.
    pub(super) fn must_stay_behind(&self, session: &Session, now: Timestamp) -> bool {
        session.takes_messages() && (self.offline.holds_any() || session.is_behind(now))
    }

    pub(super) fn deliver_to_all(&self, turn: &mut Turn<'_>, buf: &Bytes, rec: Rec) -> bool {
        let mut delivered = false;
        for session in self.sessions.readers(turn.now) {
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
        if rec.stanza_type == StanzaType::Set && to.resource().is_some() && is_push(buf, rec) {
            // RFC 6121 2.1.6, XEP-0191 3: only the server pushes, and not every client checks who did.
            let error = StanzaError::new(Condition::ServiceUnavailable);
            return turn.bounce(from, to, buf, rec, &error);
        }
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
}

/// Whether messages of this type go through the log when they cannot be delivered at once. The
/// others are delivered, dropped or answered past it.
pub(super) fn is_kept_in_order(stanza_type: StanzaType) -> bool {
    !matches!(
        stanza_type,
        StanzaType::Groupchat | StanzaType::Headline | StanzaType::Error
    )
}

/// What the server alone pushes to an account's clients.
const PUSHED: [&str; 2] = [ns::ROSTER, ns::BLOCKING];

/// Whether an IQ looks like a push of the server's. Few have the namespaces anywhere, so few are parsed.
fn is_push(buf: &Bytes, rec: Rec) -> bool {
    let bytes = rec.bytes(buf);
    let named = |ns: &str| memmem::find(bytes, ns.as_bytes()).is_some();
    PUSHED.into_iter().any(named)
        && Element::parse(bytes)
            .is_ok_and(|iq| iq.elements().any(|child| PUSHED.contains(&child.ns())))
}
