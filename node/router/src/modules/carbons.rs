//! XEP-0280: Message Carbons.
//!
//! ```text
//! C: <iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>        S: <iq type='result'/>
//!
//! romeo/home writes to juliet:
//!   S ─► romeo/garden   <message from='romeo@…' to='romeo@…/garden' type='chat'><sent xmlns='urn:xmpp:carbons:2'>
//!                         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' …/></forwarded></sent>
//! juliet answers romeo/home:
//!   S ─► romeo/home     the answer itself
//!   S ─► romeo/garden   the same wrapping, with <received/>
//! ```
//!
//! Which messages are copied is section 6.1, all of it, as `urn:xmpp:carbons:rules:0` promises (6.2). Who gets a copy
//! is in `account::carbons`. A copy goes from the account straight to a session and arrives nowhere, so that it is
//! never copied. Whoever else writes `<sent/>` or `<received/>` has written a message as any other: it is delivered,
//! and copied, in its sender's name, and clients believe copies only from their own bare JID (section 11).

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_xmpp::element::Element;
use rookery_xmpp::escape::escape_attr;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Children, Flags, Kind, Rec, StanzaType};

use super::{Hook, Info, Iq, IqRoute, Module, Outcome, Phase, Place, Status};
use crate::account::{Account, Session};
use crate::shard::Turn;

/// XEP-0280.
pub(super) const INFO: Info = Info {
    xep: 280,
    title: "Message Carbons",
    version: "1.0.1",
    status: Status::Complete,
    note: "errors are known by the ids of the last messages; what waits in the log is not copied",
};

/// XEP-0280 6.2: the rules are kept as if they were all required.
const RULES: &str = "urn:xmpp:carbons:rules:0";

/// XEP-0249.
const CONFERENCE: &str = "jabber:x:conference";

/// Copies messages to an account's other sessions.
pub(super) struct Carbons;

impl Module for Carbons {
    fn info(&self) -> &'static Info {
        &INFO
    }

    /// Section 3 asks the server; section 4's requests go to the own account.
    fn features(&self, place: Place) -> &'static [&'static str] {
        match place {
            Place::Own | Place::Host => &[ns::CARBONS, RULES],
            Place::Account => &[],
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const fn own(name: &'static str) -> IqRoute {
            IqRoute {
                place: Place::Own,
                stanza_type: StanzaType::Set,
                namespace: ns::CARBONS,
                name,
            }
        }
        const ROUTES: &[IqRoute] = &[own("enable"), own("disable")];
        ROUTES
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[
            (Hook::SessionBound, Phase::Copy),
            (Hook::SessionEnded, Phase::Copy),
        ]
    }

    /// Both may be asked for any number of times (10.1).
    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        match iq.session {
            Some(id) => {
                account.set_carbons(turn, id, iq.payload.name() == "enable");
                Outcome::Result(None)
            }
            None => Outcome::unavailable(),
        }
    }

    /// A session that goes on under another owner of the shard has said before whether it wants copies.
    fn session_bound(&self, account: &mut Account, _turn: &mut Turn<'_>, _session: SessionId) {
        account.count_carbons();
    }

    fn session_ended(&self, account: &mut Account, _turn: &mut Turn<'_>, _session: &Session) {
        account.count_carbons();
    }
}

/// Which way a message goes, and the element that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// One of the account's sessions sends it.
    Sent,
    /// It is sent to the account.
    Received,
}

/// Whether section 6.1 has a message copied. Of an error only who knows what it answers can say that.
pub(crate) fn is_eligible(direction: Direction, from: &Jid, buf: &[u8], rec: Rec) -> bool {
    let flags = rec.flags;
    if rec.kind != Kind::Message
        || matches!(rec.stanza_type, StanzaType::Groupchat | StanzaType::Error)
        || flags.contains(Flags::NO_COPY)
        || is_private(buf, rec)
    {
        return false;
    }
    if flags.contains(Flags::MUC)
        && let Some(occupant) = Children::of(buf, &rec).find_child("x", Some(ns::MUC_USER))
    {
        // What comes from an occupant comes to each session that is in the room; an invitation does not.
        let invites = is_invitation(occupant.bytes);
        if invites || direction == Direction::Received && from.resource().is_some() {
            return invites;
        }
        if direction == Direction::Sent && is_for_occupant(buf, rec) {
            return true;
        }
    }
    match rec.stanza_type {
        StanzaType::Chat => true,
        _ if flags.intersects(Flags::RECEIPT | Flags::CHAT_STATE | Flags::MARKER) => true,
        StanzaType::Headline => is_direct_invitation(buf, rec),
        _ => flags.contains(Flags::BODY) || is_direct_invitation(buf, rec),
    }
}

