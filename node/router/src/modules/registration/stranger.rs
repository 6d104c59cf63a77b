//! Making accounts: for strangers, through the throttle, and for the operator, past it.
//!
//! ```text
//! set ─► Reserve (names and throttle, through Raft) ─► Derive ─► CreateAccount (unique) ─► CommitReservation ─► result
//!           │ refused                           │ bad      │ exists, store fails     │ not settled
//!           ▼                                   ▼          ▼                         ▼
//!        resource-constraint                 ReleaseReservation, then the error    DeleteAccount, then wait
//! ```
//!
//! A place in the throttle is held from the reservation on, so that no number of concurrent
//! registrations, on any number of nodes, gets past a limit.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use rookery_control::{
    InviteRefused, InviteTerms, RefusalCause, RegistrationRefused, ReservationId, Unavailable,
};
use rookery_session::carrier::{
    AdminAnswer, AdminQuestion, Answer, AskId, Question, ShownToken, SinkRef,
};
use rookery_store::StoreError;
use rookery_store::account::NewAccount;
use rookery_store::name::NameChecks;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza::{iq_result, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::super::{invites, preauth};
use super::bad_password;
use super::fields::{Submission, blank};
use crate::account::store_refusal;
use crate::shard::{Reply, Request, Turn};

/// What is said when the throttle cannot be asked.
const UNAVAILABLE: RegistrationRefused = RegistrationRefused::Unavailable(Unavailable::NoQuorum);

/// A registration on its way.
struct Applicant {
    from: SinkRef,
    ask: AskId,
    iq: Bytes,
    host: String,
    address: IpAddr,
    /// The token that it has shown, and what that was found to say.
    invite: Option<Box<ShownToken>>,
    terms: Option<InviteTerms>,
}

impl Applicant {
    fn result(&self, turn: &mut Turn<'_>, payload: Option<&Element>) {
        let Some(rec) = parse_rec(&self.iq) else {
            return self.unavailable(turn);
        };
        let reply = iq_result(&self.iq, &rec, Some(&self.host), None, payload);
        turn.answer(&self.from, self.ask, Answer::Iq(reply));
    }

    fn error(&self, turn: &mut Turn<'_>, error: &StanzaError) {
        let reply = parse_rec(&self.iq)
            .and_then(|rec| error.reply_to(&self.iq, &rec, Some(&self.host), None));
        match reply {
            Some(reply) => turn.answer(&self.from, self.ask, Answer::Iq(reply)),
            None => self.unavailable(turn),
        }
    }

    /// Answers why it may not register, and has the group count that.
    fn turn_away(&self, turn: &mut Turn<'_>, why: RegistrationRefused) {
        self.refuse(turn, why.cause(), &refused(&why));
    }

    /// Answers with an error, and has the group count why.
    fn refuse(&self, turn: &mut Turn<'_>, cause: RefusalCause, error: &StanzaError) {
        turn.env.noticed.refused(cause);
        self.error(turn, error);
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
        (Some("get"), Some(_)) => ask_for_fields(turn, applicant),
        (Some("set"), Some(query)) if query.child("remove", ns::REGISTER).is_some() => {
            // XEP-0077 3.2: who is not there cannot be removed.
            applicant.error(turn, &StanzaError::new(Condition::UnexpectedRequest));
        }
        (Some("set"), Some(query)) => match Submission::read(query) {
            Ok(submission) => apply(turn, applicant, submission),
            Err(error) => applicant.refuse(turn, RefusalCause::Form, &error),
        },
        _ => applicant.error(turn, &StanzaError::new(Condition::BadRequest)),
    }
}

/// XEP-0445 3. A client that shows no token has one that is worth nothing.
fn check_token(turn: &mut Turn<'_>, applicant: Applicant) {
    let Some(token) = applicant.invite.clone() else {
        return applicant.turn_away(turn, InviteRefused::Unknown.into());
    };
    let host = applicant.host.clone();
    preauth::check(turn, &host, &token, move |turn, checked| match checked {
        Ok(_) => applicant.result(turn, None),
        Err(why) => applicant.turn_away(turn, why),
    });
}

fn ask_for_fields(turn: &mut Turn<'_>, applicant: Applicant) {
    turn.request_free(
        Request::RegistrationIsOpen,
        move |turn, reply| match reply {
            Reply::RegistrationIsOpen(true) => {
                let blank = blank(&applicant.host);
                applicant.result(turn, Some(&blank));
            }
            Reply::RegistrationRefused(RegistrationRefused::InviteNeeded)
                if applicant.invite.is_some() =>
            {
                let blank = blank(&applicant.host);
                applicant.result(turn, Some(&blank));
            }
            Reply::RegistrationRefused(why) => applicant.turn_away(turn, why),
            _ => applicant.turn_away(turn, RegistrationRefused::Closed),
        },
    );
}

fn apply(turn: &mut Turn<'_>, applicant: Applicant, submission: Submission) {
    let jid = match Jid::from_parts(Some(&submission.username), &applicant.host, None) {
        Ok(jid) if turn.env.is_local(jid.domain()) => jid,
        _ => {
            let error = unacceptable("this username is not a valid localpart");
            return applicant.refuse(turn, RefusalCause::Form, &error);
        }
    };
    if let Err(error) = submission.check_password(&turn.options) {
        return applicant.refuse(turn, RefusalCause::Password, &error);
    }
    if applicant.invite.is_some() {
        return reserve_invited(turn, applicant, jid, submission.password);
    }
    let reserve = Request::Reserve {
        host: applicant.host.clone(),
        address: applicant.address,
        name: jid.local().unwrap_or_default().to_owned(),
    };
    turn.request_free(reserve, move |turn, reply| match reply {
        Reply::Reserved(id) => derive(turn, applicant, jid, submission.password, id),
        Reply::RegistrationRefused(why) => applicant.refuse(turn, why.cause(), &refused(&why)),
        _ => applicant.refuse(turn, UNAVAILABLE.cause(), &refused(&UNAVAILABLE)),
    });
}

fn reserve_invited(turn: &mut Turn<'_>, mut applicant: Applicant, jid: Jid, password: String) {
    let Some(token) = applicant.invite.clone() else {
        return;
    };
    let (host, address) = (applicant.host.clone(), applicant.address);
    let name = jid.local().unwrap_or_default().to_owned();
    preauth::reserve(
        turn,
        &host,
        address,
        &name,
        &token,
        move |turn, reserved| match reserved {
            Ok(invited) => {
                applicant.terms = Some(invited.terms);
                derive(turn, applicant, jid, password, invited.reservation);
            }
            Err(why) => applicant.turn_away(turn, why),
        },
    );
}

fn derive(
    turn: &mut Turn<'_>,
    applicant: Applicant,
    jid: Jid,
    password: String,
    place: ReservationId,
) {
    let request = derivation(turn, password);
    turn.request_free(request, move |turn, reply| match reply {
        Reply::Credentials(keys) => create(turn, applicant, jid, *keys, place),
        Reply::BadPassword => {
            let refusal = (RefusalCause::Password, bad_password());
            give_back(turn, applicant, place, refusal);
        }
        _ => give_back(turn, applicant, place, internal()),
    });
}

fn create(
    turn: &mut Turn<'_>,
    applicant: Applicant,
    jid: Jid,
    keys: Credentials,
    place: ReservationId,
) {
    let address = Some(applicant.address);
    let request = creation(turn, jid.clone(), keys, address, checks(turn));
    turn.request_free(request, move |turn, reply| match reply {
        Reply::Done => settle(turn, applicant, jid, place),
        Reply::Failed(error) if error.is_about_name() => {
            give_back(turn, applicant, place, name_refused(&error));
        }
        Reply::Failed(error) => {
            let refusal = (RefusalCause::Unavailable, store_refusal(&error));
            give_back(turn, applicant, place, refusal);
        }
        _ => give_back(turn, applicant, place, internal()),
    });
}

/// The account exists. If its place in the throttle has expired ([`Reply::NotReserved`]), or nobody
/// can say whether it was kept, the account must not be kept either: else the limit would be
/// passed.
fn settle(turn: &mut Turn<'_>, mut applicant: Applicant, jid: Jid, place: ReservationId) {
    turn.request_free(
        Request::CommitReservation(place),
        move |turn, reply| match reply {
            Reply::Done => {
                if let Some(terms) = applicant.terms.take() {
                    invites::welcome(turn, &jid, &terms);
                }
                applicant.result(turn, None);
            }
            _ => turn.request_free(Request::DeleteAccount(jid, None), move |turn, reply| {
                if !matches!(reply, Reply::Deleted(_)) {
                    tracing::error!(
                        "an account past the registration throttle could not be undone"
                    );
                }
                applicant.refuse(turn, UNAVAILABLE.cause(), &refused(&UNAVAILABLE));
            }),
        },
    );
}

/// The account was not made: its place in the throttle goes to the next one.
fn give_back(
    turn: &mut Turn<'_>,
    applicant: Applicant,
    place: ReservationId,
    (cause, error): (RefusalCause, StanzaError),
) {
    // If it cannot be given back now, it expires.
    turn.request_free(Request::ReleaseReservation(place), move |turn, _| {
        applicant.refuse(turn, cause, &error);
    });
}

fn internal() -> (RefusalCause, StanzaError) {
    let error = StanzaError::new(Condition::InternalServerError);
    (RefusalCause::Unavailable, error)
}

/// Creates an account for the operator: past the throttle, for whoever runs the server decides who
/// is on it.
pub(crate) fn create_for_operator(
    turn: &mut Turn<'_>,
    from: SinkRef,
    ask: AskId,
    question: Question,
) {
    let Question::Admin(AdminQuestion::CreateAccount {
        account,
        password,
        force,
    }) = question
    else {
        return;
    };
    if !account.is_bare() || account.local().is_none() || !turn.env.is_local(account.domain()) {
        let text = format!("{account} is not an address of a host that is served here");
        return turn.answer(&from, ask, Answer::Admin(AdminAnswer::Invalid(text)));
    }
    if force {
        return derive_for_operator(turn, from, ask, account, password, NameChecks::NONE);
    }
    let name = account.local().unwrap_or_default().to_owned();
    turn.request_free(Request::CheckName(name), move |turn, reply| match reply {
        Reply::Name(None) => {
            let checks = checks(turn);
            derive_for_operator(turn, from, ask, account, password, checks);
        }
        other => turn.answer(&from, ask, operator_answer(&other)),
    });
}

fn derive_for_operator(
    turn: &mut Turn<'_>,
    from: SinkRef,
    ask: AskId,
    account: Jid,
    password: String,
    checks: NameChecks,
) {
    let request = derivation(turn, password);
    turn.request_free(request, move |turn, reply| match reply {
        Reply::Credentials(keys) => {
            let request = creation(turn, account, *keys, None, checks);
            turn.request_free(request, move |turn, reply| {
                turn.answer(&from, ask, operator_answer(&reply));
            });
        }
        other => turn.answer(&from, ask, operator_answer(&other)),
    });
}

/// What names are checked for, for everybody who does not insist.
fn checks(turn: &Turn<'_>) -> NameChecks {
    NameChecks {
        look_alikes: turn.env.names.load().confusable,
        tombstones: true,
    }
}

fn operator_answer(reply: &Reply) -> Answer {
    match reply {
        Reply::Done => Answer::Admin(AdminAnswer::Done),
        Reply::Failed(StoreError::AlreadyExists) => Answer::Admin(AdminAnswer::AlreadyExists),
        Reply::Failed(error) if error.is_about_name() => {
            let why = format!("{error}: --force creates it all the same");
            Answer::Admin(AdminAnswer::Invalid(why))
        }
        Reply::Name(Some((rule, kind))) => {
            let kind = kind.as_str();
            let why = format!(
                "the name is {kind} by the rule `{rule}` (`rookery admin names list`): --force creates it all the same"
            );
            Answer::Admin(AdminAnswer::Invalid(why))
        }
        Reply::BadPassword => Answer::Admin(AdminAnswer::Invalid(
            "the password is empty or has characters that no password may have".into(),
        )),
        _ => Answer::Unavailable,
    }
}

fn derivation(turn: &mut Turn<'_>, password: String) -> Request {
    let mut salt = [0; 16];
    turn.entropy.fill(&mut salt);
    Request::Derive {
        password,
        salt,
        iterations: turn.options.scram_iterations,
    }
}

fn creation(
    turn: &Turn<'_>,
    jid: Jid,
    keys: Credentials,
    address: Option<IpAddr>,
    checks: NameChecks,
) -> Request {
    Request::CreateAccount(Box::new(NewAccount {
        jid,
        credentials: keys,
        created: turn.now,
        details: BTreeMap::new(),
        address,
        checks,
    }))
}

/// What an applicant is told when an account or what is left of one is in the way. Which account a name looks like is
/// not told, nor that a name is withheld for a deleted one: to choose another name neither is needed.
fn name_refused(error: &StoreError) -> (RefusalCause, StanzaError) {
    let taken = || StanzaError::new(Condition::Conflict);
    match error {
        StoreError::Confusable { .. } => {
            let error = unacceptable(
                "this username looks too much like another one; choose one that cannot be taken for it",
            );
            (RefusalCause::Confusable, error)
        }
        StoreError::Gone { .. } => (RefusalCause::Gone, taken()),
        _ => (RefusalCause::Conflict, taken()),
    }
}

fn unacceptable(text: &str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable)
        .with_type(ErrorType::Modify)
        .with_text(text)
}

