//! What is answered for an account that does not exist, cannot be loaded, or has too much waiting.

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{AdminAnswer, Answer, Question};
use rookery_store::StoreError;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, Kind, Rec, StanzaType};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::mailbox::{self, Mailed};
use super::offline::store_refusal;
use super::{Work, stranded};
use crate::shard::Turn;

/// Answers for an account that does not exist (RFC 6121 8.5.1): as for one that does and is not
/// there, so that a stranger learns nothing from a message.
pub(crate) fn answer(turn: &mut Turn<'_>, work: Work) {
    turn.receipt = work.receipt();
    answer_held(turn, work);
    turn.receipt = None;
}

fn answer_held(turn: &mut Turn<'_>, work: Work) {
    match work {
        Work::Arrive {
            from,
            to,
            batch,
            next,
            ..
        } => {
            for rec in &batch.recs[next..] {
                absent_stanza(turn, &from, &to, &batch.buf, *rec);
            }
        }
        Work::Ask {
            from,
            ask,
            question,
        } => {
            let reply = match question {
                Question::Credentials { .. } => Answer::Credentials(None),
                Question::Bind { .. } => {
                    Answer::Refused(StanzaError::new(Condition::NotAuthorized))
                }
                Question::Admin(_) => Answer::Admin(AdminAnswer::NotFound),
                Question::Resume { .. } => Answer::NotResumed { h: None },
                Question::Register { .. } | Question::Enable { .. } => Answer::Unavailable,
            };
            turn.answer(&from, ask, reply);
        }
        Work::Undelivered { delivered, .. } | Work::Left { delivered, .. } => {
            let error = StanzaError::new(Condition::ServiceUnavailable);
            bounce_by_address(turn, &delivered.batch, 0, &error);
        }
        Work::Announced { from, .. } => {
            let error = StreamError::new(StreamCondition::NotAuthorized)
                .with_text("the account does not exist any more");
            turn.close(&from, error);
        }
        Work::Stranded(stranded) => stranded::forget(turn, stranded.stream().to_owned()),
        Work::Submit { .. } | Work::Ended { .. } | Work::Acked { .. } | Work::Detached { .. } => {}
    }
}

/// Answers when the store could not tell whether there is such an account.
pub(crate) fn unavailable(turn: &mut Turn<'_>, work: Work, error: &StoreError) {
    refuse(turn, work, &store_refusal(error));
}

/// Answers when too much waits already.
pub(crate) fn overloaded(turn: &mut Turn<'_>, work: Work) {
    refuse(turn, work, &StanzaError::new(Condition::ResourceConstraint));
}

fn refuse(turn: &mut Turn<'_>, work: Work, error: &StanzaError) {
    turn.receipt = work.receipt();
    refuse_held(turn, work, error);
    turn.receipt = None;
}

fn refuse_held(turn: &mut Turn<'_>, work: Work, error: &StanzaError) {
    match work {
        Work::Arrive {
            from,
            to,
            batch,
            next,
            ..
        } => {
            for rec in &batch.recs[next..] {
                turn.bounce(&from, &to, &batch.buf, *rec, error);
            }
        }
        Work::Ask { from, ask, .. } => turn.answer(&from, ask, Answer::Unavailable),
        Work::Submit { batch, next, .. } => bounce_by_address(turn, &batch, next, error),
        Work::Undelivered { delivered, .. } | Work::Left { delivered, .. } => {
            bounce_by_address(turn, &delivered.batch, 0, error);
        }
        Work::Announced { from, .. } => {
            let error = StreamError::new(StreamCondition::InternalServerError)
                .with_text("the account cannot be read at present");
            turn.close(&from, error);
        }
        // It is still in the store.
        Work::Stranded(_) => turn.out.misses_stream = true,
        Work::Ended { .. } | Work::Acked { .. } | Work::Detached { .. } => {}
    }
}

/// Answers stanzas whose addresses are only in their bytes, stamped by the reader.
fn bounce_by_address(turn: &mut Turn<'_>, batch: &Batch, next: usize, error: &StanzaError) {
    for rec in &batch.recs[next..] {
        if let Some((from, to)) = addresses(&batch.buf, *rec) {
            turn.bounce(&from, &to, &batch.buf, *rec, error);
        }
    }
}

/// Who sent a stanza and to whom, read from its canonical bytes. Without a `to` it is for the
/// sender's own account.
pub(super) fn addresses(buf: &Bytes, rec: Rec) -> Option<(Arc<Jid>, Arc<Jid>)> {
    let element = Element::parse(rec.bytes(buf)).ok()?;
    let parse = |name| {
        let jid = element.attr(name)?;
        Jid::parse(jid).ok().map(Arc::new)
    };
    let from = parse("from")?;
    let to = parse("to").unwrap_or_else(|| Arc::new(from.to_bare()));
    Some((from, to))
}

/// What the sender of a message to an address without an account is told.
pub(super) fn mailed(mailed: Mailed) -> Option<StanzaError> {
    match mailed {
        Mailed::Done => None,
        Mailed::Nobodys => Some(StanzaError::new(Condition::ServiceUnavailable)),
        Mailed::TooMany => {
            let error = StanzaError::new(Condition::ResourceConstraint);
            Some(error.with_type(ErrorType::Wait))
        }
    }
}

fn absent_stanza(turn: &mut Turn<'_>, from: &Arc<Jid>, to: &Arc<Jid>, buf: &Bytes, rec: Rec) {
    match (rec.kind, rec.stanza_type) {
        // RFC 6121 4.3.2 and 8.5.1: as for an account that does not show itself. Everything else of
        // presence is ignored.
        (Kind::Presence, StanzaType::Probe) => {
            let refusal = Element::new("presence", ns::CLIENT)
                .with_attr("from", to.bare_str())
                .with_attr("to", from.bare_str())
                .with_attr("type", "unsubscribed");
            let bare = Arc::new(to.to_bare());
            turn.route_element(&bare, &Arc::new(from.to_bare()), &refusal);
        }
        (Kind::Message | Kind::Iq, _) => {
            if let Some(error) = mailed(mailbox::forward(turn, from, to, buf, rec)) {
                turn.bounce(from, to, buf, rec, &error);
            }
        }
        (Kind::Presence | Kind::Other, _) => {}
    }
}
