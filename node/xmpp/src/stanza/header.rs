//! All that the reader saw of a top-level element in its one pass.

use super::{Flags, Kind, Namespace, StanzaType};

/// Children that a [`Header`] describes; of more it knows only the number.
pub const CHILDREN_MAX: usize = 16;

/// A range of bytes in the output buffer of the reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// A span from two offsets. The reader's limits keep both far below 4 GiB.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && u32::try_from(end).is_ok());
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes of the span.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the span holds nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One child of a top-level element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Child {
    /// Its local name.
    pub name: Span,
    /// Its namespace as written on it or, if it is its parent's, there. Empty for the content
    /// namespace of a stanza, which is never written, and for no namespace:
    /// [`known`](Self::known) tells them apart.
    pub namespace: Span,
    /// Its namespace, resolved.
    pub known: Namespace,
    /// The whole child, tags included.
    pub whole: Span,
}

/// What the reader saw of one top-level element. Spans are offsets into the reader's output buffer; values are still
/// escaped as the canonical form wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The whole element in the output.
    pub whole: Span,
    /// Its local name.
    pub name: Span,
    /// Its namespace as written; empty when it is the content namespace.
    pub namespace: Span,
    /// Its namespace, resolved.
    pub known: Namespace,
    /// Message, presence or IQ, only in the content namespace; anything else is `Other`.
    pub kind: Kind,
    /// The `type` attribute, resolved for the kind.
    pub stanza_type: StanzaType,
    /// The `to` attribute's value.
    pub to: Option<Span>,
    /// The `from` attribute's value as it stands in the output (the stamped one, if the reader stamps).
    pub from: Option<Span>,
    /// The `id` attribute's value.
    pub id: Option<Span>,
    /// The xml:lang attribute's value as it stands in the output: the stanza's own, or the stream's
    /// where the stanza has none.
    pub lang: Option<Span>,
    /// Offset behind the element's start tag (behind `/>` if it is empty).
    pub head_end: u32,
    /// The first [`CHILDREN_MAX`] children.
    pub children: Vec<Child>,
    /// How many children there are.
    pub child_count: u32,
    /// Facts about the content.
    pub flags: Flags,
}
