//! Whether who holds a session knows the account's password: asked of old sessions before they take the account away
//! from its owner, by another password or by its removal.
//!
//! Each wrong one is a failed login, which the session's node is told of at once and counts. Who was wrong three times
//! is not asked again: the session ends, and whoever wants another one meets what stands before each login, its delays,
//! the counts of all nodes, and the blocks.

use rookery_session::carrier::{SessionId, WRONG_PASSWORDS_MAX, wrong_too_often};
use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use crate::account::Account;
use crate::modules::{Iq, Outcome};
use crate::shard::{Reply, Request, Turn};

/// Whether a name is the account's: its localpart or, as in XEP-0077's examples, its bare JID.
pub(super) fn names_own(account: &Account, name: &str) -> bool {
    let own = account.jid();
    let as_local = Jid::from_parts(Some(name), own.domain(), None);
    let named = as_local.or_else(|_| Jid::parse(name));
    named.is_ok_and(|named| named.as_str() == own.as_str())
}

/// Whether a session is so old that its client must know the password.
pub(super) fn is_old(account: &Account, turn: &Turn<'_>, iq: &Iq) -> bool {
    let Some(session) = iq.session.and_then(|id| account.sessions.get(id)) else {
        return true;
    };
    let asked_after = turn.env.passwords.load().old_asked_after_s;
    turn.now.since(session.bound).as_secs() >= u64::from(asked_after)
}

/// The beginning of a form of XEP-0077 in which the account's owner proves it: the own name.
pub(super) fn form(account: &Account, form_type: &str) -> DataForm {
    let username = Field::new(FieldType::TextSingle, "username").with_label("Username");
    let own = account.jid().local().unwrap_or_default();
    DataForm::new(FormKind::Form)
        .with_form_type(form_type)
        .with_field(username.required().with_value(own))
}

/// A password in such a form.
pub(super) fn secret(var: &str, label: &str) -> Field {
    let field = Field::new(FieldType::TextPrivate, var);
    field.with_label(label).required()
}

/// Such a form, as it goes beside an error.
pub(super) fn query(form: &DataForm) -> Element {
    Element::new("query", ns::REGISTER).with_child(form.to_element())
}

/// Goes on if this is the account's password.
pub(super) fn prove(
    account: &Account,
    password: String,
    then: impl FnOnce(&mut Account, &mut Turn<'_>) -> Outcome + Send + 'static,
) -> Outcome {
    let verify = Request::VerifyPassword {
        password,
        keys: Box::new(account.record.credentials.sha256.clone()),
    };
    Outcome::wait(verify, |account, turn, iq, reply| match reply {
        Reply::PasswordIs(true) => then(account, turn),
        Reply::PasswordIs(false) => wrong(account, turn, iq),
        _ => Outcome::internal(),
    })
}

/// The password was wrong.
fn wrong(account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    let session = iq.session.and_then(|id| account.sessions.get_mut(id));
    let Some(session) = session else {
        return Outcome::Silence;
    };
    session.wrong_passwords += 1;
    let (id, address, tries): (SessionId, _, _) =
        (session.id, session.address, session.wrong_passwords);
    turn.wrong_password(&session.sink);
    tracing::info!(account = %account.jid(), %address, tries, "password is wrong");
    let error = StanzaError::new(Condition::NotAuthorized)
        .with_type(ErrorType::Modify)
        .with_text("the password is wrong");
    if tries < WRONG_PASSWORDS_MAX {
        return Outcome::Error(error);
    }
    account.conclude(turn, iq.clone(), Outcome::Error(error));
    account.end_session(turn, id, wrong_too_often());
    Outcome::Silence
}
