//! Managing subscriptions (RFC 6121 3): the roster changes, durably, before anybody hears of it.
//!
//! ```text
//! client ─ subscribe ─► outbound table ─► UpdateRoster ─► push to own clients, then on to the contact
//! contact ─ subscribe ─► inbound table ─► UpdateRoster ─► to own clients (or kept), then pushes
//! ```

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_store::StoreError;
use rookery_store::roster::{RosterItem, Subscription};
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{HeadChanges, Rec, StanzaType, rewrite_head};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::Account;
use super::offline::store_refusal;
use super::roster::{Step, Transition};
use crate::shard::{Reply, Request, Turn};

impl Account {
    /// A client's step towards a contact.
    pub(super) fn submit_subscription(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        let Some(step) = step_of(rec.stanza_type) else {
            return;
        };
        let contact = Arc::new(to.to_bare());
        if self.jid().same_bare(&contact) {
            let error = StanzaError::new(Condition::NotAllowed)
                .with_text("an account always sees its own presence");
            return self.refuse(turn, id, buf, rec, &error);
        }
        let transition = self.roster.outbound(&contact, step);
        if transition.item.in_roster && self.overflows_roster(turn, &transition.item) {
            let error = StanzaError::new(Condition::PolicyViolation)
                .with_type(ErrorType::Modify)
                .with_text("the roster is full");
            return self.refuse(turn, id, buf, rec, &error);
        }
        // RFC 6121 3.1.2: subscriptions are between bare JIDs.
        let stanza = between_bare(self.jid(), &contact, buf, rec);
        let original = (buf.clone(), rec);
        self.store_transition(
            turn,
            transition,
            move |account, turn, outcome| match outcome {
                Ok(transition) => account.pass_outbound(turn, step, &contact, &transition, stanza),
                Err(error) => {
                    account.refuse(turn, id, &original.0, original.1, &store_refusal(&error));
                }
            },
        );
    }

    fn pass_outbound(
        &self,
        turn: &mut Turn<'_>,
        step: Step,
        contact: &Arc<Jid>,
        transition: &Transition,
        (bytes, rec): (Bytes, Rec),
    ) {
        let own = self.jid().clone();
        if transition.passes {
            turn.route(&own, contact, &bytes, rec);
        }
        match step {
            // RFC 6121 3.1.5: the contact learns at once who is there.
            Step::Subscribed if transition.passes => self.send_availability(turn, contact),
            // RFC 6121 3.2.2: and at once that nobody is, as far as it may know.
            Step::Unsubscribed if transition.revokes => self.send_unavailability(turn, contact),
            _ => {}
        }
    }

    /// A contact's step towards this account.
    pub(super) fn arrive_subscription(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        let Some(step) = step_of(rec.stanza_type) else {
            return;
        };
        let contact = Arc::new(from.to_bare());
        if self.jid().same_bare(&contact) {
            return;
        }
        let transition = self.roster.inbound(&contact, step, rec.bytes(buf));
        let pending = self.roster.requests().count();
        if step == Step::Subscribe
            && transition.passes
            && pending >= turn.options.subscription_requests_max as usize
        {
            return;
        }
        let stanza = (Bytes::copy_from_slice(rec.bytes(buf)), rec.moved_to(0));
        self.store_transition(
            turn,
            transition,
            move |account, turn, outcome| match outcome {
                Ok(transition) => account.pass_inbound(turn, step, &contact, &transition, &stanza),
                Err(error) => {
                    // Only a request is answered; `bounce` knows.
                    let own = account.jid().clone();
                    turn.bounce(&contact, &own, &stanza.0, stanza.1, &store_refusal(&error));
                }
            },
        );
    }

