//! The client must say who it is (RFC 6120 6), or may register first (XEP-0077).
//!
//! ```text
//! C: <auth mechanism='SCRAM-SHA-256'>client-first</auth>     guard: may it try?  shard: which keys?
//! S: <challenge>server-first</challenge>
//! C: <response>client-final</response>                       proof checked
//! S: <success>server-final</success>                         a new stream follows
//! ```

use std::sync::Arc;

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stream_error::StreamCondition;

use super::registering::Registration;
use super::{Opening, Phase, Secured, Standing, misplaced, unexpected_header};
use crate::carrier::{Answer, AskId};
use crate::context::Context;
use crate::effect::Effect;
use crate::event::{Event, Timer, TlsFacts};
use crate::sasl::{self, Attempt, Condition, Failure, Offer, Outcome, Proof};

/// Proof that the client is who it says, over TLS. Only a SASL [`Proof`] makes one.
#[derive(Debug)]
pub(crate) struct Authenticated {
    account: Arc<Jid>,
    secured: Secured,
}

impl Authenticated {
    fn new(proof: Proof, secured: Secured) -> Self {
        Self {
            account: Arc::new(proof.into_account()),
            secured,
        }
    }

    /// The bare JID that was proved.
    pub(crate) fn account(&self) -> &Arc<Jid> {
        &self.account
    }

    pub(crate) fn tls(&self) -> &TlsFacts {
        self.secured.tls()
    }
}

/// Waits for a login.
#[derive(Debug)]
pub(crate) struct Authenticating {
    secured: Secured,
    offer: Offer,
    step: Step,
    failures: u32,
    registration: Registration,
}

/// What is going on. The client must wait for each answer, so it is one thing at a time.
#[derive(Debug)]
enum Step {
    Free,
    Login(Attempt),
    Registering(AskId),
}

impl Authenticating {
    pub(crate) fn new(secured: Secured, offer: Offer) -> Self {
        let registration = Registration::default();
        Self {
            secured,
            offer,
            step: Step::Free,
            failures: 0,
            registration,
        }
    }

    pub(crate) fn handle(self: Box<Self>, event: Event<'_>, cx: &mut Context<'_>) -> Phase {
        match event {
            Event::Element(element) if element.ns() == ns::SASL => self.sasl(element, cx),
            Event::Element(element) if element.is("iq", ns::CLIENT) => self.register(element, cx),
            Event::Element(element) => self.leave(cx, |cx| misplaced(element, cx)),
            Event::Opened(_) => self.leave(cx, unexpected_header),
            Event::Answered(ask, answer) => self.answered(ask, answer, cx),
            Event::Admitted(admission) => self.login(cx, |a, cx| a.admitted(admission, cx)),
            Event::PasswordVerified(ask, right) => {
                self.login(cx, |a, cx| a.verified(ask, right, cx))
            }
            Event::TimedOut(Timer::Answer) => match self.step {
                Step::Registering(_) => self.registered(Answer::Unavailable, cx),
                _ => self.login(cx, Attempt::delayed),
            },
            _ => Phase::Authenticating(self),
        }
    }

    /// The stream ends under what is going on.
    pub(crate) fn abandon(&self, cx: &mut Context<'_>) {
        match &self.step {
            Step::Login(attempt) => attempt.abandon(cx),
            Step::Registering(_) => cx.disarm(Timer::Answer),
            Step::Free => {}
        }
    }

    fn sasl(mut self: Box<Self>, element: &Element, cx: &mut Context<'_>) -> Phase {
        let step = std::mem::replace(&mut self.step, Step::Free);
        let outcome = match (element.name(), step) {
            ("auth", Step::Free) => Attempt::start(element, &self.offer, cx),
            ("response", Step::Login(attempt)) if attempt.awaits_client() => {
                attempt.response(element, &self.offer, cx)
            }
            ("abort", Step::Login(attempt)) => attempt.abort(cx),
            ("response" | "abort", Step::Free) => {
                let text = "no login is going on";
                Outcome::Failed(Failure::new(Condition::MalformedRequest, text))
            }
            (name, step) => {
                self.step = step;
                let known = matches!(name, "auth" | "response" | "abort");
                return self.leave(cx, |cx| {
                    if known {
                        hasty(cx)
                    } else {
                        misplaced(element, cx)
                    }
                });
            }
        };
        self.conclude(outcome, cx)
    }

