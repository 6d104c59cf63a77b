//! Changing a stanza without parsing it: a new start tag, or one more child, round the same bytes.
//!
//! ```text
//! <message from="a@b" to="c@d/e" id="1"> payload </message>
//!          └────── rewrite_head ──────┘ └─copied─┘└─ append_child writes before the end tag
//! ```

use std::borrow::Cow;

use super::children::Children;
use super::parse::{attr_flags, flags_of, length, offset};
use super::tag::Tag;
use super::{Flags, Rec, StanzaType};
use crate::escape::{escape_attr, unescape};

/// What [`rewrite_head`] changes. `None` leaves an attribute as it is, an empty text removes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadChanges<'a> {
    /// The new `from`, unescaped.
    pub from: Option<&'a str>,
    /// The new `to`, unescaped.
    pub to: Option<&'a str>,
    /// The new `id`, unescaped.
    pub id: Option<&'a str>,
    /// The new `type`.
    pub stanza_type: Option<&'a str>,
}

/// Appends the stanza `rec` of `buf` with a changed start tag to `out` and returns its record
/// there. Changed attributes keep their place, new ones come last, all others and the payload are
/// copied to the byte.
pub fn rewrite_head(buf: &[u8], rec: &Rec, changes: &HeadChanges<'_>, out: &mut Vec<u8>) -> Rec {
    let stanza = rec.bytes(buf);
    let (head, payload) = stanza.split_at(rec.head_len as usize);
    let mut writer = HeadWriter::start(Tag::of(head), *rec, out);
    let mut left = *changes;
    for attr in Tag::of(head).attrs() {
        match left.take(attr.name) {
            None => writer.copy(attr.name, attr.whole, attr.value),
            Some(value) => writer.set(attr.name, value),
        }
    }
    for name in [&b"from"[..], b"to", b"id", b"type"] {
        if let Some(value) = left.take(name) {
            writer.set(name, value);
        }
    }
    writer.finish(payload)
}

/// Appends the stanza `rec` of `buf` with one more child (or several) behind all others to `out`
/// and returns its record there, with the flags that the child brings. `child` is canonical and
/// stands for itself, such as `<delay xmlns="urn:xmpp:delay" stamp="…"/>`.
pub fn append_child(buf: &[u8], rec: &Rec, child: &[u8], out: &mut Vec<u8>) -> Rec {
    let stanza = rec.bytes(buf);
    let tag = Tag::of(&stanza[..rec.head_len as usize]);
    let start = out.len();
    let mut new = *rec;
    if tag.is_empty_element() {
        out.extend_from_slice(tag.open_part());
        out.push(b'>');
        new.head_len -= 1;
    } else {
        out.extend_from_slice(&stanza[..stanza.len() - (tag.name().len() + 3)]);
    }
    out.extend_from_slice(child);
    out.extend_from_slice(b"</");
    out.extend_from_slice(tag.name());
    out.push(b'>');
    for added in Children::among(child) {
        new.flags |= flags_of(rec.kind, added.name, added.namespace);
    }
    (new.start, new.end) = (offset(start), offset(out.len()));
    new
}

/// Values of the head, unescaped.
impl Rec {
    /// `to`'s value, unescaped; `None` when the stanza has none.
    pub fn to_str<'a>(&self, buf: &'a [u8]) -> Option<Cow<'a, str>> {
        self.to(buf).and_then(unescape)
    }

    /// `id`'s value, unescaped; `None` when the stanza has none.
    pub fn id_str<'a>(&self, buf: &'a [u8]) -> Option<Cow<'a, str>> {
        self.id(buf).and_then(unescape)
    }

    /// Any attribute of the start tag, unescaped; for those that the record does not know, such as
    /// `from`.
    pub fn attr_str<'a>(&self, buf: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
        self.attr(buf, name).and_then(unescape)
    }

    /// Any attribute of the start tag, still escaped.
    pub(super) fn attr<'a>(&self, buf: &'a [u8], name: &str) -> Option<&'a [u8]> {
        Tag::of(&self.bytes(buf)[..self.head_len as usize]).value(name.as_bytes())
    }
}

impl<'a> HeadChanges<'a> {
    fn take(&mut self, name: &[u8]) -> Option<&'a str> {
        match name {
            b"from" => self.from.take(),
            b"to" => self.to.take(),
            b"id" => self.id.take(),
            b"type" => self.stanza_type.take(),
            _ => None,
        }
    }
}

/// Writes a start tag and keeps the record in step.
struct HeadWriter<'a, 'o> {
    tag: Tag<'a>,
    rec: Rec,
    start: usize,
    out: &'o mut Vec<u8>,
}

impl<'a, 'o> HeadWriter<'a, 'o> {
    fn start(tag: Tag<'a>, old: Rec, out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'<');
        out.extend_from_slice(tag.name());
        let rec = Rec {
            to_at: 0,
            to_len: 0,
            id_at: 0,
            id_len: 0,
            stanza_type: StanzaType::None,
            flags: Flags::from_bits(old.flags.bits() & !Flags::ESCAPED.bits()),
            ..old
        };
        Self {
            tag,
            rec,
            start,
            out,
        }
    }

