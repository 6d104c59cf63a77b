//! What a lane must know of its stream to read one top-level element.

use super::limits::XmlLimits;
use crate::escape::{escape_attr, unescape};
use crate::jid::Jid;
use crate::stanza::Content;

/// The stream around a top-level element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Env<'a> {
    pub(crate) content: Content,
    pub(crate) limits: &'a XmlLimits,
    /// Whose address every stanza gets as `from`.
    pub(crate) from: Option<&'a Sender>,
    /// The stream's language, escaped, for stanzas that have none.
    pub(crate) lang: Option<&'a str>,
}

/// The full address of the entity at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    /// As an attribute's value in the canonical form.
    escaped: Box<str>,
    /// How much of that is the bare address.
    bare_len: usize,
}

impl Sender {
    /// `full` as the address' text, prepared but not escaped.
    pub(crate) fn new(full: &str) -> Self {
        let (bare, rest) = full.split_at(full.find('/').unwrap_or(full.len()));
        let mut escaped = Vec::with_capacity(full.len());
        escape_attr(bare, &mut escaped);
        let bare_len = escaped.len();
        escape_attr(rest, &mut escaped);
        let escaped = String::from_utf8(escaped).expect("escaping keeps UTF-8");
        Self {
            escaped: escaped.into_boxed_str(),
            bare_len,
        }
    }

    /// The full address, escaped.
    pub(crate) fn escaped(&self) -> &str {
        &self.escaped
    }

    /// Whether a client that writes this `from`, in canonical spelling, speaks of itself: as its
    /// full or its bare address (RFC 6120 8.1.2.1).
    pub(crate) fn is_named_by(&self, from: &[u8]) -> bool {
        self.is(from) || self.is_after_preparation(from)
    }

    fn is(&self, from: &[u8]) -> bool {
        let full = self.escaped.as_bytes();
        from == full || from == &full[..self.bare_len]
    }

    /// Addresses are compared by their prepared forms (RFC 7622): `U@Example` is `u@example`.
    #[cold]
    fn is_after_preparation(&self, from: &[u8]) -> bool {
        unescape(from)
            .and_then(|text| Jid::parse(&text).ok())
            .is_some_and(|from| {
                let mut escaped = Vec::new();
                escape_attr(from.as_str(), &mut escaped);
                self.is(&escaped)
            })
    }
}
