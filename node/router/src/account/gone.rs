//! What is answered in the name of a deleted account while its tombstone holds (RFC 6120 8.3.3.5, RFC 6121 4.3.2).
//!
//! ```text
//! message, iq          error gone
//! presence probe       error gone, unsubscribed: the prober's roster has an account that is not there any more
//! presence             unsubscribe: its sender still shows itself to that account
//! subscribe            unsubscribed: it comes from the account, whose clients are shown no error of it
//! login, bind …        as for an account that never was: who logs in learns nothing
//! ```
//!
//! A deleted account tells its contacts at once; what a crash loses of that is made up for by these answers.

use std::sync::Arc;

use bytes::Bytes;
use rookery_store::name::Tombstone;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Kind, Rec, StanzaType};
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::{Work, absent};
use crate::shard::Turn;

/// Whether others are told of a tombstone.
pub(crate) fn is_told(turn: &Turn<'_>, tombstone: &Tombstone) -> bool {
    tombstone.holds(turn.now) && turn.env.names.load().gone_told
}

/// Answers for an account that is gone.
pub(crate) fn answer(turn: &mut Turn<'_>, work: Work) {
    let Work::Arrive {
        from,
        to,
        batch,
        next,
        ..
    } = &work
    else {
        return absent::answer(turn, work);
    };
    turn.receipt = work.receipt();
    for rec in &batch.recs[*next..] {
        stanza(turn, from, to, &batch.buf, *rec);
    }
    turn.receipt = None;
}

fn stanza(turn: &mut Turn<'_>, from: &Arc<Jid>, to: &Arc<Jid>, buf: &Bytes, rec: Rec) {
    let error = StanzaError::new(Condition::Gone).with_text("this account was deleted");
    match (rec.kind, rec.stanza_type) {
        (Kind::Message | Kind::Iq, _) => turn.bounce(from, to, buf, rec, &error),
        (Kind::Presence, StanzaType::Subscribe) => presence(turn, from, to, "unsubscribed", None),
        (Kind::Presence, StanzaType::Probe) => {
            presence(turn, from, to, "error", Some(&error));
            presence(turn, from, to, "unsubscribed", None);
        }
        (Kind::Presence, StanzaType::None) => presence(turn, from, to, "unsubscribe", None),
        (Kind::Presence | Kind::Other, _) => {}
    }
}

/// A presence to the sender's account, which is of this server: others are not reached yet.
fn presence(
    turn: &mut Turn<'_>,
    sender: &Arc<Jid>,
    gone: &Arc<Jid>,
    presence_type: &str,
    error: Option<&StanzaError>,
) {
    if !turn.env.is_local(sender.domain()) {
        return;
    }
    let (gone, sender) = (Arc::new(gone.to_bare()), Arc::new(sender.to_bare()));
    let mut presence = Element::new("presence", ns::CLIENT)
        .with_attr("from", gone.as_str())
        .with_attr("to", sender.as_str())
        .with_attr("type", presence_type);
    if let Some(error) = error {
        presence = presence.with_child(error.to_element());
    }
    turn.route_element(&gone, &sender, &presence);
}
