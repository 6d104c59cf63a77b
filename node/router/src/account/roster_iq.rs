//! The roster as clients manage it (RFC 6121 2).
//!
//! ```text
//! C: <iq type='get'><query xmlns='jabber:iq:roster' ver='7'/></iq>
//! S: <iq type='result'><query xmlns='jabber:iq:roster' ver='9'><item …/>…</query></iq>     (empty when ver is current)
//! C: <iq type='set'><query xmlns='jabber:iq:roster'><item jid='…' name='…'><group>…</group></item></query></iq>
//! S: stores it, pushes it to every session that asked for the roster, then <iq type='result'/>
//! ```

use rookery_store::roster::{RosterItem, Subscription};
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::Account;
use super::offline::store_refusal;
use super::roster::Step;
use super::subscription::subscription_stanza;
use crate::modules::{Iq, Outcome};
use crate::shard::{Reply, Request, Turn};

impl Account {
    /// Answers `jabber:iq:roster` of one of the account's sessions.
    pub(super) fn roster_iq(&mut self, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        if iq.payload.name() != "query" {
            return Outcome::Error(StanzaError::new(Condition::BadRequest));
        }
        if !iq.is_set() {
            return self.roster_get(turn, iq);
        }
        match ItemChange::read(&iq.payload, turn) {
            Ok(change) if change.removes => self.roster_remove(&change.jid),
            Ok(change) => self.roster_put(turn, change),
            Err(error) => Outcome::Error(error),
        }
    }

    fn roster_get(&mut self, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        if let Some(session) = iq.session.and_then(|id| self.sessions.get_mut(id)) {
            session.wants_roster = true;
            turn.remember(session);
        }
        let version = self.roster.version().to_string();
        if iq.payload.attr("ver") == Some(&version) {
            return Outcome::Result(None);
        }
        let mut query = Element::new("query", ns::ROSTER).with_attr("ver", &version);
        for item in self.roster.contacts() {
            query.push_child(item_element(item));
        }
        Outcome::Result(Some(query))
    }

    fn roster_put(&self, turn: &Turn<'_>, change: ItemChange) -> Outcome {
        if self.jid().same_bare(&change.jid) {
            return Outcome::Error(StanzaError::new(Condition::NotAllowed));
        }
        let mut item = self.roster.item_or_stranger(&change.jid);
        item.in_roster = true;
        item.name = change.name;
        item.groups = change.groups;
        if self.overflows_roster(turn, &item) {
            return Outcome::Error(
                StanzaError::new(Condition::PolicyViolation)
                    .with_type(ErrorType::Modify)
                    .with_text("the roster is full"),
            );
        }
        let stored = self.roster.put(item.clone());
        let request = Request::UpdateRoster(Jid::clone(self.jid()), stored.clone());
        Outcome::wait(request, move |account, turn, _, reply| match reply {
            Reply::Done => {
                account.roster.apply(stored);
                account.push_roster_item(turn, &item);
                Outcome::Result(None)
            }
            Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
            _ => Outcome::Error(StanzaError::new(Condition::InternalServerError)),
        })
    }

    /// Whether the roster has no room for this item.
    pub(super) fn overflows_roster(&self, turn: &Turn<'_>, item: &RosterItem) -> bool {
        let options = &turn.options;
        let items_max = options.roster_items_max as usize;
        self.roster
            .overflows(item, items_max, options.roster_bytes_max as usize)
    }

    /// RFC 6121 2.5: the contact goes, and both subscriptions with it.
    fn roster_remove(&self, contact: &Jid) -> Outcome {
        let Some(item) = self
            .roster
            .get(contact)
            .filter(|item| item.in_roster)
            .cloned()
        else {
            return Outcome::Error(StanzaError::new(Condition::ItemNotFound));
        };
        let stored = self.roster.remove(item.jid.clone());
        let request = Request::UpdateRoster(Jid::clone(self.jid()), stored.clone());
        Outcome::wait(request, move |account, turn, _, reply| match reply {
            Reply::Done => {
                account.roster.apply(stored);
                account.push_removal(turn, &item.jid);
                account.end_subscriptions(turn, &item);
                Outcome::Result(None)
            }
            Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
            _ => Outcome::Error(StanzaError::new(Condition::InternalServerError)),
        })
    }

