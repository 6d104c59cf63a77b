//! XEP-0352: Client State Indication. What a client is not sent while nobody looks at it.
//!
//! ```text
//! C: <inactive xmlns='urn:xmpp:csi:0'/>
//!       presence of anybody ──────────► the last of each full JID waits
//!       chat states alone ────────────► the last of each full JID waits
//!       receipts, markers, events ────► wait
//!       all else ─────────────────────► is written at once, behind all that waits
//! C: <active xmlns='urn:xmpp:csi:0'/> ─► all that waits is written, before anything that the client asks next (5.1)
//! ```
//!
//! Where the stream can be resumed (XEP-0198) each stanza has its number, so nothing is replaced: all that can wait
//! does, in its order.
//!
//! What replaces an older stanza takes its place at the end, so that what one sender sends stays in order. What is not
//! known to be able to wait does not: invitations and calls have no body. Neither does what answers the client itself.
//! The state is told to nobody (section 6), and begins as active with each stream (4.2, 5.2).

use std::collections::VecDeque;

use bytes::Bytes;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, Children, Flags, Kind, Rec, StanzaType, parse_rec};

use crate::carrier::Delivered;
use crate::context::Context;
use crate::effect::Effect;
use crate::options::SessionOptions;

/// Whether a client looks, and what waits until it does.
#[derive(Debug, Default)]
pub(crate) struct ClientState {
    is_inactive: bool,
    /// Nothing takes the place of what waits: it is numbered.
    in_order: bool,
    held: VecDeque<Held>,
    bytes: usize,
}

/// A stanza that waits.
#[derive(Debug)]
struct Held {
    /// Of these, only the last of a kind waits.
    replaced_by: Option<(Transient, String)>,
    delivered: Delivered,
}

/// What the next of its kind makes worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transient {
    Presence,
    ChatState,
}

/// What becomes of a stanza for a client that does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    /// It is written.
    Now,
    /// It waits.
    Later,
    /// It waits, and the one that waits of the same sender does no more.
    Latest(Transient),
}

impl ClientState {
    /// Whether the client looks.
    pub(crate) fn is_active(&self) -> bool {
        !self.is_inactive
    }

    /// Decides of a delivery to a client that does not look what is written now, in order.
    pub(crate) fn deliver(
        &mut self,
        delivered: Delivered,
        options: &SessionOptions,
        due: &mut Vec<Delivered>,
    ) {
        if self.is_active() {
            return due.push(delivered);
        }
        for at in 0..delivered.batch.recs.len() {
            let (buf, rec) = (&delivered.batch.buf, delivered.batch.recs[at]);
            let transient = match haste(buf, rec) {
                Haste::Now => {
                    due.extend(self.take());
                    due.push(alone(&delivered, at));
                    continue;
                }
                Haste::Later => None,
                Haste::Latest(kind) => {
                    let sender = rec.attr_str(buf, "from").unwrap_or_default();
                    Some((kind, sender.into_owned()))
                }
            };
            self.hold(transient, kept(&delivered, at), options, due);
        }
    }

    fn hold(
        &mut self,
        transient: Option<(Transient, String)>,
        delivered: Delivered,
        options: &SessionOptions,
        due: &mut Vec<Delivered>,
    ) {
        if !self.in_order
            && transient.is_some()
            && let Some(at) = self
                .held
                .iter()
                .position(|held| held.replaced_by == transient)
            && let Some(old) = self.held.remove(at)
        {
            self.bytes -= old.delivered.batch.stanza_bytes();
        }
        let bytes = self.bytes + delivered.batch.stanza_bytes();
        if self.held.len() >= options.held_stanzas_max as usize
            || bytes > options.held_bytes_max as usize
        {
            due.extend(self.take());
            return due.push(delivered);
        }
        self.bytes = bytes;
        self.held.push_back(Held {
            replaced_by: transient,
            delivered,
        });
    }

    /// From now on all that waits does so in its order. What waits already.
    pub(crate) fn keeps_order(&mut self) -> Vec<Delivered> {
        self.in_order = true;
        self.take()
    }

    /// All that waits, in order; nothing waits any more.
    pub(crate) fn take(&mut self) -> Vec<Delivered> {
        self.bytes = 0;
        let held = std::mem::take(&mut self.held);
        held.into_iter().map(|held| held.delivered).collect()
    }
}

impl Context<'_> {
    /// Whether an element says if the client is looked at (XEP-0352 4.2). What has waited is written before anything
    /// else that the client asks is done.
    pub(crate) fn turns_attention(&mut self, element: &Element) -> bool {
        let is_inactive = element.is("inactive", ns::CLIENT_STATE);
        if !is_inactive && !element.is("active", ns::CLIENT_STATE) {
            return false;
        }
        self.stream.client_state.is_inactive = is_inactive;
        if !is_inactive {
            let held = self.stream.client_state.take();
            self.effects.extend(held.into_iter().map(Effect::Deliver));
        }
        true
    }
}

