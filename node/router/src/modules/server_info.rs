//! XEP-0485: PubSub Server Information.
//!
//! ```text
//! C: <iq type='get' to='host'><query xmlns='…disco#info'/></iq>
//! S: …<feature var='urn:xmpp:serverinfo:0'/>…
//!    <field var='serverinfo-pubsub-node'><value>xmpp:host?;node=serverinfo</value></field>…
//! C: <iq type='get' to='host'><pubsub xmlns='…pubsub'><items node='serverinfo'/></pubsub></iq>
//! S: …<item id='current'><serverinfo xmlns='urn:xmpp:serverinfo:0'>
//!      <domain name='host'><federation/></domain></serverinfo></item>…
//! ```
//!
//! A host that `[server_info]` names is a publish-subscribe service (XEP-0060) with one node, open to everybody, of one
//! item, which is written anew for each who reads it. Nobody publishes or subscribes: such requests get the errors that
//! XEP-0060 has for what a service does not do. Any other host is no such service at all, for that it tells of itself
//! is what the feature says, and lets other servers name it (4). There is no other server yet with which it could be
//! connected, so `federation` is empty.

use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::uri;

use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::Account;
use crate::environment::Environment;
use crate::shard::Turn;

/// XEP-0485.
pub(super) const INFO: Info = Info {
    xep: 485,
    title: "PubSub Server Information",
    version: "1.0.0",
    status: Status::Complete,
    note: "for hosts in `[server_info]`; the node can be read, and XEP-0060 is no wider than that",
};

/// The node.
const NODE: &str = "serverinfo";

/// Its only item, as in the examples of the XEP.
const ITEM: &str = "current";

/// What a host shows that tells of itself (XEP-0060 10, XEP-0485 2).
pub(super) const FEATURES: [&str; 4] = [
    ns::PUBSUB,
    "http://jabber.org/protocol/pubsub#meta-data",
    "http://jabber.org/protocol/pubsub#retrieve-items",
    ns::PUBSUB_SERVER_INFO,
];

/// Tells of the server's hosts.
pub(super) struct PubsubServerInfo;

impl Module for PubsubServerInfo {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn route(stanza_type: StanzaType, namespace: &'static str) -> IqRoute {
            IqRoute {
                place: Place::Host,
                stanza_type,
                namespace,
                name: "pubsub",
            }
        }
        const ROUTES: &[IqRoute] = &[
            route(StanzaType::Get, ns::PUBSUB),
            route(StanzaType::Set, ns::PUBSUB),
            route(StanzaType::Get, ns::PUBSUB_OWNER),
            route(StanzaType::Set, ns::PUBSUB_OWNER),
        ];
        ROUTES
    }

    fn iq(&self, _account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        if !turn.env.server_info.load().is_published(iq.host()) {
            return Outcome::unavailable();
        }
        match read(&iq.payload, iq.is_set()) {
            Ok(wanted) => Outcome::Result(Some(answer(iq.host(), wanted))),
            Err(error) => Outcome::Error(error),
        }
    }
}

/// Where a host tells of itself, for the form that it shares with its contact addresses.
pub(super) fn field(env: &Environment, host: &str) -> Option<Field> {
    let field = Field::new(FieldType::TextSingle, "serverinfo-pubsub-node");
    let is_published = env.server_info.load().is_published(host);
    is_published.then(|| field.with_value(uri::pubsub_node(host, NODE)))
}

/// The node among the items of a host (XEP-0060 5.2).
pub(super) fn item(env: &Environment, host: &str) -> Option<Element> {
    let is_published = env.server_info.load().is_published(host);
    is_published.then(|| {
        disco_item(host)
            .with_attr("name", TITLE)
            .with_attr("node", NODE)
    })
}

/// What disco tells of the node (XEP-0060 5.3 to 5.5); `None` for another one.
pub(super) fn disco(env: &Environment, iq: &Iq, node: &str) -> Option<Element> {
    if node != NODE || !env.server_info.load().is_published(iq.host()) {
        return None;
    }
    if iq.payload.ns() == ns::DISCO_ITEMS {
        let item = disco_item(iq.host()).with_attr("name", ITEM);
        let query = Element::new("query", ns::DISCO_ITEMS).with_attr("node", node);
        return Some(query.with_child(item));
    }
    let feature = Element::new("feature", ns::DISCO_INFO).with_attr("var", ns::PUBSUB);
    let query = Element::new("query", ns::DISCO_INFO).with_attr("node", node);
    Some(
        query
            .with_child(identity("leaf"))
            .with_child(feature)
            .with_child(meta_data().to_element()),
    )
}

