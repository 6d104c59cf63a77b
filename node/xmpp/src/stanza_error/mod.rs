//! Stanza errors (RFC 6120 8.3): what is told to the sender of a stanza that could not be served.
//!
//! ```text
//! <iq type="get" id="1" from="juliet@capulet/balcony" to="capulet"><unknown xmlns="urn:example"/></iq>
//! <iq from="capulet" to="juliet@capulet/balcony" id="1" type="error">
//!   <error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>
//! ```

mod condition;

use bytes::Bytes;

use crate::element::Element;
use crate::ns;
use crate::stanza::{self, Kind, Rec, StanzaType};

pub use condition::{Condition, ErrorType};

/// Why a stanza failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stanza error: {condition}")]
pub struct StanzaError {
    /// What the sender may do about it (8.3.2).
    pub error_type: ErrorType,
    /// What went wrong (8.3.3).
    pub condition: Condition,
    /// A description in English, or nothing.
    pub text: Option<String>,
    /// For `gone` and `redirect`: the address to use instead, as a URI (8.3.3.5, 8.3.3.14).
    pub new_address: Option<Box<str>>,
    /// An application's own condition, in a namespace of its own (8.3.4).
    pub application: Option<Box<Element>>,
    /// What the answer carries beside the error: a form that must be filled in first (XEP-0077 3.3), for instance.
    pub beside: Option<Box<Element>>,
}

impl StanzaError {
    /// An error with the type that RFC 6120 8.3.3 gives its condition.
    pub const fn new(condition: Condition) -> Self {
        let error_type = condition.default_type();
        Self {
            error_type,
            condition,
            text: None,
            new_address: None,
            application: None,
            beside: None,
        }
    }

    /// Gives the error another type.
    pub const fn with_type(mut self, error_type: ErrorType) -> Self {
        self.error_type = error_type;
        self
    }

    /// Adds a description in English.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Adds an application's condition.
    pub fn with_application(mut self, condition: Element) -> Self {
        self.application = Some(Box::new(condition));
        self
    }

    /// Adds what the answer carries beside the error.
    pub fn with_beside(mut self, payload: Element) -> Self {
        self.beside = Some(Box::new(payload));
        self
    }

    /// Adds the address to use instead, for `gone` and `redirect`.
    pub fn with_new_address(mut self, uri: impl Into<Box<str>>) -> Self {
        self.new_address = Some(uri.into());
        self
    }

