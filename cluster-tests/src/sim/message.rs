//! The messages that clients send: each can be told from all others, and from what became of it.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{HeadChanges, Kind, Rec, StanzaType, parse_rec, rewrite_head};
use rookery_xmpp::xml::{Content, XmlLimits, canonicalize};

/// A stanza as the reader would make it of what a client wrote: canonical, with the sender stamped.
pub(crate) fn canonical(stanza: &str, from: &Jid, out: &mut Vec<u8>) -> Rec {
    let read = canonicalize(stanza.as_bytes(), Content::Client, XmlLimits::default());
    let (bytes, header) = read.expect("the simulation's clients write what may be written");
    let changes = HeadChanges {
        from: Some(from.as_str()),
        ..HeadChanges::default()
    };
    rewrite_head(&bytes, &Rec::of(&header), &changes, out)
}

/// A message of that number, as its client writes it.
pub(crate) fn written(number: u64, to: &str) -> String {
    let body = body(number);
    format!("<message to='{to}' id='m{number}' type='chat'><body>{body}</body></message>")
}

/// What a client makes of a stanza that it was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message: its number, its sender, and whether nothing in it has changed.
    Message(u64, String, bool),
    /// A message of its own came back with an error.
    Bounce(u64),
    /// Anything else.
    Other,
}

/// Reads what a client was given.
pub(crate) fn read(buf: &Bytes, rec: &Rec) -> Received {
    let number = rec.id(buf).and_then(number_of_id);
    let (Kind::Message, Some(number)) = (rec.kind, number) else {
        return Received::Other;
    };
    if rec.stanza_type == StanzaType::Error {
        return Received::Bounce(number);
    }
    let from = rec.attr_str(buf, "from").unwrap_or_default().into_owned();
    let text = String::from_utf8_lossy(rec.bytes(buf));
    let whole = text.contains(&format!("<body>{}</body>", body(number)));
    Received::Message(number, from, whole)
}

/// The number of the message that these bytes are.
pub(crate) fn number_of(stanza: &Bytes) -> Option<u64> {
    match read(stanza, &parse_rec(stanza)?) {
        Received::Message(number, ..) => Some(number),
        _ => None,
    }
}

/// The number of a message by the value of its `id`.
pub(crate) fn number_of_id(id: &[u8]) -> Option<u64> {
    std::str::from_utf8(id.strip_prefix(b"m")?)
        .ok()?
        .parse()
        .ok()
}

/// Words that follow from the number.
fn body(number: u64) -> String {
    format!("number {number} {}", "x".repeat((number % 90) as usize))
}
