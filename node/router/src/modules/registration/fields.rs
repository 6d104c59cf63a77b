//! The fields of a registration: asked for, and read back, in both forms that XEP-0077 knows.

use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::bad_password;
use crate::{PASSWORD_BYTES_MAX, RouterOptions};

/// What a client filled in.
pub(super) struct Submission {
    /// The localpart, as written.
    pub(super) username: String,
    /// The password, as written.
    pub(super) password: String,
}

impl Submission {
    /// Reads the data form (XEP-0077 4) or, where there is none, the fields themselves. Both must
    /// be there (3.1).
    pub(super) fn read(query: &Element) -> Result<Self, StanzaError> {
        let form = query.child("x", ns::DATA_FORMS).map(DataForm::from_element);
        let form = form.transpose().map_err(|error| {
            StanzaError::new(Condition::BadRequest).with_text(error.to_string())
        })?;
        let field = |name| match &form {
            Some(form) => form.value(name).map(str::to_owned),
            None => query.child(name, ns::REGISTER).map(Element::text),
        };
        let missing = |name: &str| {
            StanzaError::new(Condition::NotAcceptable)
                .with_type(ErrorType::Modify)
                .with_text(format!("a {name} is required"))
        };
        let filled = |name| field(name).filter(|value| !value.is_empty());
        let username = filled("username").ok_or_else(|| missing("username"))?;
        let password = filled("password").ok_or_else(|| missing("password"))?;
        Ok(Self { username, password })
    }

    /// Whether the password is long enough, and not too long.
    pub(super) fn check_password(&self, options: &RouterOptions) -> Result<(), StanzaError> {
        let fits = options.password_bytes_min as usize..=PASSWORD_BYTES_MAX;
        match fits.contains(&self.password.len()) {
            true => Ok(()),
            false => Err(bad_password()),
        }
    }
}

/// What a stranger must fill in (XEP-0077 3.1 and 4).
pub(super) fn blank(host: &str, awaits_approval: bool) -> Element {
    let mut instructions = format!("Choose a username and a password for {host}.");
    if awaits_approval {
        instructions.push_str(" You can log in when a moderator has approved the account.");
    }
    let legacy = |name| Element::new(name, ns::REGISTER);
    Element::new("query", ns::REGISTER)
        .with_child(legacy("instructions").with_text(&instructions))
        .with_child(legacy("username"))
        .with_child(legacy("password"))
        .with_child(form(&instructions))
}

fn form(instructions: &str) -> Element {
    let username = Field::new(FieldType::TextSingle, "username").with_label("Username");
    let password = Field::new(FieldType::TextPrivate, "password").with_label("Password");
    DataForm::new(FormKind::Form)
        .with_form_type(ns::REGISTER)
        .with_title("Creating a new account")
        .with_instructions(instructions)
        .with_field(username.required())
        .with_field(password.required())
        .to_element()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_counts_before_the_legacy_fields() {
        let form = DataForm::new(FormKind::Submit)
            .with_form_type(ns::REGISTER)
            .with_field(Field::submitted("username", "bill"))
            .with_field(Field::submitted("password", "Calliope"));
        let query = Element::new("query", ns::REGISTER)
            .with_child(Element::new("username", ns::REGISTER).with_text("other"))
            .with_child(form.to_element());
        let submission = Submission::read(&query).expect("both fields are there");
        assert_eq!(submission.username, "bill");
        assert_eq!(submission.password, "Calliope");
    }

    #[test]
    fn a_password_that_is_too_long_is_refused() {
        let options = RouterOptions::default();
        let of = |bytes: usize| Submission {
            username: "juliet".to_owned(),
            password: "x".repeat(bytes),
        };
        assert!(of(PASSWORD_BYTES_MAX).check_password(&options).is_ok());
        assert!(of(PASSWORD_BYTES_MAX + 1).check_password(&options).is_err());
    }

    #[test]
    fn an_empty_password_is_refused() {
        let query = Element::new("query", ns::REGISTER)
            .with_child(Element::new("username", ns::REGISTER).with_text("bill"))
            .with_child(Element::new("password", ns::REGISTER));
        let error = Submission::read(&query)
            .err()
            .expect("the password is empty");
        assert_eq!(error.condition, Condition::NotAcceptable);
    }
}
