//! One element by itself in its canonical form.

use super::env::Env;
use super::error::ReadError;
use super::limits::XmlLimits;
use super::reference::{Finding, Reference};
use super::scratch::Scratch;
use crate::stanza::{Content, Header};

/// Reads one complete element, as if it came first on a stream with this content, and gives its
/// canonical form.
///
/// # Errors
/// What would end the stream; also anything before or behind the element, and an element that does
/// not end.
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
