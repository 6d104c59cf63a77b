//! The owner removes the own account (XEP-0077 3.2).
//!
//! ```text
//! session: <remove/> ─► is the session old?
//!                         │ no ─► SetStanding ─► result; all sessions end
//!                         └ yes ─► not-allowed and a form
//!          the form ─► own name? ─► VerifyPassword ─┬─► as above
//!                                                   └ wrong ─► not-authorized, thrice: the end
//! ```
//!
//! So an unlocked device or a stolen session is not enough to take somebody's account away.

use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::form::Submission;
use super::proof;
use crate::account::Account;
use crate::modules::{Iq, Outcome};
use crate::shard::Turn;

/// The form that asks for the password (XEP-0077 3.2).
const CANCEL_FORM: &str = "jabber:iq:register:cancel";

/// Whether a request is to remove the account, plainly or by the form.
pub(super) fn is_meant(query: &Element) -> bool {
    query.child("remove", ns::REGISTER).is_some() || DataForm::find(query, CANCEL_FORM).is_some()
}

/// Removes the account, if whoever holds the session may.
pub(super) fn remove(account: &Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    if iq.payload.elements().count() != 1 {
        return Outcome::Error(StanzaError::new(Condition::BadRequest));
    }
    if DataForm::find(&iq.payload, CANCEL_FORM).is_some() {
        return by_form(account, &iq.payload);
    }
    match proof::is_asked(account, turn, iq) {
        true => Outcome::Error(asks_for_password(account)),
        false => account.remove_for_owner(turn),
    }
}

/// Who fills in the form proves it, however old the session is.
fn by_form(account: &Account, query: &Element) -> Outcome {
    let submission = match Submission::read(query) {
        Ok(submission) => submission,
        Err(error) => return Outcome::Error(error),
    };
    if !proof::names_own(account, &submission.username) {
        return Outcome::Error(
            StanzaError::new(Condition::BadRequest)
                .with_text("only the own account can be removed"),
        );
    }
    proof::prove(account, submission.password, |account, turn| {
        account.remove_for_owner(turn)
    })
}

/// The password is to be given, in this form.
fn asks_for_password(account: &Account) -> StanzaError {
    let field = |field_type, var: &str, label: &str| {
        Field::new(field_type, var).with_label(label).required()
    };
    let username = field(FieldType::TextSingle, "username", "Username");
    let form = DataForm::new(FormKind::Form)
        .with_form_type(CANCEL_FORM)
        .with_title("Removing the account")
        .with_instructions("You logged in a while ago. Give the password too, or log in again.")
        .with_field(username.with_value(account.jid().local().unwrap_or_default()))
        .with_field(field(FieldType::TextPrivate, "password", "Password"));
    let query = Element::new("query", ns::REGISTER).with_child(form.to_element());
    StanzaError::new(Condition::NotAllowed)
        .with_text("this session is old: give the password too, or log in again")
        .with_beside(query)
}
