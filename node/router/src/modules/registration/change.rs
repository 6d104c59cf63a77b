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
//! What becomes of a wrong one is in [`super::proof`].

use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::form::Submission;
use super::{proof, refusal};
use crate::account::{Account, store_refusal};
use crate::modules::{Iq, Outcome};
use crate::shard::{Reply, Request, Turn};

/// The form that asks for the old password (XEP-0077 3.3).
const CHANGE_FORM: &str = "jabber:iq:register:changepassword";

/// Sets the password that a session asks for. Sessions stay as they are.
pub(super) fn change_password(account: &Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    let submission = match Submission::read(&iq.payload) {
        Ok(submission) => submission,
        Err(error) => return Outcome::Error(error),
    };
    if !proof::names_own(account, &submission.username) {
        return Outcome::Error(
            StanzaError::new(Condition::BadRequest)
                .with_text("only the password of the own account can be changed"),
        );
    }
    let rules = turn.env.passwords.load_full();
    if let Err(flaw) = rules.check_length(&submission.password) {
        return Outcome::Error(refusal::password(&flaw));
    }
    if submission.old_password.is_none() && proof::is_old(account, turn, iq) {
        return Outcome::Error(asks_for_old(account));
    }
    let Submission {
        password,
        old_password,
        ..
    } = submission;
    if !rules.is_judged() {
        return change(account, turn, old_password, password);
    }
    let judge = Request::JudgePassword {
        password: password.clone(),
        account: Jid::clone(account.jid()),
        rules,
    };
    Outcome::wait(judge, |account, turn, _, reply| match reply {
        Reply::Done => change(account, turn, old_password, password),
        Reply::PasswordFlaw(flaw) => Outcome::Error(refusal::password(&flaw)),
        _ => Outcome::internal(),
    })
}

/// Goes on if the old password is right, or was not asked for.
fn change(
    account: &Account,
    turn: &mut Turn<'_>,
    old: Option<String>,
    password: String,
) -> Outcome {
    match old {
        None => derive(turn, password),
        Some(old) => proof::prove(account, old, |_, turn| derive(turn, password)),
    }
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
            tracing::info!(account = %account.jid(), "password changed by its owner");
            Outcome::Result(None)
        }
        Reply::Failed(error) => Outcome::Error(store_refusal(&error)),
        _ => Outcome::internal(),
    })
}

/// The old password is to be given, in this form.
fn asks_for_old(account: &Account) -> StanzaError {
    let form = proof::form(account, CHANGE_FORM)
        .with_title("Changing the password")
        .with_instructions("You logged in a while ago. Give the old password too, or log in again.")
        .with_field(proof::secret("old_password", "Old password"))
        .with_field(proof::secret("password", "New password"));
    StanzaError::new(Condition::NotAuthorized)
        .with_type(ErrorType::Modify)
        .with_text("this session is old: give the old password too, or log in again")
        .with_beside(proof::query(&form))
}
