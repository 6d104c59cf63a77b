//! What an account's own sessions send (RFC 6121 8.1, RFC 6120 8.1 and 10.3).
//!
//! ```text
//! to absent          message, IQ: the account itself      presence: broadcast
//! to a local host    IQ: the server answers               else: service-unavailable
//! to anything else   presence of a subscription first changes the roster; then Turn::route
//! ```

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Origin, SessionId};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Kind, Rec, StanzaType, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::{Account, Work, absent, mailbox};
use crate::modules::{Flow, Place, Stanza};
use crate::shard::{Cause, Turn};

impl Account {
    /// Handles a batch of one session's stanzas. If one of them makes the account wait, the rest
    /// waits too.
    pub(super) fn submit(&mut self, turn: &mut Turn<'_>, mut work: Work) {
        let Work::Submit {
            session: id,
            sequence,
            next,
            ref batch,
            ..
        } = work
        else {
            return;
        };
        let numbers = sequence + next as u64..sequence + batch.recs.len() as u64;
        if !self.takes_from(turn, id, (numbers, batch)) {
            return;
        }
        while let Work::Submit {
            session,
            from,
            sequence,
            batch,
            next,
            receipt,
        } = &mut work
            && let Some(rec) = batch.recs.get(*next)
        {
            if self.is_busy() {
                self.wait_in_front(work);
                break;
            }
            let number = *sequence + *next as u64;
            if receipt.is_some() {
                let origin = Origin {
                    session: *session,
                    sequence: number,
                };
                turn.cause = Some(Cause::new(origin, &batch.buf));
            }
            if self.is_next_of(*session, number) {
                self.submit_one(turn, (*session, from), &batch.buf, *rec);
            }
            *next += 1;
        }
        self.flush_offline(turn);
        self.resumes_early(turn, id);
    }