/// What an applicant is told when the throttle refuses (DESIGN: never let through without a
/// quorum).
fn refused(why: &RegistrationRefused) -> StanzaError {
    let wait = |text: &str| {
        StanzaError::new(Condition::ResourceConstraint)
            .with_type(ErrorType::Wait)
            .with_text(text)
    };
    match why {
        RegistrationRefused::Closed => StanzaError::new(Condition::NotAllowed)
            .with_text("registration is closed on this server"),
        RegistrationRefused::Throttled { retry_after_ms, .. } => wait(&format!(
            "too many registrations; try again in {} seconds",
            retry_after_ms.div_ceil(1000)
        )),
        // Which rule it is stays with the operator: it would say how to get around it.
        RegistrationRefused::Name(_) => unacceptable("this username is reserved; choose another"),
        RegistrationRefused::InviteNeeded => StanzaError::new(Condition::NotAllowed)
            .with_text("an account on this server needs an invitation"),
        RegistrationRefused::Invite(InviteRefused::OtherName) => {
            unacceptable("this invitation is for another username")
        }
        RegistrationRefused::Invite(_) => StanzaError::new(Condition::ItemNotFound)
            .with_text("the invitation is invalid, used up or expired"),
        // From where else it would work is nobody's business.
        RegistrationRefused::Refused(_) => StanzaError::new(Condition::Forbidden)
            .with_text("registration is not possible from here"),
        RegistrationRefused::Unavailable(_) => {
            wait("registrations cannot be counted at the moment; try again later")
        }
    }
}
