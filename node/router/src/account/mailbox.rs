//! Messages to the server itself: to a host, or to a mailbox such as `abuse@` where no account is.
//!
//! ```text
//! romeo ─ message to abuse@capulet.example ─► each of contact.mailbox_jids: from abuse@capulet.example,
//!                                             "romeo@montague.example wrote: …", <address type='ofrom' jid='romeo@…'/>
//! ```
//!
//! The copy comes from the mailbox, so that nobody learns who reads it, and what its delivery ends in goes to the
//! mailbox again, where errors end. A message that has been forwarded is not forwarded again, so there are no loops,
//! and of one mailbox so many are forwarded a minute.

use std::sync::Arc;

use bytes::Bytes;
use metrics::counter;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Kind, Rec, StanzaType};

use crate::shard::Turn;

/// What became of a message to an address of ours where no account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mailed {
    /// It is nobody's, and must be answered as such.
    Nobodys,
    /// It was forwarded, or is passed over in silence.
    Done,
    /// Too many came; the sender should wait.
    TooMany,
}

/// Forwards a message to those who read the mailbox, if it is one.
pub(crate) fn forward(
    turn: &mut Turn<'_>,
    from: &Arc<Jid>,
    to: &Jid,
    buf: &Bytes,
    rec: Rec,
) -> Mailed {
    if rec.kind != Kind::Message {
        return Mailed::Nobodys;
    }
    let contact = turn.env.contact.load_full();
    let recipients = contact.recipients(to);
    if recipients.is_empty() {
        return Mailed::Nobodys;
    }
    match rec.stanza_type {
        StanzaType::Error => return Mailed::Done,
        StanzaType::Chat | StanzaType::Normal | StanzaType::None => {}
        _ => return Mailed::Nobodys,
    }
    let Ok(message) = Element::parse(rec.bytes(buf)) else {
        return Mailed::Nobodys;
    };
    if message.child("addresses", ns::ADDRESSES).is_some() {
        return Mailed::Nobodys;
    }
    let Some(body) = message.child("body", ns::CLIENT).map(Element::text) else {
        // That somebody writes, or has read: nobody needs to know.
        return Mailed::Done;
    };
    let now = turn.now;
    if !turn.out.mailbox_pace.may(now) {
        counter!(MESSAGES, "result" => "too_many").increment(1);
        return Mailed::TooMany;
    }
    counter!(MESSAGES, "result" => "forwarded").increment(1);
    let mailbox = Arc::new(to.to_bare());
    for recipient in recipients {
        let id = turn.entropy.token();
        let copy = copy(&message, from, &mailbox, recipient, &body).with_attr("id", id);
        turn.route_element(&mailbox, recipient, &copy);
    }
    Mailed::Done
}

fn copy(message: &Element, from: &Jid, mailbox: &Jid, to: &Jid, body: &str) -> Element {
    let mut body = body.to_owned();
    while body.len() > BODY_BYTES_MAX {
        body.pop();
    }
    let text = format!("{} wrote to {mailbox}:\n{body}", from.bare_str());
    let origin = Element::new("address", ns::ADDRESSES)
        .with_attr("type", "ofrom")
        .with_attr("jid", from.as_str());
    let mut copy = Element::new("message", ns::CLIENT)
        .with_attr("from", mailbox.as_str())
        .with_attr("to", to.as_str())
        .with_attr("type", message.attr("type").unwrap_or("normal"));
    if let Some(subject) = message.child("subject", ns::CLIENT) {
        copy.push_child(Element::new("subject", ns::CLIENT).with_text(&subject.text()));
    }
    copy.with_child(Element::new("body", ns::CLIENT).with_text(&text))
        .with_child(Element::new("addresses", ns::ADDRESSES).with_child(origin))
}

/// How many messages a shard forwards.
#[derive(Debug, Default)]
pub(crate) struct MailboxPace {
    minute: u64,
    count: u32,
}

impl MailboxPace {
    fn may(&mut self, now: Timestamp) -> bool {
        let minute = now.as_millis() / MINUTE_MS;
        if minute != self.minute {
            *self = Self { minute, count: 0 };
        }
        self.count += 1;
        self.count <= MESSAGES_PER_MINUTE
    }
}

/// Letters of a body that is forwarded, in bytes; a complaint with what it is about is far shorter.
const BODY_BYTES_MAX: usize = 65_536;

/// Messages that a shard forwards in a minute: more than people can read.
const MESSAGES_PER_MINUTE: u32 = 30;

const MINUTE_MS: u64 = 60_000;

/// Messages to mailboxes and hosts.
const MESSAGES: &str = "rookery_contact_messages_total";
