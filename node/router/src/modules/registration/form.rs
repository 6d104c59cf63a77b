//! The fields of a registration: asked for, and read back, in both forms that XEP-0077 knows.
//!
//! ```text
//! <query xmlns='jabber:iq:register'>
//!   <instructions/><username/><password/><email/>      what XEP-0077 has an element for
//!   <x xmlns='jabber:x:data' type='form'>…</x>         all fields, and the captcha (XEP-0158 4)
//!   <data xmlns='urn:xmpp:bob' cid='…'>…</data>        its picture (XEP-0231)
//! </query>
//! ```

use std::collections::BTreeMap;

use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::{is_readable, prepare_domain};
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::challenges::{Answered, Asked};
use super::refusal::unacceptable;
use crate::modules::{bits_of_binary, captcha, media_element};
use crate::registration_form::{FieldKind, FormField, RegistrationFormOptions, is_web};

/// What a client filled in.
pub(super) struct Submission {
    /// The localpart, as written.
    pub(super) username: String,
    /// The password, as written.
    pub(super) password: String,
    /// The password so far, where that is asked for (XEP-0077 3.3).
    pub(super) old_password: Option<String>,
    form: Option<DataForm>,
    query: Element,
}

impl Submission {
    /// Reads the data form (XEP-0077 4) or, where there is none, the fields themselves. Name and password must be there
    /// (3.1).
    pub(super) fn read(query: &Element) -> Result<Self, StanzaError> {
        let form = query.child("x", ns::DATA_FORMS).map(DataForm::from_element);
        let form = form.transpose().map_err(|error| {
            StanzaError::new(Condition::BadRequest).with_text(error.to_string())
        })?;
        if form.as_ref().is_some_and(|form| !is_submission(form)) {
            let error = StanzaError::new(Condition::BadRequest);
            return Err(error.with_text("this is no submission of a form for registration"));
        }
        let mut submission = Self {
            username: String::new(),
            password: String::new(),
            old_password: None,
            form,
            query: query.clone(),
        };
        let missing = |name: &str| unacceptable(&format!("a {name} is required"));
        submission.old_password = submission.value("old_password");
        submission.username = submission
            .value("username")
            .ok_or_else(|| missing("username"))?;
        submission.password = submission
            .value("password")
            .ok_or_else(|| missing("password"))?;
        Ok(submission)
    }

    /// A value, if it was filled in.
    fn value(&self, name: &str) -> Option<String> {
        let value = match &self.form {
            Some(form) => form.value(name).map(str::to_owned),
            None => self.query.child(name, ns::REGISTER).map(Element::text),
        };
        value.filter(|value| !value.is_empty())
    }

    /// What was answered to a captcha: only a form can.
    pub(super) fn answered(&self) -> Answered<'_> {
        let value = |name| self.form.as_ref().and_then(|form| form.value(name));
        Answered {
            id: value(captcha::CHALLENGE),
            text: value(captcha::TEXT),
            answer: value(captcha::ANSWER),
        }
    }

    /// The values of the operator's fields, by their names.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub(super) fn details(
        &self,
        options: &RegistrationFormOptions,
    ) -> Result<BTreeMap<String, String>, StanzaError> {
        let mut details = BTreeMap::new();
        for field in &options.fields {
            let value = self.value(&field.name).map(|value| value.trim().to_owned());
            match value.filter(|value| !value.is_empty()) {
                Some(value) => {
                    let value = accepted(field, value)?;
                    details.insert(field.name.clone(), value);
                }
                None if field.required => return Err(missing(field)),
                None => {}
            }
        }
        Ok(details)
    }
}

/// Whether a form is filled in (XEP-0004 3.1), and not broken off, and for what this file is about (XEP-0068).
fn is_submission(form: &DataForm) -> bool {
    let is_ours = |form_type: &str| form_type.starts_with(ns::REGISTER);
    form.kind == FormKind::Submit && form.form_type().is_none_or(is_ours)
}

