//! Stream management (XEP-0198) of one bound stream, as a machine without IO.
//!
//! ```text
//! client ── stanza 7 ──► submitted ─► shard ─► recipient's session or log ─► settled ── <a h='7'/> ──► client
//! client ◄── stanza 3 ── sent, kept ◄── shard
//! client ◄── <r/> ──────── once for all that is under way
//! client ── <a h='3'/> ──► forgotten
//!   ✝ stream ends ─► what is kept goes back to the shard: to other sessions, or into the log (XEP-0160)
//! ```
//!
//! * `<a/>` counts what has been dealt with: a stanza that is with its recipient's session or durable in a log, was
//!   answered with an error, or asks for neither. A client that asks before that is told what is so far, and the rest
//!   as soon as it is.
//! * What a client was sent is kept, bounded, until it acknowledges it. While that is full nothing more is written: its
//!   shard is told that it reads too slowly, and the log takes over.

mod handled;
mod unacked;

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::Condition;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use self::handled::Handled;
use self::unacked::Unacked;
use crate::carrier::Delivered;
use crate::options::SessionOptions;

/// What both sides of a stream have acknowledged.
#[derive(Debug, Default)]
pub(crate) struct StreamManagement {
    handled: Handled,
    unacked: Unacked,
    /// The client asked, and has not heard of all that it had sent by then.
    owes: bool,
    /// The client was asked, and has not answered.
    asked: bool,
}

impl StreamManagement {
    /// The client sent so many stanzas, which have these numbers.
    pub(crate) fn submitted(&mut self, first: u64, stanzas: usize) {
        self.handled.begins(first, stanzas);
    }

    /// The client sent a stanza that concerns its stream alone, and was answered.
    pub(crate) fn answered(&mut self) {
        self.handled.answers();
    }

    /// Stanzas of the client have been dealt with: the answer that it waits for.
    pub(crate) fn settled(&mut self, firsts: &[u64]) -> Option<Element> {
        for first in firsts {
            self.handled.settles(*first);
        }
        (self.owes && self.handled.is_complete()).then(|| self.answer())
    }

    /// The client asks (XEP-0198 4).
    pub(crate) fn answer(&mut self) -> Element {
        self.owes = !self.handled.is_complete();
        Element::new("a", ns::STREAM_MANAGEMENT).with_attr("h", self.handled.count().to_string())
    }

    /// Stanzas go to the client, and are kept.
    pub(crate) fn sent(&mut self, delivered: &Delivered) {
        self.unacked.keep(delivered);
    }

    /// A stanza of the stream's own goes to the client. Nobody misses it.
    pub(crate) fn sent_own(&mut self) {
        self.unacked.keep_place();
    }

    /// Whether more may be sent before the client acknowledges something.
    pub(crate) fn has_room(&self, options: &SessionOptions) -> bool {
        self.unacked.stanzas() < u64::from(options.unacked_stanzas_max)
            && self.unacked.bytes() < options.unacked_bytes_max as usize
    }

    /// The question to the client, if there is something to ask and it does not stand already.
    pub(crate) fn ask(&mut self) -> Option<Element> {
        if self.asked || self.unacked.stanzas() == 0 {
            return None;
        }
        self.asked = true;
        Some(Element::new("r", ns::STREAM_MANAGEMENT))
    }

    /// Asks whether the client is there, although it has acknowledged everything.
    pub(crate) fn ask_anyway(&mut self) -> Element {
        self.asked = true;
        Element::new("r", ns::STREAM_MANAGEMENT)
    }

    /// The client acknowledges (XEP-0198 4).
    ///
    /// # Errors
    /// The stream must end: it has acknowledged what it was not sent, or nothing that can be read.
    pub(crate) fn acknowledged(&mut self, element: &Element) -> Result<(), Box<StreamError>> {
        let h = element.attr("h").and_then(|h| h.parse().ok());
        let Some(h) = h else {
            let error = StreamError::new(StreamCondition::BadFormat);
            return Err(Box::new(error.with_text("`h` is not a count of stanzas")));
        };
        if let Err(sent) = self.unacked.forget(h) {
            return Err(Box::new(too_high(h, sent)));
        }
        self.asked = false;
        Ok(())
    }

    /// What the client has not acknowledged, in the order in which it was sent.
    pub(crate) fn into_unacked(self) -> Vec<Delivered> {
        self.unacked.into_delivered()
    }
}

/// The answer to `<enable/>`. The stream cannot be resumed.
pub(crate) fn enabled() -> Element {
    Element::new("enabled", ns::STREAM_MANAGEMENT)
}

/// The refusal of `<enable/>` or `<resume/>` (XEP-0198 3, 5).
pub(crate) fn failed(condition: Condition) -> Element {
    let condition = Element::new(condition.as_str(), ns::STANZA_ERRORS);
    Element::new("failed", ns::STREAM_MANAGEMENT).with_child(condition)
}

/// XEP-0198 4: the client and the server do not agree on what was sent.
fn too_high(h: u32, sent: u32) -> StreamError {
    let detail = Element::new("handled-count-too-high", ns::STREAM_MANAGEMENT)
        .with_attr("h", h.to_string())
        .with_attr("send-count", sent.to_string());
    StreamError::new(StreamCondition::UndefinedCondition)
        .with_text("more was acknowledged than sent")
        .with_application(&detail)
}
