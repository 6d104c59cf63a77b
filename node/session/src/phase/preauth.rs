//! Invitations before login (XEP-0445): the token that a stranger shows stays with the stream, and goes with each
//! registration.
//!
//! ```text
//! C: <preauth xmlns='urn:xmpp:pars:0' token='…'/>   shard: is it good?   S: result, or item-not-found
//! C: <query xmlns='jabber:iq:register'>…            shard: with the token, and for how long it was shown
//! ```
//!
//! A wrong token counts as a failed login of the client's address, so that who guesses is let in no more.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{StanzaType, parse_rec};

use crate::carrier::{Answer, ShownToken};
use crate::context::Context;
use crate::effect::Effect;

/// The invitation of one stream.
#[derive(Default)]
pub(super) struct Preauth {
    /// The token that waits for an answer.
    asked: Option<String>,
    /// The token that was found good, and when.
    good: Option<(String, Timestamp)>,
}

impl Preauth {
    /// The token that an IQ shows, if it shows one; empty if it should have.
    pub(super) fn token_of(iq: &Element) -> Option<&str> {
        let preauth = iq.child("preauth", ns::PARS)?;
        (iq.attr("type") == Some("set")).then(|| preauth.attr("token").unwrap_or_default())
    }

    /// A token is asked about, and no earlier one counts from now on.
    pub(super) fn ask(&mut self, token: &str) -> Box<ShownToken> {
        self.good = None;
        self.asked = Some(token.to_owned());
        Box::new(ShownToken {
            token: token.to_owned(),
            age_ms: 0,
        })
    }

    /// What goes with a registration.
    pub(super) fn shown(&self, now: Timestamp) -> Option<Box<ShownToken>> {
        let (token, since) = self.good.as_ref()?;
        Some(Box::new(ShownToken {
            token: token.clone(),
            age_ms: now.as_millis().saturating_sub(since.as_millis()),
        }))
    }

    /// The shard has answered; it changes nothing if no token was asked about.
    pub(super) fn answered(&mut self, answer: &Answer, cx: &mut Context<'_>) {
        let Some(token) = self.asked.take() else {
            return;
        };
        let Answer::Iq(reply) = answer else {
            return;
        };
        if parse_rec(reply).is_some_and(|rec| rec.stanza_type == StanzaType::Result) {
            self.good = Some((token, cx.now));
        } else if says_unknown(reply) {
            cx.effects.push(Effect::ReportLogin {
                address: cx.facts.address,
                account: None,
                mechanism: MECHANISM,
                succeeded: false,
            });
        }
    }
}

/// Nobody reads a token in a log.
impl std::fmt::Debug for Preauth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (asks, has) = (self.asked.is_some(), self.good.is_some());
        write!(f, "Preauth {{ asks: {asks}, has: {has} }}")
    }
}

/// Anything else, such as a control group out of reach, is not the client's doing.
fn says_unknown(reply: &[u8]) -> bool {
    let error = Element::parse(reply).ok();
    let error = error.as_ref().and_then(|iq| iq.child("error", ns::CLIENT));
    error.is_some_and(|error| error.child("item-not-found", ns::STANZA_ERRORS).is_some())
}

/// As which mechanism it is counted.
const MECHANISM: &str = "PREAUTH";
