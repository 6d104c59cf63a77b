//! XEP-0191: Blocking Command.
//!
//! ```text
//! C: <iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block></iq>
//! S: (stored) unavailable presence to those who are blocked, then <iq type='result'/>,
//!    and a push to every session that asked for the list
//!
//! from a blocked address: presence, results ─► dropped (an end of a subscription still changes the roster);
//!                         messages, requests ─► service-unavailable
//! to a blocked address:   not-acceptable with <blocked xmlns='urn:xmpp:blocking:errors'/>
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Kind, StanzaType};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::{
    Flow, Hook, Info, Iq, IqRoute, Module, Outcome, Phase, Place, Stanza, Status, reporting,
};
use crate::account::{Account, COLLECTION, store_refusal};
use crate::shard::{Reply, Request, Turn};

/// XEP-0191.
pub(super) const INFO: Info = Info {
    xep: 191,
    title: "Blocking Command",
    version: "1.3",
    status: Status::Complete,
    note: "polite blocking: subscriptions stay",
};

/// The document's key.
const KEY: &str = "blocklist";

/// Keeps stanzas of and to blocked addresses away.
pub(super) struct Blocking;

/// The addresses that an account has blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockList(BTreeSet<Jid>);

impl Module for Blocking {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        if place == Place::Account {
            &[]
        } else {
            &[ns::BLOCKING]
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn own(stanza_type: StanzaType, name: &'static str) -> IqRoute {
            IqRoute {
                place: Place::Own,
                stanza_type,
                namespace: ns::BLOCKING,
                name,
            }
        }
        const ROUTES: &[IqRoute] = &[
            own(StanzaType::Get, "blocklist"),
            own(StanzaType::Set, "block"),
            own(StanzaType::Set, "unblock"),
        ];
        ROUTES
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[
            (Hook::Loaded, Phase::Privacy),
            (Hook::Submit, Phase::Privacy),
            (Hook::Arrive, Phase::Privacy),
        ]
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        match iq.payload.name() {
            "blocklist" => list(account, turn, iq),
            name => match items(&iq.payload) {
                Err(error) => Outcome::Error(error),
                Ok(items) if name == "block" => {
                    block(account, turn, items, reporting::reports(&iq.payload))
                }
                Ok(items) => unblock(account, items),
            },
        }
    }

    fn loaded(&self, account: &mut Account, documents: &[(String, Bytes)]) {
        if let Some((_, document)) = documents.iter().find(|(key, _)| key == KEY) {
            account.slots.set(BlockList::read(document));
        }
    }

    fn submit(&self, account: &mut Account, _turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        let Some(list) = account.slots.get::<BlockList>() else {
            return Flow::Continue;
        };
        // Unavailable presence may always go: blocking itself sends it, and it tells nothing new.
        let leaves =
            stanza.rec.kind == Kind::Presence && stanza.rec.stanza_type == StanzaType::Unavailable;
        match stanza.to {
            Some(to) if !leaves && !account.jid().same_bare(to) && list.blocks(to) => Flow::Reject(
                StanzaError::new(Condition::NotAcceptable)
                    .with_type(ErrorType::Cancel)
                    .with_application(Element::new("blocked", ns::BLOCKING_ERRORS)),
            ),
            _ => Flow::Continue,
        }
    }

    /// XEP-0191 3.3: the account looks offline to whom it blocks.
    fn arrive(&self, account: &mut Account, _turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        let Some(list) = account.slots.get::<BlockList>() else {
            return Flow::Continue;
        };
        if account.jid().same_bare(stanza.from) || !list.blocks(stanza.from) {
            return Flow::Continue;
        }
        match (stanza.rec.kind, stanza.rec.stanza_type) {
            // The roster must learn of it, or the contact would go on seeing what it does not want,
            // and whoever gets its address after it as well. The account's clients only get the
            // roster push.
            (Kind::Presence, StanzaType::Unsubscribe | StanzaType::Unsubscribed) => Flow::Continue,
            (Kind::Presence, _) | (_, StanzaType::Error | StanzaType::Result) => Flow::Drop,
            _ => Flow::Reject(StanzaError::new(Condition::ServiceUnavailable)),
        }
    }
}

impl BlockList {
    /// Whether an address is blocked: itself, its bare JID, its domain with its resource, or its
    /// domain (XEP-0191 5).
    pub(crate) fn blocks(&self, jid: &Jid) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let at_domain = jid
            .resource()
            .map(|resource| format!("{}/{resource}", jid.domain()));
        self.0.contains(jid.as_str())
            || self.0.contains(jid.bare_str())
            || at_domain.is_some_and(|jid| self.0.contains(jid.as_str()))
            || self.0.contains(jid.domain())
    }

    fn read(document: &[u8]) -> Self {
        let lines = std::str::from_utf8(document).unwrap_or_default().lines();
        Self(lines.filter_map(|line| Jid::parse(line).ok()).collect())
    }

    /// The document: one address a line. No JID holds a line end.
    fn write(&self) -> Bytes {
        let lines: Vec<&str> = self.0.iter().map(Jid::as_str).collect();
        Bytes::from(lines.join("\n"))
    }
}

fn items(payload: &Element) -> Result<BTreeSet<Jid>, StanzaError> {
    payload
        .elements()
        .filter(|child| child.is("item", ns::BLOCKING))
        .map(|item| {
            let jid = item
                .attr("jid")
                .ok_or_else(|| StanzaError::new(Condition::BadRequest))?;
            Jid::parse(jid).map_err(|_| StanzaError::new(Condition::JidMalformed))
        })
        .collect()
}

