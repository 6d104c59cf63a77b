//! Making accounts for strangers, through form, captcha and throttle.
//!
//! ```text
//! get ─► is it open? ─► a new challenge ─► its picture is drawn ─► the form
//!
//! set ─► form ─► captcha ─► JudgePassword ─► Reserve ─► Derive ─► CreateAccount ─► CommitReservation ─► result
//!          │        │            │              │          │ bad      │ exists, fails    │ not settled
//!          ▼        ▼            ▼              ▼          ▼          ▼                  ▼
//!        not-acceptable, and why        throttle or name  ReleaseReservation, then why   DeleteAccount, then wait
//! ```
//!
//! Where a moderator has to approve accounts, what is created is an account that nobody logs in to yet. The result is
//! the same: clients know no other, and hear why when they log in.
//!
//! What costs least is asked first. A place in the throttle is held from the reservation on, so that no number of
//! concurrent registrations, on any number of nodes, gets past a limit. A captcha that was solved stays solved on its
//! stream until an account is made: who finds a name taken types the next one, and nothing else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use rookery_control::{
    InviteRefused, InviteTerms, RefusalCause, RegistrationRefused, ReservationId,
};
use rookery_session::carrier::{Answer, AskId, Question, SessionId, ShownToken, SinkRef};
use rookery_store::standing::Standing;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza::{iq_result, parse_rec};
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::super::{invites, preauth};
use super::challenges::{Asked, Solved};
use super::form::{Submission, blank, redirect};
use super::refusal::{Refusal, UNAVAILABLE, unacceptable};
use super::{Making, checks, creation, derivation, removal};
use crate::account::STANDING;
use crate::shard::{Reply, Request, Turn};

/// A registration on its way.
struct Applicant {
    from: SinkRef,
    ask: AskId,
    iq: Bytes,
    host: String,
    address: IpAddr,
    /// The captcha that was solved for it.
    solved: Option<Solved>,
    /// Whether a moderator has to approve the account.
    awaits_approval: bool,
    /// The token that it has shown, and what that was found to say.
    invite: Option<Box<ShownToken>>,
    terms: Option<InviteTerms>,
}

/// What it asks for, once that is known to be in order.
struct Wanted {
    jid: Jid,
    password: String,
    details: BTreeMap<String, String>,
}

impl Applicant {
    /// Whom the form speaks to: people of this host, who may have to wait for a moderator.
    fn addressed(&self) -> (&str, bool) {
        (&self.host, self.awaits_approval)
    }

    /// The stream, which challenges are for.
    fn stream(&self) -> SessionId {
        self.from.session()
    }

    fn result(&self, turn: &mut Turn<'_>, payload: Option<&Element>) {
        let Some(rec) = parse_rec(&self.iq) else {
            return self.unavailable(turn);
        };
        let reply = iq_result(&self.iq, &rec, Some(&self.host), None, payload);
        turn.answer(&self.from, self.ask, Answer::Iq(reply));
    }

    /// Refuses. Each refusal of whatever cause comes through here.
    fn refuse(&self, turn: &mut Turn<'_>, refusal: &Refusal) {
        turn.env.noticed.refused(refusal.cause);
        let cause = refusal.cause.as_str();
        tracing::debug!(host = %self.host, address = %self.address, cause, "registration refused");
        if let Some(solved) = &self.solved {
            turn.challenges.not_used(solved);
        }
        let reply = parse_rec(&self.iq).and_then(|rec| {
            let error = &refusal.error;
            error.reply_to(&self.iq, &rec, Some(&self.host), None)
        });
        match reply {
            Some(reply) => turn.answer(&self.from, self.ask, Answer::Iq(reply)),
            None => self.unavailable(turn),
        }
    }

    /// The account is there.
    fn tell_log(&self, account: &Jid) {
        let address = self.address;
        if self.awaits_approval {
            tracing::info!(%account, %address, "account awaits approval");
            counter!(STANDING, "step" => "awaits").increment(1);
        } else {
            tracing::info!(%account, %address, "account registered");
        }
    }

    fn unavailable(&self, turn: &mut Turn<'_>) {
        turn.answer(&self.from, self.ask, Answer::Unavailable);
    }
}

