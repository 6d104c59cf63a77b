//! Data forms (XEP-0004), their types (XEP-0068) and the validation that servers need (XEP-0122).
//!
//! ```text
//! requester ── asks ──────────────────────► server
//!           ◄── <x type="form"> fields ────
//!           ── <x type="submit"> values ──►  DataForm::check: required, well-typed, in range
//!           ◄── <x type="result"> ─────────
//! ```

mod check;
mod field;

use crate::element::Element;
use crate::ns;

pub use check::FormError;
pub use field::{Choice, Datatype, Field, FieldType};

/// A form, a submission of one, or a result (XEP-0004 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataForm {
    /// What the form is for.
    pub kind: FormKind,
    /// A title for people.
    pub title: Option<String>,
    /// Instructions for people, one a line.
    pub instructions: Vec<String>,
    /// The fields, in order.
    pub fields: Vec<Field>,
    /// For results with several items (3.4): what each column is.
    pub reported: Vec<Field>,
    /// For results with several items (3.4): the rows.
    pub items: Vec<Vec<Field>>,
}

/// The `type` of a form (XEP-0004 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FormKind {
    /// `form`: to be filled in.
    Form,
    /// `submit`: filled in.
    Submit,
    /// `cancel`: the person gave up.
    Cancel,
    /// `result`: data to be shown.
    Result,
}

/// Building.
impl DataForm {
    /// An empty form.
    pub const fn new(kind: FormKind) -> Self {
        Self {
            kind,
            title: None,
            instructions: Vec::new(),
            fields: Vec::new(),
            reported: Vec::new(),
            items: Vec::new(),
        }
    }

    /// Puts the hidden field `FORM_TYPE` first, which gives the other fields their meaning
    /// (XEP-0068 3).
    pub fn with_form_type(mut self, form_type: &str) -> Self {
        self.fields.insert(
            0,
            Field::new(FieldType::Hidden, FORM_TYPE).with_value(form_type),
        );
        self
    }

    /// Adds a title.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Adds a line of instructions.
    pub fn with_instructions(mut self, line: impl Into<String>) -> Self {
        self.instructions.push(line.into());
        self
    }

    /// Adds a field behind all others.
    pub fn with_field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }
}

/// Looking.
impl DataForm {
    /// The field with this name.
    pub fn field(&self, var: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.var == var)
    }

    /// The first value of the field with this name.
    pub fn value(&self, var: &str) -> Option<&str> {
        self.values(var).first().map(String::as_str)
    }

    /// All values of the field with this name.
    pub fn values(&self, var: &str) -> &[String] {
        self.field(var).map_or(&[], |field| &field.values)
    }

    /// The truth of a boolean field: `1`, `true`, `0` or `false` (XEP-0004 3.3).
    pub fn boolean(&self, var: &str) -> Option<bool> {
        self.value(var).and_then(field::boolean)
    }

    /// The value of `FORM_TYPE`. In a form or result the field must be hidden to count (XEP-0068
    /// 3.1); a submission need not say so.
    pub fn form_type(&self) -> Option<&str> {
        let field = self.field(FORM_TYPE)?;
        let hidden = field.field_type == Some(FieldType::Hidden);
        let counts = hidden || (self.kind == FormKind::Submit && field.field_type.is_none());
        field.values.first().filter(|_| counts).map(String::as_str)
    }
}

/// Reading and writing.
impl DataForm {
    /// The form among the children of an element, if it has this type; `None` also for a form that
    /// cannot be read.
    pub fn find(parent: &Element, form_type: &str) -> Option<Self> {
        let forms = parent
            .elements()
            .filter_map(|child| Self::from_element(child).ok());
        forms
            .into_iter()
            .find(|form| form.form_type() == Some(form_type))
    }

    /// Reads an `<x xmlns="jabber:x:data"/>`. Elements that XEP-0004 does not know are skipped.
    ///
    /// # Errors
    /// [`FormError::NotAForm`] for another element or an unknown `type`; [`FormError::Unnamed`] for
    /// a field that needs a name and has none; [`FormError::UnknownType`] for a field of a type
    /// that XEP-0004 does not know.
    pub fn from_element(x: &Element) -> Result<Self, FormError> {
        if !x.is("x", ns::DATA_FORMS) {
            return Err(FormError::NotAForm);
        }
        let kind = x
            .attr("type")
            .and_then(FormKind::from_name)
            .ok_or(FormError::NotAForm)?;
        let mut form = Self::new(kind);
        for child in x.elements().filter(|child| child.ns() == ns::DATA_FORMS) {
            match child.name() {
                "title" => form.title = Some(child.text()),
                "instructions" => form.instructions.push(child.text()),
                "field" => form.fields.push(Field::from_element(child)?),
                "reported" => form.reported = fields(child)?,
                "item" => form.items.push(fields(child)?),
                _ => {}
            }
        }
        Ok(form)
    }

    /// The form as an element.
    pub fn to_element(&self) -> Element {
        let mut x = element("x").with_attr("type", self.kind.as_str());
        if let Some(title) = &self.title {
            x.push_child(element("title").with_text(title));
        }
        for line in &self.instructions {
            x.push_child(element("instructions").with_text(line));
        }
        for field in &self.fields {
            x.push_child(field.to_element());
        }
        if !self.reported.is_empty() {
            x.push_child(
                element("reported").with_children(self.reported.iter().map(Field::to_element)),
            );
        }
        for item in &self.items {
            x.push_child(element("item").with_children(item.iter().map(Field::to_element)));
        }
        x
    }

    /// Checks a submission of this form: the same `FORM_TYPE`, every required field filled in,
    /// every value of its field's type. Fields that the form does not have are ignored (XEP-0004
    /// 3.2).
    ///
    /// # Errors
    /// The first thing that is wrong, with the field's name.
    pub fn check(&self, submission: &Self) -> Result<(), FormError> {
        check::check(self, submission)
    }
}

impl FormKind {
    /// The value of the `type` attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Submit => "submit",
            Self::Cancel => "cancel",
            Self::Result => "result",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Form, Self::Submit, Self::Cancel, Self::Result];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The field that names a form's type (XEP-0068 3).
pub const FORM_TYPE: &str = "FORM_TYPE";

fn fields(parent: &Element) -> Result<Vec<Field>, FormError> {
    parent
        .elements()
        .filter(|child| child.is("field", ns::DATA_FORMS))
        .map(Field::from_element)
        .collect()
}

fn element(name: &'static str) -> Element {
    Element::new(name, ns::DATA_FORMS)
}

#[cfg(test)]
mod tests;