/// The identity of a publish-subscribe service, or of a part of it.
pub(super) fn identity(kind: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", "pubsub")
        .with_attr("type", kind)
}

fn disco_item(host: &str) -> Element {
    Element::new("item", ns::DISCO_ITEMS).with_attr("jid", host)
}

/// XEP-0060 5.4.
fn meta_data() -> DataForm {
    let fields = [
        ("pubsub#title", TITLE),
        ("pubsub#type", ns::PUBSUB_SERVER_INFO),
        ("pubsub#access_model", "open"),
        ("pubsub#publish_model", "publishers"),
        ("pubsub#max_items", "1"),
    ];
    let form = DataForm::new(FormKind::Result)
        .with_form_type("http://jabber.org/protocol/pubsub#meta-data");
    let fields = fields.map(|(var, value)| Field::submitted(var, value));
    fields.into_iter().fold(form, DataForm::with_field)
}

/// Whether the item is wanted, of a request that may be served: else it is asked for others, of which there are none.
fn read(pubsub: &Element, is_set: bool) -> Result<bool, StanzaError> {
    let mut parts = pubsub.elements().filter(|it| it.ns() == pubsub.ns());
    let part = parts.next().ok_or_else(bad_request)?;
    let is_owners = pubsub.ns() == ns::PUBSUB_OWNER;
    if is_owners || is_set || part.name() != "items" {
        return Err(not_done(part, is_owners, is_set));
    }
    match part.attr("node") {
        Some(NODE) => {}
        Some(_) => return Err(StanzaError::new(Condition::ItemNotFound)),
        None => return Err(bad_request().with_application(pubsub_error("nodeid-required"))),
    }
    // A positive number, and there is one item.
    let is_number = |max: &str| max.parse().is_ok_and(|max: u64| max > 0);
    if !part.attr("max_items").is_none_or(is_number) {
        return Err(bad_request().with_text("max_items is a number from 1"));
    }
    let mut named = part.elements().filter(|it| it.is("item", ns::PUBSUB));
    let asks_for_all = part.child("item", ns::PUBSUB).is_none();
    Ok(asks_for_all || named.any(|item| item.attr("id") == Some(ITEM)))
}

/// XEP-0060 6.5: the item, or no item of the node.
fn answer(host: &str, is_wanted: bool) -> Element {
    let item = is_wanted.then(|| {
        Element::new("item", ns::PUBSUB)
            .with_attr("id", ITEM)
            .with_child(told(host))
    });
    let items = Element::new("items", ns::PUBSUB)
        .with_attr("node", NODE)
        .with_children(item);
    Element::new("pubsub", ns::PUBSUB).with_child(items)
}

/// XEP-0485 3.
fn told(host: &str) -> Element {
    let part = |name| Element::new(name, ns::PUBSUB_SERVER_INFO);
    let domain = part("domain")
        .with_attr("name", host)
        .with_child(part("federation"));
    part("serverinfo").with_child(domain)
}

/// Why something is not done: there is no such node, or the service does not do it.
fn not_done(part: &Element, is_owners: bool, is_set: bool) -> StanzaError {
    let Some(feature) = feature(part.name(), is_owners, is_set) else {
        return bad_request();
    };
    let node = part.attr("node").filter(|_| part.name() != "create");
    if node.is_some_and(|node| node != NODE) {
        return StanzaError::new(Condition::ItemNotFound);
    }
    let unsupported = pubsub_error("unsupported").with_attr("feature", feature);
    StanzaError::new(Condition::FeatureNotImplemented).with_application(unsupported)
}

/// The feature that a request would need (XEP-0060 10); `None` for what is no request.
fn feature(part: &str, is_owners: bool, is_set: bool) -> Option<&'static str> {
    let requests = if is_owners { OF_OWNERS } else { OF_ALL };
    let known = requests
        .iter()
        .find(|(name, set, _)| *name == part && set.is_none_or(|set| set == is_set));
    known.map(|(_, _, feature)| *feature)
}

/// The part of a request, whether it is a `set` where it can only be one of the two, and its feature.
type Request = (&'static str, Option<bool>, &'static str);

