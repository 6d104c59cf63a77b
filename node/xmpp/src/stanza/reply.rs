//! Answers to requests: IQ results, and the frame of every error.

use bytes::Bytes;

use super::{Kind, Rec};
use crate::element::Element;
use crate::escape::escape_attr;

/// The result that answers the IQ `rec` in `request` (RFC 6120 8.2.3): same id, addresses swapped
/// unless given.
pub fn iq_result(
    request: &[u8],
    rec: &Rec,
    from: Option<&str>,
    to: Option<&str>,
    payload: Option<&Element>,
) -> Bytes {
    reply(request, rec, from, to, "result", payload)
}

/// A stanza of the request's kind with its id and, unless they are given, its addresses swapped.
pub(crate) fn reply<'a>(
    request: &[u8],
    rec: &Rec,
    from: Option<&str>,
    to: Option<&str>,
    stanza_type: &'static str,
    children: impl IntoIterator<Item = &'a Element>,
) -> Bytes {
    let name = kind_name(rec.kind);
    let mut out = Vec::with_capacity(256);
    out.push(b'<');
    out.extend_from_slice(name);
    write_address(b"from", from, rec.to(request), &mut out);
    write_address(b"to", to, rec.attr(request, "from"), &mut out);
    if let Some(id) = rec.id(request) {
        write_escaped(b"id", id, &mut out);
    }
    write_escaped(b"type", stanza_type.as_bytes(), &mut out);
    let mut children = children.into_iter().peekable();
    if children.peek().is_none() {
        out.extend_from_slice(b"/>");
        return Bytes::from(out);
    }
    out.push(b'>');
    children.for_each(|child| child.write(&mut out));
    out.extend_from_slice(b"</");
    out.extend_from_slice(name);
    out.push(b'>');
    Bytes::from(out)
}

fn kind_name(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Message => b"message",
        Kind::Presence => b"presence",
        Kind::Iq | Kind::Other => b"iq",
    }
}

/// Writes the given address or, without one, the request's, which is escaped already.
fn write_address(name: &[u8], given: Option<&str>, escaped: Option<&[u8]>, out: &mut Vec<u8>) {
    match (given, escaped) {
        (Some(given), _) => {
            let mut value = Vec::with_capacity(given.len());
            escape_attr(given, &mut value);
            write_escaped(name, &value, out);
        }
        (None, Some(escaped)) => write_escaped(name, escaped, out),
        (None, None) => {}
    }
}

fn write_escaped(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name);
    out.extend_from_slice(b"=\"");
    out.extend_from_slice(value);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::parse_rec;
    use super::*;

    const REQUEST: &[u8] = b"<iq from=\"a@b/c&amp;d\" id=\"x\" to=\"b\" type=\"get\">\
        <ping xmlns=\"urn:xmpp:ping\"/></iq>";

    #[test]
    fn a_result_swaps_the_addresses() {
        let rec = parse_rec(REQUEST).unwrap();
        let result = iq_result(REQUEST, &rec, None, None, None);
        assert_eq!(
            &result[..],
            b"<iq from=\"b\" to=\"a@b/c&amp;d\" id=\"x\" type=\"result\"/>"
        );
    }

    #[test]
    fn given_addresses_win_and_a_payload_is_enclosed() {
        let rec = parse_rec(REQUEST).unwrap();
        let payload = Element::new("query", "jabber:iq:version");
        let result = iq_result(REQUEST, &rec, Some("x"), Some("y'&"), Some(&payload));
        assert_eq!(
            &result[..],
            b"<iq from=\"x\" to=\"y'&amp;\" id=\"x\" type=\"result\"><query xmlns=\"jabber:iq:version\"/></iq>"
        );
    }
}
