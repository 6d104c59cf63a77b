//! Looks into a stanza that the framer cut, without a tree: start tag, attributes, error condition.

use std::sync::LazyLock;

use memchr::{memchr, memchr2, memmem};

/// Whether the stanza's name is `name`.
pub(crate) fn is(stanza: &[u8], name: &str) -> bool {
    stanza
        .get(1..)
        .and_then(|rest| rest.strip_prefix(name.as_bytes()))
        .is_some_and(|rest| {
            rest.first()
                .is_some_and(|next| matches!(next, b' ' | b'>' | b'/' | b'\n' | b'\t' | b'\r'))
        })
}

/// The raw (still escaped) value of an attribute of the first start tag.
pub(crate) fn attribute<'a>(stanza: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut at = memchr2(b' ', b'>', stanza)?;
    loop {
        let rest = &stanza[at..];
        let equals = memchr2(b'=', b'>', rest)?;
        if rest[equals] == b'>' {
            return None;
        }
        let key = rest[..equals].trim_ascii();
        let quote_at = equals + 1 + memchr2(b'\'', b'"', &rest[equals + 1..])?;
        let quote = rest[quote_at];
        let length = memchr(quote, &rest[quote_at + 1..])?;
        if key == name.as_bytes() {
            return Some(&rest[quote_at + 1..quote_at + 1 + length]);
        }
        at += quote_at + length + 2;
    }
}

/// Whether the stanza's `type` is `value`.
pub(crate) fn has_type(stanza: &[u8], value: &str) -> bool {
    attribute(stanza, "type") == Some(value.as_bytes())
}

/// The text of the first `<body>` (raw).
pub(crate) fn body(stanza: &[u8]) -> Option<&[u8]> {
    element_text(stanza, &BODY)
}

/// The text of the first `<status>` (raw).
pub(crate) fn status(stanza: &[u8]) -> Option<&[u8]> {
    element_text(stanza, &STATUS)
}

/// The text of the first element with a start tag exactly `<name>`, for set-up and negotiation.
pub(crate) fn text_of(stanza: &[u8], name: &str) -> Option<String> {
    let text = element_text(stanza, &memmem::Finder::new(&format!("<{name}>")))?;
    Some(unescape(text))
}

/// The text of a top-level element (`<challenge …>text</challenge>`).
pub(crate) fn top_text(stanza: &[u8]) -> &[u8] {
    let Some(open) = memchr(b'>', stanza) else {
        return b"";
    };
    let rest = &stanza[open + 1..];
    &rest[..memchr(b'<', rest).unwrap_or(0)]
}

/// Whether `needle` occurs anywhere; used on the short answers of negotiation only.
pub(crate) fn contains(stanza: &[u8], needle: &str) -> bool {
    memmem::find(stanza, needle.as_bytes()).is_some()
}

/// The condition of a stanza, stream or SASL error with its text, for people.
pub(crate) fn condition(stanza: &[u8]) -> String {
    let from = memmem::find(stanza, b"<error").or_else(|| memmem::find(stanza, b"error>"));
    let from = from
        .or_else(|| (is(stanza, "failure") || is(stanza, "failed")).then_some(0))
        .unwrap_or(0);
    let mut rest = &stanza[from..];
    let mut name = None;
    while let Some(open) = memchr(b'<', rest).filter(|_| name.is_none()) {
        rest = &rest[open + 1..];
        let length = rest
            .iter()
            .position(|b| matches!(b, b' ' | b'>' | b'/'))
            .unwrap_or(0);
        let tag = &rest[..length];
        if length > 0
            && !matches!(
                tag,
                b"error" | b"failure" | b"failed" | b"stream:error" | b"text"
            )
        {
            name = Some(String::from_utf8_lossy(tag).into_owned());
        }
    }
    let name = name.unwrap_or_else(|| "no condition".to_owned());
    let text = memmem::find(stanza, b"<text").map(|at| top_text(&stanza[at..]));
    match text.filter(|text| !text.is_empty()) {
        Some(text) => format!("{name} ({})", unescape(text)),
        None => name,
    }
}

/// Escapes text or an attribute value.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// Undoes [`escape`].
pub(crate) fn unescape(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    if !text.contains('&') {
        return text.into_owned();
    }
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&apos;", "'");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}

fn element_text<'a>(stanza: &'a [u8], open_tag: &memmem::Finder<'_>) -> Option<&'a [u8]> {
    let rest = &stanza[open_tag.find(stanza)? + open_tag.needle().len()..];
    Some(&rest[..memchr(b'<', rest)?])
}

static BODY: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("<body>"));
static STATUS: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new("<status>"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_in_either_quotes_and_only_in_the_first_tag() {
        let stanza = b"<message to='a' from=\"it's >b\" type='chat'><x id='inner'/></message>";
        assert_eq!(attribute(stanza, "to"), Some(&b"a"[..]));
        assert_eq!(attribute(stanza, "from"), Some(&b"it's >b"[..]));
        assert!(has_type(stanza, "chat"));
        assert_eq!(attribute(stanza, "id"), None);
    }

    #[test]
    fn a_name_must_match_whole() {
        assert!(is(b"<iq/>", "iq"));
        assert!(!is(b"<iqx/>", "iq"));
    }

    #[test]
    fn the_condition_of_every_kind_of_error_is_named() {
        let iq = b"<iq type='error'><query xmlns='jabber:iq:register'/><error type='cancel'>\
            <conflict xmlns='s'/><text xml:lang='en'>taken &amp; gone</text></error></iq>";
        assert_eq!(condition(iq), "conflict (taken & gone)");
        let sasl = b"<failure xmlns='s'><not-authorized/></failure>";
        assert_eq!(condition(sasl), "not-authorized");
        let stream = b"<stream:error><policy-violation xmlns='s'/></stream:error>";
        assert_eq!(condition(stream), "policy-violation");
    }

    #[test]
    fn escaping_comes_back() {
        assert_eq!(unescape(escape("a<b>&'\"c").as_bytes()), "a<b>&'\"c");
    }
}