const OF_ALL: &[Request] = &[
    ("affiliations", Some(false), "retrieve-affiliations"),
    ("create", Some(true), "create-nodes"),
    ("default", Some(false), "retrieve-default-sub"),
    ("options", None, "subscription-options"),
    ("publish", Some(true), "publish"),
    ("retract", Some(true), "delete-items"),
    ("subscribe", Some(true), "subscribe"),
    ("subscriptions", Some(false), "retrieve-subscriptions"),
    ("unsubscribe", Some(true), "subscribe"),
];

const OF_OWNERS: &[Request] = &[
    ("affiliations", None, "modify-affiliations"),
    ("configure", None, "config-node"),
    ("default", Some(false), "retrieve-default"),
    ("delete", Some(true), "delete-nodes"),
    ("purge", Some(true), "purge-nodes"),
    ("subscriptions", None, "manage-subscriptions"),
];

fn bad_request() -> StanzaError {
    StanzaError::new(Condition::BadRequest)
}

fn pubsub_error(name: &'static str) -> Element {
    Element::new(name, ns::PUBSUB_ERRORS)
}

/// What the node is about, for people.
const TITLE: &str = "Server information";

#[cfg(test)]
mod tests {
    use super::*;

    fn request(namespace: &'static str, part: Element) -> Element {
        Element::new("pubsub", namespace).with_child(part)
    }

    fn items() -> Element {
        Element::new("items", ns::PUBSUB).with_attr("node", NODE)
    }

    fn refused(namespace: &'static str, name: &'static str, is_set: bool) -> StanzaError {
        let part = Element::new(name, namespace).with_attr("node", NODE);
        read(&request(namespace, part), is_set).expect_err("it is not done")
    }

    #[test]
    fn the_item_is_given_to_who_asks_for_it_or_for_all() {
        let item = |id: &str| Element::new("item", ns::PUBSUB).with_attr("id", id);
        for (items, is_wanted) in [
            (items(), true),
            (items().with_attr("max_items", "5"), true),
            (items().with_child(item(ITEM)), true),
            (items().with_child(item("old")).with_child(item(ITEM)), true),
            (items().with_child(item("old")), false),
        ] {
            assert_eq!(read(&request(ns::PUBSUB, items), false), Ok(is_wanted));
        }
        let told = answer("a.example", true).to_bytes();
        let item = "<item id=\"current\"><serverinfo xmlns=\"urn:xmpp:serverinfo:0\">\
                    <domain name=\"a.example\"><federation/></domain></serverinfo></item>";
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(told.contains(item), "{told}");
        let none = answer("a.example", false);
        assert!(none.child("items", ns::PUBSUB).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_request_for_the_node_is_told_so() {
        let error = |items| read(&request(ns::PUBSUB, items), false).unwrap_err();
        let other = Element::new("items", ns::PUBSUB).with_attr("node", "other");
        assert_eq!(error(other).condition, Condition::ItemNotFound);
        for max in ["0", "-1", "many", ""] {
            let error = error(items().with_attr("max_items", max));
            assert_eq!(error.condition, Condition::BadRequest, "{max}");
        }
        let unnamed = error(Element::new("items", ns::PUBSUB));
        assert_eq!(unnamed.condition, Condition::BadRequest);
        assert_eq!(unnamed.application.unwrap().name(), "nodeid-required");
        let empty = read(&Element::new("pubsub", ns::PUBSUB), false);
        assert_eq!(empty.unwrap_err().condition, Condition::BadRequest);
    }

    #[test]
    fn what_the_service_does_not_do_has_the_name_of_the_feature() {
        let all = OF_ALL.iter().map(|it| (ns::PUBSUB, it));
        let owners = OF_OWNERS.iter().map(|it| (ns::PUBSUB_OWNER, it));
        for (namespace, (name, set, feature)) in all.chain(owners) {
            let error = refused(namespace, name, set.unwrap_or(true));
            assert_eq!(error.condition, Condition::FeatureNotImplemented, "{name}");
            let why = error.application.unwrap();
            assert_eq!(
                (why.name(), why.attr("feature")),
                ("unsupported", Some(*feature))
            );
            if let Some(set) = set {
                let error = refused(namespace, name, !set);
                assert_eq!(error.condition, Condition::BadRequest, "{name}");
            }
        }
        assert_eq!(
            refused(ns::PUBSUB, "items", true).condition,
            Condition::BadRequest
        );
        let elsewhere = Element::new("subscribe", ns::PUBSUB).with_attr("node", "other");
        let error = read(&request(ns::PUBSUB, elsewhere), true).unwrap_err();
        assert_eq!(error.condition, Condition::ItemNotFound);
    }
}
