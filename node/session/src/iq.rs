//! The few IQs that a session answers itself.

use rookery_xmpp::element::Element;
use rookery_xmpp::stanza;
use rookery_xmpp::stanza_error::StanzaError;

use crate::context::Context;

/// Answers a request, in canonical bytes, with an error from the host. What must not be answered is not.
pub(crate) fn refuse(request: &[u8], error: &StanzaError, cx: &mut Context<'_>) {
    let Some(rec) = stanza::parse_rec(request) else {
        return;
    };
    if let Some(reply) = error.reply_to(request, &rec, Some(&cx.host().domain), None) {
        cx.send(reply);
    }
}

/// Answers a request, in canonical bytes, with a result.
pub(crate) fn answer(request: &[u8], payload: Option<&Element>, cx: &mut Context<'_>) {
    if let Some(rec) = stanza::parse_rec(request) {
        cx.send(stanza::iq_result(request, &rec, None, None, payload));
    }
}
