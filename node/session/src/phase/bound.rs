//! The session exchanges stanzas. They go past this machine, which keeps what belongs to the stream: its end, silence,
//! and what a client may ask of a stream that is bound.

use std::sync::Arc;

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Header, Kind};
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::stream_error::StreamCondition;

use super::{Phase, is_stanza, unexpected_header};
use crate::carrier::{Answer, AskId};
use crate::context::Context;
use crate::effect::Effect;
use crate::event::{Event, Timer};
use crate::iq;
use crate::stream_management::{self, StreamManagement};

/// A bound session.
#[derive(Debug)]
pub(crate) struct Bound {
    jid: Arc<Jid>,
    pinged: bool,
}

impl Bound {
    pub(crate) fn begin(jid: Arc<Jid>, cx: &mut Context<'_>) -> Phase {
        cx.stream.heard = cx.now;
        cx.arm(Timer::Idle, cx.config.options.idle_ms);
        Phase::Bound(Self { jid, pinged: false })
    }

    /// The full JID.
    pub(crate) fn jid(&self) -> &Arc<Jid> {
        &self.jid
    }

    pub(crate) fn handle(self, event: Event<'_>, cx: &mut Context<'_>) -> Phase {
        match event {
            Event::Element(element) if is_stanza(element) => self.stream_business(element, cx),
            Event::Element(element) if element.ns() == ns::STREAM_MANAGEMENT => {
                self.manage(element, cx)
            }
            Event::Settled(firsts) => {
                let management = cx.stream.management.as_mut();
                if let Some(answer) = management.and_then(|it| it.settled(firsts)) {
                    cx.send_element(&answer);
                }
                Phase::Bound(self)
            }
            Event::Answered(ask, answer) => {
                self.enabled(ask, &answer, cx);
                Phase::Bound(self)
            }
            Event::Sent => {
                ask(cx);
                Phase::Bound(self)
            }
            Event::TimedOut(Timer::Ack) => {
                cx.stream.is_interrupted = true;
                let text = "what was sent was not acknowledged";
                cx.end(StreamCondition::ConnectionTimeout, text)
            }
            Event::Element(element) if cx.turns_attention(element) => Phase::Bound(self),
            // RFC 6120 4.9.3.24; nothing but stanzas was negotiated.
            Event::Element(_) => cx.end(
                StreamCondition::UnsupportedStanzaType,
                "this element is not supported",
            ),
            Event::Forged => cx.end(StreamCondition::InvalidFrom, "`from` is not who logged in"),
            Event::Opened(_) => unexpected_header(cx),
            Event::TimedOut(Timer::Idle) => self.silent(cx),
            _ => Phase::Bound(self),
        }
    }

    fn stream_business(self, element: &Element, cx: &mut Context<'_>) -> Phase {
        let request = element.to_bytes();
        if element.child("session", ns::SESSION).is_some() && element.attr("type") == Some("set") {
            iq::answer(&request, None, cx);
        } else {
            // One stream has one resource (RFC 6120 7.1).
            iq::refuse(&request, &StanzaError::new(Condition::NotAllowed), cx);
        }
        if let Some(management) = &mut cx.stream.management {
            management.answered();
            management.sent_own();
        }
        Phase::Bound(self)
    }

    /// XEP-0198 3 to 5.
    fn manage(self, element: &Element, cx: &mut Context<'_>) -> Phase {
        match (element.name(), &mut cx.stream.management) {
            ("enable", None) => self.enable(element, cx),
            ("enable" | "resume", _) => {
                cx.send_element(&stream_management::failed(Condition::UnexpectedRequest));
            }
            ("r", Some(management)) => {
                let answer = management.answer();
                cx.send_element(&answer);
            }
            ("a", Some(management)) => {
                match management.acknowledged(element) {
                    Ok(Some(acked)) => cx.effects.push(Effect::Acknowledged(acked)),
                    Ok(None) => {}
                    Err(error) => return cx.end_with(&error),
                }
                cx.disarm(Timer::Ack);
                ask(cx);
            }
            (_, management) => {
                let text = match management {
                    Some(_) => "stream management has no such element",
                    None => "stream management is not enabled",
                };
                return cx.end(StreamCondition::UnsupportedStanzaType, text);
            }
        }
        Phase::Bound(self)
    }

