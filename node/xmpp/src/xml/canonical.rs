//! The one spelling of text and attribute values that leaves a reader.
//!
//! | in | spelling |
//! |---|---|
//! | text | `&amp;` `&lt;` `&gt;` always, quotes raw, TAB and LF raw, `&#13;` |
//! | values | `&amp;` `&lt;` `&gt;` `&quot;` always, `'` raw, `&#9;` `&#10;` `&#13;` |
//!
//! So `<` and `>` occur only as delimiters of tags, `"` in tags only as delimiter of values: consumers may scan for them
//! blindly.

use super::env::Env;
use super::error::ReadError;
use super::limits::XmlLimits;
use super::reference::{Finding, Reference};
use super::scratch::Scratch;
use crate::stanza::{Content, Header};

/// Reads one complete element, as if it came first on a stream with this content, and gives its canonical form.
///
/// # Errors
/// What would end the stream; also anything before or behind the element, and an element that does not end.
pub fn canonicalize(
    element: &[u8],
    content: Content,
    limits: XmlLimits,
) -> Result<(Vec<u8>, Header), ReadError> {
    let env = Env {
        content,
        limits: &limits,
        from: None,
        lang: None,
    };
    if element.first() != Some(&b'<') {
        return Err(ReadError::malformed("not an element"));
    }
    let mut reference = Reference::inside_stream(content);
    let mut scratch = Scratch::default();
    let mut rest = element;
    scratch.begin_reference();
    match reference.feed(&mut scratch, &mut rest, &env)? {
        Some(Finding::Stanza) if rest.is_empty() => Ok((scratch.canon, scratch.header)),
        Some(_) => Err(ReadError::malformed("more than one element")),
        None => Err(ReadError::malformed("unfinished element")),
    }
}

/// Writes character data in its canonical spelling.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write(out, text, in_text);
}

/// Writes an attribute's value in its canonical spelling, without the quotes.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &[u8]) {
    write(out, value, in_value);
}

/// How text spells a character that it does not hold raw.
pub(crate) fn in_text(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        _ => None,
    }
}

/// How a value spells a character that it does not hold raw.
pub(crate) fn in_value(byte: u8) -> Option<&'static str> {
    match byte {
        b'"' => Some("&quot;"),
        b'\t' => Some("&#9;"),
        b'\n' => Some("&#10;"),
        _ => in_text(byte),
    }
}

fn write(out: &mut Vec<u8>, bytes: &[u8], spell: impl Fn(u8) -> Option<&'static str>) {
    let mut run = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if let Some(spelling) = spell(byte) {
            out.extend_from_slice(&bytes[run..at]);
            out.extend_from_slice(spelling.as_bytes());
            run = at + 1;
        }
    }
    out.extend_from_slice(&bytes[run..]);
}
