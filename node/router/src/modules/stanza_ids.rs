//! XEP-0359: Unique and Stable Stanza IDs.
//!
//! ```text
//! to juliet:   <message …>…<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@capulet.lit' id='…'/></message>
//!              a stranger wrote it ─► it is taken out; hers is written where the message is archived
//! ```
//!
//! Ids are written by `account::archiving`, where a message gets its place in the archive: in what arrives, and in the
//! copies of what was sent that the account's other sessions get (XEP-0313 3.6). Here those are taken out
//! that name the account and that it did not write, every one of them, whether it archives or not (rule 3.2): clients
//! take an id of their own account for a place in its archive. Ids of others, and `<origin-id/>`, pass (rule 3.3).

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Flags, Kind};

use super::{Flow, Hook, Info, Module, Phase, Place, Stanza, Status};
use crate::account::Account;
use crate::shard::Turn;

/// XEP-0359.
pub(super) const INFO: Info = Info {
    xep: 359,
    title: "Unique and Stable Stanza IDs",
    version: "0.7.0",
    status: Status::Complete,
    note: "written where a message is archived; ids tell the order of messages",
};

/// Takes out forged ids.
pub(super) struct StanzaIds;

impl Module for StanzaIds {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        match place {
            Place::Own | Place::Account => &[ns::STANZA_IDS],
            Place::Host => &[],
        }
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[
            (Hook::Submit, Phase::Validate),
            (Hook::Arrive, Phase::Validate),
        ]
    }

    fn submit(&self, account: &mut Account, _turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        without_ids_of(account.jid(), stanza)
    }

    fn arrive(&self, account: &mut Account, _turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        without_ids_of(account.jid(), stanza)
    }
}

/// The stanza without the ids that name the account as their author.
fn without_ids_of(account: &Jid, stanza: Stanza<'_>) -> Flow {
    let is_message = stanza.rec.kind == Kind::Message;
    if !is_message || !stanza.rec.flags.contains(Flags::STANZA_ID) {
        return Flow::Continue;
    }
    let Ok(mut element) = Element::parse(stanza.bytes()) else {
        return Flow::Continue;
    };
    let is_forged = |child: &Element| {
        let by = || child.attr("by").and_then(|by| Jid::parse(by).ok());
        child.is("stanza-id", ns::STANZA_IDS) && by().is_some_and(|by| by.same_bare(account))
    };
    if !element.elements().any(is_forged) {
        return Flow::Continue;
    }
    element.retain_children(|child| !is_forged(child));
    Flow::Replace(element.to_bytes())
}
