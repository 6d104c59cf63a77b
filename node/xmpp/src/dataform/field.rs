//! One field of a form.

use super::{FORM_TYPE, FormError, element};
use crate::element::Element;
use crate::ns;

/// One field (XEP-0004 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty only for fixed text.
    pub var: String,
    /// Its type. Submissions leave it out, and where a form does, it means `text-single` (3.3).
    pub field_type: Option<FieldType>,
    /// A label for people.
    pub label: Option<String>,
    /// A description for people.
    pub desc: Option<String>,
    /// Whether it must be filled in.
    pub required: bool,
    /// Its values, or the defaults.
    pub values: Vec<String>,
    /// What lists offer.
    pub options: Vec<Choice>,
    /// What its values must be besides (XEP-0122).
    pub datatype: Option<Datatype>,
    /// A `<media/>` element that is shown with it (XEP-0221).
    pub media: Option<Element>,
}

/// The types of fields (XEP-0004 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Yes or no.
    Boolean,
    /// Text to be shown.
    Fixed,
    /// Nothing to be shown; sent back as it is.
    Hidden,
    /// Addresses.
    JidMulti,
    /// An address.
    JidSingle,
    /// Some of the options.
    ListMulti,
    /// One of the options.
    ListSingle,
    /// Lines of text.
    TextMulti,
    /// A line of text that nobody should see, a password for instance.
    TextPrivate,
    /// A line of text.
    TextSingle,
}

/// What a list offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// A label for people.
    pub label: Option<String>,
    /// The value that is submitted.
    pub value: String,
}

/// The datatypes of XEP-0122 that servers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    /// `xs:integer` within bounds, both included.
    Integer {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// `xs:dateTime` (XEP-0082).
    DateTime,
    /// `xs:string` in a list where values besides the options are welcome too (XEP-0122 3.2.2).
    Open,
}

impl Field {
    /// A field without value.
    pub fn new(field_type: FieldType, var: impl Into<String>) -> Self {
        Self {
            var: var.into(),
            field_type: Some(field_type),
            label: None,
            desc: None,
            required: false,
            values: Vec::new(),
            options: Vec::new(),
            datatype: None,
            media: None,
        }
    }

    /// A field of a submission: a name and a value.
    pub fn submitted(var: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            field_type: None,
            ..Self::new(FieldType::TextSingle, var)
        }
        .with_value(value)
    }

    /// A field that is true or false.
    pub fn boolean(var: impl Into<String>, value: bool) -> Self {
        Self::new(FieldType::Boolean, var).with_value(if value { "1" } else { "0" })
    }

    /// Text to be shown.
    pub fn fixed(text: impl Into<String>) -> Self {
        Self::new(FieldType::Fixed, "").with_value(text)
    }

    /// Adds a value.
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds values.
    pub fn with_values(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// Adds a label for people.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a description for people.
    pub fn with_desc(mut self, desc: impl Into<String>) -> Self {
        self.desc = Some(desc.into());
        self
    }

    /// Adds an option to a list.
    pub fn with_option(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push(Choice {
            label: Some(label.into()),
            value: value.into(),
        });
        self
    }

    /// Says what the values must be besides.
    pub fn with_datatype(mut self, datatype: Datatype) -> Self {
        self.datatype = Some(datatype);
        self
    }

    /// Makes it a field that must be filled in.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Reads a `<field/>`.
    pub(super) fn from_element(field: &Element) -> Result<Self, FormError> {
        let known = |name| FieldType::from_name(name).ok_or(FormError::UnknownType);
        let field_type = field.attr("type").map(known).transpose()?;
        let var = field.attr("var").unwrap_or_default().to_owned();
        if var.is_empty() && field_type != Some(FieldType::Fixed) {
            return Err(FormError::Unnamed);
        }
        let named = |name| move |child: &&Element| child.is(name, ns::DATA_FORMS);
        Ok(Self {
            field_type,
            label: field.attr("label").map(str::to_owned),
            desc: field.child("desc", ns::DATA_FORMS).map(Element::text),
            required: field.child("required", ns::DATA_FORMS).is_some(),
            values: field
                .elements()
                .filter(named("value"))
                .map(Element::text)
                .collect(),
            options: field
                .elements()
                .filter(named("option"))
                .filter_map(Choice::from_element)
                .collect(),
            datatype: field
                .child("validate", VALIDATE)
                .and_then(Datatype::from_element),
            media: field.child("media", ns::MEDIA_ELEMENT).cloned(),
            var,
        })
    }

    /// The field as an element.
    pub(super) fn to_element(&self) -> Element {
        let mut field = element("field");
        if !self.var.is_empty() {
            field.set_attr("var", self.var.as_str());
        }
        let mut field = field
            .with_optional_attr("type", self.field_type.map(FieldType::as_str))
            .with_optional_attr("label", self.label.as_deref());
        if let Some(desc) = &self.desc {
            field.push_child(element("desc").with_text(desc));
        }
        if let Some(datatype) = self.datatype {
            field.push_child(datatype.to_element());
        }
        if let Some(media) = &self.media {
            field.push_child(media.clone());
        }
        if self.required {
            field.push_child(element("required"));
        }
        field
            .with_children(
                self.values
                    .iter()
                    .map(|value| element("value").with_text(value)),
            )
            .with_children(self.options.iter().map(Choice::to_element))
    }

    /// Whether its value is the form's type.
    pub(super) fn is_form_type(&self) -> bool {
        self.var == FORM_TYPE
    }
}

