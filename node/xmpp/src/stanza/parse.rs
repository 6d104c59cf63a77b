//! A routing record for a stanza that the server itself made.

use super::children::Children;
use super::tag::Tag;
use super::{Content, Flags, Kind, Namespace, Rec, StanzaType};
use crate::xml::names;

/// The record of one stanza (or other top-level element) in canonical bytes that we made ourselves,
/// for instance with [`Element::to_bytes`](crate::element::Element::to_bytes). What comes from the
/// network has its record from the reader.
///
/// `None` when the bytes are not one whole element; beyond that the canonical form is taken on
/// trust.
pub fn parse_rec(bytes: &[u8]) -> Option<Rec> {
    let tag = Tag::scan(bytes)?;
    let kind = kind_of(&tag);
    let mut rec = Rec {
        end: offset(bytes.len()),
        head_len: offset(tag.len()),
        kind,
        ..Rec::default()
    };
    for attr in tag.attrs() {
        match attr.name {
            b"to" => (rec.to_at, rec.to_len) = (offset(attr.value_at), length(attr.value)),
            b"id" => (rec.id_at, rec.id_len) = (offset(attr.value_at), length(attr.value)),
            b"type" => rec.stanza_type = StanzaType::resolve(kind, attr.value),
            _ => {}
        }
        rec.flags |= attr_flags(attr.name, attr.value);
    }
    if tag.is_empty_element() {
        return (tag.len() == bytes.len()).then_some(rec);
    }
    let mut children = Children::of(bytes, &rec);
    for child in children.by_ref() {
        rec.flags |= flags_of(kind, child.name, child.namespace);
    }
    ends_with_its_tag(&tag, children.rest()).then_some(rec)
}

/// The flag that an attribute of the start tag brings.
pub(super) fn attr_flags(name: &[u8], value: &[u8]) -> Flags {
    match name {
        b"to" | b"from" | b"id" if value.contains(&b'&') => Flags::ESCAPED,
        b"xml:lang" => Flags::LANG,
        _ => Flags::empty(),
    }
}

/// An offset within a batch.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("batches are bounded far below 4 GiB")
}

/// The length of a value as a record keeps it.
pub(super) fn length(value: &[u8]) -> u16 {
    u16::try_from(value.len()).unwrap_or(u16::MAX)
}

fn kind_of(tag: &Tag<'_>) -> Kind {
    match tag.xmlns() {
        None => names::kind(Namespace::Content, tag.name()),
        Some(_) => Kind::Other,
    }
}

/// What a child says about its stanza.
pub(super) fn flags_of(kind: Kind, name: &[u8], namespace: Option<&[u8]>) -> Flags {
    let resolve = |uri| Namespace::resolve(uri, Content::Client);
    names::child_flags(kind, namespace.map_or(Namespace::Content, resolve), name)
}

fn ends_with_its_tag(tag: &Tag<'_>, rest: &[u8]) -> bool {
    let start = memchr::memchr(b'<', rest).unwrap_or(rest.len());
    let inside = rest[start..]
        .strip_prefix(b"</")
        .and_then(|end| end.strip_suffix(b">"));
    inside == Some(tag.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{XmlLimits, canonicalize};

    #[test]
    fn the_record_of_a_stanza_points_at_its_values() {
        let stanza =
            b"<iq from=\"c\" id=\"a&amp;b\" to=\"juliet@capulet\" type=\"set\" xml:lang=\"de\">\
            <x xmlns=\"u\"/></iq>";
        let rec = parse_rec(stanza).unwrap();
        assert_eq!((rec.kind, rec.stanza_type), (Kind::Iq, StanzaType::Set));
        assert_eq!(rec.to(stanza), Some(&b"juliet@capulet"[..]));
        assert_eq!(rec.id_str(stanza).as_deref(), Some("a&b"));
        assert_eq!(rec.attr_str(stanza, "from").as_deref(), Some("c"));
        assert_eq!(rec.head_len, 71);
        assert_eq!(rec.end as usize, stanza.len());
        assert!(rec.flags.contains(Flags::ESCAPED | Flags::LANG));
    }

    #[test]
    fn the_record_is_the_one_that_the_reader_gives() {
        for stanza in [
            "<message from=\"a&amp;b\" to=\"c\" type=\"chat\" id=\"1\" xml:lang=\"de\"><body>a</body></message>",
            "<message type=\"odd\"><subject/><x xmlns=\"http://jabber.org/protocol/muc#user\"><y/></x></message>",
            "<message><private xmlns=\"urn:xmpp:carbons:2\"/>t<no-copy xmlns=\"urn:xmpp:hints\"/></message>",
            "<presence><c xmlns=\"http://jabber.org/protocol/caps\" ver=\"&gt;\"/><z xmlns=\"\"/></presence>",
            "<presence type=\"subscribed\"/>",
            "<iq type=\"error\" id=\"&lt;\"><error type=\"wait\"><z xmlns=\"urn:x\"/></error></iq>",
            "<r xmlns=\"urn:xmpp:sm:3\"/>",
            "<iq type=\"get\" id=\"1\"><query xmlns=\"u\"/><_x xmlns=\"u\"><_/></_x></iq>",
            "<_ xmlns=\"u\"/>",
        ] {
            let limits = XmlLimits::default();
            let (bytes, header) = canonicalize(stanza.as_bytes(), Content::Client, limits).unwrap();
            assert_eq!(bytes, stanza.as_bytes());
            assert_eq!(parse_rec(&bytes), Some(Rec::of(&header)), "{stanza}");
        }
    }

    #[test]
    fn other_elements_and_other_namespaces_are_no_stanzas() {
        for other in [
            "<r xmlns=\"urn:xmpp:sm:3\"/>",
            "<message xmlns=\"urn:x\"/>",
            "<foo></foo>",
        ] {
            assert_eq!(
                parse_rec(other.as_bytes()).map(|rec| rec.kind),
                Some(Kind::Other),
                "{other}"
            );
        }
    }

    #[test]
    fn anything_but_one_whole_element_has_no_record() {
        for bad in [
            "",
            "<iq>",
            "<iq/> ",
            "<iq/><iq/>",
            "<iq></message>",
            "<iq><a></iq>",
            "text",
            "<iq></iq>x",
            "</iq>",
        ] {
            assert_eq!(parse_rec(bad.as_bytes()), None, "{bad}");
        }
    }
}
