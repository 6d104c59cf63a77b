//! An account and who has invited it become contacts (XEP-0401 3.3.2): both see each other without being asked. Each
//! side is written by its own shard, durably, before anybody hears of it.
//!
//! ```text
//! whoever made the account        the guest                                      the inviter
//! ── befriend ──────────────────► its side is written
//! ── befriend, answer ─────────────────────────────────────────────────────────► its side is written
//!                                 its side is there; note that all is done ◄──── befriended ──
//!
//!                     each login, until that is noted: its side is written
//!                                 ── befriend, answer ─────────────────────────► as above
//! ```
//!
//! An account says for ever who has invited it, so whatever dies on the way, it owes a contact until it has noted that
//! both have it. Each step may come twice: what is there is not written again. An inviter who is gone answers to
//! nobody, so some time after the account was made nothing is owed any more.
//!
//! The words are messages in the name of the host. Hosts write them to nobody else, and nobody writes in the name of a
//! host: the reader stamps each client's own address.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use rookery_store::inviter::Inviter;
use rookery_store::roster::Subscription;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;

use super::roster::Transition;
use super::{Account, COLLECTION};
use crate::shard::{Reply, Request, Turn};

/// How far an account is noted to be with its inviter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    /// It has the contact, and asks the inviter's side. Whoever takes it out of the roster now does not get it again.
    Own,
    /// Nothing is owed any more.
    Both,
}

/// Tells a guest and who has invited it of one another.
pub(crate) fn introduce(turn: &mut Turn<'_>, guest: &Jid, inviter: &Jid) {
    let befriend = Element::new("befriend", BEFRIEND).with_attr("jid", inviter.bare_str());
    tell(turn, guest, befriend);
    ask(turn, inviter, guest);
}

/// Reads whether an account owes its inviter nothing more.
pub(crate) fn read(account: &mut Account, documents: &[(String, Bytes)]) {
    let document = documents.iter().find(|(key, _)| key == KEY);
    if let Some(noted) = document.and_then(|(_, value)| Noted::read(value)) {
        account.slots.set(noted);
    }
}

impl Account {
    /// Does what this message of the host says about contacts. False if it says something else.
    pub(crate) fn is_introduced(&mut self, turn: &mut Turn<'_>, message: &Element) -> bool {
        let told = |name| message.child(name, BEFRIEND);
        if let Some(befriend) = told("befriend") {
            let is_answered = befriend.attr("answer").is_some();
            if let Some(contact) = contact_in(befriend) {
                self.befriend(turn, &contact, move |account, turn, contact| {
                    if is_answered {
                        let own = account.jid().clone();
                        let done = Element::new("befriended", BEFRIEND);
                        tell(turn, contact, done.with_attr("jid", own.as_str()));
                    }
                });
            }
            return true;
        }
        let Some(befriended) = told("befriended") else {
            return false;
        };
        let owed = self.owed_contact(turn.now);
        if let Some(inviter) = owed.filter(|owed| contact_in(befriended).as_ref() == Some(owed)) {
            self.befriend(turn, &inviter, |account, turn, _| {
                counter!(CONTACTS, "event" => "made").increment(1);
                account.note(turn, Noted::Both);
            });
        }
        true
    }

    /// Goes on with what is owed between the account and who has invited it.
    pub(crate) fn befriends_inviter(&mut self, turn: &mut Turn<'_>) {
        let Some(inviter) = self.owed_contact(turn.now) else {
            return;
        };
        let own = self.jid().clone();
        if self.slots.get() != Some(&Noted::Own) {
            counter!(CONTACTS, "event" => "again").increment(1);
            tracing::debug!(account = %own, %inviter, "who was invited asks for its contact again");
            return self.befriend(turn, &inviter, move |account, turn, inviter| {
                account.note(turn, Noted::Own);
                ask(turn, inviter, &own);
            });
        }
        match self.roster.get(&inviter).is_some_and(|item| item.in_roster) {
            true => ask(turn, &inviter, &own),
            false => self.note(turn, Noted::Both),
        }
    }

