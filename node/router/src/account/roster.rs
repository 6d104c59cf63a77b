//! The roster of an account as a machine: its items and the subscription tables of RFC 6121,
//! appendix A.
//!
//! A state of the tables is spread over an item's fields: `subscription` (none, to, from, both),
//! `ask` (pending out) and `pending_in` (pending in, with the request's stanza). A contact that
//! only has a request pending is not on the roster (`in_roster` is false) and is never shown to
//! clients.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rookery_store::roster::{RosterChange, RosterItem, Subscription};
use rookery_xmpp::jid::Jid;

/// The contacts of an account.
#[derive(Default)]
pub struct Roster {
    version: u64,
    items: BTreeMap<Contact, RosterItem>,
}

/// A contact's bare JID: shared, because stanzas to it carry it, and found by its text.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Contact(Arc<Jid>);

impl Contact {
    fn of(item: &RosterItem) -> Self {
        Self(Arc::new(item.jid.clone()))
    }
}

impl Borrow<str> for Contact {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

/// The four kinds of presence that manage subscriptions (RFC 6121 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Asks to see somebody's presence.
    Subscribe,
    /// Allows it.
    Subscribed,
    /// Does not want to see it any more.
    Unsubscribe,
    /// Does not allow it any more, or refuses.
    Unsubscribed,
}

impl Step {
    /// The `type` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Subscribed => "subscribed",
            Self::Unsubscribe => "unsubscribe",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// What a step does to an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The item afterwards; equal to the old one when nothing changes.
    pub item: RosterItem,
    /// Whether the item differs, so that it must be stored.
    pub changed: bool,
    /// Whether the stanza goes on: outbound to the contact, inbound to the account's clients.
    pub passes: bool,
    /// Inbound `subscribe` only: it is allowed already, so the server answers `subscribed` itself.
    pub auto_reply: bool,
    /// The contact saw the account's presence and may not see it any more: it is told that
    /// everybody left. Who only asked must not be told, for that would show who is here.
    pub revokes: bool,
}

impl Roster {
    /// A roster as the store has it.
    pub fn new(stored: rookery_store::roster::Roster) -> Self {
        let items = stored
            .items
            .into_iter()
            .map(|item| (Contact::of(&item), item));
        Self {
            version: stored.version,
            items: items.collect(),
        }
    }

    /// The version that clients are told (RFC 6121 2.6).
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The item of a contact, on the roster or not.
    pub fn get(&self, contact: &Jid) -> Option<&RosterItem> {
        self.items.get(contact.bare_str())
    }

    /// The contacts that clients see.
    pub fn contacts(&self) -> impl Iterator<Item = &RosterItem> {
        self.items.values().filter(|item| item.in_roster)
    }

    /// Whether a roster with this item would be larger than it may be. One that is already may still shrink.
    pub fn overflows(&self, item: &RosterItem, items_max: usize, bytes_max: usize) -> bool {
        let old = self.get(&item.jid).filter(|old| old.in_roster);
        let old_bytes = old.map_or(0, bytes_of);
        let bytes = || self.contacts().map(bytes_of).sum::<usize>() - old_bytes + bytes_of(item);
        old.is_none() && self.contacts().count() >= items_max
            || bytes_of(item) > old_bytes && bytes() > bytes_max
    }

    /// Everything, with requests of strangers.
    pub fn all(&self) -> impl Iterator<Item = (&Arc<Jid>, &RosterItem)> {
        self.items.iter().map(|(contact, item)| (&contact.0, item))
    }

    /// Those who see the account's presence.
    pub fn subscribers(&self) -> impl Iterator<Item = &Arc<Jid>> {
        self.with_subscription(&[Subscription::From, Subscription::Both])
    }

    /// Those whose presence the account sees.
    pub fn publishers(&self) -> impl Iterator<Item = &Arc<Jid>> {
        self.with_subscription(&[Subscription::To, Subscription::Both])
    }

    fn with_subscription(&self, wanted: &[Subscription]) -> impl Iterator<Item = &Arc<Jid>> {
        self.items
            .iter()
            .filter(|(_, item)| wanted.contains(&item.subscription))
            .map(|(contact, _)| &contact.0)
    }

    /// Whether a JID may see the account's presence.
    pub fn is_subscriber(&self, contact: &Jid) -> bool {
        self.get(contact)
            .is_some_and(|item| seen_by_contact(item.subscription))
    }

    /// Whether the account sees a JID's presence.
    pub fn is_publisher(&self, contact: &Jid) -> bool {
        self.get(contact)
            .is_some_and(|item| sees_contact(item.subscription))
    }