    fn end_subscriptions(&self, turn: &mut Turn<'_>, item: &RosterItem) {
        let contact = std::sync::Arc::new(item.jid.clone());
        let sees = matches!(item.subscription, Subscription::To | Subscription::Both);
        let seen = matches!(item.subscription, Subscription::From | Subscription::Both);
        if sees || item.ask {
            let stanza = subscription_stanza(self.jid(), &contact, Step::Unsubscribe);
            turn.route_element(self.jid(), &contact, &stanza);
        }
        if seen || item.pending_in.is_some() {
            let stanza = subscription_stanza(self.jid(), &contact, Step::Unsubscribed);
            turn.route_element(self.jid(), &contact, &stanza);
        }
        if seen {
            self.send_unavailability(turn, &contact);
        }
    }

    /// Tells every session that asked for the roster of an item (RFC 6121 2.1.6).
    pub(super) fn push_roster_item(&self, turn: &mut Turn<'_>, item: &RosterItem) {
        self.push(turn, &item_element(item));
    }

    fn push_removal(&self, turn: &mut Turn<'_>, contact: &Jid) {
        let item = Element::new("item", ns::ROSTER)
            .with_attr("jid", contact.as_str())
            .with_attr("subscription", "remove");
        self.push(turn, &item);
    }

    fn push(&self, turn: &mut Turn<'_>, item: &Element) {
        let version = self.roster.version().to_string();
        for session in self.sessions.interested() {
            let id = turn.entropy.token();
            let query = Element::new("query", ns::ROSTER)
                .with_attr("ver", &version)
                .with_child(item.clone());
            let push = Element::new("iq", ns::CLIENT)
                .with_attr("to", session.jid.as_str())
                .with_attr("id", &id)
                .with_attr("type", "set")
                .with_child(query);
            turn.deliver_bytes(&session.sink, &session.jid, push.to_bytes());
        }
    }
}

/// What a client may say of a contact.
struct ItemChange {
    jid: Jid,
    name: Option<String>,
    groups: Vec<String>,
    removes: bool,
}

impl ItemChange {
    /// Reads a roster set (RFC 6121 2.1.5, 2.3.3): one item, a valid address, distinct groups
    /// within limits.
    fn read(query: &Element, turn: &Turn<'_>) -> Result<Self, StanzaError> {
        let bad = || StanzaError::new(Condition::BadRequest);
        let mut items = query.elements();
        let item = items
            .next()
            .filter(|item| item.is("item", ns::ROSTER))
            .ok_or_else(bad)?;
        if items.next().is_some() {
            return Err(bad());
        }
        let address = item.attr("jid").ok_or_else(bad)?;
        let jid = Jid::parse(address).map_err(|_| StanzaError::new(Condition::JidMalformed))?;
        let bytes_max = turn.options.roster_name_bytes_max as usize;
        let name = item
            .attr("name")
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        if name.as_ref().is_some_and(|name| name.len() > bytes_max) {
            return Err(
                StanzaError::new(Condition::NotAcceptable).with_text("the name is too long")
            );
        }
        let groups = read_groups(item, bytes_max, turn.options.roster_groups_max as usize)?;
        let removes = item.attr("subscription") == Some("remove");
        Ok(Self {
            jid: jid.to_bare(),
            name,
            groups,
            removes,
        })
    }
}

fn read_groups(
    item: &Element,
    bytes_max: usize,
    groups_max: usize,
) -> Result<Vec<String>, StanzaError> {
    let mut groups: Vec<String> = Vec::new();
    for group in item
        .elements()
        .filter(|child| child.is("group", ns::ROSTER))
    {
        let name = group.text();
        if name.is_empty() || name.len() > bytes_max || groups.len() == groups_max {
            return Err(StanzaError::new(Condition::NotAcceptable)
                .with_text("a group is empty, too long, or one too many"));
        }
        if groups.contains(&name) {
            return Err(
                StanzaError::new(Condition::BadRequest).with_text("the same group is there twice")
            );
        }
        groups.push(name);
    }
    Ok(groups)
}

fn item_element(item: &RosterItem) -> Element {
    let mut element = Element::new("item", ns::ROSTER).with_attr("jid", item.jid.as_str());
    if let Some(name) = &item.name {
        element.set_attr("name", name);
    }
    element.set_attr("subscription", item.subscription.as_str());
    if item.ask {
        element.set_attr("ask", "subscribe");
    }
    if item.approved {
        element.set_attr("approved", "true");
    }
    for group in &item.groups {
        element.push_child(Element::new("group", ns::ROSTER).with_text(group));
    }
    element
}
