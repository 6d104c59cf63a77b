//! XEP-0424: Message Retraction, in archives.
//!
//! ```text
//! romeo to juliet:  <message … id='m2'><retract xmlns='urn:xmpp:message-retract:1' id='m1'/>…</message>
//! both archives:    <message … id='m1'><body>…</body></message>
//!                ─► <message … id='m1'><retracted xmlns='urn:xmpp:message-retract:1' id='m2' stamp='…'/></message>
//! ```
//!
//! The retraction itself is archived and delivered as any other message (section 5). What it means for an archive is in
//! `account::retracting`; here it is read, and what takes the place of the message is written (section 4). A room whose
//! moderator retracts a message (XEP-0425 4) writes the same with another child.

use bytes::Bytes;
use memchr::memmem;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Children, Flags, Rec};

use super::{Info, Module, Place, Status};

/// XEP-0424.
pub(super) const INFO: Info = Info {
    xep: 424,
    title: "Message Retraction",
    version: "0.4.2",
    status: Status::Complete,
    note: "what is retracted becomes a tombstone in both archives; not what went through a room",
};

/// Section 4.
const TOMBSTONE: &str = "urn:xmpp:message-retract:1#tombstone";

/// Tells that retractions are archived and followed.
pub(super) struct MessageRetraction;

impl Module for MessageRetraction {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        match place {
            Place::Own | Place::Host => &[ns::RETRACTION, TOMBSTONE],
            Place::Account => &[],
        }
    }
}

/// What a message retracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retraction {
    /// The id of the message that is to go.
    pub(crate) of: String,
    /// The id of the retraction, by which clients find it (section 4).
    pub(crate) id: String,
}

impl Retraction {
    /// What a message retracts, if it does. Not what is about an occupant of a room: a nick may be another one's by
    /// now, and only clients know whose it was (section 5). Nor what only a room may say (XEP-0425 5), nor what lacks
    /// one of the ids.
    pub(crate) fn find(buf: &[u8], rec: Rec) -> Option<Self> {
        if !rec.flags.contains(Flags::OTHER_CHILD) || rec.flags.contains(Flags::MUC) {
            return None;
        }
        let child = Children::of(buf, &rec).find_child("retract", Some(ns::RETRACTION))?;
        let retract = Element::parse(child.bytes).ok()?;
        if retract.child("moderated", ns::MODERATION).is_some() {
            return None;
        }
        let of = retract.attr("id").filter(|id| !id.is_empty())?;
        let id = rec.id_str(buf).filter(|id| !id.is_empty())?;
        Some(Self {
            of: of.to_owned(),
            id: id.into_owned(),
        })
    }

    /// What stands in the place of the message (section 4), which was retracted then.
    pub(crate) fn retracted(&self, stamp: Timestamp) -> Element {
        Element::new("retracted", ns::RETRACTION)
            .with_attr("id", self.id.as_str())
            .with_attr("stamp", datetime::format(stamp))
    }
}

/// A message without all that it said, and with `retracted` instead: who wrote it, to whom, and its ids stay.
pub(crate) fn tombstone(message: &Element, retracted: Element) -> Bytes {
    let mut left = Element::new("message", ns::CLIENT);
    for name in ["from", "to", "type", "id"] {
        left = left.with_optional_attr(name, message.attr(name));
    }
    let ids = message.elements().filter(|child| is_id(child));
    // Without what they may hold beside.
    let id = |child: &Element| {
        Element::new(child.name().to_owned(), child.ns().to_owned())
            .with_optional_attr("by", child.attr("by"))
            .with_optional_attr("id", child.attr("id"))
    };
    left.with_children(ids.map(id))
        .with_child(retracted)
        .to_bytes()
}

/// Whether a stanza is what [`tombstone`] makes of one.
pub(crate) fn is_tombstone(stanza: &[u8]) -> bool {
    let is_mark = |child: &Element| child.is("retracted", ns::RETRACTION);
    memmem::find(stanza, ns::RETRACTION.as_bytes()).is_some()
        && Element::parse(stanza).is_ok_and(|message| {
            message.elements().any(is_mark) && message.elements().all(|it| is_mark(it) || is_id(it))
        })
}

