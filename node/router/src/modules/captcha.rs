//! XEP-0158: CAPTCHA Forms, in registration (4).
//!
//! ```text
//! S: <x xmlns='jabber:x:data' type='form'><field type='hidden'
//! var='FORM_TYPE'><value>jabber:iq:register</value></field>…
//!      <field type='hidden' var='challenge'><value>F3A6…</value></field>
//!      <field type='hidden' var='sid'><value>reg1</value></field>
//!      <field var='ocr' label='Enter the text you see'><media xmlns='urn:xmpp:media-element'>…</media></field>
//!      <field var='qa' label='What colour is the sky?'/></x>
//! C: <x xmlns='jabber:x:data' type='submit'>… challenge, sid, and one of ocr and qa …</x>
//! ```
//!
//! What is asked, remembered and judged is in [`registration`](super::registration).

use rookery_xmpp::dataform::{Field, FieldType};
use rookery_xmpp::element::Element;

use super::registration::Asked;
use super::{Info, Module, Status};

/// XEP-0158.
pub(super) const INFO: Info = Info {
    xep: 158,
    title: "CAPTCHA Forms",
    version: "1.0",
    status: Status::Partial,
    note: "in registration: a picture, a question of the operator, or either; `[captcha]`",
};

/// The hidden field with the challenge's id.
pub(super) const CHALLENGE: &str = "challenge";

/// The field for the letters of a picture.
pub(super) const TEXT: &str = "ocr";

/// The field for the answer to a question.
pub(super) const ANSWER: &str = "qa";

/// Puts captchas into forms.
pub(super) struct Captcha;

impl Module for Captcha {
    fn info(&self) -> &'static Info {
        &INFO
    }
}

/// The fields of a challenge, which a client's request of that id asked for; `media` is the picture. Where both are
/// there one is enough, so that neither is required.
pub(super) fn fields(asked: &Asked, request: &str, media: Option<Element>) -> Vec<Field> {
    let hidden = |var, value: &str| Field::new(FieldType::Hidden, var).with_value(value);
    let mut fields = vec![hidden(CHALLENGE, &asked.id), hidden("sid", request)];
    let both = media.is_some() && asked.question.is_some();
    let shown = |var, label: String| {
        let field = Field::new(FieldType::TextSingle, var).with_label(label);
        if both { field } else { field.required() }
    };
    let has_picture = media.is_some();
    if has_picture {
        let field = shown(TEXT, "Enter the text you see".to_owned());
        fields.push(Field { media, ..field });
    }
    if let Some(question) = &asked.question {
        let label = match both {
            true => format!("Or answer instead: {question}"),
            false => question.clone(),
        };
        fields.push(shown(ANSWER, label));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::media_element;

    fn asked(question: Option<&str>) -> Asked {
        Asked {
            id: "F3A6".to_owned(),
            text: None,
            question: question.map(str::to_owned),
        }
    }

    #[test]
    fn one_challenge_is_required_and_of_two_either_is_enough() {
        let media = || Some(media_element::image("cid:x"));
        let summary = |fields: Vec<Field>| {
            let shown = fields
                .iter()
                .skip(2)
                .map(|field| (field.var.clone(), field.required));
            shown.collect::<Vec<_>>()
        };
        let (ocr, qa) = (TEXT.to_owned(), ANSWER.to_owned());
        assert_eq!(
            summary(fields(&asked(None), "1", media())),
            [(ocr.clone(), true)]
        );
        let only = fields(&asked(Some("2 + 3?")), "1", None);
        assert_eq!(only[3 - 1].label.as_deref(), Some("2 + 3?"));
        assert_eq!(summary(only), [(qa.clone(), true)]);
        let both = summary(fields(&asked(Some("2 + 3?")), "1", media()));
        assert_eq!(both, [(ocr, false), (qa, false)]);
    }

    #[test]
    fn the_challenge_and_the_request_come_back_with_the_answer() {
        let fields = fields(&asked(Some("2 + 3?")), "reg1", None);
        let hidden = |at: usize| (fields[at].var.as_str(), fields[at].values[0].as_str());
        assert_eq!(
            (hidden(0), hidden(1)),
            (("challenge", "F3A6"), ("sid", "reg1"))
        );
    }
}