    /// XEP-0198 3: whether the stream can be resumed is for its shard to say.
    fn enable(&self, element: &Element, cx: &mut Context<'_>) {
        let wants_resumption = matches!(element.attr("resume"), Some("true" | "1"));
        if wants_resumption {
            let ask = cx.next_ask();
            let account = self.jid.to_bare();
            cx.effects.push(Effect::Enable(ask, account));
            cx.stream.management = Some(StreamManagement::asking(ask));
        } else {
            cx.stream.management = Some(StreamManagement::local());
            cx.send_element(&Element::new("enabled", ns::STREAM_MANAGEMENT));
        }
    }

    /// The shard has said whether the stream can be resumed. What was held back from the client goes before that: it
    /// does not count. From now on what goes to a client that does not look waits in its order, for what is numbered
    /// cannot be replaced.
    fn enabled(&self, ask: AskId, answer: &Answer, cx: &mut Context<'_>) {
        let management = cx.stream.management.as_mut();
        let Some(mut enabled) = management.and_then(|it| it.answered_by_shard(ask, answer)) else {
            return;
        };
        if matches!(answer, Answer::Enabled { .. }) {
            let location = &cx.config.options.resume_location;
            if !location.is_empty() {
                enabled = enabled.with_attr("location", location);
            }
            let held = cx.stream.client_state.keeps_order();
            cx.effects.extend(held.into_iter().map(Effect::Deliver));
        } else {
            cx.effects.push(Effect::NotEnabled);
        }
        cx.send_element(&enabled);
    }

    /// The idle timer ran out: reads did not move it, so it may be early.
    fn silent(mut self, cx: &mut Context<'_>) -> Phase {
        let options = &cx.config.options;
        let silent_ms = cx
            .now
            .as_millis()
            .saturating_sub(cx.stream.heard.as_millis());
        if silent_ms < options.idle_ms {
            self.pinged = false;
            cx.arm(Timer::Idle, options.idle_ms - silent_ms);
        } else if self.pinged {
            cx.stream.is_interrupted = true;
            return cx.end(
                StreamCondition::ConnectionTimeout,
                "nothing was heard from you",
            );
        } else {
            self.pinged = true;
            match &mut cx.stream.management {
                Some(management) => {
                    let question = management.ask_anyway();
                    cx.send_element(&question);
                }
                None => self.ping(cx),
            }
            cx.arm(Timer::Idle, options.ping_timeout_ms);
        }
        Phase::Bound(self)
    }

    /// XEP-0199 4.1. The answer is a stanza as any other: that it was read is enough.
    fn ping(&self, cx: &mut Context<'_>) {
        let id = cx.entropy.token();
        let ping = Element::new("iq", ns::CLIENT)
            .with_attr("from", &cx.host().domain)
            .with_attr("to", self.jid.as_str())
            .with_attr("id", &id)
            .with_attr("type", "get")
            .with_child(Element::new("ping", ns::PING));
        cx.send_element(&ping);
    }
}

/// Asks the client to acknowledge what it was sent, if it is not asked already.
fn ask(cx: &mut Context<'_>) {
    let management = cx.stream.management.as_mut();
    if let Some(question) = management.and_then(StreamManagement::ask) {
        cx.send_element(&question);
        cx.arm(Timer::Ack, cx.config.options.ack_timeout_ms);
    }
}

/// Whether an element of a bound client goes to its shard, past this machine: a stanza that is not for its own stream.
/// `out` is the buffer that the header points into.
pub fn is_for_shard(header: &Header, out: &[u8]) -> bool {
    header.kind != Kind::Other && !is_stream_business(header, out)
}

/// An IQ to nobody with `<bind/>` or `<session/>`.
fn is_stream_business(header: &Header, out: &[u8]) -> bool {
    header.kind == Kind::Iq
        && header.to.is_none()
        && header.children.iter().any(|child| {
            let namespace = child.namespace.of(out);
            namespace == ns::BIND.as_bytes() || namespace == ns::SESSION.as_bytes()
        })
}
