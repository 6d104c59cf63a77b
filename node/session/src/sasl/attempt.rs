//! One try to log in, from `<auth/>` to a proof or a failure.
//!
//! ```text
//! start ─► [no initial message: empty challenge ─► response] ─► Admit ─┬─ After ─► timer ─┐
//!                                                                     └─ Now ────────────┤
//!   ┌────────────────────── Credentials ◄── Ask ◄─────────────────────────────────────────┘
//!   ├─ SCRAM: challenge ─► response ─► Proven or Failed
//!   └─ PLAIN: VerifyPassword ─► Proven or Failed
//! ```

use std::sync::Arc;

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::scram::{Credentials, Hash};

use super::failure::{Condition, Failure};
use super::mechanism::Mechanism;
use super::offer::Offer;
use super::proof::Proof;
use super::scram::{AwaitFinal, Challenge, Channel, ClientFirst};
use super::{decoy, encode, message, plain};
use crate::carrier::{Answer, AskId, Barred, Question};
use crate::context::Context;
use crate::effect::{Effect, Password};
use crate::event::{Admission, Timer};

/// A login that is going on.
#[derive(Debug)]
pub(crate) struct Attempt(State);

/// What becomes of a login by one event.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It goes on.
    Wait(Attempt),
    /// It failed.
    Failed(Failure),
    /// It succeeded; the bytes go into `<success/>`.
    Proven(Proof, Vec<u8>),
}

/// What the attempt awaits.
#[derive(Debug)]
enum State {
    /// The client's first message, which was not in `<auth/>`.
    First(Mechanism),
    /// The login guard's answer.
    Guard(Claim),
    /// The end of the delay that the guard set.
    Delay(Claim),
    /// The account's keys.
    Keys(AskId, Claim),
    /// The client's last message (SCRAM).
    Final(Claimed, AwaitFinal),
    /// The comparison of the password (PLAIN).
    Password(AskId, Claimed),
}

/// Who the client claims to be, and how it is to prove it.
#[derive(Debug)]
struct Claim {
    who: Claimed,
    how: Method,
}

/// Who is claimed, and by which mechanism.
#[derive(Clone, Debug)]
struct Claimed {
    /// Nobody, when no account can have that name.
    account: Option<Jid>,
    mechanism: Mechanism,
    /// Why nobody logs in to the account, told to whoever proves to be its owner.
    barred: Option<Barred>,
}

#[derive(Debug)]
enum Method {
    Plain(Password),
    Scram(Box<ClientFirst>, Channel, Hash),
}