    /// The requests that wait for an answer.
    pub fn requests(&self) -> impl Iterator<Item = &Bytes> {
        self.items
            .values()
            .filter_map(|item| item.pending_in.as_ref())
    }

    /// The change that stores this item under the next version.
    pub fn put(&self, item: RosterItem) -> RosterChange {
        RosterChange {
            put: vec![item],
            remove: vec![],
            version: self.version + 1,
        }
    }

    /// The change that removes a contact under the next version.
    pub fn remove(&self, contact: Jid) -> RosterChange {
        RosterChange {
            put: vec![],
            remove: vec![contact],
            version: self.version + 1,
        }
    }

    /// Takes over a change that was stored.
    pub fn apply(&mut self, change: RosterChange) {
        self.version = change.version;
        for jid in change.remove {
            self.items.remove(jid.as_str());
        }
        for item in change.put {
            self.items.insert(Contact::of(&item), item);
        }
    }

    /// The item of a contact, or the one that a stranger would have.
    pub fn item_or_stranger(&self, contact: &Jid) -> RosterItem {
        let stranger = || RosterItem {
            in_roster: false,
            ..RosterItem::new(contact.to_bare())
        };
        self.get(contact).cloned().unwrap_or_else(stranger)
    }

    /// What a step of one of the account's clients does (RFC 6121 A.2).
    pub fn outbound(&self, contact: &Jid, step: Step) -> Transition {
        let old = self.item_or_stranger(contact);
        let mut item = old.clone();
        let sees = sees_contact(old.subscription);
        let seen = seen_by_contact(old.subscription);
        let passes = match step {
            Step::Subscribe => {
                item.ask = !sees;
                item.in_roster = true;
                true
            }
            Step::Unsubscribe => {
                item.ask = false;
                item.subscription = subscription(false, seen);
                true
            }
            Step::Subscribed if old.pending_in.is_some() => {
                item.pending_in = None;
                item.in_roster = true;
                item.subscription = subscription(sees, true);
                true
            }
            Step::Subscribed => {
                // RFC 6121 3.4: allowed before it was asked for.
                item.approved |= !seen;
                item.in_roster |= !seen;
                false
            }
            Step::Unsubscribed => {
                item.pending_in = None;
                item.approved = false;
                item.subscription = subscription(sees, false);
                seen || old.pending_in.is_some()
            }
        };
        Transition {
            changed: item != old,
            revokes: seen && !seen_by_contact(item.subscription),
            item,
            passes,
            auto_reply: false,
        }
    }

    /// What a step of the contact does (RFC 6121 A.3). `stanza` is kept with a request until it is
    /// answered.
    pub fn inbound(&self, contact: &Jid, step: Step, stanza: &[u8]) -> Transition {
        let old = self.item_or_stranger(contact);
        let mut item = old.clone();
        let sees = sees_contact(old.subscription);
        let seen = seen_by_contact(old.subscription);
        let mut auto_reply = false;
        let passes = match step {
            Step::Subscribe if seen || old.approved => {
                item.subscription = subscription(sees, true);
                auto_reply = true;
                false
            }
            Step::Subscribe => {
                let first = old.pending_in.is_none();
                item.pending_in
                    .get_or_insert_with(|| Bytes::copy_from_slice(stanza));
                first
            }
            Step::Unsubscribe => {
                item.pending_in = None;
                item.subscription = subscription(sees, false);
                seen || old.pending_in.is_some()
            }
            Step::Subscribed => {
                item.ask = false;
                item.subscription = subscription(sees || old.ask, seen);
                old.ask
            }
            Step::Unsubscribed => {
                item.ask = false;
                item.subscription = subscription(false, seen);
                old.ask || sees
            }
        };
        Transition {
            changed: item != old,
            revokes: seen && !seen_by_contact(item.subscription),
            item,
            passes,
            auto_reply,
        }
    }
}

/// What its user made an item of.
fn bytes_of(item: &RosterItem) -> usize {
    let groups = item.groups.iter().map(String::len).sum::<usize>();
    item.jid.as_str().len() + item.name.as_ref().map_or(0, String::len) + groups
}

fn sees_contact(subscription: Subscription) -> bool {
    matches!(subscription, Subscription::To | Subscription::Both)
}

fn seen_by_contact(subscription: Subscription) -> bool {
    matches!(subscription, Subscription::From | Subscription::Both)
}

fn subscription(sees: bool, seen: bool) -> Subscription {
    match (sees, seen) {
        (false, false) => Subscription::None,
        (true, false) => Subscription::To,
        (false, true) => Subscription::From,
        (true, true) => Subscription::Both,
    }
}

#[cfg(test)]
mod tests;