    fn pass_inbound(
        &self,
        turn: &mut Turn<'_>,
        step: Step,
        contact: &Arc<Jid>,
        transition: &Transition,
        (bytes, rec): &(Bytes, Rec),
    ) {
        let is_heard = !self.blocks(contact);
        if transition.passes && is_heard {
            for session in self.sessions.available() {
                turn.deliver(&session.sink, &session.jid, bytes, *rec);
            }
        }
        if transition.auto_reply {
            let reply = subscription_stanza(self.jid(), contact, Step::Subscribed);
            turn.route_element(&self.jid().clone(), contact, &reply);
            self.send_availability(turn, contact);
        }
        match step {
            // RFC 6121 3.3.3: whoever unsubscribed sees everybody here leave.
            Step::Unsubscribe if transition.revokes && is_heard => {
                self.send_unavailability(turn, contact)
            }
            // RFC 6121 3.1.6 leaves the first presence to the contact's server; a probe makes sure
            // of it.
            Step::Subscribed if transition.passes => self.probe(turn, contact),
            _ => {}
        }
    }

    /// Stores what a step changes, pushes it to the clients, and goes on.
    pub(super) fn store_transition(
        &mut self,
        turn: &mut Turn<'_>,
        transition: Transition,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, Result<Transition, StoreError>) + Send + 'static,
    ) {
        if !transition.changed {
            return then(self, turn, Ok(transition));
        }
        let change = if is_empty(&transition.item) {
            self.roster.remove(transition.item.jid.clone())
        } else {
            self.roster.put(transition.item.clone())
        };
        let request = Request::UpdateRoster(Jid::clone(self.jid()), change.clone());
        self.request(turn, request, move |account, turn, reply| match reply {
            Reply::Done => {
                account.roster.apply(change);
                if transition.item.in_roster {
                    account.push_roster_item(turn, &transition.item);
                }
                then(account, turn, Ok(transition));
            }
            Reply::Failed(error) => then(account, turn, Err(error)),
            _ => then(account, turn, Err(StoreError::Invalid("reply"))),
        });
    }

    /// Before the account disappears: nobody stays subscribed to it, and it to nobody.
    pub(super) fn cancel_all_subscriptions(&self, turn: &mut Turn<'_>) {
        let own = self.jid().clone();
        for (contact, item) in self.roster.all() {
            if item.ask || matches!(item.subscription, Subscription::To | Subscription::Both) {
                let stanza = subscription_stanza(&own, contact, Step::Unsubscribe);
                turn.route_element(&own, contact, &stanza);
            }
            let allowed = matches!(item.subscription, Subscription::From | Subscription::Both);
            if allowed || item.pending_in.is_some() {
                let stanza = subscription_stanza(&own, contact, Step::Unsubscribed);
                turn.route_element(&own, contact, &stanza);
            }
        }
    }
}

/// A presence of a subscription that the server itself sends, between bare JIDs.
pub(super) fn subscription_stanza(from: &Jid, to: &Jid, step: Step) -> Element {
    Element::new("presence", ns::CLIENT)
        .with_attr("from", from.bare_str())
        .with_attr("to", to.bare_str())
        .with_attr("type", step.as_str())
}

/// An item that says nothing any more: a stranger whose request was answered or taken back.
fn is_empty(item: &RosterItem) -> bool {
    !item.in_roster && item.pending_in.is_none() && !item.approved
}

fn between_bare(from: &Jid, to: &Jid, buf: &Bytes, rec: Rec) -> (Bytes, Rec) {
    let changes = HeadChanges {
        from: Some(from.bare_str()),
        to: Some(to.bare_str()),
        ..HeadChanges::default()
    };
    let mut out = Vec::with_capacity(rec.bytes(buf).len() + 64);
    let rec = rewrite_head(rec.bytes(buf), &rec.moved_to(0), &changes, &mut out);
    (out.into(), rec)
}

fn step_of(stanza_type: StanzaType) -> Option<Step> {
    match stanza_type {
        StanzaType::Subscribe => Some(Step::Subscribe),
        StanzaType::Subscribed => Some(Step::Subscribed),
        StanzaType::Unsubscribe => Some(Step::Unsubscribe),
        StanzaType::Unsubscribed => Some(Step::Unsubscribed),
        _ => None,
    }
}