fn missing(field: &FormField) -> StanzaError {
    unacceptable(&format!("the field \"{}\" is required", field.label()))
}

/// The value as it is kept.
fn accepted(field: &FormField, value: String) -> Result<String, StanzaError> {
    let label = field.label();
    let refuse = |what: &str| Err(unacceptable(&format!("the field \"{label}\" {what}")));
    if value.chars().count() > field.max as usize {
        return refuse(&format!("has more than {} characters", field.max));
    }
    // An operator reads it in a terminal: nothing that cannot be seen, or turns the line around.
    if !is_readable(&value) {
        return refuse("has characters that cannot be kept");
    }
    match field.kind {
        FieldKind::Email if !is_email(&value) => refuse("is no address of mail"),
        FieldKind::Phone if !is_phone(&value) => refuse("is no telephone number"),
        FieldKind::Url if !is_web(&value) => refuse("is no address of the web"),
        FieldKind::Choice if !field.choices.contains(&value) => refuse("is none of the choices"),
        FieldKind::Boolean => match value.as_str() {
            "1" | "true" => Ok("true".to_owned()),
            "0" | "false" if field.required => Err(missing(field)),
            "0" | "false" => Ok("false".to_owned()),
            _ => refuse("is neither yes nor no"),
        },
        _ => Ok(value),
    }
}

/// Whether a text looks like an address of mail (RFC 5321 4.1.2, without quoted names): that it works is another thing.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| !c.is_whitespace() && !"<>()[],;:\\\"@".contains(c);
    let dots = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    let is_local = (1..=64).contains(&local.len()) && dots && local.chars().all(plain);
    is_local && text.len() <= 254 && domain.contains('.') && prepare_domain(domain).is_ok()
}

fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let fits = |c: char| c.is_ascii_digit() || " +-()/.".contains(c);
    (4..=20).contains(&digits) && text.chars().all(fits)
}

/// What a stranger must fill in (XEP-0077 3.1 and 4), with the captcha that it must solve and its picture.
pub(super) fn blank(
    options: &RegistrationFormOptions,
    (host, awaits_approval): (&str, bool),
    challenge: Option<(&Asked, &str, Option<&[u8]>)>,
) -> Element {
    let mut instructions = options.instructions.replace("{host}", host);
    if awaits_approval {
        instructions.push_str("\nYou can log in when a moderator has approved the account.");
    }
    let legacy = |name: &str| Element::new(name.to_owned(), ns::REGISTER);
    let known = options.fields.iter().map(|field| field.name.as_str());
    let known = known.filter(|name| LEGACY.contains(name)).map(legacy);
    let mut form = DataForm::new(FormKind::Form)
        .with_form_type(ns::REGISTER)
        .with_title(&options.title);
    for line in instructions.lines() {
        form = form.with_instructions(line);
    }
    let username = Field::new(FieldType::TextSingle, "username").with_label("Username");
    let password = Field::new(FieldType::TextPrivate, "password").with_label("Password");
    form.fields
        .extend([username.required(), password.required()]);
    form.fields.extend(options.fields.iter().map(to_field));
    let mut query = Element::new("query", ns::REGISTER)
        .with_child(legacy("instructions").with_text(&instructions))
        .with_child(legacy("username"))
        .with_child(legacy("password"))
        .with_children(known);
    let Some((asked, request, picture)) = challenge else {
        return query.with_child(form.to_element());
    };
    let picture = picture.map(bits_of_binary::Bits::png);
    let media = picture
        .as_ref()
        .map(|picture| media_element::image(&picture.uri()));
    form.fields.extend(captcha::fields(asked, request, media));
    query.push_child(form.to_element());
    query.with_children(picture.as_ref().map(bits_of_binary::Bits::to_element))
}

