//! XEP-0202: Entity Time.
//!
//! ```text
//! C: <iq type='get' to='montague.lit'><time xmlns='urn:xmpp:time'/></iq>
//! S: <iq type='result'><time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2006-12-19T17:58:35Z</utc></time></iq>
//! ```

use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;

use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::Account;
use crate::shard::Turn;

/// XEP-0202.
pub(super) const INFO: Info = Info {
    xep: 202,
    title: "Entity Time",
    version: "2.0",
    status: Status::Complete,
    note: "the server lives in UTC",
};

/// Answers what time it is.
pub(super) struct Time;

impl Module for Time {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        if place == Place::Host {
            &[ns::TIME]
        } else {
            &[]
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        &[IqRoute {
            place: Place::Host,
            stanza_type: StanzaType::Get,
            namespace: ns::TIME,
            name: "time",
        }]
    }

    fn iq(&self, _account: &mut Account, turn: &mut Turn<'_>, _iq: &Iq) -> Outcome {
        let field = |name, text: &str| Element::new(name, ns::TIME).with_text(text);
        let time = Element::new("time", ns::TIME)
            .with_child(field("tzo", "+00:00"))
            .with_child(field("utc", &datetime::format(turn.now)));
        Outcome::Result(Some(time))
    }
}
