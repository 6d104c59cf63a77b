//! IQ requests that the server answers: finds the module, waits for what it needs, writes the
//! answer.

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, Rec, StanzaType, iq_result, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::sessions::STALL;
use super::{Account, Session};
use crate::modules::{Iq, Outcome, Place, Stanza};
use crate::shard::{Reply, Request, Turn};

impl Account {
    /// An IQ of one of the account's sessions to the account itself or to a host.
    pub(super) fn own_iq(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        place: Place,
        stanza: Stanza<'_>,
    ) {
        // Answers to what the server asked (a roster push) need no handling (RFC 6121 2.1.6).
        if matches!(
            stanza.rec.stanza_type,
            StanzaType::Result | StanzaType::Error
        ) {
            return;
        }
        let unanswered = |session: &Session| turn.now < session.unanswered_until;
        if self.sessions.get(id).is_some_and(unanswered) {
            let error = StanzaError::new(Condition::ResourceConstraint)
                .with_type(ErrorType::Wait)
                .with_text("read the answers first");
            return self.refuse(turn, id, stanza.buf, stanza.rec, &error);
        }
        match request(stanza, place, Some(id)) {
            Ok(iq) => self.answer_iq(turn, iq),
            Err(error) => self.refuse(turn, id, stanza.buf, stanza.rec, &error),
        }
    }

    /// An IQ of somebody else to the account's bare JID: the server answers in its name (RFC 6121
    /// 8.5.2.1.3).
    pub(super) fn foreign_iq(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        match request(
            Stanza {
                buf,
                rec,
                from,
                to: Some(to),
            },
            Place::Account,
            None,
        ) {
            Ok(iq) => self.answer_iq(turn, iq),
            Err(error) => turn.bounce(from, to, buf, rec, &error),
        }
    }

    fn answer_iq(&mut self, turn: &mut Turn<'_>, iq: Iq) {
        let outcome = if iq.place == Place::Own && iq.payload.ns() == ns::ROSTER {
            self.roster_iq(turn, &iq)
        } else if iq.place == Place::Own && iq.payload.is("session", ns::SESSION) {
            // Of a stream whose stanzas are numbered all are answered here; it asks for what it has.
            Outcome::Result(None)
        } else {
            match turn.env.modules.iq(self, turn, &iq) {
                Some(outcome) => outcome,
                // RFC 6120 8.4: a namespace that nobody here understands.
                None => Outcome::Error(StanzaError::new(Condition::ServiceUnavailable)),
            }
        };
        self.conclude(turn, iq, outcome);
    }

    /// Answers a request as a module has decided.
    pub(crate) fn conclude(&mut self, turn: &mut Turn<'_>, iq: Iq, outcome: Outcome) {
        match outcome {
            Outcome::Result(payload) => self.reply_result(turn, &iq, payload.as_ref()),
            Outcome::Error(error) => self.reply_error(turn, &iq, &error),
            Outcome::ResultThen(payload, then) => {
                self.reply_result(turn, &iq, payload.as_ref());
                then(self, turn);
            }
            Outcome::Wait(request, resume) => {
                self.request(turn, request, move |account, turn, reply| {
                    let outcome = resume(account, turn, &iq, reply);
                    account.conclude(turn, iq, outcome);
                });
            }
            Outcome::Silence => {}
        }
    }

    fn reply_result(&mut self, turn: &mut Turn<'_>, iq: &Iq, payload: Option<&Element>) {
        let from = iq.to.as_ref().map(|to| to.as_str());
        let reply = iq_result(
            iq.rec.bytes(&iq.bytes),
            &iq.rec.moved_to(0),
            from,
            Some(iq.from.as_str()),
            payload,
        );
        self.reply(turn, iq, reply);
    }

    fn reply_error(&mut self, turn: &mut Turn<'_>, iq: &Iq, error: &StanzaError) {
        let from = iq.to.as_ref().map(|to| to.as_str());
        let reply = error.reply_to(
            iq.rec.bytes(&iq.bytes),
            &iq.rec.moved_to(0),
            from,
            Some(iq.from.as_str()),
        );
        if let Some(reply) = reply {
            self.reply(turn, iq, reply);
        }
    }

    fn reply(&mut self, turn: &mut Turn<'_>, iq: &Iq, reply: Bytes) {
        match iq.session {
            Some(id) => self.reply_to_session(turn, id, reply),
            None => {
                let from = iq.to.clone().unwrap_or_else(|| self.jid().clone());
                turn.route_bytes(&from, &iq.from, reply);
            }
        }
    }

    /// A large answer is handed over before the next request is looked at: the answers to one read would fill the
    /// memory otherwise. A client that does not take it gets no others for a while.
    fn reply_to_session(&mut self, turn: &mut Turn<'_>, id: SessionId, reply: Bytes) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if reply.len() <= LARGE_BYTES {
            return turn.deliver_bytes(&session.sink, &session.jid, reply);
        }
        let to = session.sink.clone();
        let rec = parse_rec(&reply).expect("the server writes canonical stanzas");
        let batch = Batch {
            buf: reply,
            recs: vec![rec],
        };
        self.request(
            turn,
            Request::Deliver {
                to,
                delivered: Box::new(batch.into()),
            },
            move |account, turn, reply| {
                let refused = matches!(reply, Reply::NotTaken);
                if let Some(session) = account.sessions.get_mut(id).filter(|_| refused) {
                    session.unanswered_until = turn.now.plus(STALL);
                }
            },
        );
    }
}

/// Answers of more bytes are given one at a time.
const LARGE_BYTES: usize = 16 * 1024;

/// Reads a request: it must have exactly one child element (RFC 6120 8.2.3).
fn request(
    stanza: Stanza<'_>,
    place: Place,
    session: Option<SessionId>,
) -> Result<Iq, StanzaError> {
    let bad = || StanzaError::new(Condition::BadRequest);
    let element = Element::parse(stanza.bytes()).map_err(|_| bad())?;
    let mut children = element.elements();
    let payload = children.next().cloned().ok_or_else(bad)?;
    if children.next().is_some() {
        return Err(bad());
    }
    Ok(Iq {
        from: stanza.from.clone(),
        to: stanza.to.cloned(),
        place,
        stanza_type: stanza.rec.stanza_type,
        payload,
        session,
        bytes: stanza.buf.clone(),
        rec: stanza.rec,
    })
}
