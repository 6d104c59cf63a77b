//! XEP-0199: XMPP Ping.
//!
//! ```text
//! C: <iq type='get' to='montague.lit'><ping xmlns='urn:xmpp:ping'/></iq>
//! S: <iq type='result' from='montague.lit'/>
//! ```

use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;

use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status};
use crate::account::Account;
use crate::shard::Turn;

/// XEP-0199.
pub(super) const INFO: Info = Info {
    xep: 199,
    title: "XMPP Ping",
    version: "2.0.1",
    status: Status::Complete,
    note: "",
};

/// Answers pings to hosts and to the own account.
pub(super) struct Ping;

impl Module for Ping {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, _place: Place) -> &'static [&'static str] {
        &[ns::PING]
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn ping(place: Place) -> IqRoute {
            IqRoute {
                place,
                stanza_type: StanzaType::Get,
                namespace: ns::PING,
                name: "ping",
            }
        }
        const ROUTES: &[IqRoute] = &[ping(Place::Own), ping(Place::Account), ping(Place::Host)];
        ROUTES
    }

    /// XEP-0199 4.2 and 4.3. For another's account only those who see its presence get an answer;
    /// for the rest it is as if nobody were there.
    fn iq(&self, account: &mut Account, _turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        if account.may_be_seen_by(iq) {
            Outcome::Result(None)
        } else {
            Outcome::unavailable()
        }
    }
}
