//! The client must begin TLS (RFC 6120 5). Nothing else is offered, and nothing else is done.

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stream_error::StreamCondition;

use super::{Handshaking, Phase, misplaced, unexpected_header};
use crate::context::Context;
use crate::effect::Effect;
use crate::event::Event;
use crate::sasl::{Condition, Failure};

/// Waits for `<starttls/>`.
#[derive(Debug, Default)]
pub(crate) struct Securing {
    logins: u32,
}

impl Securing {
    pub(crate) fn handle(self, event: Event<'_>, cx: &mut Context<'_>) -> Phase {
        match event {
            Event::Element(element) if element.is("starttls", ns::TLS) => {
                cx.send_element(&Element::new("proceed", ns::TLS));
                cx.effects.push(Effect::StartTls);
                Phase::Handshaking(Handshaking)
            }
            Event::Element(element) if element.ns() == ns::SASL => self.refuse_login(cx),
            Event::Element(element) => misplaced(element, cx),
            Event::Opened(_) => unexpected_header(cx),
            _ => Phase::Securing(self),
        }
    }

    /// RFC 6120 6.5.3. A password that came along is lost already, but the next one need not be.
    fn refuse_login(mut self, cx: &mut Context<'_>) -> Phase {
        let failure = Failure::new(Condition::EncryptionRequired, "start TLS before logging in");
        cx.send_element(&failure.to_element());
        self.logins += 1;
        if self.logins >= cx.config.options.login_attempts_max {
            return cx.end(
                StreamCondition::PolicyViolation,
                "start TLS before logging in",
            );
        }
        Phase::Securing(self)
    }
}