/// Answers a registration IQ of a stream that is not authenticated.
pub(crate) fn answer(turn: &mut Turn<'_>, from: SinkRef, ask: AskId, question: Question) {
    let Question::Register {
        host,
        address,
        iq,
        invite,
    } = question
    else {
        return;
    };
    let applicant = Applicant {
        from,
        ask,
        iq,
        host,
        address,
        solved: None,
        awaits_approval: false,
        invite,
        terms: None,
    };
    let Ok(element) = Element::parse(&applicant.iq) else {
        return applicant.unavailable(turn);
    };
    if element.child("preauth", ns::PARS).is_some() {
        return check_token(turn, applicant);
    }
    let query = element.child("query", ns::REGISTER);
    match (element.attr("type"), query) {
        (Some("get"), Some(_)) => ask_for_fields(turn, applicant, element.attr("id")),
        (Some("set"), Some(query)) if removal::is_wanted(query) => {
            // XEP-0077 3.2: who is not there cannot be removed.
            let error = StanzaError::new(Condition::UnexpectedRequest);
            applicant.refuse(turn, &Refusal::form(error));
        }
        (Some("set"), Some(query)) => match Submission::read(query) {
            Ok(submission) => apply(turn, applicant, submission),
            Err(error) => applicant.refuse(turn, &Refusal::form(error)),
        },
        _ => {
            let error = StanzaError::new(Condition::BadRequest);
            applicant.refuse(turn, &Refusal::form(error));
        }
    }
}

/// XEP-0445 3. A client that shows no token has one that is worth nothing.
fn check_token(turn: &mut Turn<'_>, applicant: Applicant) {
    let Some(token) = applicant.invite.clone() else {
        let unknown = InviteRefused::Unknown.into();
        return applicant.refuse(turn, &Refusal::reservation(&unknown));
    };
    let host = applicant.host.clone();
    preauth::check(turn, &host, &token, move |turn, checked| match checked {
        Ok(_) => applicant.result(turn, None),
        Err(why) => applicant.refuse(turn, &Refusal::reservation(&why)),
    });
}

fn ask_for_fields(turn: &mut Turn<'_>, applicant: Applicant, request: Option<&str>) {
    let request = request.unwrap_or_default().to_owned();
    turn.request_free(
        Request::RegistrationIsOpen,
        move |turn, reply| match reply {
            Reply::RegistrationIsOpen(true) => show_form(turn, applicant, request),
            Reply::RegistrationNeedsApproval => {
                let awaits_approval = true;
                let applicant = Applicant {
                    awaits_approval,
                    ..applicant
                };
                show_form(turn, applicant, request);
            }
            Reply::RegistrationRefused(RegistrationRefused::InviteNeeded)
                if applicant.invite.is_some() =>
            {
                show_form(turn, applicant, request);
            }
            Reply::RegistrationRefused(why) => {
                applicant.refuse(turn, &Refusal::reservation(&why));
            }
            _ => applicant.refuse(turn, &Refusal::reservation(&RegistrationRefused::Closed)),
        },
    );
}

fn show_form(turn: &mut Turn<'_>, applicant: Applicant, request: String) {
    let form = turn.env.form.load_full();
    if !form.redirect_url.is_empty() {
        let elsewhere = redirect(&form, &applicant.host);
        return applicant.result(turn, Some(&elsewhere));
    }
    let captcha = turn.env.captcha.load_full();
    if !captcha.is_on() || applicant.invite.is_some() {
        let blank = blank(&form, applicant.addressed(), None);
        return applicant.result(turn, Some(&blank));
    }
    let (stream, address) = (applicant.stream(), applicant.address);
    let asked = turn
        .challenges
        .ask(stream, address, &captcha, turn.now, turn.entropy);
    let asked = match asked {
        Ok(asked) => {
            counter!(CAPTCHAS, "event" => "asked").increment(1);
            asked
        }
        Err(why) => return applicant.refuse(turn, &Refusal::captcha(why)),
    };
    let Some(text) = asked.text.clone() else {
        return show_challenge(turn, &applicant, &asked, &request, None);
    };
    let mut seed = [0; 8];
    turn.entropy.fill(&mut seed);
    let draw = Request::DrawCaptcha {
        text,
        seed: u64::from_le_bytes(seed),
        pace: Duration::from_secs(1) / captcha.images_per_second_max.max(1),
    };
    turn.request_free(draw, move |turn, reply| match reply {
        Reply::Drawn(picture) => {
            show_challenge(turn, &applicant, &asked, &request, Some(&picture));
        }
        // Who can be asked something else is not sent away.
        _ if asked.question.is_some() => {
            turn.challenges.without_picture(applicant.stream());
            show_challenge(turn, &applicant, &asked, &request, None);
        }
        _ => applicant.refuse(turn, &Refusal::busy()),
    });
}