impl Choice {
    fn from_element(option: &Element) -> Option<Self> {
        let value = option.child("value", ns::DATA_FORMS)?.text();
        Some(Self {
            label: option.attr("label").map(str::to_owned),
            value,
        })
    }

    fn to_element(&self) -> Element {
        element("option")
            .with_optional_attr("label", self.label.as_deref())
            .with_child(element("value").with_text(&self.value))
    }
}

impl Datatype {
    fn from_element(validate: &Element) -> Option<Self> {
        let bound = |name, default| {
            let range = validate.child("range", VALIDATE)?;
            range
                .attr(name)
                .map_or(Some(default), |text| text.parse().ok())
        };
        match validate.attr("datatype").unwrap_or("xs:string") {
            "xs:integer" if validate.child("range", VALIDATE).is_none() => Some(Self::Integer {
                min: i64::MIN,
                max: i64::MAX,
            }),
            "xs:integer" => Some(Self::Integer {
                min: bound("min", i64::MIN)?,
                max: bound("max", i64::MAX)?,
            }),
            "xs:dateTime" => Some(Self::DateTime),
            "xs:string" => validate.child("open", VALIDATE).map(|_| Self::Open),
            _ => None,
        }
    }

    fn to_element(self) -> Element {
        let validate = Element::new("validate", VALIDATE);
        let (datatype, method) = match self {
            Self::Integer {
                min: i64::MIN,
                max: i64::MAX,
            } => ("xs:integer", Element::new("basic", VALIDATE)),
            Self::Integer { min, max } => {
                let bound = |value: i64, none: i64| (value != none).then(|| value.to_string());
                let range = Element::new("range", VALIDATE)
                    .with_optional_attr("min", bound(min, i64::MIN))
                    .with_optional_attr("max", bound(max, i64::MAX));
                ("xs:integer", range)
            }
            Self::DateTime => ("xs:dateTime", Element::new("basic", VALIDATE)),
            Self::Open => ("xs:string", Element::new("open", VALIDATE)),
        };
        validate.with_attr("datatype", datatype).with_child(method)
    }
}

impl FieldType {
    const ALL: [Self; 10] = [
        Self::Boolean,
        Self::Fixed,
        Self::Hidden,
        Self::JidMulti,
        Self::JidSingle,
        Self::ListMulti,
        Self::ListSingle,
        Self::TextMulti,
        Self::TextPrivate,
        Self::TextSingle,
    ];

    /// The value of the `type` attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Fixed => "fixed",
            Self::Hidden => "hidden",
            Self::JidMulti => "jid-multi",
            Self::JidSingle => "jid-single",
            Self::ListMulti => "list-multi",
            Self::ListSingle => "list-single",
            Self::TextMulti => "text-multi",
            Self::TextPrivate => "text-private",
            Self::TextSingle => "text-single",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|field_type| field_type.as_str() == name)
    }
}

/// `1`, `true`, `0` or `false` (XEP-0004 3.3).
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

const VALIDATE: &str = ns::DATA_VALIDATE;
