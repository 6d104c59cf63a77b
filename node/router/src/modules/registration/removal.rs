//! The own account is removed (XEP-0077 3.2).
//!
//! ```text
//! session: <remove/> ─► is the session old?
//!                         │ no ─► it leaves
//!                         └ yes ─► not-allowed and a form ─► name and password ─┬─► it leaves
//!                                                                               └ wrong: see [`super::proof`]
//! ```

use rookery_xmpp::dataform::DataForm;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::form::Submission;
use super::proof;
use crate::account::Account;
use crate::modules::{Iq, Outcome};
use crate::shard::Turn;

/// The form that asks for name and password (XEP-0077 3.2).
const CANCEL_FORM: &str = "jabber:iq:register:cancel";

/// Whether a query wants the account removed.
pub(super) fn is_wanted(query: &Element) -> bool {
    query.child("remove", ns::REGISTER).is_some() || DataForm::find(query, CANCEL_FORM).is_some()
}

/// Removes the account of a session.
pub(super) fn remove(account: &Account, turn: &Turn<'_>, iq: &Iq) -> Outcome {
    if DataForm::find(&iq.payload, CANCEL_FORM).is_some() {
        return remove_by_form(account, &iq.payload);
    }
    if iq.payload.elements().count() != 1 {
        return Outcome::Error(StanzaError::new(Condition::BadRequest));
    }
    match proof::is_old(account, turn, iq) {
        true => Outcome::Error(asks_for_password(account)),
        false => account.remove_for_owner(turn),
    }
}

fn remove_by_form(account: &Account, query: &Element) -> Outcome {
    let submission = match Submission::read(query) {
        Ok(submission) => submission,
        Err(error) => return Outcome::Error(error),
    };
    if !proof::names_own(account, &submission.username) {
        let error = StanzaError::new(Condition::BadRequest);
        return Outcome::Error(error.with_text("only the own account can be removed"));
    }
    proof::prove(account, submission.password, |account, turn| {
        account.remove_for_owner(turn)
    })
}

/// Name and password are to be given, in this form.
fn asks_for_password(account: &Account) -> StanzaError {
    let form = proof::form(account, CANCEL_FORM)
        .with_title("Removing the account")
        .with_instructions("You logged in a while ago. Give the password too, or log in again.")
        .with_field(proof::secret("password", "Password"));
    StanzaError::new(Condition::NotAllowed)
        .with_text("this session is old: give the password too, or log in again")
        .with_beside(proof::query(&form))
}