fn show_challenge(
    turn: &mut Turn<'_>,
    applicant: &Applicant,
    asked: &Asked,
    request: &str,
    picture: Option<&[u8]>,
) {
    let form = turn.env.form.load_full();
    let blank = blank(
        &form,
        applicant.addressed(),
        Some((asked, request, picture)),
    );
    applicant.result(turn, Some(&blank));
}

fn apply(turn: &mut Turn<'_>, mut applicant: Applicant, submission: Submission) {
    let wanted = match wanted(turn, &applicant, &submission) {
        Ok(wanted) => wanted,
        Err(refusal) => return applicant.refuse(turn, &refusal),
    };
    let captcha = turn.env.captcha.load_full();
    // Somebody has vouched for who is invited.
    if captcha.is_on() && applicant.invite.is_none() {
        let (stream, address) = (applicant.stream(), applicant.address);
        let answered = submission.answered();
        let judged = turn
            .challenges
            .answer(stream, address, answered, &captcha, turn.now);
        match judged {
            Ok(solved) => {
                counter!(CAPTCHAS, "event" => "solved").increment(1);
                applicant.solved = Some(solved);
            }
            Err(why) => return applicant.refuse(turn, &Refusal::captcha(why)),
        }
    }
    judge(turn, applicant, wanted);
}

/// What is asked for, if it can be had as far as that can be told at once.
fn wanted(
    turn: &Turn<'_>,
    applicant: &Applicant,
    submission: &Submission,
) -> Result<Wanted, Refusal> {
    let form = turn.env.form.load();
    if !form.redirect_url.is_empty() {
        let text = format!("accounts are made at {}", form.redirect_url);
        let error = StanzaError::new(Condition::NotAllowed).with_text(text);
        return Err(Refusal::new(RefusalCause::Closed, error));
    }
    let jid = Jid::from_parts(Some(&submission.username), &applicant.host, None);
    let jid = jid.ok().filter(|jid| turn.env.is_local(jid.domain()));
    let invalid = || Refusal::form(unacceptable("this username is not a valid localpart"));
    let jid = jid.ok_or_else(invalid)?;
    let details = submission.details(&form).map_err(Refusal::form)?;
    let password = submission.password.clone();
    let length = turn.env.passwords.load().check_length(&password);
    length.map_err(|flaw| Refusal::password(&flaw))?;
    Ok(Wanted {
        jid,
        password,
        details,
    })
}

fn judge(turn: &mut Turn<'_>, applicant: Applicant, wanted: Wanted) {
    let rules = turn.env.passwords.load_full();
    if !rules.is_judged() {
        return reserve(turn, applicant, wanted);
    }
    let judge = Request::JudgePassword {
        password: wanted.password.clone(),
        account: wanted.jid.clone(),
        rules,
    };
    turn.request_free(judge, move |turn, reply| match reply {
        Reply::Done => reserve(turn, applicant, wanted),
        Reply::PasswordFlaw(flaw) => applicant.refuse(turn, &Refusal::password(&flaw)),
        _ => applicant.refuse(turn, &Refusal::internal()),
    });
}

