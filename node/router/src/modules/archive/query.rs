//! What is asked of an archive (XEP-0313 4.1 and 4.3), read from the request.

use rookery_store::limits::PAGE_ENTRIES_MAX;
use rookery_store::log::Position;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::dataform::{DataForm, Datatype, Field, FieldType, FormKind};
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::super::result_sets::PageRequest;
use crate::ArchiveOptions;
use crate::account::position_of;

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Comes back with each result.
    pub(super) queryid: Option<String>,
    /// Only messages to or from this address.
    pub(super) with: Option<Jid>,
    /// Only messages of this time or later.
    pub(super) start: Option<Timestamp>,
    /// Only messages of this time or earlier.
    pub(super) end: Option<Timestamp>,
    /// Only entries behind the highest of these, each of which must be in the archive.
    pub(super) after: Vec<Position>,
    /// Only entries before the lowest of these, each of which must be in the archive.
    pub(super) before: Vec<Position>,
    /// Only these, each of which must be in the archive; in order, none twice.
    pub(super) ids: Option<Vec<Position>>,
    /// Results at most.
    pub(super) max: usize,
    /// Whether the page is the last one before its end, not the first one.
    pub(super) backwards: bool,
    /// Whether the newest result of the page comes first.
    pub(super) flipped: bool,
}

impl Query {
    /// Reads a `<query/>`.
    ///
    /// # Errors
    /// `item-not-found` for an id that no archive has, `feature-not-implemented` for a field that is not known (4.1.6),
    /// `bad-request` for a value that makes no sense, `policy-violation` for more ids than a page holds.
    pub(super) fn read(query: &Element, options: &ArchiveOptions) -> Result<Self, StanzaError> {
        let page = PageRequest::find(query)?;
        let fields = fields(query)?;
        // One more is read, to know whether the page is the last.
        let most = (options.page_entries_max as usize).min(PAGE_ENTRIES_MAX - 1);
        let wished = page.max.unwrap_or(options.page_entries_default as usize);
        let mut read = Self {
            queryid: query.attr("queryid").map(str::to_owned),
            with: None,
            start: None,
            end: None,
            after: Vec::new(),
            before: Vec::new(),
            ids: None,
            max: wished.min(most),
            backwards: page.before.is_some(),
            flipped: query.child("flip-page", ns::ARCHIVE).is_some(),
        };
        fields.iter().try_for_each(|field| read.take(field, most))?;
        if let Some(after) = &page.after {
            read.after.push(known(after)?);
        }
        if let Some(before) = page.before.as_deref().filter(|id| !id.is_empty()) {
            read.before.push(known(before)?);
        }
        Ok(read)
    }

    fn take(&mut self, field: &Field, most: usize) -> Result<(), StanzaError> {
        let value = || match &field.values[..] {
            [value] => Ok(value.as_str()),
            _ => Err(bad(field)),
        };
        match field.var.as_str() {
            "with" => self.with = Some(Jid::parse(value()?).map_err(|_| malformed())?),
            "start" => self.start = Some(datetime::parse(value()?).ok_or_else(|| bad(field))?),
            "end" => self.end = Some(datetime::parse(value()?).ok_or_else(|| bad(field))?),
            "after-id" => self.after.push(known(value()?)?),
            "before-id" => self.before.push(known(value()?)?),
            "ids" => {
                if field.values.len() > most {
                    return Err(StanzaError::new(Condition::PolicyViolation)
                        .with_type(ErrorType::Modify)
                        .with_text("too many ids in one query"));
                }
                let ids = field.values.iter().map(|id| known(id));
                let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
                ids.sort_unstable();
                ids.dedup();
                self.ids = Some(ids);
            }
            "FORM_TYPE" => {}
            other => {
                return Err(StanzaError::new(Condition::FeatureNotImplemented)
                    .with_text(format!("there is no field `{other}`")));
            }
        }
        Ok(())
    }

    /// The bounds of the page, both outside.
    pub(super) fn bounds(&self) -> (Option<Position>, Option<Position>) {
        let after = self.after.iter().max().copied();
        (after, self.before.iter().min().copied())
    }

    /// Whether a message between these addresses is asked for (4.1.1). What an account wrote to itself is found by
    /// its own address, which otherwise all would match.
    pub(super) fn wants(&self, account: &Jid, from: Option<&Jid>, to: Option<&Jid>) -> bool {
        let Some(with) = &self.with else {
            return true;
        };
        let is_with = |jid: Option<&Jid>| {
            jid.is_some_and(|jid| match with.is_bare() {
                true => with.same_bare(jid),
                false => with == jid,
            })
        };
        if with.is_bare() && with.same_bare(account) {
            // Without `to` it was for the account itself.
            return is_with(from) && (to.is_none() || is_with(to));
        }
        is_with(from) || is_with(to)
    }
}

/// The fields of the form, if there is one of the right type.
fn fields(query: &Element) -> Result<Vec<Field>, StanzaError> {
    let Some(x) = query.child("x", ns::DATA_FORMS) else {
        return Ok(Vec::new());
    };
    let form = DataForm::from_element(x)
        .map_err(|error| StanzaError::new(Condition::BadRequest).with_text(error.to_string()))?;
    if form.kind != FormKind::Submit || form.form_type() != Some(ns::ARCHIVE) {
        return Err(StanzaError::new(Condition::BadRequest)
            .with_text("a query's form is a submission of the type urn:xmpp:mam:2"));
    }
    Ok(form.fields)
}

/// The form that a client may fill in (4.1.6).
pub(super) fn form() -> Element {
    let form = DataForm::new(FormKind::Form)
        .with_form_type(ns::ARCHIVE)
        .with_field(Field::new(FieldType::JidSingle, "with"))
        .with_field(Field::new(FieldType::TextSingle, "start"))
        .with_field(Field::new(FieldType::TextSingle, "end"))
        .with_field(Field::new(FieldType::TextSingle, "before-id"))
        .with_field(Field::new(FieldType::TextSingle, "after-id"))
        .with_field(Field::new(FieldType::ListMulti, "ids").with_datatype(Datatype::Open));
    Element::new("query", ns::ARCHIVE).with_child(form.to_element())
}

/// The entry that an id names, if it can be one.
fn known(id: &str) -> Result<Position, StanzaError> {
    position_of(id).ok_or_else(|| StanzaError::new(Condition::ItemNotFound))
}

fn bad(field: &Field) -> StanzaError {
    let text = format!("the value of `{}` makes no sense", field.var);
    StanzaError::new(Condition::BadRequest).with_text(text)
}

fn malformed() -> StanzaError {
    StanzaError::new(Condition::JidMalformed)
}