/// An id of the message, of whomever (XEP-0359), or of its author in a room (XEP-0425 4).
fn is_id(child: &Element) -> bool {
    child.is("stanza-id", ns::STANZA_IDS)
        || child.is("origin-id", ns::STANZA_IDS)
        || child.is("occupant-id", ns::OCCUPANT_IDS)
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::stanza::parse_rec;

    use super::*;

    fn found(message: &str) -> Option<(String, String)> {
        let rec = parse_rec(message.as_bytes()).expect("a canonical message");
        Retraction::find(message.as_bytes(), rec).map(|it| (it.of, it.id))
    }

    #[test]
    fn a_retraction_has_two_ids_and_is_nobodys_in_a_room() {
        let name = "retract xmlns=\"urn:xmpp:message-retract:1\"";
        let retract = |attrs, content| match content {
            "" => format!("<{name}{attrs}/>"),
            _ => format!("<{name}{attrs}>{content}</retract>"),
        };
        let plain = retract(" id=\"a&amp;b\"", "");
        let message = |attrs, content: &str| format!("<message{attrs}>{content}</message>");
        let of = Some(("a&b".to_owned(), "r".to_owned()));
        assert_eq!(found(&message(" id=\"r\"", &plain)), of);
        let body = format!("<body>gone</body>{plain}");
        assert_eq!(found(&message(" id=\"r\" type=\"chat\"", &body)), of);
        let moderated = "<moderated xmlns=\"urn:xmpp:message-moderate:1\"/>";
        let occupant = "<x xmlns=\"http://jabber.org/protocol/muc#user\"/>";
        for (attrs, content) in [
            ("", plain.clone()),
            (" id=\"\"", plain.clone()),
            (" id=\"r\"", retract("", "")),
            (" id=\"r\"", retract(" id=\"\"", "")),
            (" id=\"r\"", retract(" id=\"a\"", moderated)),
            (" id=\"r\"", format!("{plain}{occupant}")),
            (" id=\"r\"", "<body>retract</body>".to_owned()),
            (" id=\"r\"", "<retract id=\"a\"/>".to_owned()),
            (" id=\"r\"", format!("<x xmlns=\"y\">{plain}</x>")),
        ] {
            assert_eq!(found(&message(attrs, &content)), None, "{attrs} {content}");
        }
    }

    #[test]
    fn a_tombstone_keeps_who_and_ids_and_nothing_that_was_said() {
        let message = "<message from=\"a@b/c\" to=\"d@e\" id=\"m\" type=\"chat\" xml:lang=\"en\" x=\"secret\">\
            <body>secret</body><thread>secret</thread>\
            <origin-id xmlns=\"urn:xmpp:sid:0\" id=\"m\">secret</origin-id>\
            <stanza-id xmlns=\"urn:xmpp:sid:0\" by=\"r@s\" id=\"9\" x=\"secret\"/>\
            <x xmlns=\"jabber:x:oob\"><url>secret</url></x></message>";
        assert!(!is_tombstone(message.as_bytes()));
        let message = Element::parse(message.as_bytes()).expect("a message");
        let retraction = Retraction {
            of: "m".to_owned(),
            id: "r".to_owned(),
        };
        let stone = tombstone(&message, retraction.retracted(Timestamp(0)));
        assert_eq!(
            stone,
            "<message from=\"a@b/c\" to=\"d@e\" type=\"chat\" id=\"m\"><origin-id xmlns=\"urn:xmpp:sid:0\" id=\"m\"/>\
            <stanza-id xmlns=\"urn:xmpp:sid:0\" by=\"r@s\" id=\"9\"/>\
            <retracted xmlns=\"urn:xmpp:message-retract:1\" id=\"r\" stamp=\"1970-01-01T00:00:00Z\"/></message>"
        );
        assert!(is_tombstone(&stone));
        let forged =
            String::from_utf8_lossy(&stone).replace("<retracted", "<body>a</body><retracted");
        assert!(!is_tombstone(forged.as_bytes()));
        let retraction =
            "<message><retract xmlns=\"urn:xmpp:message-retract:1\" id=\"m\"/></message>";
        assert!(!is_tombstone(retraction.as_bytes()));
    }

    #[test]
    fn a_room_writes_the_tombstone_of_what_its_moderator_retracts() {
        let message = "<message from=\"room@muc.example/oldhag\" type=\"groupchat\" id=\"m\">\
            <occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"o\"/><body>secret</body></message>";
        let message = Element::parse(message.as_bytes()).expect("a message");
        let moderated = Element::new("moderated", ns::MODERATION).with_attr("by", "witch@b");
        let retracted = Element::new("retracted", ns::RETRACTION).with_child(moderated);
        let stone = tombstone(&message, retracted);
        assert_eq!(
            stone,
            "<message from=\"room@muc.example/oldhag\" type=\"groupchat\" id=\"m\">\
            <occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"o\"/>\
            <retracted xmlns=\"urn:xmpp:message-retract:1\"><moderated xmlns=\"urn:xmpp:message-moderate:1\" \
            by=\"witch@b\"/></retracted></message>"
        );
        assert!(is_tombstone(&stone));
    }
}