    fn copy(&mut self, name: &[u8], whole: &[u8], value: &[u8]) {
        self.out.extend_from_slice(whole);
        self.note(name, self.out.len() - 1 - value.len());
    }

    fn set(&mut self, name: &[u8], value: &str) {
        if value.is_empty() {
            return;
        }
        self.out.push(b' ');
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b"=\"");
        let value_at = self.out.len();
        escape_attr(value, self.out);
        self.out.push(b'"');
        self.note(name, value_at);
    }

    /// Remembers the value that was just written from `value_at` up to the closing quote.
    fn note(&mut self, name: &[u8], value_at: usize) {
        let value = &self.out[value_at..self.out.len() - 1];
        self.rec.flags |= attr_flags(name, value);
        let place = (offset(value_at - self.start), length(value));
        match name {
            b"to" => (self.rec.to_at, self.rec.to_len) = place,
            b"id" => (self.rec.id_at, self.rec.id_len) = place,
            b"type" => self.rec.stanza_type = StanzaType::resolve(self.rec.kind, value),
            _ => {}
        }
    }

    fn finish(self, payload: &[u8]) -> Rec {
        let Self {
            tag,
            mut rec,
            start,
            out,
        } = self;
        out.extend_from_slice(if tag.is_empty_element() { b"/>" } else { b">" });
        rec.head_len = offset(out.len() - start);
        out.extend_from_slice(payload);
        (rec.start, rec.end) = (offset(start), offset(out.len()));
        rec
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_rec;
    use super::*;

    fn rewritten(stanza: &str, changes: &HeadChanges<'_>) -> String {
        let rec = parse_rec(stanza.as_bytes()).unwrap();
        let mut out = b"before".to_vec();
        let new = rewrite_head(stanza.as_bytes(), &rec, changes, &mut out);
        check(new, &out);
        String::from_utf8(out[6..].to_vec()).unwrap()
    }

    fn appended(stanza: &str, child: &str) -> String {
        let rec = parse_rec(stanza.as_bytes()).unwrap();
        let mut out = b"before".to_vec();
        let new = append_child(stanza.as_bytes(), &rec, child.as_bytes(), &mut out);
        check(new, &out);
        String::from_utf8(out[6..].to_vec()).unwrap()
    }

    /// The record must be the one that a fresh scan gives.
    fn check(rec: Rec, out: &[u8]) {
        assert_eq!(parse_rec(&out[6..]), Some(rec.moved_to(0)));
        assert_eq!((rec.start, rec.end as usize), (6, out.len()));
    }

    #[test]
    fn changed_attributes_keep_their_place_and_others_their_bytes() {
        let stanza =
            "<message from=\"a&amp;b\" xml:lang=\"de\" to=\"c\" x=\"1\"><body>hi</body></message>";
        let changes = HeadChanges {
            to: Some("\"d\"/e"),
            id: Some("7"),
            ..HeadChanges::default()
        };
        assert_eq!(
            rewritten(stanza, &changes),
            "<message from=\"a&amp;b\" xml:lang=\"de\" to=\"&quot;d&quot;/e\" x=\"1\" id=\"7\"><body>hi</body></message>"
        );
    }

    #[test]
    fn an_empty_text_removes_an_attribute() {
        let changes = HeadChanges {
            to: Some(""),
            stanza_type: Some(""),
            id: Some(""),
            ..HeadChanges::default()
        };
        assert_eq!(
            rewritten("<presence to=\"a&amp;b\" type=\"probe\"/>", &changes),
            "<presence/>"
        );
    }

    #[test]
    fn a_new_type_is_resolved_for_the_kind() {
        let changes = HeadChanges {
            stanza_type: Some("unavailable"),
            from: Some("x"),
            ..HeadChanges::default()
        };
        assert_eq!(
            rewritten("<presence/>", &changes),
            "<presence from=\"x\" type=\"unavailable\"/>"
        );
    }

    #[test]
    fn a_child_is_appended_to_full_and_to_empty_stanzas() {
        let delay = "<delay xmlns=\"urn:xmpp:delay\" stamp=\"2002-09-10T23:08:25Z\"/>";
        assert_eq!(
            appended("<presence to=\"a\"/>", delay),
            format!("<presence to=\"a\">{delay}</presence>")
        );
        assert_eq!(
            appended("<message><body>b</body></message>", delay),
            format!("<message><body>b</body>{delay}</message>")
        );
    }

    #[test]
    fn values_are_given_unescaped() {
        let stanza = b"<iq to=\"a&amp;b\" id=\"&lt;\" from=\"f&quot;\"/>";
        let rec = parse_rec(stanza).unwrap();
        assert!(rec.flags.contains(Flags::ESCAPED));
        assert_eq!(rec.to_str(stanza).as_deref(), Some("a&b"));
        assert_eq!(rec.id_str(stanza).as_deref(), Some("<"));
        assert_eq!(rec.attr_str(stanza, "from").as_deref(), Some("f\""));
        assert_eq!(rec.attr_str(stanza, "type"), None);
    }
}