/// Where people register instead (XEP-0077 6): only instructions, and the address.
pub(super) fn redirect(options: &RegistrationFormOptions, host: &str) -> Element {
    let url = options.redirect_url.as_str();
    let instructions = format!("To make an account at {host}, visit {url}");
    let address = Element::new("url", ns::OUT_OF_BAND).with_text(url);
    Element::new("query", ns::REGISTER)
        .with_child(Element::new("instructions", ns::REGISTER).with_text(&instructions))
        .with_child(Element::new("x", ns::OUT_OF_BAND).with_child(address))
}

fn to_field(field: &FormField) -> Field {
    let field_type = match field.kind {
        FieldKind::Boolean => FieldType::Boolean,
        FieldKind::Choice => FieldType::ListSingle,
        _ => FieldType::TextSingle,
    };
    let mut asked = Field::new(field_type, &field.name).with_label(field.label());
    for choice in &field.choices {
        asked = asked.with_option(choice, choice);
    }
    match field.required {
        true => asked.required(),
        false => asked,
    }
}

/// The elements of XEP-0077's schema, but for those of the protocol itself.
const LEGACY: [&str; 14] = [
    "nick", "name", "first", "last", "email", "address", "city", "state", "zip", "phone", "url",
    "date", "misc", "text",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: FieldKind) -> FormField {
        let text = format!(r#"{{"name": "{name}", "label": "Your {name}"}}"#);
        FormField {
            kind,
            ..serde_json::from_str(&text).expect("a field")
        }
    }

    fn with(fields: Vec<FormField>) -> RegistrationFormOptions {
        RegistrationFormOptions {
            fields,
            ..RegistrationFormOptions::default()
        }
    }

    fn filled(values: &[(&str, &str)]) -> Submission {
        let mut form = DataForm::new(FormKind::Submit).with_form_type(ns::REGISTER);
        for (name, value) in [("username", "bill"), ("password", "Calliope")]
            .iter()
            .chain(values)
        {
            form = form.with_field(Field::submitted(*name, *value));
        }
        let query = Element::new("query", ns::REGISTER).with_child(form.to_element());
        Submission::read(&query).expect("name and password are there")
    }

    fn told(options: &RegistrationFormOptions, values: &[(&str, &str)]) -> String {
        match filled(values).details(options) {
            Ok(details) => format!("{details:?}"),
            Err(error) => error.text.expect("a text"),
        }
    }

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
    fn a_form_that_was_broken_off_or_is_for_something_else_makes_no_account() {
        let read = |kind, form_type: Option<&str>| {
            let mut form = DataForm::new(kind);
            if let Some(form_type) = form_type {
                form = form.with_form_type(form_type);
            }
            let form = form
                .with_field(Field::submitted("username", "bill"))
                .with_field(Field::submitted("password", "Calliope"));
            let query = Element::new("query", ns::REGISTER).with_child(form.to_element());
            Submission::read(&query).map(drop)
        };
        assert_eq!(read(FormKind::Submit, Some(ns::REGISTER)), Ok(()));
        assert_eq!(
            read(FormKind::Submit, None),
            Ok(()),
            "some clients say none"
        );
        for (kind, form_type) in [
            (FormKind::Cancel, Some(ns::REGISTER)),
            (FormKind::Form, Some(ns::REGISTER)),
            (
                FormKind::Submit,
                Some("http://jabber.org/protocol/muc#roomconfig"),
            ),
        ] {
            let refused = read(kind, form_type).expect_err("refused");
            assert_eq!(refused.condition, Condition::BadRequest, "{kind:?}");
        }
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

    #[test]
    fn a_field_is_asked_for_as_element_where_there_is_one_and_in_the_form() {
        let email = FormField {
            required: true,
            ..field("email", FieldKind::Email)
        };
        let language = FormField {
            choices: vec!["de".to_owned(), "en".to_owned()],
            ..field("language", FieldKind::Choice)
        };
        let query = blank(&with(vec![email, language]), ("localhost", false), None);
        assert!(query.child("email", ns::REGISTER).is_some());
        assert!(query.child("language", ns::REGISTER).is_none());
        let form = DataForm::find(&query, ns::REGISTER).expect("a form");
        assert!(form.field("email").is_some_and(|field| field.required));
        let language = form.field("language").expect("asked for");
        assert_eq!(language.field_type, Some(FieldType::ListSingle));
        assert_eq!((language.required, language.options.len()), (false, 2));
        assert_eq!(
            form.instructions,
            ["Choose a username and a password for localhost."]
        );
    }

    #[test]
    fn what_is_required_must_be_filled_in_and_what_is_not_may_be_left_out() {
        let email = FormField {
            required: true,
            ..field("email", FieldKind::Email)
        };
        let options = with(vec![email, field("nick", FieldKind::Text)]);
        assert_eq!(told(&options, &[]), r#"the field "Your email" is required"#);
        assert!(told(&options, &[("email", "  ")]).contains("is required"));
        let values = [("email", " bill@example.org "), ("other", "x")];
        assert_eq!(told(&options, &values), r#"{"email": "bill@example.org"}"#);
        let consent = FormField {
            required: true,
            ..field("rules", FieldKind::Boolean)
        };
        let options = with(vec![consent]);
        assert!(told(&options, &[("rules", "0")]).contains("is required"));
        assert_eq!(told(&options, &[("rules", "1")]), r#"{"rules": "true"}"#);
    }

    #[test]
    fn a_value_fits_its_field() {
        use FieldKind as Kind;
        let language = FormField {
            choices: vec!["de".to_owned(), "en".to_owned()],
            ..field("f", Kind::Choice)
        };
        let of = |kind| field("f", kind);
        let right = [
            (of(Kind::Email), "a.b+c@mail.example.org"),
            (of(Kind::Email), "ü@exämple.org"),
            (of(Kind::Phone), "+49 (30) 1234-567"),
            (of(Kind::Url), "https://example.org/~bill"),
            (of(Kind::Boolean), "false"),
            (language.clone(), "de"),
        ];
        let wrong = [
            (of(Kind::Email), "bill"),
            (of(Kind::Email), "bill@localhost"),
            (of(Kind::Email), "a b@example.org"),
            (of(Kind::Email), "@example.org"),
            (of(Kind::Email), ".a@example.org"),
            (of(Kind::Email), "a@b@example.org"),
            (of(Kind::Email), "a@exa mple.org"),
            (of(Kind::Phone), "call me"),
            (of(Kind::Phone), "123"),
            (of(Kind::Url), "javascript:alert(1)"),
            (of(Kind::Boolean), "perhaps"),
            (language, "fr"),
            (of(Kind::Text), "two\nlines"),
            (of(Kind::Text), "gro.elpmaxe\u{202e}"),
            (of(Kind::Email), "a\u{2066}@example.org"),
        ];
        for (field, value) in right {
            let answer = told(&with(vec![field]), &[("f", value)]);
            assert!(answer.starts_with('{'), "{value}: {answer}");
        }
        for (field, value) in wrong {
            let answer = told(&with(vec![field]), &[("f", value)]);
            assert!(answer.starts_with("the field"), "{value}: {answer}");
        }
        let short = FormField {
            max: 3,
            ..of(Kind::Text)
        };
        let options = with(vec![short]);
        assert_eq!(told(&options, &[("f", "äöü")]), r#"{"f": "äöü"}"#);
        assert!(told(&options, &[("f", "äöüß")]).contains("more than 3 characters"));
    }

    #[test]
    fn who_is_sent_to_a_web_page_gets_no_fields() {
        let options = RegistrationFormOptions {
            redirect_url: "https://example.org/join".to_owned(),
            ..RegistrationFormOptions::default()
        };
        let query = redirect(&options, "localhost");
        assert_eq!(query.elements().count(), 2);
        let url = query
            .child("x", ns::OUT_OF_BAND)
            .and_then(|x| x.child("url", ns::OUT_OF_BAND));
        assert_eq!(
            url.map(Element::text).as_deref(),
            Some("https://example.org/join")
        );
    }
}
