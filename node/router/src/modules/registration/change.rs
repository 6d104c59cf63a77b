//! A new password for the own account (XEP-0077 3.3).
//!
//! ```text
//! session: set ─► own name? ─► good enough? ─► is the session old?
//!                                                │ no ─► Derive ─► SetCredentials ─► result
//!                                                │ yes, without the old password ─► not-authorized and a form
//!                                                └ yes, with it ─► VerifyPassword ─┬─► as above
//!                                                                                  └ wrong ─► not-authorized, thrice:
//! the end
//! ```
//!
//! Who holds a session without knowing the password has three tries at it. Then the session ends, and whoever wants
//! another one meets what stands before each login: its delays, the counts of all nodes, and the blocks.

use rookery_session::carrier::SessionId;
use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::form::Submission;
use super::refusal;
use crate::account::{Account, store_refusal};
use crate::modules::{Iq, Outcome};
use crate::shard::{Reply, Request, Turn};

/// The form that asks for the old password (XEP-0077 3.3).
const CHANGE_FORM: &str = "jabber:iq:register:changepassword";

/// How often one session may be wrong about the old password.
const WRONG_MAX: u8 = 3;

/// Sets the password that a session asks for. Sessions stay as they are.
pub(super) fn change_password(account: &Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    let submission = match Submission::read(&iq.payload) {
        Ok(submission) => submission,
        Err(error) => return Outcome::Error(error),
    };
    if !names_own(account, &submission.username) {
        return Outcome::Error(
            StanzaError::new(Condition::BadRequest)
                .with_text("only the password of the own account can be changed"),
        );
    }
    let rules = turn.env.passwords.load_full();
    if let Err(flaw) = rules.check_length(&submission.password) {
        return Outcome::Error(refusal::password(&flaw));
    }
    if submission.old_password.is_none() && is_old(account, turn, iq) {
        return Outcome::Error(asks_for_old(account));
    }
    let Submission {
        password,
        old_password,
        ..
    } = submission;
    if !rules.is_judged() {
        return prove(account, turn, old_password, password);
    }
    let judge = Request::JudgePassword {
        password: password.clone(),
        account: Jid::clone(account.jid()),
        rules,
    };
    Outcome::wait(judge, |account, turn, _, reply| match reply {
        Reply::Done => prove(account, turn, old_password, password),
        Reply::PasswordFlaw(flaw) => Outcome::Error(refusal::password(&flaw)),
        _ => Outcome::internal(),
    })
}

/// Whether a name is the account's: its localpart or, as in XEP-0077's example, its bare JID.
fn names_own(account: &Account, name: &str) -> bool {
    let own = account.jid();
    let as_local = Jid::from_parts(Some(name), own.domain(), None);
    let named = as_local.or_else(|_| Jid::parse(name));
    named.is_ok_and(|named| named.as_str() == own.as_str())
}

/// Whether a session is so old that its client must know the old password.
fn is_old(account: &Account, turn: &Turn<'_>, iq: &Iq) -> bool {
    let Some(session) = iq.session.and_then(|id| account.sessions.get(id)) else {
        return true;
    };
    let asked_after = turn.env.passwords.load().old_asked_after_s;
    turn.now.since(session.bound).as_secs() >= u64::from(asked_after)
}

/// Goes on if the old password is right, or was not asked for.
fn prove(account: &Account, turn: &mut Turn<'_>, old: Option<String>, password: String) -> Outcome {
    let Some(old) = old else {
        return derive(turn, password);
    };
    let verify = Request::VerifyPassword {
        password: old,
        keys: Box::new(account.record.credentials.sha256.clone()),
    };
    Outcome::wait(verify, |account, turn, iq, reply| match reply {
        Reply::PasswordIs(true) => derive(turn, password),
        Reply::PasswordIs(false) => wrong(account, turn, iq),
        _ => Outcome::internal(),
    })
}

/// The old password was wrong.
fn wrong(account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    let session = iq.session.and_then(|id| account.sessions.get_mut(id));
    let Some(session) = session else {
        return Outcome::Silence;
    };
    session.wrong_passwords += 1;
    let (id, address, tries): (SessionId, _, _) =
        (session.id, session.address, session.wrong_passwords);
    tracing::info!(account = %account.jid(), %address, tries, "old password is wrong");
    let error = StanzaError::new(Condition::NotAuthorized)
        .with_type(ErrorType::Modify)
        .with_text("the old password is wrong");
    if tries < WRONG_MAX {
        return Outcome::Error(error);
    }
    account.conclude(turn, iq.clone(), Outcome::Error(error));
    let end = StreamError::new(StreamCondition::NotAuthorized)
        .with_text("the old password was wrong too often; log in again");
    account.end_session(turn, id, end);
    Outcome::Silence
}

fn derive(turn: &mut Turn<'_>, password: String) -> Outcome {
    let derive = super::derivation(turn, password);
    Outcome::wait(derive, |account, _, _, reply| match reply {
        Reply::Credentials(keys) => store(account, keys),
        Reply::BadPassword => Outcome::Error(refusal::unusable_password()),
        _ => Outcome::internal(),
    })
}

fn store(account: &Account, keys: Box<Credentials>) -> Outcome {
    let request = Request::SetCredentials(Jid::clone(account.jid()), keys.clone());
    Outcome::wait(request, move |account, _, _, reply| match reply {
        Reply::Done => {
            account.record.credentials = *keys;
            Outcome::Result(None)
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

/// The old password is to be given, in this form.
fn asks_for_old(account: &Account) -> StanzaError {
    let field = |field_type, var: &str, label: &str| {
        Field::new(field_type, var).with_label(label).required()
    };
    let username = field(FieldType::TextSingle, "username", "Username");
    let form = DataForm::new(FormKind::Form)
        .with_form_type(CHANGE_FORM)
        .with_title("Changing the password")
        .with_instructions("You logged in a while ago. Give the old password too, or log in again.")
        .with_field(username.with_value(account.jid().local().unwrap_or_default()))
        .with_field(field(
            FieldType::TextPrivate,
            "old_password",
            "Old password",
        ))
        .with_field(field(FieldType::TextPrivate, "password", "New password"));
    let query = Element::new("query", ns::REGISTER).with_child(form.to_element());
    StanzaError::new(Condition::NotAuthorized)
        .with_type(ErrorType::Modify)
        .with_text("this session is old: give the old password too, or log in again")
        .with_beside(query)
}
