//! The section `[registration_form]`: what strangers are asked for besides a name and a password.

use serde::{Deserialize, Serialize};

rookery_xmpp::options! {
    /// What who registers is asked for besides a username and a password (XEP-0077). The answers are kept with the
    /// account: `rookery admin users show` shows them, and nobody else gets them.
    pub struct RegistrationFormOptions {
        /// The title above the form, as clients show it.
        pub title: String = "Creating a new account".to_owned(), "";
        /// The instructions above the fields: what the server is, what its rules are, where they can be read. `{host}`
        /// is the virtual host.
        pub instructions: String = "Choose a username and a password for {host}.".to_owned(), "";
        /// More fields, as in `fields = [{ name = "email", kind = "email", required = true }]`. Each has a `name`, and
        /// may have a `label` for people, a `kind` (`text`, which is the default, `email`, `phone`, `url`, `boolean` or
        /// `choice`, with a list of `choices`), `required`, and `max`, its characters. Clients without data forms see
        /// those that XEP-0077 has a name for: nick, name, first, last, email, address, city, state, zip, phone, url,
        /// date, misc and text. At most 11, or 7 with a captcha: what a stranger may send has no room for more.
        pub fields: Vec<FormField> = Vec::new(), "";
        /// A web page where people register instead (XEP-0077 6): clients show it, and nobody registers over XMPP.
        /// Accounts are then made by the page, through the admin API. Needs a mode of registration in which it is open.
        pub redirect_url: String = String::new(), "";
    }
}

/// One more field of the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// Its name, by which its value is kept: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What people read; empty for the name.
    #[serde(default)]
    pub label: String,
    /// What may be written into it.
    #[serde(default)]
    pub kind: FieldKind,
    /// Whether it must be filled in; a boolean must be true then, as consent is.
    #[serde(default)]
    pub required: bool,
    /// The longest value, in characters.
    #[serde(default = "max_default")]
    pub max: u32,
    /// What can be chosen.
    #[serde(default)]
    pub choices: Vec<String>,
}

/// What may be written into a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// Anything, on one line.
    #[default]
    Text,
    /// An address of mail (RFC 5321), not proved.
    Email,
    /// A telephone number.
    Phone,
    /// An address of the web.
    Url,
    /// Yes or no.
    Boolean,
    /// One of the choices.
    Choice,
}

/// What is wrong with the section; for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormFlaw {
    /// There are more fields than a stranger may fill in.
    #[error("there are {has} fields, and a stranger's stanza has room for {most}")]
    Fields {
        /// So many.
        has: usize,
        /// At most so many.
        most: usize,
    },
    /// The values together are longer than a stranger may send.
    #[error(
        "the values may have {has} characters together, and a stranger's stanza has room for {VALUES_MAX}"
    )]
    Values {
        /// So many.
        has: u64,
    },
    /// A name that no field may have.
    #[error(
        "`{0}` cannot be the name of a field: take 1 to 32 lower-case letters, digits, `-` and `_`"
    )]
    Name(String),
    /// A name that the form has already.
    #[error("the form has two fields with the name `{0}`")]
    Twice(String),
    /// A kind and a list that do not go together.
    #[error(
        "the field `{0}` needs `choices`, 2 to {CHOICES_MAX}, if it is a choice, and only then"
    )]
    Choices(String),
    /// A label, a title, an instruction or a choice that is too long for a form.
    #[error("`{0}…` is too long: at most {TEXT_MAX} characters")]
    Text(String),
    /// No address of the web.
    #[error("`{0}` is no address of a web page: it begins with https:// or http://")]
    Url(String),
}

/// Names that the form or XEP-0158 uses itself.
const TAKEN: [&str; 9] = [
    "username",
    "password",
    "old_password",
    "challenge",
    "sid",
    "answers",
    "from",
    "ocr",
    "qa",
];

/// Fields of a submission with `FORM_TYPE`, username and password, for two elements each and 32 elements in all.
pub const FIELDS_MAX: usize = 11;

/// The same beside `challenge`, `sid`, `ocr` and `qa`.
pub const FIELDS_MAX_WITH_CAPTCHA: usize = 7;

/// Characters of all values together: of 8 KiB that a stranger may send, with room for escapes and other alphabets.
pub const VALUES_MAX: u64 = 2_048;

/// What can be chosen from.
pub const CHOICES_MAX: usize = 32;

/// Characters of what people read.
pub const TEXT_MAX: usize = 1_000;

const fn max_default() -> u32 {
    200
}

impl FormField {
    /// What people read.
    pub fn label(&self) -> &str {
        match self.label.as_str() {
            "" => &self.name,
            label => label,
        }
    }

    fn check(&self) -> Result<(), FormFlaw> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        let taken = TAKEN.contains(&self.name.as_str());
        if taken || !(1..=32).contains(&self.name.len()) || !self.name.chars().all(fits) {
            return Err(FormFlaw::Name(self.name.clone()));
        }
        let wanted = match self.kind {
            FieldKind::Choice => 2..=CHOICES_MAX,
            _ => 0..=0,
        };
        if !wanted.contains(&self.choices.len()) {
            return Err(FormFlaw::Choices(self.name.clone()));
        }
        self.choices
            .iter()
            .chain([&self.label])
            .try_for_each(|text| short(text))
    }
}