impl Attempt {
    /// `<auth/>`
    pub(crate) fn start(element: &Element, offer: &Offer, cx: &mut Context<'_>) -> Outcome {
        let mechanism = match offer.mechanism(element.attr("mechanism").unwrap_or_default()) {
            Ok(mechanism) => mechanism,
            Err(failure) => return Outcome::Failed(failure),
        };
        match message::of(element, cx.config.options.sasl_message_bytes_max) {
            Ok(Some(first)) => claim(mechanism, &first, offer, cx),
            Ok(None) => {
                // RFC 6120 6.4.2: the client waits for a challenge, and both mechanisms begin with an empty one.
                cx.send_element(&Element::new("challenge", ns::SASL));
                Outcome::Wait(Self(State::First(mechanism)))
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Whether the client is to say something next.
    pub(crate) fn awaits_client(&self) -> bool {
        matches!(self.0, State::First(_) | State::Final(..))
    }

    /// `<response/>`
    pub(crate) fn response(
        self,
        element: &Element,
        offer: &Offer,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let read = message::of(element, cx.config.options.sasl_message_bytes_max);
        let message = match read {
            Ok(message) => message.unwrap_or_default(),
            Err(failure) => return self.fail(failure, cx),
        };
        match self.0 {
            State::First(mechanism) => claim(mechanism, &message, offer, cx),
            State::Final(who, exchange) => match exchange.verify(&message) {
                Ok(last) => conclude(who, true, last, cx),
                Err(failure) => {
                    report(who, false, cx);
                    Outcome::Failed(failure)
                }
            },
            other => Outcome::Wait(Self(other)),
        }
    }

    /// `<abort/>` (RFC 6120 6.4.4).
    pub(crate) fn abort(self, cx: &mut Context<'_>) -> Outcome {
        self.abandon(cx);
        Outcome::Failed(Failure::new(Condition::Aborted, "aborted"))
    }

    /// The login comes to no end: a proof that was asked for and not given is a failed try, else looking at challenges
    /// would be free; before that nothing was tried.
    pub(crate) fn abandon(&self, cx: &mut Context<'_>) {
        match &self.0 {
            State::Final(who, _) | State::Password(_, who) => report(who.clone(), false, cx),
            State::Delay(claim) | State::Keys(_, claim) => withdraw(claim.who.clone(), cx),
            State::First(_) | State::Guard(_) => {}
        }
        if matches!(self.0, State::Delay(_)) {
            cx.disarm(Timer::Answer);
        }
    }

    /// The login guard's answer.
    pub(crate) fn admitted(self, admission: Admission, cx: &mut Context<'_>) -> Outcome {
        let State::Guard(claim) = self.0 else {
            return Outcome::Wait(self);
        };
        match admission {
            Admission::Now => ask_for_keys(claim, cx),
            Admission::After { delay_ms } => {
                cx.arm(Timer::Answer, delay_ms);
                Outcome::Wait(Self(State::Delay(claim)))
            }
            Admission::Refused => Outcome::Failed(Failure::new(
                Condition::TemporaryAuthFailure,
                "too many logins from here, or failed ones, try again later",
            )),
        }
    }

    /// The delay is over.
    pub(crate) fn delayed(self, cx: &mut Context<'_>) -> Outcome {
        match self.0 {
            State::Delay(claim) => ask_for_keys(claim, cx),
            other => Outcome::Wait(Self(other)),
        }
    }

    /// The shard's answer.
    pub(crate) fn answered(self, ask: AskId, answer: Answer, cx: &mut Context<'_>) -> Outcome {
        match (self.0, answer) {
            (State::Keys(asked, claim), Answer::Credentials(keys)) if asked == ask => {
                prove(claim, keys, cx)
            }
            (State::Keys(asked, mut claim), Answer::Barred(keys, why)) if asked == ask => {
                claim.who.barred = Some(why);
                prove(claim, Some(keys), cx)
            }
            (State::Keys(asked, claim), _) if asked == ask => {
                withdraw(claim.who, cx);
                Outcome::Failed(Failure::new(
                    Condition::TemporaryAuthFailure,
                    "accounts cannot be reached now",
                ))
            }
            (state, _) => Outcome::Wait(Self(state)),
        }
    }

    /// The password was compared (PLAIN).
    pub(crate) fn verified(self, ask: AskId, right: bool, cx: &mut Context<'_>) -> Outcome {
        match self.0 {
            State::Password(asked, who) if asked == ask => conclude(who, right, Vec::new(), cx),
            other => Outcome::Wait(Self(other)),
        }
    }

    /// A response that cannot be read ends the login.
    fn fail(self, failure: Failure, cx: &mut Context<'_>) -> Outcome {
        self.abandon(cx);
        Outcome::Failed(failure)
    }
}

/// Reads the client's first message, and asks the guard whether it may go on.
fn claim(mechanism: Mechanism, first: &[u8], offer: &Offer, cx: &mut Context<'_>) -> Outcome {
    match read_claim(mechanism, first, offer, cx) {
        Ok(claim) => {
            let Claimed {
                account, mechanism, ..
            } = claim.who.clone();
            cx.effects.push(Effect::Admit {
                address: cx.facts.address,
                account,
                mechanism: mechanism.name(),
            });
            Outcome::Wait(Attempt(State::Guard(claim)))
        }
        Err(failure) => Outcome::Failed(failure),
    }
}

fn read_claim(
    mechanism: Mechanism,
    first: &[u8],
    offer: &Offer,
    cx: &Context<'_>,
) -> Result<Claim, Failure> {
    let (authzid, username, how) = match mechanism {
        Mechanism::Plain => {
            let message = plain::Message::parse(first)?;
            (
                message.authzid,
                message.username,
                Method::Plain(message.password),
            )
        }
        Mechanism::Scram { hash, plus } => {
            let mut first = ClientFirst::parse(first)?;
            let protects = cx.config.options.downgrade_protection;
            let channel = Channel::of(&first, plus, offer, protects)?;
            let (authzid, username) = (first.authzid.take(), std::mem::take(&mut first.username));
            (
                authzid,
                username,
                Method::Scram(Box::new(first), channel, hash),
            )
        }
    };
    let account = Jid::from_parts(Some(&username), &cx.host().domain, None).ok();
    check_authzid(authzid.as_deref(), account.as_ref())?;
    let who = Claimed {
        account,
        mechanism,
        barred: None,
    };
    Ok(Claim { who, how })
}

/// Nobody acts for somebody else (x10): an authorization id must be the bare JID of the one who logs in.
fn check_authzid(authzid: Option<&str>, who: Option<&Jid>) -> Result<(), Failure> {
    let own = |authzid: &str| Jid::parse(authzid).ok().as_ref() == who;
    match authzid {
        Some(authzid) if !own(authzid) => Err(Failure::new(
            Condition::InvalidAuthzid,
            "the authorization id must be the own bare address",
        )),
        _ => Ok(()),
    }
}

fn ask_for_keys(claim: Claim, cx: &mut Context<'_>) -> Outcome {
    match claim.who.account.clone() {
        Some(account) => {
            let ask = cx.ask(Question::Credentials { account });
            Outcome::Wait(Attempt(State::Keys(ask, claim)))
        }
        None => prove(claim, None, cx),
    }
}

/// The keys are there, or a decoy's: the client must prove itself.
fn prove(claim: Claim, keys: Option<Arc<Credentials>>, cx: &mut Context<'_>) -> Outcome {
    let Claim { who, how } = claim;
    let decoy = || Arc::new(decoy::credentials(cx.config, who.account.as_ref()));
    let credentials = keys.unwrap_or_else(decoy);
    match how {
        Method::Plain(password) => {
            let ask = cx.next_ask();
            cx.effects.push(Effect::VerifyPassword {
                ask,
                credentials,
                password,
            });
            Outcome::Wait(Attempt(State::Password(ask, who)))
        }
        Method::Scram(first, channel, hash) => {
            let keys = credentials.keys(hash).clone();
            let challenge = Challenge::new(&first, channel, keys, cx.entropy);
            let element = Element::new("challenge", ns::SASL)
                .with_text(&encode(challenge.message.as_bytes()));
            cx.send_element(&element);
            Outcome::Wait(Attempt(State::Final(who, challenge.next)))
        }
    }
}

fn conclude(who: Claimed, right: bool, last: Vec<u8>, cx: &mut Context<'_>) -> Outcome {
    if let Some(why) = who.barred.filter(|_| right) {
        // Neither a login nor a failed one.
        withdraw(who, cx);
        return Outcome::Failed(Failure::barred(why));
    }
    report(who.clone(), right && who.account.is_some(), cx);
    match who.account {
        Some(account) if right => Outcome::Proven(Proof::of(account), last),
        _ => Outcome::Failed(Failure::not_authorized()),
    }
}

fn report(who: Claimed, succeeded: bool, cx: &mut Context<'_>) {
    cx.effects.push(Effect::ReportLogin {
        address: cx.facts.address,
        account: who.account,
        mechanism: who.mechanism.name(),
        succeeded,
    });
}

fn withdraw(who: Claimed, cx: &mut Context<'_>) {
    cx.effects.push(Effect::WithdrawLogin {
        address: cx.facts.address,
        account: who.account,
        mechanism: who.mechanism.name(),
    });
}
