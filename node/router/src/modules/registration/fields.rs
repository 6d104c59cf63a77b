//! The fields of a registration: asked for, and read back, in both forms that XEP-0077 knows.

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::bad_password;
use crate::RouterOptions;

/// What a client filled in.
pub(super) struct Submission {
    /// The localpart, as written.
    pub(super) username: String,
    /// The password, as written.
    pub(super) password: String,
}

impl Submission {
    /// Reads the data form (XEP-0077 4) or, where there is none, the fields themselves. Both must be there (3.1).
    pub(super) fn read(query: &Element) -> Result<Self, StanzaError> {
        let form = query.child("x", ns::DATA_FORMS);
        let field = |name| match form {
            Some(form) => form_value(form, name),
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

    /// Whether the password is long enough.
    pub(super) fn check_password(&self, options: &RouterOptions) -> Result<(), StanzaError> {
        let enough = self.password.len() >= options.password_bytes_min as usize;
        if enough { Ok(()) } else { Err(bad_password()) }
    }
}

/// What a stranger must fill in (XEP-0077 3.1 and 4).
pub(super) fn blank(host: &str) -> Element {
    let instructions = format!("Choose a username and a password for {host}.");
    let legacy = |name| Element::new(name, ns::REGISTER);
    Element::new("query", ns::REGISTER)
        .with_child(legacy("instructions").with_text(&instructions))
        .with_child(legacy("username"))
        .with_child(legacy("password"))
        .with_child(form(&instructions))
}

fn form(instructions: &str) -> Element {
    let element = |name| Element::new(name, ns::DATA_FORMS);
    let required = |var, kind, label| {
        element("field")
            .with_attr("var", var)
            .with_attr("type", kind)
            .with_attr("label", label)
            .with_child(element("required"))
    };
    let form_type = element("field")
        .with_attr("var", "FORM_TYPE")
        .with_attr("type", "hidden")
        .with_child(element("value").with_text(ns::REGISTER));
    element("x")
        .with_attr("type", "form")
        .with_child(element("title").with_text("Creating a new account"))
        .with_child(element("instructions").with_text(instructions))
        .with_child(form_type)
        .with_child(required("username", "text-single", "Username"))
        .with_child(required("password", "text-private", "Password"))
}

fn form_value(form: &Element, var: &str) -> Option<String> {
    form.elements()
        .filter(|child| child.is("field", ns::DATA_FORMS))
        .find(|field| field.attr("var") == Some(var))
        .and_then(|field| field.child("value", ns::DATA_FORMS))
        .map(Element::text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_counts_before_the_legacy_fields() {
        let value = |text: &str| Element::new("value", ns::DATA_FORMS).with_text(text);
        let field = |var, text| {
            Element::new("field", ns::DATA_FORMS)
                .with_attr("var", var)
                .with_child(value(text))
        };
        let form = Element::new("x", ns::DATA_FORMS)
            .with_attr("type", "submit")
            .with_child(field("username", "bill"))
            .with_child(field("password", "Calliope"));
        let query = Element::new("query", ns::REGISTER)
            .with_child(Element::new("username", ns::REGISTER).with_text("other"))
            .with_child(form);
        let submission = Submission::read(&query).expect("both fields are there");
        assert_eq!(submission.username, "bill");
        assert_eq!(submission.password, "Calliope");
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
