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
    Info, Iq, IqRoute, Module, Outcome, Place, Status, caps, commands, extended_disco, server_info,
};
use crate::account::Account;
use crate::environment::Environment;
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
                .or_else(|| server_info::disco(turn.env, iq, node))
        {
            return Outcome::Result(Some(answer));
        }
        if iq.payload.ns() == ns::DISCO_ITEMS {
            return match node {
                None => Outcome::Result(Some(items(turn.env, iq))),
                Some(_) => Outcome::Error(StanzaError::new(Condition::ItemNotFound)),
            };
        }
        let info = info(turn.env, iq.place, iq.host());
        match node {
            None => Outcome::Result(Some(info)),
            // XEP-0115 6.2: our own capabilities, under the node that presence and stream features
            // show.
            Some(node) if iq.place == Place::Host && node == caps::node(turn.env, iq.host()) => {
                Outcome::Result(Some(info.with_attr("node", node)))
            }
            Some(_) => Outcome::Error(StanzaError::new(Condition::ItemNotFound)),
        }
    }
}

/// The `disco#items` of a place: what a host publishes.
fn items(env: &Environment, iq: &Iq) -> Element {
    let items = match iq.place {
        Place::Host => server_info::item(env, iq.host()),
        Place::Own | Place::Account => None,
    };
    Element::new("query", ns::DISCO_ITEMS).with_children(items)
}

/// The `disco#info` of a place at this host, with identities, features and forms in their canonical order.
pub(super) fn info(env: &Environment, place: Place, host: &str) -> Element {
    let (category, kind, name) = match place {
        Place::Host => ("server", "im", Some(super::version::NAME)),
        Place::Own | Place::Account => ("account", "registered", None),
    };
    let identity = Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", category)
        .with_attr("type", kind)
        .with_optional_attr("name", name);
    let (mut identities, mut features) = (vec![identity], env.modules.features(place));
    if place == Place::Host && env.server_info.load().is_published(host) {
        identities.insert(0, server_info::identity("service"));
        features.extend(server_info::FEATURES);
        features.sort_unstable();
    }
    let feature = |var| Element::new("feature", ns::DISCO_INFO).with_attr("var", var);
    Element::new("query", ns::DISCO_INFO)
        .with_children(identities)
        .with_children(features.into_iter().map(feature))
        .with_children(extended_disco::forms(env, place, host))
}