    /// Ends the stream, and before it the login that is going on: nobody gets a try for nothing by breaking off.
    fn leave(
        self: Box<Self>,
        cx: &mut Context<'_>,
        end: impl FnOnce(&mut Context<'_>) -> Phase,
    ) -> Phase {
        self.abandon(cx);
        end(cx)
    }

    /// Lets a login go on; events that it does not await change nothing.
    fn login(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        step: impl FnOnce(Attempt, &mut Context<'_>) -> Outcome,
    ) -> Phase {
        match std::mem::replace(&mut self.step, Step::Free) {
            Step::Login(attempt) => {
                let outcome = step(attempt, cx);
                self.conclude(outcome, cx)
            }
            other => {
                self.step = other;
                Phase::Authenticating(self)
            }
        }
    }

    fn conclude(mut self: Box<Self>, outcome: Outcome, cx: &mut Context<'_>) -> Phase {
        match outcome {
            Outcome::Wait(attempt) => {
                self.step = Step::Login(attempt);
                Phase::Authenticating(self)
            }
            Outcome::Failed(failure) => self.fail(&failure, cx),
            Outcome::Proven(proof, data) => self.succeed(proof, &data, cx),
        }
    }

    /// RFC 6120 6.4.5: the client may try again, but not for ever.
    fn fail(mut self: Box<Self>, failure: &Failure, cx: &mut Context<'_>) -> Phase {
        cx.send_element(&failure.to_element());
        self.failures += 1;
        if self.failures >= cx.config.options.login_attempts_max {
            return cx.end(StreamCondition::PolicyViolation, "too many failed logins");
        }
        Phase::Authenticating(self)
    }

    /// RFC 6120 6.4.6: everything that was known of the stream is forgotten, except who the client is.
    fn succeed(self: Box<Self>, proof: Proof, data: &[u8], cx: &mut Context<'_>) -> Phase {
        let success = Element::new("success", ns::SASL);
        cx.send_element(&if data.is_empty() {
            success
        } else {
            success.with_text(&sasl::encode(data))
        });
        let authenticated = Authenticated::new(proof, self.secured);
        cx.effects
            .push(Effect::Authenticated(authenticated.account().clone()));
        cx.restart_stream();
        Phase::Opening(Opening::new(Standing::Authenticated(authenticated)))
    }

    fn register(mut self: Box<Self>, iq: &Element, cx: &mut Context<'_>) -> Phase {
        if !matches!(self.step, Step::Free) {
            return self.leave(cx, hasty);
        }
        match self.registration.request(iq, cx) {
            Ok(Some(ask)) => {
                self.step = Step::Registering(ask);
                cx.arm(Timer::Answer, cx.config.options.registration_answer_ms);
            }
            Ok(None) => {}
            Err((condition, text)) => return cx.end(condition, text),
        }
        Phase::Authenticating(self)
    }

    /// Tells a stranger what came of a request.
    fn registered(mut self: Box<Self>, answer: Answer, cx: &mut Context<'_>) -> Phase {
        self.registration.answer(answer, cx);
        self.step = Step::Free;
        Phase::Authenticating(self)
    }

    fn answered(self: Box<Self>, ask: AskId, answer: Answer, cx: &mut Context<'_>) -> Phase {
        match &self.step {
            Step::Registering(asked) if *asked == ask => {
                cx.disarm(Timer::Answer);
                self.registered(answer, cx)
            }
            Step::Login(_) => self.login(cx, |attempt, cx| attempt.answered(ask, answer, cx)),
            // The answer to a question of a login that was aborted, or of a registration that has waited for too long.
            _ => Phase::Authenticating(self),
        }
    }
}

/// The client must wait for each answer.
fn hasty(cx: &mut Context<'_>) -> Phase {
    cx.end(StreamCondition::PolicyViolation, "wait for the answer")
}