    /// Who has invited the account, if it is not noted that the two are contacts.
    fn owed_contact(&self, now: Timestamp) -> Option<Arc<Jid>> {
        let Some(Inviter {
            user: Some(user),
            contact: true,
        }) = &self.record.inviter
        else {
            return None;
        };
        let is_over = now.since(self.record.created) > OWED;
        let is_settled = self.slots.get() == Some(&Noted::Both);
        (!is_over && !is_settled).then(|| Arc::new(user.clone()))
    }

    /// Notes how far it is. If that fails, the next login does all of it again.
    fn note(&mut self, turn: &mut Turn<'_>, noted: Noted) {
        let request = Request::PutDocument {
            owner: Jid::clone(self.jid()),
            collection: COLLECTION,
            key: KEY.into(),
            document: Bytes::from_static(noted.as_str().as_bytes()),
        };
        self.request_beside(turn, request, move |account, _, reply| match reply {
            Reply::Done => account.slots.set(noted),
            Reply::Failed(error) => {
                tracing::debug!(%error, account = %account.jid(), "contact of an invitation not noted");
            }
            _ => {}
        });
    }

    /// Subscribes both ways, as if all four steps had been taken, and pushes the item. Goes on when that is durable, or
    /// can never be: a contact that does not fit into the roster is none.
    fn befriend(
        &mut self,
        turn: &mut Turn<'_>,
        contact: &Arc<Jid>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, &Jid) + Send + 'static,
    ) {
        if self.jid().same_bare(contact) {
            return;
        }
        let old = self.roster.item_or_stranger(contact);
        let mut item = old.clone();
        item.in_roster = true;
        item.subscription = Subscription::Both;
        (item.ask, item.approved, item.pending_in) = (false, false, None);
        if self.overflows_roster(turn, &item) {
            tracing::info!(account = %self.jid(), "roster is too full for who was invited");
            return then(self, turn, contact);
        }
        let transition = Transition {
            changed: item != old,
            item,
            passes: false,
            auto_reply: false,
            revokes: false,
        };
        let contact = contact.clone();
        self.store_transition(turn, transition, move |account, turn, outcome| match outcome {
            Ok(transition) => {
                if transition.changed {
                    account.send_availability(turn, &contact);
                    account.probe(turn, &contact);
                }
                then(account, turn, &contact);
            }
            Err(error) => {
                tracing::warn!(%error, account = %account.jid(), "who was invited is no contact yet");
            }
        });
    }
}

impl Noted {
    fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Both => "both",
        }
    }

    fn read(document: &[u8]) -> Option<Self> {
        let is = |noted: &Self| noted.as_str().as_bytes() == document;
        [Self::Own, Self::Both].into_iter().find(is)
    }
}

/// Has an inviter befriend a guest, and tell it so.
fn ask(turn: &mut Turn<'_>, inviter: &Jid, guest: &Jid) {
    let befriend = Element::new("befriend", BEFRIEND).with_attr("jid", guest.bare_str());
    tell(turn, inviter, befriend.with_attr("answer", "true"));
}

/// Says something to an account in the name of its host.
fn tell(turn: &mut Turn<'_>, account: &Jid, told: Element) {
    let Ok(host) = Jid::from_parts(None, account.domain(), None) else {
        return;
    };
    let message = Element::new("message", ns::CLIENT)
        .with_attr("from", host.as_str())
        .with_attr("to", account.bare_str())
        .with_attr("type", "headline")
        .with_child(told);
    turn.route_element(&Arc::new(host), &Arc::new(account.to_bare()), &message);
}

fn contact_in(told: &Element) -> Option<Arc<Jid>> {
    let contact = Jid::parse(told.attr("jid")?).ok()?;
    Some(Arc::new(contact.to_bare()))
}

/// Between shards of this server, and nowhere else.
const BEFRIEND: &str = "urn:rookery:befriend:0";

/// The document that says how far it is.
const KEY: &str = "befriended";

/// How long after an account was made its contact is owed.
const OWED: Duration = Duration::from_secs(30 * 86_400);

/// Contacts that come of invitations.
const CONTACTS: &str = "rookery_invite_contacts_total";