impl RegistrationFormOptions {
    /// What is wrong with the section, if anything is.
    ///
    /// # Errors
    /// The first flaw.
    pub fn check(&self, has_captcha: bool) -> Result<(), FormFlaw> {
        let most = if has_captcha {
            FIELDS_MAX_WITH_CAPTCHA
        } else {
            FIELDS_MAX
        };
        let has = self.fields.len();
        if has > most {
            return Err(FormFlaw::Fields { has, most });
        }
        let has = self.fields.iter().map(|field| u64::from(field.max)).sum();
        if has > VALUES_MAX {
            return Err(FormFlaw::Values { has });
        }
        self.fields.iter().try_for_each(FormField::check)?;
        let mut names: Vec<_> = self.fields.iter().map(|field| &field.name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(FormFlaw::Twice(pair[0].clone()));
        }
        [&self.title, &self.instructions, &self.redirect_url]
            .into_iter()
            .try_for_each(|text| short(text))?;
        let url = self.redirect_url.as_str();
        match url.is_empty() || is_web(url) {
            true => Ok(()),
            false => Err(FormFlaw::Url(url.to_owned())),
        }
    }
}

fn short(text: &str) -> Result<(), FormFlaw> {
    match text.chars().count() <= TEXT_MAX {
        true => Ok(()),
        false => Err(FormFlaw::Text(text.chars().take(24).collect())),
    }
}

/// Whether a text is an address of the web, as far as its looks go.
pub fn is_web(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>\"".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::options::Section;

    use super::*;

    fn field(name: &str) -> FormField {
        FormField {
            name: name.to_owned(),
            label: String::new(),
            kind: FieldKind::Text,
            required: false,
            max: max_default(),
            choices: Vec::new(),
        }
    }

    fn with(fields: Vec<FormField>) -> RegistrationFormOptions {
        RegistrationFormOptions {
            fields,
            ..RegistrationFormOptions::default()
        }
    }

    #[test]
    fn a_field_is_read_with_little_and_unknown_keys_are_refused() {
        let read = |text: &str| serde_json::from_str::<FormField>(text);
        assert_eq!(read(r#"{"name": "nick"}"#).unwrap(), field("nick"));
        let email = read(r#"{"name": "email", "kind": "email", "required": true}"#).unwrap();
        assert_eq!((email.kind, email.required), (FieldKind::Email, true));
        assert!(read(r#"{"name": "nick", "lable": "Nick"}"#).is_err());
    }

    #[test]
    fn there_are_no_more_fields_than_a_stranger_may_fill_in() {
        let many = |count: usize| {
            let small = |at| FormField {
                max: 20,
                ..field(&format!("f{at}"))
            };
            with((0..count).map(small).collect())
        };
        assert_eq!(many(FIELDS_MAX).check(false), Ok(()));
        assert!(many(FIELDS_MAX + 1).check(false).is_err());
        assert_eq!(many(FIELDS_MAX_WITH_CAPTCHA).check(true), Ok(()));
        assert!(many(FIELDS_MAX_WITH_CAPTCHA + 1).check(true).is_err());
        let long = FormField {
            max: 2_049,
            ..field("essay")
        };
        assert_eq!(
            with(vec![long]).check(false),
            Err(FormFlaw::Values { has: 2_049 })
        );
    }

    #[test]
    fn names_are_plain_and_the_forms_own_are_taken() {
        for name in ["", "Nick", "e mail", "username", "ocr", "FORM_TYPE", "ü"] {
            let flaw = with(vec![field(name)]).check(false);
            assert_eq!(flaw, Err(FormFlaw::Name(name.to_owned())));
        }
        let twice = with(vec![field("nick"), field("email"), field("nick")]);
        assert_eq!(twice.check(false), Err(FormFlaw::Twice("nick".to_owned())));
    }

    #[test]
    fn a_choice_has_choices_and_nothing_else_has() {
        let choice = FormField {
            kind: FieldKind::Choice,
            ..field("language")
        };
        assert!(with(vec![choice.clone()]).check(false).is_err());
        let choices = vec!["de".to_owned(), "en".to_owned()];
        let text = FormField {
            choices: choices.clone(),
            ..field("language")
        };
        assert!(with(vec![text]).check(false).is_err());
        assert_eq!(
            with(vec![FormField { choices, ..choice }]).check(false),
            Ok(())
        );
    }

    #[test]
    fn who_registers_is_sent_to_web_pages_only() {
        let to = |url: &str| RegistrationFormOptions {
            redirect_url: url.to_owned(),
            ..RegistrationFormOptions::default()
        };
        for url in ["", "https://example.org/join", "http://localhost:8080"] {
            assert_eq!(to(url).check(false), Ok(()), "{url}");
        }
        for url in [
            "example.org",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://a b",
        ] {
            assert!(to(url).check(false).is_err(), "{url}");
        }
    }

    #[test]
    fn every_option_has_a_reason() {
        let reasons = RegistrationFormOptions::OPTIONS.iter();
        reasons.for_each(|info| assert!(info.reason.len() > 40, "{}", info.name));
    }
}