    /// The `<error/>` element.
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.as_str(), ns::STANZA_ERRORS);
        if let Some(uri) = &self.new_address {
            condition.push_text(uri);
        }
        let mut error = Element::new("error", ns::CLIENT)
            .with_attr("type", self.error_type.as_str())
            .with_child(condition);
        if let Some(text) = &self.text {
            let text = Element::new("text", ns::STANZA_ERRORS)
                .with_attr("xml:lang", "en")
                .with_text(text);
            error.push_child(text);
        }
        if let Some(application) = &self.application {
            error.push_child((**application).clone());
        }
        error
    }

    /// Reads an `<error/>` element. Like every receiver (8.3.3) it takes a condition that it does
    /// not know for `undefined-condition`; an unknown type for `cancel`. `None` when it is no
    /// `<error/>`.
    pub fn from_element(error: &Element) -> Option<Self> {
        if error.name() != "error" {
            return None;
        }
        let ours = |child: &&Element| child.ns() == ns::STANZA_ERRORS;
        let named = error
            .elements()
            .filter(ours)
            .find(|child| child.name() != "text");
        let condition = named.and_then(|child| Condition::from_name(child.name()));
        let new_address = named.map(Element::text).filter(|text| !text.is_empty());
        let error_type = error.attr("type").and_then(ErrorType::from_name);
        Some(Self {
            error_type: error_type.unwrap_or(ErrorType::Cancel),
            condition: condition.unwrap_or(Condition::UndefinedCondition),
            text: error.child("text", ns::STANZA_ERRORS).map(Element::text),
            new_address: new_address.map(String::into_boxed_str),
            application: error
                .elements()
                .find(|child| !ours(child))
                .cloned()
                .map(Box::new),
            beside: None,
        })
    }

    /// The error stanza that answers the stanza `rec` in `request`: same kind and id, addresses
    /// swapped unless given. The request's payload is not sent back: 8.3.1 leaves it open, and it
    /// would double an attacker's traffic.
    ///
    /// `None` for what must not be answered: errors (8.3.1), IQ results, and whatever is no stanza.
    pub fn reply_to(
        &self,
        request: &[u8],
        rec: &Rec,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Option<Bytes> {
        let answerable = rec.kind != Kind::Other
            && !matches!(rec.stanza_type, StanzaType::Error | StanzaType::Result);
        let reply = || {
            let error = self.to_element();
            let children = self.beside.as_deref().into_iter().chain([&error]);
            stanza::reply(request, rec, from, to, "error", children)
        };
        answerable.then(reply)
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: &StanzaError, request: &str) -> Option<String> {
        let rec = stanza::parse_rec(request.as_bytes()).unwrap();
        let reply = error.reply_to(request.as_bytes(), &rec, None, None)?;
        Some(String::from_utf8(reply.to_vec()).unwrap())
    }

    #[test]
    fn a_reply_swaps_the_addresses_and_keeps_the_id() {
        let request =
            "<iq from=\"a@b/c\" id=\"1&amp;2\" type=\"get\" to=\"b\"><x xmlns=\"urn:x\"/></iq>";
        assert_eq!(
            answer(&Condition::ServiceUnavailable.into(), request).unwrap(),
            "<iq from=\"b\" to=\"a@b/c\" id=\"1&amp;2\" type=\"error\"><error type=\"cancel\">\
             <service-unavailable xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></iq>"
        );
    }

    #[test]
    fn a_reply_to_a_message_without_addresses_has_none() {
        let error = StanzaError::new(Condition::NotAcceptable)
            .with_type(ErrorType::Wait)
            .with_text("later & calmer")
            .with_application(Element::new("busy", "urn:example:busy"));
        assert_eq!(
            answer(&error, "<message><body>hi</body></message>").unwrap(),
            "<message type=\"error\"><error type=\"wait\">\
             <not-acceptable xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/>\
             <text xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\" xml:lang=\"en\">later &amp; calmer</text>\
             <busy xmlns=\"urn:example:busy\"/></error></message>"
        );
    }

    #[test]
    fn what_is_beside_an_error_comes_before_it() {
        let error = StanzaError::from(Condition::NotAuthorized)
            .with_beside(Element::new("query", ns::REGISTER));
        assert_eq!(
            answer(&error, "<iq id=\"c\" type=\"set\"/>").unwrap(),
            "<iq id=\"c\" type=\"error\"><query xmlns=\"jabber:iq:register\"/><error type=\"auth\">\
             <not-authorized xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></iq>"
        );
    }

    #[test]
    fn errors_and_results_are_never_answered() {
        let error = StanzaError::new(Condition::BadRequest);
        for request in [
            "<iq type=\"error\" id=\"1\"/>",
            "<iq type=\"result\" id=\"1\"/>",
            "<message type=\"error\"/>",
            "<presence type=\"error\"/>",
            "<r xmlns=\"urn:xmpp:sm:3\"/>",
        ] {
            assert_eq!(answer(&error, request), None, "{request}");
        }
    }

    #[test]
    fn an_error_is_read_back_from_its_element() {
        let error = StanzaError::new(Condition::Gone)
            .with_new_address("xmpp:romeo@montague.example")
            .with_text("moved")
            .with_application(Element::new("a", "urn:b"));
        assert_eq!(StanzaError::from_element(&error.to_element()), Some(error));
        let odd = Element::new("error", ns::CLIENT)
            .with_child(Element::new("new-one", ns::STANZA_ERRORS));
        let read = StanzaError::from_element(&odd).unwrap();
        assert_eq!(
            (read.condition, read.error_type),
            (Condition::UndefinedCondition, ErrorType::Cancel)
        );
        assert_eq!(
            StanzaError::from_element(&Element::new("body", ns::CLIENT)),
            None
        );
    }
}
