//! XEP-0092: Software Version.
//!
//! ```text
//! C: <iq type='get' to='montague.lit'><query xmlns='jabber:iq:version'/></iq>
//! S: <iq type='result' from='montague.lit'><query xmlns='jabber:iq:version'><name>Rookery</name>…</query></iq>
//! ```

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;

use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::Account;
use crate::shard::Turn;

/// XEP-0092.
pub const INFO: Info = Info {
    xep: 92,
    title: "Software Version",
    version: "1.1",
    status: Status::Complete,
    note: "the operating system is not told",
};

/// The name under which this server shows itself.
pub const NAME: &str = "Rookery";
/// Its version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Answers which software this is.
pub struct Version;

impl Module for Version {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        if place == Place::Host {
            &[ns::VERSION]
        } else {
            &[]
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        &[IqRoute {
            place: Place::Host,
            stanza_type: StanzaType::Get,
            namespace: ns::VERSION,
            name: "query",
        }]
    }

    fn iq(&self, _account: &mut Account, _turn: &mut Turn<'_>, _iq: &Iq) -> Outcome {
        let field = |name, text| Element::new(name, ns::VERSION).with_text(text);
        let query = Element::new("query", ns::VERSION)
            .with_child(field("name", NAME))
            .with_child(field("version", VERSION));
        Outcome::Result(Some(query))
    }
}
