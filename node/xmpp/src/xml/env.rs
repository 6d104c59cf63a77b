//! What a lane must know of its stream to read one top-level element.

use super::canonical;
use super::limits::XmlLimits;
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

/// The full address of the entity at the other end, as an attribute's value in the canonical form.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    full: Box<str>,
    bare_len: usize,
}

impl Sender {
    /// `full` as the address' text, unescaped.
    pub(crate) fn new(full: &str) -> Self {
        let bare = full.split_once('/').map_or(full, |(bare, _)| bare);
        let mut escaped = Vec::with_capacity(full.len());
        canonical::write_value(&mut escaped, bare.as_bytes());
        let bare_len = escaped.len();
        canonical::write_value(&mut escaped, &full.as_bytes()[bare.len()..]);
        let full = String::from_utf8(escaped).expect("escaping keeps UTF-8");
        Self {
            full: full.into_boxed_str(),
            bare_len,
        }
    }

    /// The escaped full address.
    pub(crate) fn full(&self) -> &str {
        &self.full
    }

    /// Whether a client that writes this `from`, in canonical spelling, speaks of itself: as its full or its bare
    /// address (RFC 6120 8.1.2.1).
    pub(crate) fn is_named_by(&self, from: &[u8]) -> bool {
        from == self.full.as_bytes() || from == &self.full.as_bytes()[..self.bare_len]
    }
}
