//! XEP-0030: Service Discovery.
//!
//! ```text
//! C: <iq type='get' to='montague.lit'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
//! S: <iq type='result'><query …><identity category='server' type='im'/><feature var='urn:xmpp:ping'/>…</query></iq>
//! ```
//!
//! What is shown are the features of all modules at that place. An account is shown to itself and
//! to those who see its presence (XEP-0030 8); for others it is as if nobody were there.

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::{
    Info, Iq, IqRoute, Module, Outcome, Place, Registry, Status, caps, commands, extended_disco,
};
use crate::account::Account;
use crate::contact::ContactOptions;
use crate::shard::Turn;

/// XEP-0030.
pub(super) const INFO: Info = Info {
    xep: 30,
    title: "Service Discovery",
    version: "2.5.0",
    status: Status::Complete,
    note: "",
};

/// Answers what is here.
pub(super) struct Disco;

impl Module for Disco {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, _place: Place) -> &'static [&'static str] {
        &[ns::DISCO_INFO, ns::DISCO_ITEMS]
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn route(place: Place, namespace: &'static str) -> IqRoute {
            IqRoute {
                place,
                stanza_type: StanzaType::Get,
                namespace,
                name: "query",
            }
        }
        const ROUTES: &[IqRoute] = &[
            route(Place::Own, ns::DISCO_INFO),
            route(Place::Account, ns::DISCO_INFO),
            route(Place::Host, ns::DISCO_INFO),
            route(Place::Own, ns::DISCO_ITEMS),
            route(Place::Account, ns::DISCO_ITEMS),
            route(Place::Host, ns::DISCO_ITEMS),
        ];
        ROUTES
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        if !account.may_be_seen_by(iq) {
            return Outcome::unavailable();
        }
        let node = iq.payload.attr("node").filter(|node| !node.is_empty());
        if let (Place::Host, Some(node)) = (iq.place, node)
            && let Some(answer) = commands::disco(account, turn, iq, node)
        {
            return Outcome::Result(Some(answer));
        }
        if iq.payload.ns() == ns::DISCO_ITEMS {
            return match node {
                None => Outcome::Result(Some(Element::new("query", ns::DISCO_ITEMS))),
                Some(_) => Outcome::Error(StanzaError::new(Condition::ItemNotFound)),
            };
        }
        let contact = turn.env.contact.load();
        let (modules, contact) = (&turn.env.modules, &contact.options);
        let info = info(modules, contact, iq.place);
        match node {
            None => Outcome::Result(Some(info)),
            // XEP-0115 6.2: our own capabilities, under the node that presence and stream features
            // show.
            Some(node) if iq.place == Place::Host && node == caps::node(modules, contact) => {
                Outcome::Result(Some(info.with_attr("node", node)))
            }
            Some(_) => Outcome::Error(StanzaError::new(Condition::ItemNotFound)),
        }
    }
}

/// The `disco#info` of a place, with identities, features and forms in their canonical order.
pub(super) fn info(modules: &Registry, contact: &ContactOptions, place: Place) -> Element {
    let (category, kind, name) = match place {
        Place::Host => ("server", "im", Some(super::version::NAME)),
        Place::Own | Place::Account => ("account", "registered", None),
    };
    let mut identity = Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", category)
        .with_attr("type", kind);
    if let Some(name) = name {
        identity.set_attr("name", name);
    }
    let mut query = Element::new("query", ns::DISCO_INFO).with_child(identity);
    for feature in modules.features(place) {
        query.push_child(Element::new("feature", ns::DISCO_INFO).with_attr("var", feature));
    }
    for form in extended_disco::forms(place, contact) {
        query.push_child(form);
    }
    query
}
