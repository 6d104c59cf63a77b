//! Messages to the server itself: to a host, or to a mailbox such as `abuse@` where no account is.
//!
//! ```text
//! romeo ─ message to abuse@capulet.example ─► each of contact.mailbox_jids: from abuse@capulet.example,
//!                                             "romeo@montague.example wrote: …", <address type='ofrom' jid='romeo@…'/>
//! ```
//!
//! The copy comes from the mailbox, so that nobody learns who reads it, and what its delivery ends in goes to the
//! mailbox again, where errors end. A message that has been forwarded is not forwarded again, so there are no loops.
//! Of one mailbox so many are forwarded a minute, and of one sender so many an hour: whoever wants a complaint to be
//! lost cannot use up what is forwarded, nor can he fill the operators' screens.

use std::collections::BTreeMap;
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
    if !turn.out.mailbox_pace.may(from, now) {
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
    hour: u64,
    /// Who has written in the hour that runs, and how much of it was forwarded: no more than all minutes let through.
    senders: BTreeMap<Box<str>, u32>,
}

impl MailboxPace {
    fn may(&mut self, from: &Jid, now: Timestamp) -> bool {
        let (minute, hour) = (now.as_millis() / MINUTE_MS, now.as_millis() / HOUR_MS);
        if minute != self.minute {
            (self.minute, self.count) = (minute, 0);
        }
        if hour != self.hour {
            self.hour = hour;
            self.senders.clear();
        }
        let sent = self.senders.get(from.bare_str()).copied().unwrap_or(0);
        if sent >= MESSAGES_OF_SENDER_PER_HOUR || self.count >= MESSAGES_PER_MINUTE {
            return false;
        }
        self.senders.insert(from.bare_str().into(), sent + 1);
        self.count += 1;
        true
    }
}

/// Letters of a body that is forwarded, in bytes; a complaint with what it is about is far shorter.
const BODY_BYTES_MAX: usize = 65_536;

/// Messages that a shard forwards in a minute: more than people can read.
const MESSAGES_PER_MINUTE: u32 = 30;

/// Messages of one account that a shard forwards in an hour: a complaint and what belongs to it, also if it is written
/// in many short lines.
const MESSAGES_OF_SENDER_PER_HOUR: u32 = 12;

const MINUTE_MS: u64 = 60_000;

const HOUR_MS: u64 = 60 * MINUTE_MS;

/// Messages to mailboxes and hosts.
const MESSAGES: &str = "rookery_contact_messages_total";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_uses_up_nobodys_share_and_what_is_remembered_is_bounded() {
        let mut pace = MailboxPace::default();
        let jid = |name: &str| Jid::parse(&format!("{name}@a.example/x")).expect("a JID");
        let passed = (0..100).filter(|_| pace.may(&jid("tybalt"), Timestamp(0)));
        assert_eq!(passed.count(), MESSAGES_OF_SENDER_PER_HOUR as usize);
        assert!(pace.may(&jid("juliet"), Timestamp(0)), "of somebody else");
        assert!(!pace.may(&jid("tybalt"), Timestamp(HOUR_MS - 1)));
        assert!(pace.may(&jid("tybalt"), Timestamp(HOUR_MS)));
        for minute in 60..120 {
            for number in 0..100 {
                let guest = jid(&format!("guest{minute}-{number}"));
                pace.may(&guest, Timestamp(minute * MINUTE_MS));
            }
        }
        assert!(pace.senders.len() <= 60 * MESSAGES_PER_MINUTE as usize);
    }
}
