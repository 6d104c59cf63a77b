//! Escaping in the canonical form's one spelling.
//!
//! | place | written as references | raw |
//! |---|---|---|
//! | text | `&amp;` `&lt;` `&gt;` `&#13;` | quotes, TAB, LF |
//! | values | `&amp;` `&lt;` `&gt;` `&quot;` `&#9;` `&#10;` `&#13;` | `'` |
//!
//! So `<` and `>` occur only as delimiters of tags and `"` in tags only round values. A character
//! that XML cannot carry at all (XML 1.0 2.2: most controls, U+FFFE, U+FFFF) is written as U+FFFD,
//! because a stream must never break over a text.

use std::borrow::Cow;

/// Appends character data.
pub fn escape_text(text: &str, out: &mut Vec<u8>) {
    escape(text, out, Place::Text);
}

/// Appends an attribute's value, without the quotes round it.
pub fn escape_attr(value: &str, out: &mut Vec<u8>) {
    escape(value, out, Place::Value);
}

/// The text behind canonical bytes, of character data or of a value; borrowed when nothing was
/// escaped. `None` for what the canonical form never holds: other references, a bare `&`, `<` or
/// `>`, invalid UTF-8.
pub fn unescape(escaped: &[u8]) -> Option<Cow<'_, str>> {
    unescape_any(escaped, |reference| {
        reference_in(Place::Value, reference).or_else(|| reference_in(Place::Text, reference))
    })
    .filter(|_| !escaped.iter().any(|byte| matches!(byte, b'<' | b'>')))
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Between tags.
    Text,
    /// In an attribute's value.
    Value,
}

/// Like [`unescape`], but refuses every spelling that is not the one for this place, and every
/// character that XML does not allow.
pub(crate) fn unescape_strict(escaped: &[u8], place: Place) -> Option<Cow<'_, str>> {
    let raw_allowed = |byte: u8| match byte {
        b'<' | b'>' => false,
        b'\t' | b'\n' => place == Place::Text,
        b'"' => place == Place::Text,
        other => other >= b' ',
    };
    if !escaped.iter().all(|&byte| raw_allowed(byte)) || has_noncharacter(escaped) {
        return None;
    }
    unescape_any(escaped, |reference| reference_in(place, reference))
}

fn unescape_any(escaped: &[u8], decode: impl Fn(&[u8]) -> Option<char>) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(escaped).ok()?;
    let Some(first) = memchr::memchr(b'&', escaped) else {
        return Some(Cow::Borrowed(text));
    };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(&text[..first]);
    let mut rest = &text[first + 1..];
    loop {
        let end = memchr::memchr(b';', rest.as_bytes())?;
        plain.push(decode(&rest.as_bytes()[..end])?);
        rest = &rest[end + 1..];
        let Some(next) = memchr::memchr(b'&', rest.as_bytes()) else {
            plain.push_str(rest);
            return Some(Cow::Owned(plain));
        };
        plain.push_str(&rest[..next]);
        rest = &rest[next + 1..];
    }
}

fn reference_in(place: Place, name: &[u8]) -> Option<char> {
    match (name, place) {
        (b"amp", _) => Some('&'),
        (b"lt", _) => Some('<'),
        (b"gt", _) => Some('>'),
        (b"#13", _) => Some('\r'),
        (b"quot", Place::Value) => Some('"'),
        (b"#9", Place::Value) => Some('\t'),
        (b"#10", Place::Value) => Some('\n'),
        _ => None,
    }
}

fn escape(text: &str, out: &mut Vec<u8>, place: Place) {
    let bytes = text.as_bytes();
    let mut run = 0;
    let mut at = 0;
    while at < bytes.len() {
        let Some((spelling, length)) = spelling_of(&bytes[at..], place) else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&bytes[run..at]);
        out.extend_from_slice(spelling.as_bytes());
        at += length;
        run = at;
    }
    out.extend_from_slice(&bytes[run..]);
}

/// What to write instead of the first character, and how many bytes it has; `None` when it may
/// stay.
fn spelling_of(bytes: &[u8], place: Place) -> Option<(&'static str, usize)> {
    let spelling = match (bytes[0], place) {
        (b'&', _) => "&amp;",
        (b'<', _) => "&lt;",
        (b'>', _) => "&gt;",
        (b'\r', _) => "&#13;",
        (b'"', Place::Value) => "&quot;",
        (b'\t', Place::Value) => "&#9;",
        (b'\n', Place::Value) => "&#10;",
        (b'\t' | b'\n', Place::Text) => return None,
        (0..b' ', _) => "\u{fffd}",
        (0xef, _) if is_noncharacter(bytes) => return Some(("\u{fffd}", 3)),
        _ => return None,
    };
    Some((spelling, 1))
}

/// Whether these bytes begin with U+FFFE or U+FFFF.
fn is_noncharacter(bytes: &[u8]) -> bool {
    matches!(bytes, [0xef, 0xbf, 0xbe | 0xbf, ..])
}

fn has_noncharacter(bytes: &[u8]) -> bool {
    memchr::memchr_iter(0xef, bytes).any(|at| is_noncharacter(&bytes[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> String {
        let mut out = Vec::new();
        escape_text(source, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn value(source: &str) -> String {
        let mut out = Vec::new();
        escape_attr(source, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_and_values_have_their_own_spellings() {
        let source = "a&b<c>d\"e'f\tg\nh\ri";
        assert_eq!(text(source), "a&amp;b&lt;c&gt;d\"e'f\tg\nh&#13;i");
        assert_eq!(value(source), "a&amp;b&lt;c&gt;d&quot;e'f&#9;g&#10;h&#13;i");
    }

    #[test]
    fn what_xml_cannot_carry_becomes_the_replacement_character() {
        assert_eq!(
            text("\0a\u{b}\u{fffe}b\u{ffff}"),
            "\u{fffd}a\u{fffd}\u{fffd}b\u{fffd}"
        );
        assert_eq!(
            text("\u{fffd}\u{feff}\u{7f}\u{85}é😀"),
            "\u{fffd}\u{feff}\u{7f}\u{85}é😀"
        );
    }

    #[test]
    fn unescape_is_the_inverse_for_both_places() {
        let source = "a&b<c>d\"e'f\tg\nh\ri é😀 &amp;";
        assert_eq!(unescape(text(source).as_bytes()).unwrap(), source);
        assert_eq!(unescape(value(source).as_bytes()).unwrap(), source);
        assert!(matches!(unescape(b"plain"), Some(Cow::Borrowed("plain"))));
    }

    #[test]
    fn unescape_refuses_what_the_canonical_form_never_holds() {
        for bad in [
            "&", "a&b", "&apos;", "&#x26;", "&nbsp;", "a<b", "a>b", "&;", "&amp",
        ] {
            assert_eq!(unescape(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(unescape(b"\xff"), None);
    }

    #[test]
    fn the_strict_form_knows_its_place() {
        assert!(unescape_strict(b"a\"\t\n", Place::Text).is_some());
        for bad in ["\"", "\t", "\n", "\r", "\u{1}", "\u{ffff}"] {
            assert_eq!(
                unescape_strict(bad.as_bytes(), Place::Value),
                None,
                "{bad:?}"
            );
        }
        for bad in ["&quot;", "&#9;", "&#10;", "\r", "\u{1}", "\u{fffe}"] {
            assert_eq!(
                unescape_strict(bad.as_bytes(), Place::Text),
                None,
                "{bad:?}"
            );
        }
    }
}