fn list(account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    if let Some(session) = iq.session.and_then(|id| account.sessions.get_mut(id)) {
        session.wants_block_list = true;
        turn.remember(session);
    }
    let list = account.slots.get::<BlockList>();
    let jids = list.into_iter().flat_map(|list| &list.0);
    Outcome::Result(Some(element("blocklist", jids)))
}

fn block(
    account: &mut Account,
    turn: &Turn<'_>,
    items: BTreeSet<Jid>,
    reports: Vec<reporting::Report>,
) -> Outcome {
    if items.is_empty() {
        return Outcome::Error(StanzaError::new(Condition::BadRequest));
    }
    let mut list = account.slots.get_or_default::<BlockList>().clone();
    let new: BTreeSet<Jid> = items
        .iter()
        .filter(|jid| !list.blocks(jid))
        .cloned()
        .collect();
    list.0.extend(items.iter().cloned());
    if list.0.len() > turn.options.blocklist_items_max as usize {
        return Outcome::Error(
            StanzaError::new(Condition::PolicyViolation)
                .with_type(ErrorType::Modify)
                .with_text("the block list is full"),
        );
    }
    store(account, list, move |account, turn| {
        for contact in affected(account, &new) {
            account.send_unavailability(turn, &contact);
        }
        let new = BlockList(new);
        account.end_directed(turn, |jid| new.blocks(jid));
        push(account, turn, &element("block", &items));
        reporting::tell(account, turn, reports);
    })
}

/// Without items, everything is unblocked (XEP-0191 3.5).
fn unblock(account: &mut Account, items: BTreeSet<Jid>) -> Outcome {
    let old = account.slots.get_or_default::<BlockList>().clone();
    let gone: BTreeSet<Jid> = if items.is_empty() {
        old.0.clone()
    } else {
        old.0.intersection(&items).cloned().collect()
    };
    let list = BlockList(old.0.difference(&gone).cloned().collect());
    store(account, list, move |account, turn| {
        for contact in affected(account, &gone) {
            if !account.blocks(&contact) {
                account.send_availability(turn, &contact);
            }
        }
        see_again(account, turn, &gone);
        push(account, turn, &element("unblock", &items));
    })
}

/// Stores the list; it is in force, and told, once it is durable.
fn store(
    account: &Account,
    list: BlockList,
    then: impl FnOnce(&mut Account, &mut Turn<'_>) + Send + 'static,
) -> Outcome {
    let request = Request::PutDocument {
        owner: Jid::clone(account.jid()),
        collection: COLLECTION,
        key: KEY.into(),
        document: list.write(),
    };
    Outcome::wait(request, move |account, turn, _, reply| match reply {
        Reply::Done => {
            account.slots.set(list);
            then(account, turn);
            Outcome::Result(None)
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

/// The subscribers whom a change of these entries concerns.
fn affected(account: &Account, changed: &BTreeSet<Jid>) -> Vec<Arc<Jid>> {
    let changed = BlockList(changed.clone());
    account
        .roster
        .subscribers()
        .filter(|jid| changed.blocks(jid))
        .cloned()
        .collect()
}

/// Asks those for their presence whose presence was dropped.
fn see_again(account: &Account, turn: &mut Turn<'_>, gone: &BTreeSet<Jid>) {
    let gone = BlockList(gone.clone());
    let seen = account.roster.publishers();
    for contact in seen.filter(|jid| gone.blocks(jid) && !account.blocks(jid)) {
        account.probe(turn, contact);
    }
}

fn push(account: &Account, turn: &mut Turn<'_>, payload: &Element) {
    for session in account.sessions.iter() {
        if !session.wants_block_list {
            continue;
        }
        let push = Element::new("iq", ns::CLIENT)
            .with_attr("to", session.jid.as_str())
            .with_attr("id", turn.entropy.token())
            .with_attr("type", "set")
            .with_child(payload.clone());
        turn.deliver_bytes(&session.sink, &session.jid, push.to_bytes());
    }
}

fn element<'a>(name: &'static str, jids: impl IntoIterator<Item = &'a Jid>) -> Element {
    let item = |jid: &Jid| Element::new("item", ns::BLOCKING).with_attr("jid", jid.as_str());
    jids.into_iter()
        .fold(Element::new(name, ns::BLOCKING), |list, jid| {
            list.with_child(item(jid))
        })
}

impl Account {
    /// Whether the account has blocked any address at all.
    pub(crate) fn blocks_anybody(&self) -> bool {
        self.slots
            .get::<BlockList>()
            .is_some_and(|list| !list.0.is_empty())
    }

    /// Whether the account has blocked an address.
    pub fn blocks(&self, jid: &Jid) -> bool {
        self.slots
            .get::<BlockList>()
            .is_some_and(|list| list.blocks(jid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).expect("a valid JID")
    }

    #[test]
    fn an_entry_blocks_what_section_5_says() {
        let list = BlockList(
            [
                jid("romeo@montague.net"),
                jid("spam.example"),
                jid("a@b.c/d"),
            ]
            .into(),
        );
        assert!(list.blocks(&jid("romeo@montague.net/orchard")));
        assert!(list.blocks(&jid("anybody@spam.example/x")));
        assert!(list.blocks(&jid("a@b.c/d")));
        assert!(!list.blocks(&jid("a@b.c/e")));
        assert!(!list.blocks(&jid("juliet@montague.net")));
    }

    #[test]
    fn a_list_survives_its_document() {
        let list = BlockList([jid("romeo@montague.net"), jid("spam.example")].into());
        assert_eq!(BlockList::read(&list.write()), list);
    }
}