    /// Whether a session's stanza was not handled before: what is not known to have been settled is
    /// sent again.
    fn is_next_of(&mut self, id: SessionId, number: u64) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return true;
        };
        let next = number >= session.next_stanza;
        session.next_stanza = session.next_stanza.max(number + 1);
        if let Some(stream) = &session.stream {
            session.next_stanza = stream.next_behind(session.next_stanza);
        }
        next
    }

    fn submit_one(
        &mut self,
        turn: &mut Turn<'_>,
        (id, from): (SessionId, &Arc<Jid>),
        buf: &Bytes,
        rec: Rec,
    ) {
        if self.sessions.get(id).is_none()
            && !(rec.kind == Kind::Message && self.record.may_log_in())
        {
            // The session was replaced before its last stanzas came through: what it wrote to others
            // is as good as before, but nobody waits for answers to the rest.
            return;
        }
        let Ok(to) = self.resolve_to(id, buf, rec) else {
            return self.refuse(
                turn,
                id,
                buf,
                rec,
                &StanzaError::new(Condition::JidMalformed),
            );
        };
        let stanza = Stanza {
            buf,
            rec,
            from,
            to: to.as_ref(),
        };
        match turn.env.modules.submit(self, turn, stanza) {
            Flow::Continue => self.submit_checked(turn, id, stanza),
            Flow::Replace(buf) => {
                let rec = parse_rec(&buf).expect("modules write canonical stanzas");
                turn.replaced(&buf);
                self.submit_checked(
                    turn,
                    id,
                    Stanza {
                        buf: &buf,
                        rec,
                        ..stanza
                    },
                );
            }
            Flow::Reject(error) => self.refuse(turn, id, buf, rec, &error),
            Flow::Drop => {}
        }
    }

    fn submit_checked(&mut self, turn: &mut Turn<'_>, id: SessionId, stanza: Stanza<'_>) {
        match stanza.rec.kind {
            Kind::Message if self.comes_too_early(turn, id, stanza.to) => {
                let error = StanzaError::new(Condition::ResourceConstraint);
                self.refuse(turn, id, stanza.buf, stanza.rec, &error);
            }
            Kind::Message => match self.archive_sent(turn, stanza) {
                Ok(position) => {
                    self.copy_sent(turn, stanza, position);
                    self.submit_message(turn, id, stanza);
                }
                Err(error) => self.refuse(turn, id, stanza.buf, stanza.rec, &error),
            },
            Kind::Presence => self.submit_presence(turn, id, stanza),
            Kind::Iq => self.submit_iq(turn, id, stanza),
            Kind::Other => {}
        }
    }

    /// Whether an older message for the same account was refused, and may come behind this one.
    fn comes_too_early(&mut self, turn: &Turn<'_>, id: SessionId, to: Option<&Arc<Jid>>) -> bool {
        let Some(to) = to.filter(|to| self.refused.may_come_again(id, to)) else {
            return false;
        };
        if let Some(receipt) = &turn.receipt {
            self.refused.follows(id, to, receipt);
        }
        true
    }

    /// The prepared address. Most stanzas of a chat go where the last one went.
    fn resolve_to(&mut self, id: SessionId, buf: &Bytes, rec: Rec) -> Result<Option<Arc<Jid>>, ()> {
        let Some(written) = rec.to(buf) else {
            return Ok(None);
        };
        let mut session = self.sessions.get_mut(id);
        if let Some(session) = &session
            && let Some((last, jid)) = &session.last_to
            && **last == *written
        {
            return Ok(Some(jid.clone()));
        }
        let text = rec.to_str(buf).ok_or(())?;
        let jid = Arc::new(Jid::parse(&text).map_err(|_| ())?);
        if let Some(session) = &mut session {
            session.last_to = Some((written.into(), jid.clone()));
        }
        Ok(Some(jid))
    }

    fn submit_message(&mut self, turn: &mut Turn<'_>, id: SessionId, stanza: Stanza<'_>) {
        let Stanza { buf, rec, from, to } = stanza;
        match to {
            None => {
                let own = self.jid().clone();
                turn.route(from, &own, buf, rec);
            }
            Some(to) if to.local().is_none() && turn.env.is_local(to.domain()) => {
                if let Some(error) = absent::mailed(mailbox::forward(turn, from, to, buf, rec)) {
                    self.refuse(turn, id, buf, rec, &error);
                }
            }
            Some(to) => turn.route(from, to, buf, rec),
        }
    }

    fn submit_presence(&mut self, turn: &mut Turn<'_>, id: SessionId, stanza: Stanza<'_>) {
        let Stanza { buf, rec, from, to } = stanza;
        if rec.bytes(buf).len() > turn.options.presence_bytes_max as usize {
            let error = StanzaError::new(Condition::PolicyViolation)
                .with_type(ErrorType::Modify)
                .with_text("the presence is too large");
            return self.refuse(turn, id, buf, rec, &error);
        }
        match (rec.stanza_type, to) {
            (StanzaType::Unknown, _) => {
                self.refuse(turn, id, buf, rec, &StanzaError::new(Condition::BadRequest));
            }
            (StanzaType::None | StanzaType::Unavailable, None) => {
                self.broadcast_presence(turn, id, buf, rec);
            }
            // RFC 6121 3.1.1 and following: a subscription needs somebody to subscribe to.
            (_, None) => {
                self.refuse(turn, id, buf, rec, &StanzaError::new(Condition::BadRequest));
            }
            (StanzaType::None | StanzaType::Unavailable, Some(to)) => {
                self.direct_presence(turn, id, to, buf, rec);
            }
            (
                StanzaType::Subscribe
                | StanzaType::Subscribed
                | StanzaType::Unsubscribe
                | StanzaType::Unsubscribed,
                Some(to),
            ) => self.submit_subscription(turn, id, to, buf, rec),
            // RFC 6121 4.3: probes are the servers' own; a client that wants to know subscribes.
            (StanzaType::Probe, Some(_)) => {
                self.refuse(turn, id, buf, rec, &StanzaError::new(Condition::Forbidden));
            }
            (_, Some(to)) => turn.route(from, to, buf, rec),
        }
    }

    fn submit_iq(&mut self, turn: &mut Turn<'_>, id: SessionId, stanza: Stanza<'_>) {
        let Stanza { buf, rec, from, to } = stanza;
        let place = match to {
            None => Some(Place::Own),
            Some(to) if to.is_bare() && self.jid().same_bare(to) => Some(Place::Own),
            Some(to) if to.local().is_none() && turn.env.is_local(to.domain()) => Some(Place::Host),
            Some(_) => None,
        };
        if !matches!(
            rec.stanza_type,
            StanzaType::Get | StanzaType::Set | StanzaType::Result | StanzaType::Error
        ) || rec.id(buf).is_none()
        {
            // RFC 6120 8.2.3: `type` and `id` are required.
            return self.refuse(turn, id, buf, rec, &StanzaError::new(Condition::BadRequest));
        }
        match (place, to) {
            (Some(place), _) => self.own_iq(turn, id, place, stanza),
            (None, Some(to)) => turn.route(from, to, buf, rec),
            (None, None) => {}
        }
    }

    /// Tells a session that its stanza was refused, in the name of whom it wrote to. If it is over, or was replaced,
    /// whoever has its address now is told of a message; but its own client is not, so it does not count as dealt with.
    pub(crate) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        buf: &Bytes,
        rec: Rec,
        error: &StanzaError,
    ) {
        let Some(session) = self.sessions.get(id) else {
            if let Some(receipt) = turn.receipt.clone() {
                self.untold.hold_refused(id, receipt, turn.now);
            }
            return self.refuse_at_address(turn, id, buf, rec, error);
        };
        let to = rec.to_str(buf);
        let reply = error.reply_to(
            rec.bytes(buf),
            &rec.moved_to(0),
            to.as_deref(),
            Some(session.jid.as_str()),
        );
        if let Some(reply) = reply {
            turn.deliver_bytes(&session.sink, &session.jid, reply);
        }
    }

    /// What a session wrote that is over is as good as before, so it is answered as if others had refused it. Not what
    /// its client says again by another way.
    fn refuse_at_address(
        &self,
        turn: &mut Turn<'_>,
        id: SessionId,
        buf: &Bytes,
        rec: Rec,
        error: &StanzaError,
    ) {
        let is_void = self.is_former(id) || self.outrun.contains(&id);
        if rec.kind == Kind::Message
            && !is_void
            && let Some((from, to)) = absent::addresses(buf, rec)
        {
            turn.bounce(&from, &to, buf, rec, error);
        }
    }
}