/// Section 9: whether its sender wants no copies. The mark stays in the message, so that recipients see what was done
/// with it. Few messages have anything of the namespace, so few are looked into.
fn is_private(buf: &[u8], rec: Rec) -> bool {
    let private = || Children::of(buf, &rec).find_child("private", Some(ns::CARBONS));
    rec.flags.contains(Flags::CARBONS) && private().is_some()
}

/// XEP-0045 7.8.2: whether what a room says of its occupants is an invitation.
fn is_invitation(occupant: &[u8]) -> bool {
    Element::parse(occupant).is_ok_and(|x| x.child("invite", ns::MUC_USER).is_some())
}

/// XEP-0249: an invitation that comes past the room.
fn is_direct_invitation(buf: &[u8], rec: Rec) -> bool {
    let invitation = || Children::of(buf, &rec).find_child("x", Some(CONFERENCE));
    rec.flags.contains(Flags::OTHER_CHILD) && invitation().is_some()
}

/// Whether it is addressed to a full JID, as occupants of rooms are.
fn is_for_occupant(buf: &[u8], rec: Rec) -> bool {
    rec.to(buf).is_some_and(|to| to.contains(&b'/'))
}

/// Sections 7 and 8: a message as a session of the account gets it. The canonical form declares the content namespace
/// only below other namespaces, so the message itself is copied byte by byte behind a declaration.
pub(crate) fn copy(
    direction: Direction,
    account: &Jid,
    session: &Jid,
    buf: &[u8],
    rec: Rec,
) -> Bytes {
    let message = rec.bytes(buf);
    let (open, close): (&[u8], &[u8]) = match direction {
        Direction::Sent => (
            b"><sent xmlns=\"urn:xmpp:carbons:2\"",
            b"</forwarded></sent></message>",
        ),
        Direction::Received => (
            b"><received xmlns=\"urn:xmpp:carbons:2\"",
            b"</forwarded></received></message>",
        ),
    };
    let mut out = Vec::with_capacity(message.len() + session.as_str().len() + 256);
    out.extend_from_slice(b"<message from=\"");
    escape_attr(account.as_str(), &mut out);
    out.extend_from_slice(b"\" to=\"");
    escape_attr(session.as_str(), &mut out);
    if let Some(stanza_type) = rec.attr_str(buf, "type") {
        out.extend_from_slice(b"\" type=\"");
        escape_attr(&stanza_type, &mut out);
    }
    out.push(b'"');
    out.extend_from_slice(open);
    out.extend_from_slice(
        b"><forwarded xmlns=\"urn:xmpp:forward:0\"><message xmlns=\"jabber:client\"",
    );
    out.extend_from_slice(&message["<message".len()..]);
    out.extend_from_slice(close);
    out.into()
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::stanza::{Content, parse_rec};
    use rookery_xmpp::xml::{XmlLimits, canonicalize};

    use super::Direction::{Received, Sent};
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).expect("a valid JID")
    }

    /// Whether a message from `juliet@capulet.lit/balcony` is copied by her server, and by her recipient's.
    fn eligible(message: &str) -> (bool, bool) {
        let rec = parse_rec(message.as_bytes()).expect("a canonical message");
        let from = jid("juliet@capulet.lit/balcony");
        let judge = |direction| is_eligible(direction, &from, message.as_bytes(), rec);
        (judge(Sent), judge(Received))
    }

    #[test]
    fn messages_are_copied_as_section_6_says() {
        const BOTH: (bool, bool) = (true, true);
        const NEITHER: (bool, bool) = (false, false);
        for (message, wanted) in [
            ("<message type=\"chat\"><body>a</body></message>", BOTH),
            ("<message type=\"chat\"/>", BOTH),
            ("<message><body>a</body></message>", BOTH),
            ("<message type=\"normal\"><body>a</body></message>", BOTH),
            // RFC 6121 5.2.2: an unknown type is `normal`.
            ("<message type=\"odd\"><body>a</body></message>", BOTH),
            ("<message><subject>a</subject></message>", NEITHER),
            (
                "<message type=\"headline\"><body>a</body></message>",
                NEITHER,
            ),
            (
                "<message><received xmlns=\"urn:xmpp:receipts\" id=\"1\"/></message>",
                BOTH,
            ),
            (
                "<message><displayed xmlns=\"urn:xmpp:chat-markers:0\" id=\"1\"/></message>",
                BOTH,
            ),
            (
                "<message><gone xmlns=\"http://jabber.org/protocol/chatstates\"/></message>",
                BOTH,
            ),
            (
                "<message type=\"groupchat\"><body>a</body></message>",
                NEITHER,
            ),
            ("<message type=\"error\"><body>a</body></message>", NEITHER),
            (
                "<message><x xmlns=\"jabber:x:conference\" jid=\"r@c\"/></message>",
                BOTH,
            ),
            (
                "<message><x xmlns=\"urn:example:conference\" jid=\"r@c\"/></message>",
                NEITHER,
            ),
            ("<presence type=\"chat\"/>", NEITHER),
        ] {
            assert_eq!(eligible(message), wanted, "{message}");
        }
    }

    #[test]
    fn of_messages_of_rooms_what_the_room_copies_itself_is_not_copied() {
        let x = "<x xmlns=\"http://jabber.org/protocol/muc#user\">";
        for (message, wanted) in [
            (
                format!("<message to=\"r@c/nick\" type=\"chat\"><body>a</body>{x}</x></message>"),
                (true, false),
            ),
            (
                format!("<message to=\"r@c/nick\">{x}</x></message>"),
                (true, false),
            ),
            (
                format!("<message to=\"r@c\">{x}</x></message>"),
                (false, false),
            ),
            (
                format!("<message to=\"r@c\">{x}<invite to=\"a@b\"/></x></message>"),
                (true, true),
            ),
            (
                format!("<message type=\"groupchat\">{x}<invite to=\"a@b\"/></x></message>"),
                (false, false),
            ),
        ] {
            assert_eq!(eligible(&message), wanted, "{message}");
        }
        let invitation = format!("<message from=\"r@c\">{x}<invite from=\"a@b\"/></x></message>");
        let rec = parse_rec(invitation.as_bytes()).expect("a canonical message");
        assert!(is_eligible(
            Received,
            &jid("r@c"),
            invitation.as_bytes(),
            rec
        ));
    }

    #[test]
    fn who_wants_no_copies_gets_none() {
        let private = "<private xmlns=\"urn:xmpp:carbons:2\"/>";
        let hint = "<no-copy xmlns=\"urn:xmpp:hints\"/>";
        for marks in [private, hint, &format!("{private}{hint}")] {
            let message = format!("<message type=\"chat\"><body>a</body>{marks}</message>");
            assert_eq!(eligible(&message), (false, false), "{marks}");
        }
    }

    #[test]
    fn wrappings_of_others_are_messages_as_any_other() {
        for name in ["sent", "received"] {
            let forged = format!(
                "<message type=\"chat\"><{name} xmlns=\"urn:xmpp:carbons:2\"><forwarded xmlns=\"urn:xmpp:forward:0\"/>\
                </{name}></message>"
            );
            assert_eq!(eligible(&forged), (true, true));
        }
    }

    #[test]
    fn a_copy_is_the_canonical_form_of_what_sections_7_and_8_draw() {
        let message = "<message from=\"juliet@capulet.lit/&quot;b\" to=\"romeo@montague.lit/garden\" type=\"chat\" \
            xml:lang=\"en\"><body>a &amp; b</body><x xmlns=\"urn:x\"><body xmlns=\"jabber:client\"/></x></message>";
        let (canonical, _) =
            canonicalize(message.as_bytes(), Content::Client, XmlLimits::default())
                .expect("a message");
        assert_eq!(canonical, message.as_bytes());
        let buf = format!("before{message}");
        let rec = parse_rec(message.as_bytes())
            .expect("a canonical message")
            .moved_to(6);
        let (account, session) = (
            jid("romeo@montague.lit"),
            jid("romeo@montague.lit/\"home\""),
        );
        for (direction, name) in [(Sent, "sent"), (Received, "received")] {
            let copy = copy(direction, &account, &session, buf.as_bytes(), rec);
            let (canonical, _) =
                canonicalize(&copy, Content::Client, XmlLimits::default()).expect("a message");
            assert_eq!(canonical, copy);
            let copy = Element::parse(&copy).expect("an element");
            assert_eq!(copy.attr("from"), Some("romeo@montague.lit"));
            assert_eq!(copy.attr("to"), Some("romeo@montague.lit/\"home\""));
            assert_eq!(copy.attr("type"), Some("chat"));
            let wrapped = copy.child(name, ns::CARBONS).expect("a wrapping");
            let forwarded = wrapped.child("forwarded", ns::FORWARD).expect("a wrapping");
            let inner = forwarded.child("message", ns::CLIENT).expect("a message");
            assert_eq!(
                inner,
                &Element::parse(message.as_bytes()).expect("an element")
            );
        }
    }

    #[test]
    fn a_copy_of_a_message_without_a_type_or_a_child_has_none() {
        let rec = parse_rec(b"<message/>").expect("a canonical message");
        let copy = copy(Sent, &jid("a@b"), &jid("a@b/c"), b"<message/>", rec);
        assert_eq!(
            copy,
            "<message from=\"a@b\" to=\"a@b/c\"><sent xmlns=\"urn:xmpp:carbons:2\">\
            <forwarded xmlns=\"urn:xmpp:forward:0\"><message xmlns=\"jabber:client\"/></forwarded></sent></message>"
        );
    }
}
