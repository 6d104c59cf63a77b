//! XEP-0059: Result Set Management.
//!
//! ```text
//! C: <set xmlns='http://jabber.org/protocol/rsm'><max>10</max><after>ID</after></set>
//! S: <set …><first>ID</first><last>ID</last></set>
//! ```
//!
//! Here a request is read and an answer written; what the ids are, and whether they are known, is for whoever answers.

use std::num::{IntErrorKind, ParseIntError};

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::{Info, Module, Place, Status};

/// XEP-0059.
pub(super) const INFO: Info = Info {
    xep: 59,
    title: "Result Set Management",
    version: "1.0",
    status: Status::Partial,
    note: "pages by id; none by index, and a count only where nothing else is asked for",
};

/// Tells that answers come in pages.
pub(super) struct ResultSets;

impl Module for ResultSets {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        match place {
            Place::Own => &[ns::RSM],
            Place::Account | Place::Host => &[],
        }
    }
}

/// Which page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// Results at most.
    pub(super) max: Option<usize>,
    /// Only what is behind this id.
    pub(super) after: Option<String>,
    /// The page ends before this id; without text it is the last page (2.5).
    pub(super) before: Option<String>,
}

impl PageRequest {
    /// Reads the `<set/>` of a request, if it has one.
    ///
    /// # Errors
    /// `bad-request` for a `max` that is no number; `feature-not-implemented` for a page by index (2.6).
    pub(super) fn find(parent: &Element) -> Result<Self, StanzaError> {
        let Some(set) = parent.child("set", ns::RSM) else {
            return Ok(Self::default());
        };
        if set.child("index", ns::RSM).is_some() {
            return Err(StanzaError::new(Condition::FeatureNotImplemented)
                .with_text("pages have no numbers here; ask by id"));
        }
        let text = |name| set.child(name, ns::RSM).map(Element::text);
        let max = text("max").map(|max| count(max.trim())).transpose();
        let max = max.map_err(|_| {
            StanzaError::new(Condition::BadRequest).with_text("`max` must be a number")
        })?;
        Ok(Self {
            max,
            // Without text it names nothing, which is as if it were left out.
            after: text("after").filter(|id| !id.is_empty()),
            before: text("before"),
        })
    }
}

/// A number of results; one that is too large to be held asks for all there are.
fn count(text: &str) -> Result<usize, ParseIntError> {
    match text.parse::<usize>() {
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Ok(usize::MAX),
        read => read,
    }
}

/// The `<set/>` of an answer: the ids of the first and the last result, and how many there are in all, where known.
pub(super) fn page_set(ends: Option<(&str, &str)>, count: Option<u64>) -> Element {
    let mut set = Element::new("set", ns::RSM);
    if let Some((first, last)) = ends {
        set.push_child(Element::new("first", ns::RSM).with_text(first));
        set.push_child(Element::new("last", ns::RSM).with_text(last));
    }
    if let Some(count) = count {
        set.push_child(Element::new("count", ns::RSM).with_text(&count.to_string()));
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[(&'static str, &str)]) -> Result<PageRequest, Condition> {
        let children = set
            .iter()
            .map(|(name, text)| Element::new(*name, ns::RSM).with_text(text));
        let set = Element::new("set", ns::RSM).with_children(children);
        let query = Element::new("query", ns::ARCHIVE).with_child(set);
        PageRequest::find(&query).map_err(|error| error.condition)
    }

    #[test]
    fn a_request_is_read_and_what_makes_no_sense_is_refused() {
        let last = found(&[("max", " 10 "), ("before", "")]).unwrap();
        assert_eq!(
            (last.max, last.before.as_deref(), last.after),
            (Some(10), Some(""), None)
        );
        let next = found(&[("after", "x")]).unwrap();
        assert_eq!(
            (next.max, next.after.as_deref(), next.before),
            (None, Some("x"), None)
        );
        for huge in ["18446744073709551615", "99999999999999999999"] {
            let huge = found(&[("max", huge)]).unwrap();
            assert_eq!(huge.max, Some(usize::MAX));
        }
        for wrong in ["-1", "-99999999999999999999", "many", "", "1e3"] {
            assert_eq!(
                found(&[("max", wrong)]),
                Err(Condition::BadRequest),
                "{wrong}"
            );
        }
        let by_index = found(&[("max", "10"), ("index", "371")]);
        assert_eq!(by_index, Err(Condition::FeatureNotImplemented));
    }
}
