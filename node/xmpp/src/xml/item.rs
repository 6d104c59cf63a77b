//! What a reader finds on a stream.

use crate::stanza::Header;

/// One item of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The stream was opened.
    Open(StreamHeader),
    /// A complete top-level element: a stanza, or an element of stream negotiation.
    Stanza(&'a Header),
    /// The stream was closed. Whatever follows it is not read.
    Close,
}

/// The start tag of a stream (RFC 6120 4.7). The content namespace and that of streams were
/// checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHeader {
    /// The addressed host, as written.
    pub to: Option<String>,
    /// Who opens the stream, as written.
    pub from: Option<String>,
    /// The default language of what follows.
    pub lang: Option<String>,
    /// The stream's id, where a server opens it.
    pub id: Option<String>,
    /// Major and minor version; `None` for a stream from before RFC 3920.
    pub version: Option<(u8, u8)>,
}
