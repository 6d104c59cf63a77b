//! XEP-0203: Delayed Delivery.
//!
//! ```text
//! from the log:  <message …>…<delay xmlns='urn:xmpp:delay' from='montague.lit' stamp='…'/></message>
//! C:             <message …>…<delay from='montague.lit' …/></message> ─► the element is taken out
//! ```
//!
//! The stamp of messages that waited is written by `account::offline`. Here stamps are taken out
//! that a client wrote in another's name, every one of them: recipients believe a stamp of a server
//! (section 4).

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::Flags;

use super::{Flow, Hook, Info, Module, Phase, Stanza, Status};
use crate::account::Account;
use crate::shard::Turn;

/// XEP-0203.
pub(super) const INFO: Info = Info {
    xep: 203,
    title: "Delayed Delivery",
    version: "2.0",
    status: Status::Complete,
    note: "stamps that clients forge are taken out",
};

/// Takes out forged stamps.
pub(super) struct DelayedDelivery;

impl Module for DelayedDelivery {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[(Hook::Submit, Phase::Validate)]
    }

    fn submit(&self, _account: &mut Account, _turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        if !stanza.rec.flags.contains(Flags::DELAY) {
            return Flow::Continue;
        }
        let Ok(mut element) = Element::parse(stanza.bytes()) else {
            return Flow::Continue;
        };
        let is_forged = |child: &Element| {
            child.is("delay", ns::DELAY) && !is_own(child.attr("from"), stanza.from)
        };
        if !element.elements().any(is_forged) {
            return Flow::Continue;
        }
        element.retain_children(|child| !is_forged(child));
        Flow::Replace(element.to_bytes())
    }
}

/// Whether a stamp is in the sender's own name.
fn is_own(from: Option<&str>, sender: &Jid) -> bool {
    from.and_then(|from| Jid::parse(from).ok())
        .is_some_and(|from| from.same_bare(sender))
}
