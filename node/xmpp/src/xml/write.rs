//! The two parts of a stream that are not elements of it: its start and its end (RFC 6120 4.2,
//! 4.4).

use crate::escape::escape_attr;
use crate::stanza::Content;

/// The attributes of a stream that we open or answer (RFC 6120 4.7).
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamOpen<'a> {
    /// Our address.
    pub from: Option<&'a str>,
    /// The peer's address.
    pub to: Option<&'a str>,
    /// The stream's id; only the side that answers gives one.
    pub id: Option<&'a str>,
    /// The default language of what we write.
    pub lang: Option<&'a str>,
}

/// Ends a stream that [`write_stream_open`] began.
pub const STREAM_CLOSE: &[u8] = b"</stream:stream>";

/// Writes the XML declaration and the start tag of a stream of version 1.0.
pub fn write_stream_open(out: &mut Vec<u8>, content: Content, open: &StreamOpen<'_>) {
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns=\"");
    out.extend_from_slice(content.namespace().as_bytes());
    out.extend_from_slice(b"\" xmlns:stream=\"http://etherx.jabber.org/streams\" version=\"1.0\"");
    let attributes = [
        ("from", open.from),
        ("to", open.to),
        ("id", open.id),
        ("xml:lang", open.lang),
    ];
    for (name, value) in attributes {
        if let Some(value) = value {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            escape_attr(value, out);
            out.push(b'"');
        }
    }
    out.push(b'>');
}