fn reserve(turn: &mut Turn<'_>, applicant: Applicant, wanted: Wanted) {
    if let Some(token) = applicant.invite.clone() {
        return reserve_invited(turn, applicant, wanted, &token);
    }
    let reserve = Request::Reserve {
        host: applicant.host.clone(),
        address: applicant.address,
        name: wanted.jid.local().unwrap_or_default().to_owned(),
    };
    turn.request_free(reserve, move |turn, reply| match reply {
        Reply::Reserved(id) => derive(turn, applicant, wanted, id),
        Reply::ReservedToAwait(id) => {
            let awaits_approval = true;
            let applicant = Applicant {
                awaits_approval,
                ..applicant
            };
            derive(turn, applicant, wanted, id);
        }
        Reply::RegistrationRefused(why) => applicant.refuse(turn, &Refusal::reservation(&why)),
        _ => applicant.refuse(turn, &Refusal::reservation(&UNAVAILABLE)),
    });
}

fn reserve_invited(
    turn: &mut Turn<'_>,
    mut applicant: Applicant,
    wanted: Wanted,
    token: &ShownToken,
) {
    let (host, address) = (applicant.host.clone(), applicant.address);
    let name = wanted.jid.local().unwrap_or_default().to_owned();
    preauth::reserve(
        turn,
        &host,
        address,
        &name,
        token,
        move |turn, reserved| match reserved {
            Ok(invited) => {
                applicant.terms = Some(invited.terms);
                derive(turn, applicant, wanted, invited.reservation);
            }
            Err(why) => applicant.refuse(turn, &Refusal::reservation(&why)),
        },
    );
}

fn derive(turn: &mut Turn<'_>, applicant: Applicant, wanted: Wanted, place: ReservationId) {
    let request = derivation(turn, wanted.password);
    let (jid, details) = (wanted.jid, wanted.details);
    turn.request_free(request, move |turn, reply| match reply {
        Reply::Credentials(keys) => create(turn, applicant, (jid, *keys, details), place),
        Reply::BadPassword => give_back(turn, applicant, place, Refusal::unusable_password()),
        _ => give_back(turn, applicant, place, Refusal::internal()),
    });
}

fn create(
    turn: &mut Turn<'_>,
    applicant: Applicant,
    (jid, keys, details): (Jid, Credentials, BTreeMap<String, String>),
    place: ReservationId,
) {
    let making = Making {
        jid: jid.clone(),
        keys,
        details,
        address: Some(applicant.address),
        checks: checks(turn),
        standing: match applicant.awaits_approval {
            true => Standing::Awaiting { since: turn.now },
            false => Standing::Member,
        },
        inviter: applicant.terms.as_ref().map(invites::inviter),
    };
    turn.request_free(creation(turn, making), move |turn, reply| match reply {
        Reply::Done => settle(turn, applicant, jid, place),
        Reply::Failed(error) => give_back(turn, applicant, place, Refusal::store(&error)),
        _ => give_back(turn, applicant, place, Refusal::internal()),
    });
}

/// The account exists. If its place in the throttle has expired ([`Reply::NotReserved`]), or nobody
/// can say whether it was kept, the account must not be kept either: else the limit would be
/// passed.
fn settle(turn: &mut Turn<'_>, applicant: Applicant, jid: Jid, place: ReservationId) {
    turn.request_free(
        Request::CommitReservation(place),
        move |turn, reply| match reply {
            Reply::Done => {
                if let Some(solved) = &applicant.solved {
                    turn.challenges.used(solved);
                }
                if let Some(terms) = &applicant.terms {
                    invites::welcome(turn, &jid, terms);
                }
                applicant.tell_log(&jid);
                applicant.result(turn, None);
            }
            _ => turn.request_free(Request::DeleteAccount(jid, None), move |turn, reply| {
                if !matches!(reply, Reply::Deleted(_)) {
                    tracing::error!(
                        "an account past the registration throttle could not be undone"
                    );
                }
                applicant.refuse(turn, &Refusal::reservation(&UNAVAILABLE));
            }),
        },
    );
}

/// The account was not made: its place in the throttle goes to the next one.
fn give_back(turn: &mut Turn<'_>, applicant: Applicant, place: ReservationId, refusal: Refusal) {
    // If it cannot be given back now, it expires.
    turn.request_free(Request::ReleaseReservation(place), move |turn, _| {
        applicant.refuse(turn, &refusal);
    });
}

/// Captchas that were asked and solved.
const CAPTCHAS: &str = "rookery_captchas_total";
