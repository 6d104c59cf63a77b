//! A resource is to be bound (RFC 6120 7): the account's shard knows which are taken and how many there may be.

use bytes::Bytes;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::prepare_resource;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::stream_error::StreamCondition;

use super::{Authenticated, Bound, Phase, misplaced, unexpected_header};
use crate::carrier::{Answer, AskId, Question};
use crate::context::Context;
use crate::effect::Effect;
use crate::event::{Event, Timer};
use crate::iq;
use crate::stream_management::{self, StreamManagement};

/// Waits for `<bind/>`, or for the shard's answer to it.
#[derive(Debug)]
pub(crate) struct Binding {
    authenticated: Authenticated,
    asked: Option<(AskId, Asked)>,
    refusals: u32,
}

/// What the shard was asked.
#[derive(Debug)]
enum Asked {
    /// To bind, by this IQ.
    Bind(Bytes),
    /// To go on with an earlier stream.
    Resume,
}

impl Binding {
    pub(crate) fn new(authenticated: Authenticated) -> Self {
        Self {
            authenticated,
            asked: None,
            refusals: 0,
        }
    }

    pub(crate) fn handle(self, event: Event<'_>, cx: &mut Context<'_>) -> Phase {
        match event {
            // RFC 6120 7.1: nothing is processed before a resource is bound.
            Event::Element(_) if self.asked.is_some() => cx.end(
                StreamCondition::NotAuthorized,
                "wait until the resource is bound",
            ),
            Event::Element(element) if element.is("iq", ns::CLIENT) => self.request(element, cx),
            Event::Element(element) if element.ns() == ns::STREAM_MANAGEMENT => {
                self.manage(element, cx)
            }
            Event::Element(element) => misplaced(element, cx),
            Event::Opened(_) => unexpected_header(cx),
            Event::Answered(ask, answer) => self.answered(ask, answer, cx),
            _ => Phase::Binding(self),
        }
    }

    fn request(mut self, element: &Element, cx: &mut Context<'_>) -> Phase {
        let bind = element.child("bind", ns::BIND);
        let (Some("get" | "set"), Some(bind)) = (element.attr("type"), bind) else {
            return misplaced(element, cx);
        };
        let request = element.to_bytes();
        if element.attr("type") != Some("set") || element.attr("id").is_none() {
            return self.refuse(&request, &StanzaError::new(Condition::BadRequest), cx);
        }
        let Ok(resource) = wanted_resource(bind) else {
            return self.refuse(&request, &StanzaError::new(Condition::BadRequest), cx);
        };
        let account = self.authenticated.account().as_ref().clone();
        let ask = cx.ask(Question::Bind {
            account,
            resource,
            address: cx.facts.address,
        });
        self.asked = Some((ask, Asked::Bind(request)));
        Phase::Binding(self)
    }

    fn answered(mut self, ask: AskId, answer: Answer, cx: &mut Context<'_>) -> Phase {
        let request = match self.asked.take_if(|(asked, _)| *asked == ask) {
            None => return Phase::Binding(self),
            Some((_, Asked::Resume)) => return self.resumed(answer, cx),
            Some((_, Asked::Bind(request))) => request,
        };
        let error = match answer {
            Answer::Bound(jid) if jid.is_full() && jid.same_bare(self.authenticated.account()) => {
                let name = Element::new("jid", ns::BIND).with_text(jid.as_str());
                let bind = Element::new("bind", ns::BIND).with_child(name);
                iq::answer(&request, Some(&bind), cx);
                cx.disarm(Timer::Login);
                cx.effects.push(Effect::Bound(jid.clone()));
                return Bound::begin(jid, cx);
            }
            // Whatever the shard bound, it is not the client's.
            Answer::Bound(_) => {
                return cx.end(
                    StreamCondition::InternalServerError,
                    "the resource was not bound",
                );
            }
            Answer::Refused(error) => error,
            _ => StanzaError::new(Condition::ResourceConstraint),
        };
        self.refuse(&request, &error, cx)
    }

    /// XEP-0198 5: an earlier stream may be resumed instead of binding. Nothing is enabled before either (3).
    fn manage(mut self, element: &Element, cx: &mut Context<'_>) -> Phase {
        let h = element.attr("h").and_then(|h| h.parse().ok());
        match (element.name(), element.attr("previd"), h) {
            ("resume", Some(id), Some(h)) => {
                let ask = cx.ask(Question::Resume {
                    account: self.authenticated.account().as_ref().clone(),
                    id: id.to_owned(),
                    h,
                    address: cx.facts.address,
                });
                self.asked = Some((ask, Asked::Resume));
                Phase::Binding(self)
            }
            ("resume", ..) => {
                cx.send_element(&stream_management::failed(Condition::BadRequest));
                self.refused(cx)
            }
            _ => {
                cx.send_element(&stream_management::failed(Condition::UnexpectedRequest));
                Phase::Binding(self)
            }
        }
    }

    fn resumed(self, answer: Answer, cx: &mut Context<'_>) -> Phase {
        match answer {
            Answer::Resumed(resumed) if resumed.jid.same_bare(self.authenticated.account()) => {
                cx.send_element(&stream_management::resumed(&resumed));
                cx.disarm(Timer::Login);
                let jid = resumed.jid.clone();
                cx.effects.push(Effect::Bound(jid.clone()));
                cx.stream.management = Some(StreamManagement::resumed(&resumed));
                cx.stream.client_state.keeps_order();
                Bound::begin(jid, cx)
            }
            Answer::NotResumed { h } => {
                cx.send_element(&stream_management::not_resumed(h));
                self.refused(cx)
            }
            _ => {
                let condition = Condition::ResourceConstraint;
                cx.send_element(&stream_management::failed(condition));
                self.refused(cx)
            }
        }
    }

    /// The client may try again with another resource, but not for ever.
    fn refuse(self, request: &[u8], error: &StanzaError, cx: &mut Context<'_>) -> Phase {
        iq::refuse(request, error, cx);
        self.refused(cx)
    }

    fn refused(mut self, cx: &mut Context<'_>) -> Phase {
        self.refusals += 1;
        if self.refusals >= cx.config.options.bind_attempts_max {
            return cx.end(
                StreamCondition::PolicyViolation,
                "too many attempts to bind",
            );
        }
        Phase::Binding(self)
    }
}

/// RFC 6120 7.6, 7.7: the resource that the client proposes, `None` where the server shall choose.
fn wanted_resource(bind: &Element) -> Result<Option<String>, ()> {
    let Some(resource) = bind.child("resource", ns::BIND) else {
        return Ok(None);
    };
    let text = resource.text();
    if text.is_empty() {
        return Ok(None);
    }
    prepare_resource(&text)
        .map(|prepared| Some(prepared.into_owned()))
        .map_err(|_| ())
}
