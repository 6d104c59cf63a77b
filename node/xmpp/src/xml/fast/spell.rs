//! Rewriting what is not spelled in the canonical way.
//!
//! It has its own table of spellings, so that the other lane, which writes with [`crate::escape`],
//! is a test of it.

use super::{charref, scan};

/// Whether a reference in a value stays as it is written.
pub(super) fn is_canonical_in_value(value: char, written: &[u8]) -> bool {
    ascii(value)
        .and_then(in_value)
        .is_some_and(|spelling| spelling.as_bytes() == written)
}

/// Whether a reference in text stays as it is written.
pub(super) fn is_canonical_in_text(value: char, written: &[u8]) -> bool {
    ascii(value)
        .and_then(in_text)
        .is_some_and(|spelling| spelling.as_bytes() == written)
}

/// Writes the character that a reference in text stands for.
pub(super) fn write_in_text(canon: &mut Vec<u8>, value: char) {
    match ascii(value).and_then(in_text) {
        Some(spelling) => canon.extend_from_slice(spelling.as_bytes()),
        None => write_raw(canon, value),
    }
}

/// Writes a value whose source, without the quotes, was checked already.
pub(super) fn write_value(canon: &mut Vec<u8>, source: &[u8]) {
    let (mut run, mut at) = (0, 0);
    while at < source.len() {
        let (stop, _) = scan::value(source, at);
        let Some(&byte) = source.get(stop) else { break };
        at = stop + 1;
        match byte {
            b'"' | b'>' => {
                canon.extend_from_slice(&source[run..stop]);
                let spelling = in_value(byte).expect("these two are never raw");
                canon.extend_from_slice(spelling.as_bytes());
                run = at;
            }
            b'\t' | b'\n' | b'\r' => {
                canon.extend_from_slice(&source[run..stop]);
                canon.push(b' ');
                if byte == b'\r' && source.get(at) == Some(&b'\n') {
                    at += 1;
                }
                run = at;
            }
            b'&' => {
                let reference = charref::read(&source[stop..]).expect("it was read before");
                canon.extend_from_slice(&source[run..stop]);
                match ascii(reference.value).and_then(in_value) {
                    Some(spelling) => canon.extend_from_slice(spelling.as_bytes()),
                    None => write_raw(canon, reference.value),
                }
                at = stop + reference.len;
                run = at;
            }
            _ => {}
        }
    }
    canon.extend_from_slice(&source[run..]);
}

fn ascii(value: char) -> Option<u8> {
    value.is_ascii().then_some(value as u8)
}

fn write_raw(canon: &mut Vec<u8>, value: char) {
    canon.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
}

/// How text spells a character that it does not hold raw.
fn in_text(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        _ => None,
    }
}

/// How a value spells a character that it does not hold raw.
fn in_value(byte: u8) -> Option<&'static str> {
    match byte {
        b'"' => Some("&quot;"),
        b'\t' => Some("&#9;"),
        b'\n' => Some("&#10;"),
        _ => in_text(byte),
    }
}