/// One stanza of a delivery by itself.
fn alone(delivered: &Delivered, at: usize) -> Delivered {
    Delivered {
        batch: Batch {
            buf: delivered.batch.buf.clone(),
            recs: vec![delivered.batch.recs[at]],
        },
        origins: delivered.origins.at(at).into(),
        receipt: delivered.receipt.clone(),
        arrival: match delivered.arrival {
            0 => 0,
            first => first + at as u64,
        },
        number: match delivered.number {
            0 => 0,
            first => first + at as u64,
        },
        logged: delivered.logged.at(at).into(),
    }
}

/// The same to wait for long: it holds no more memory than it is long, and nobody waits for its receipt. It is as good
/// as written.
fn kept(delivered: &Delivered, at: usize) -> Delivered {
    let rec = delivered.batch.recs[at];
    let buf = Bytes::copy_from_slice(rec.bytes(&delivered.batch.buf));
    Delivered {
        batch: Batch {
            buf,
            recs: vec![rec.moved_to(0)],
        },
        receipt: None,
        ..alone(delivered, at)
    }
}

fn haste(buf: &[u8], rec: Rec) -> Haste {
    match rec.kind {
        Kind::Message => haste_of_message(buf, rec),
        Kind::Presence => haste_of_presence(buf, rec),
        Kind::Iq | Kind::Other => Haste::Now,
    }
}

/// Requests for subscriptions and errors are for the user, or answer him; so does the presence with which a room lets
/// him in (XEP-0045 7.2.2).
fn haste_of_presence(buf: &[u8], rec: Rec) -> Haste {
    let is_own = || {
        let occupant = Children::of(buf, &rec).find_child("x", Some(ns::MUC_USER));
        let status = |x: Element| x.elements().any(|it| it.attr("code") == Some("110"));
        occupant.is_some_and(|x| Element::parse(x.bytes).is_ok_and(status))
    };
    match rec.stanza_type {
        StanzaType::None | StanzaType::Unavailable
            if !(rec.flags.contains(Flags::MUC) && is_own()) =>
        {
            Haste::Latest(Transient::Presence)
        }
        _ => Haste::Now,
    }
}

/// What a message of any kind says at once.
const URGENT: [Flags; 5] = [
    Flags::BODY,
    Flags::SUBJECT,
    Flags::ENCRYPTED,
    Flags::MUC,
    Flags::ERROR,
];

fn haste_of_message(buf: &[u8], rec: Rec) -> Haste {
    if rec.stanza_type == StanzaType::Error || URGENT.iter().any(|flag| rec.flags.contains(*flag)) {
        return Haste::Now;
    }
    if rec.stanza_type == StanzaType::Headline {
        return Haste::Later;
    }
    haste_of_children(Children::of(buf, &rec))
}

/// A message waits when each of its children may, and one of them is a reason to.
fn haste_of_children(children: Children<'_>) -> Haste {
    let mut haste = Haste::Now;
    for child in children {
        let namespace = child
            .namespace
            .map(|ns| std::str::from_utf8(ns).unwrap_or_default());
        match (namespace, child.name) {
            (Some(ns::CHAT_STATES), _) if haste == Haste::Now => {
                haste = Haste::Latest(Transient::ChatState);
            }
            (Some(ns::CHAT_STATES), _)
            | (Some(ns::HINTS | ns::STANZA_IDS | ns::DELAY), _)
            | (None, b"thread") => {}
            (Some(ns::RECEIPTS | ns::CHAT_MARKERS | ns::PUBSUB_EVENT), _) => haste = Haste::Later,
            // XEP-0280: a copy waits if what was copied would.
            (Some(ns::CARBONS), b"sent" | b"received") if copied_may_wait(child.bytes) => {
                haste = Haste::Later;
            }
            _ => return Haste::Now,
        }
    }
    haste
}

fn copied_may_wait(copy: &[u8]) -> bool {
    let inside = |bytes, name, namespace| {
        let rec = parse_rec(bytes)?;
        let child = Children::of(bytes, &rec).find_child(name, Some(namespace));
        child.map(|child| child.bytes)
    };
    let message = inside(copy, "forwarded", ns::FORWARD)
        .and_then(|forwarded| inside(forwarded, "message", ns::CLIENT));
    let Some((message, rec)) = message.and_then(|it| Some((it, parse_rec(it)?))) else {
        return false;
    };
    // It is no stanza where it stands, so it is judged by its children alone: a copy of a copy is none of ours.
    let mut children = Children::of(message, &rec);
    children.all(|child| child.namespace != Some(ns::CARBONS.as_bytes()))
        && haste_of_children(Children::of(message, &rec)) != Haste::Now
}

#[cfg(test)]
mod tests;
