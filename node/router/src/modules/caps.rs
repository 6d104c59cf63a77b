//! XEP-0115: Entity Capabilities, the server's own.
//!
//! ```text
//! S: <stream:features>…<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:rookery:server' ver='…'/>
//! C: <iq type='get' to='montague.lit'><query xmlns='…disco#info' node='urn:rookery:server#…'/></iq>
//! ```
//!
//! Capabilities of clients pass through in their presence and are never interpreted, so there is
//! nothing to poison.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use sha1::{Digest, Sha1};

use super::{Info, Module, Place, Status, disco};
use crate::environment::Environment;

/// XEP-0115.
pub const INFO: Info = Info {
    xep: 115,
    title: "Entity Capabilities",
    version: "1.6.0",
    status: Status::Complete,
    note: "the server's own, as a stream feature",
};

/// The part of the node that names the software.
const NODE: &str = "urn:rookery:server";

/// Announces the server's capabilities.
pub struct Caps;

impl Module for Caps {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        if place == Place::Host {
            &[ns::CAPS]
        } else {
            &[]
        }
    }
}

/// The stream feature of a host (XEP-0115 6.3).
pub fn feature(env: &Environment, host: &str) -> Element {
    Element::new("c", ns::CAPS)
        .with_attr("hash", "sha-1")
        .with_attr("node", NODE)
        .with_attr("ver", hash(&disco::info(env, Place::Host, host)))
}

/// The node under which the capabilities of a host can be asked for.
pub(super) fn node(env: &Environment, host: &str) -> String {
    format!("{NODE}#{}", hash(&disco::info(env, Place::Host, host)))
}

/// The verification string's hash (XEP-0115 5.1).
fn hash(info: &Element) -> String {
    STANDARD.encode(Sha1::digest(verification_string(info)))
}

fn verification_string(info: &Element) -> String {
    let attr = |element: &Element, name| element.attr(name).unwrap_or_default().to_owned();
    let mut identities: Vec<String> = children(info, "identity")
        .map(|i| {
            let (category, kind) = (attr(i, "category"), attr(i, "type"));
            format!(
                "{category}/{kind}/{}/{}<",
                attr(i, "xml:lang"),
                attr(i, "name")
            )
        })
        .collect();
    identities.sort_unstable();
    let mut features: Vec<String> = children(info, "feature")
        .map(|feature| attr(feature, "var") + "<")
        .collect();
    features.sort_unstable();
    let mut forms: Vec<String> = info
        .elements()
        .filter(|child| child.is("x", ns::DATA_FORMS))
        .map(form_string)
        .collect();
    forms.sort_unstable();
    identities.concat() + &features.concat() + &forms.concat()
}

fn form_string(form: &Element) -> String {
    let mut form_type = String::new();
    let mut fields = Vec::new();
    for field in form
        .elements()
        .filter(|child| child.is("field", ns::DATA_FORMS))
    {
        let mut values: Vec<String> = field
            .elements()
            .filter(|child| child.is("value", ns::DATA_FORMS))
            .map(|value| value.text() + "<")
            .collect();
        values.sort_unstable();
        match field.attr("var") {
            Some("FORM_TYPE") => form_type = values.concat(),
            var => fields.push(format!("{}<{}", var.unwrap_or_default(), values.concat())),
        }
    }
    fields.sort_unstable();
    form_type + &fields.concat()
}

fn children<'a>(info: &'a Element, name: &'static str) -> impl Iterator<Item = &'a Element> {
    info.elements()
        .filter(move |child| child.is(name, ns::DISCO_INFO))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XEP-0115 5.2, the simple generation example.
    #[test]
    fn the_simple_example_has_its_hash() {
        let feature = |var| Element::new("feature", ns::DISCO_INFO).with_attr("var", var);
        let identity = Element::new("identity", ns::DISCO_INFO)
            .with_attr("category", "client")
            .with_attr("type", "pc")
            .with_attr("name", "Exodus 0.9.1");
        let info = Element::new("query", ns::DISCO_INFO)
            .with_child(identity)
            .with_child(feature("http://jabber.org/protocol/caps"))
            .with_child(feature("http://jabber.org/protocol/disco#info"))
            .with_child(feature("http://jabber.org/protocol/disco#items"))
            .with_child(feature("http://jabber.org/protocol/muc"));
        assert_eq!(hash(&info), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }
}
