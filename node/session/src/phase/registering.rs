//! In-band registration before login (XEP-0077 3.1, XEP-0445): the IQs go to the host's shard, which decides.

use bytes::Bytes;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::stream_error::StreamCondition;

use super::preauth::Preauth;
use crate::carrier::{Answer, AskId, Question};
use crate::context::Context;
use crate::event::Timer;
use crate::iq;

/// The registration requests of one stream.
#[derive(Debug, Default)]
pub(super) struct Registration {
    requests: u32,
    /// The request that waits for its answer.
    pending: Bytes,
    preauth: Preauth,
}

impl Registration {
    /// Handles an IQ before login: `Some` question when the shard was asked, `None` when it was answered here, an error
    /// when the stream must end.
    pub(super) fn request(
        &mut self,
        iq: &Element,
        cx: &mut Context<'_>,
    ) -> Result<Option<AskId>, (StreamCondition, &'static str)> {
        let asks = matches!(iq.attr("type"), Some("get" | "set"));
        let token = Preauth::token_of(iq);
        if !asks || token.is_none() && iq.child("query", ns::REGISTER).is_none() {
            return Err((
                StreamCondition::NotAuthorized,
                "log in before sending stanzas",
            ));
        }
        self.requests += 1;
        if self.requests > cx.config.options.registration_requests_max {
            return Err((
                StreamCondition::PolicyViolation,
                "too many registration requests",
            ));
        }
        let bytes = iq.to_bytes();
        let elsewhere = |to: &str| cx.config.host_named(to) != cx.stream.host;
        if iq.attr("to").is_some_and(elsewhere) || !cx.host().registration {
            iq::refuse(&bytes, &StanzaError::new(Condition::ServiceUnavailable), cx);
            return Ok(None);
        }
        if self.requests == 1 {
            cx.arm(Timer::Login, cx.config.options.registration_timeout_ms);
        }
        self.pending = bytes.clone();
        let invite = match token {
            Some(token) => Some(self.preauth.ask(token)),
            None => self.preauth.shown(cx.now),
        };
        let (host, address) = (cx.host().domain.clone(), cx.facts.address);
        Ok(Some(cx.ask(Question::Register {
            host,
            address,
            iq: bytes,
            invite,
        })))
    }

    /// Passes the shard's answer on.
    pub(super) fn answer(&mut self, answer: Answer, cx: &mut Context<'_>) {
        let request = std::mem::take(&mut self.pending);
        self.preauth.answered(&answer, cx);
        match answer {
            Answer::Iq(reply) => cx.send(reply),
            Answer::Refused(error) => iq::refuse(&request, &error, cx),
            // The host's accounts are not served: their node is gone, or has lost the control group.
            _ => iq::refuse(
                &request,
                &StanzaError::new(Condition::ResourceConstraint)
                    .with_text("accounts cannot be made at the moment; try again later"),
                cx,
            ),
        }
    }
}
