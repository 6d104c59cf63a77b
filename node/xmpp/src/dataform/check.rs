//! Whether a submission fits its form.

use super::field::boolean;
use super::{DataForm, Datatype, Field, FieldType, FormKind};
use crate::datetime;
use crate::jid::Jid;

/// What is wrong with a form or a submission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It is no form, or of no known kind.
    #[error("not a data form")]
    NotAForm,
    /// A field has no name.
    #[error("a field has no name")]
    Unnamed,
    /// A field has a type that XEP-0004 does not know.
    #[error("a field has an unknown type")]
    UnknownType,
    /// It is no submission.
    #[error("the form was not submitted")]
    NotSubmitted,
    /// The submission is for another form.
    #[error("the submission is for another form")]
    OtherForm,
    /// A required field is not filled in.
    #[error("the field {0} is required")]
    Missing(String),
    /// A field has more values than its type allows.
    #[error("the field {0} takes one value")]
    TooMany(String),
    /// A value does not fit its field.
    #[error("the field {0} has a value that it cannot have")]
    BadValue(String),
}

/// See [`DataForm::check`].
pub(super) fn check(form: &DataForm, submission: &DataForm) -> Result<(), FormError> {
    if submission.kind != FormKind::Submit {
        return Err(FormError::NotSubmitted);
    }
    if form.form_type().is_some() && form.form_type() != submission.form_type() {
        return Err(FormError::OtherForm);
    }
    let asked = form.fields.iter().filter(|field| !field.is_form_type());
    asked
        .into_iter()
        .try_for_each(|field| check_field(field, submission.values(&field.var)))
}

fn check_field(field: &Field, values: &[String]) -> Result<(), FormError> {
    let field_type = field.field_type.unwrap_or(FieldType::TextSingle);
    if field_type == FieldType::Fixed {
        return Ok(());
    }
    if field.required && values.iter().all(String::is_empty) {
        return Err(FormError::Missing(field.var.clone()));
    }
    if values.len() > 1 && !takes_many(field_type) {
        return Err(FormError::TooMany(field.var.clone()));
    }
    // An empty value of a field that need not be filled in is how clients leave it out.
    let filled = values.iter().filter(|value| !value.is_empty());
    let mut bad = filled
        .filter(|value| !(fits_type(field, field_type, value) && fits_datatype(field, value)));
    bad.next()
        .map_or(Ok(()), |_| Err(FormError::BadValue(field.var.clone())))
}

fn takes_many(field_type: FieldType) -> bool {
    use FieldType as T;
    matches!(
        field_type,
        T::JidMulti | T::ListMulti | T::TextMulti | T::Hidden
    )
}

fn fits_type(field: &Field, field_type: FieldType, value: &str) -> bool {
    match field_type {
        FieldType::Boolean => boolean(value).is_some(),
        FieldType::JidSingle | FieldType::JidMulti => Jid::parse(value).is_ok(),
        FieldType::ListSingle | FieldType::ListMulti => {
            field.datatype == Some(Datatype::Open)
                || field.options.iter().any(|option| option.value == value)
        }
        FieldType::TextSingle | FieldType::TextPrivate | FieldType::TextMulti => {
            !value.contains(['\n', '\r'])
        }
        FieldType::Fixed | FieldType::Hidden => true,
    }
}

fn fits_datatype(field: &Field, value: &str) -> bool {
    match field.datatype {
        None | Some(Datatype::Open) => true,
        Some(Datatype::DateTime) => datetime::parse(value).is_some(),
        Some(Datatype::Integer { min, max }) => value
            .parse()
            .is_ok_and(|number: i64| (min..=max).contains(&number)),
    }
}
