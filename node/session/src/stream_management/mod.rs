//! Stream management (XEP-0198) of one bound stream, as a machine without IO.
//!
//! ```text
//! client ── stanza 7 ──► submitted ─► shard ─► recipient's session or log ─► settled ── <a h='7'/> ──► client
//! client ◄── stanza 3 ── sent, kept ◄── shard
//! client ◄── <r/> ──────── once for all that is under way
//! client ── <a h='3'/> ──► forgotten
//!   ✝ stream ends ─► what is kept goes back to the shard: to other sessions, or into the log (XEP-0160)
//!
//! client ── <enable resume='true'/> ─► shard: numbers what it delivers, and keeps it ── <enabled id max/> ──► client
//!   ✝ socket is lost ─► the session waits at its node, for `max` seconds
//! client ── <resume previd h/> ── any node ─► shard: the same session, another way to it ── <resumed h/>, the rest ──►
//! ```
//!
//! * `<a/>` counts what has been dealt with: a stanza that is with its recipient's session or durable in a log, was
//!   answered with an error, or asks for neither (presence, IQs, headlines, chat states, what must not be stored). A
//!   client that asks before that is told what is so far, and the rest as soon as it is.
//! * What a client was sent is kept, bounded, until it acknowledges it. While that is full nothing more is written: its
//!   shard is told that it reads too slowly, and the log takes over.

mod handled;
mod numbered;
mod unacked;

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::Condition;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

pub use self::handled::Handled;
use self::numbered::Numbered;
pub use self::unacked::Unacked;
use crate::carrier::{Answer, AskId, Delivered, Resumed};
use crate::options::SessionOptions;

/// What both sides of a stream have acknowledged.
#[derive(Debug)]
pub(crate) struct StreamManagement {
    handled: Handled,
    outbound: Outbound,
    /// The client asked, and has not heard of all that it had sent by then.
    owes: bool,
    /// The client was asked, and has not answered.
    asked: bool,
}

/// Who keeps what the client was sent.
#[derive(Debug)]
enum Outbound {
    /// The shard is asked whether it does. Nothing counts before its answer.
    Asking(AskId),
    /// This stream, and it ends with it.
    Here(Unacked),
    /// The shard and the inbox, by number. The stream can be resumed.
    Numbered(Numbered),
}

impl StreamManagement {
    /// The client wants it, and the shard was asked whether the stream can be resumed.
    pub(crate) fn asking(ask: AskId) -> Self {
        Self::new(Outbound::Asking(ask), 0)
    }

    /// The client wants it for this stream alone.
    pub(crate) fn local() -> Self {
        Self::new(Outbound::Here(Unacked::default()), 0)
    }

    /// The stream goes on with an earlier one.
    pub(crate) fn resumed(resumed: &Resumed) -> Self {
        let numbered = Numbered::new(resumed.acked, resumed.max_s);
        Self::new(Outbound::Numbered(numbered), resumed.h)
    }

    fn new(outbound: Outbound, h: u32) -> Self {
        Self {
            handled: Handled::behind(h, 0),
            outbound,
            owes: false,
            asked: false,
        }
    }

    /// The shard has answered whether the stream can be resumed: what its client is told, if that was the question.
    pub(crate) fn answered_by_shard(&mut self, ask: AskId, answer: &Answer) -> Option<Element> {
        if !matches!(self.outbound, Outbound::Asking(asked) if asked == ask) {
            return None;
        }
        let enabled = Element::new("enabled", ns::STREAM_MANAGEMENT);
        let Answer::Enabled { id, max_s } = answer else {
            self.outbound = Outbound::Here(Unacked::default());
            return Some(enabled);
        };
        self.outbound = Outbound::Numbered(Numbered::new(0, *max_s));
        Some(
            enabled
                .with_attr("id", id)
                .with_attr("resume", "true")
                .with_attr("max", max_s.to_string()),
        )
    }

    /// For how many seconds the stream can be resumed after its end.
    pub(crate) fn window_s(&self) -> Option<u32> {
        match &self.outbound {
            Outbound::Numbered(numbered) => Some(numbered.window_s()),
            _ => None,
        }
    }

    /// Whether the shard numbers what the client is sent.
    pub(crate) fn is_numbered(&self) -> bool {
        !matches!(self.outbound, Outbound::Here(_))
    }

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
        match &mut self.outbound {
            Outbound::Asking(_) => {}
            Outbound::Here(unacked) => drop(unacked.keep(delivered)),
            Outbound::Numbered(numbered) => numbered.sent(delivered),
        }
    }

    /// A stanza of the stream's own goes to the client. Nobody misses it.
    pub(crate) fn sent_own(&mut self) {
        if let Outbound::Here(unacked) = &mut self.outbound {
            unacked.keep_place();
        }
    }

    /// Whether more may be sent before the client acknowledges something.
    pub(crate) fn has_room(&self, options: &SessionOptions) -> bool {
        match &self.outbound {
            Outbound::Here(unacked) => {
                unacked.stanzas() < u64::from(options.unacked_stanzas_max)
                    && unacked.bytes() < options.unacked_bytes_max as usize
            }
            // The shard counts as well, and gives no more.
            Outbound::Asking(_) | Outbound::Numbered(_) => true,
        }
    }

    /// The question to the client, if there is something to ask and it does not stand already.
    pub(crate) fn ask(&mut self) -> Option<Element> {
        let unacked = match &self.outbound {
            Outbound::Asking(_) => 0,
            Outbound::Here(unacked) => unacked.stanzas(),
            Outbound::Numbered(numbered) => numbered.unacked(),
        };
        if self.asked || unacked == 0 {
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

    /// The client acknowledges (XEP-0198 4). Where others keep what it was sent, up to which number they need not any
    /// more.
    ///
    /// # Errors
    /// The stream must end: it has acknowledged what it was not sent, or nothing that can be read.
    pub(crate) fn acknowledged(
        &mut self,
        element: &Element,
    ) -> Result<Option<u64>, Box<StreamError>> {
        let h = element.attr("h").and_then(|h| h.parse().ok());
        let Some(h) = h else {
            let error = StreamError::new(StreamCondition::BadFormat);
            return Err(Box::new(error.with_text("`h` is not a count of stanzas")));
        };
        let acked = match &mut self.outbound {
            Outbound::Asking(_) => (h == 0).then_some(None).ok_or(0),
            Outbound::Here(unacked) => unacked.forget(h).map(|()| None),
            Outbound::Numbered(numbered) => numbered.acknowledge(h).map(Some),
        };
        let acked = acked.map_err(|sent| Box::new(too_high(h, sent)))?;
        self.asked = false;
        Ok(acked)
    }

    /// What the client has not acknowledged, in the order in which it was sent, where only this stream keeps it.
    pub(crate) fn into_unacked(self) -> Vec<Delivered> {
        match self.outbound {
            Outbound::Here(unacked) => unacked.into_delivered(),
            Outbound::Asking(_) | Outbound::Numbered(_) => Vec::new(),
        }
    }
}

/// The refusal of `<enable/>` or `<resume/>` (XEP-0198 3, 5).
pub(crate) fn failed(condition: Condition) -> Element {
    let condition = Element::new(condition.as_str(), ns::STANZA_ERRORS);
    Element::new("failed", ns::STREAM_MANAGEMENT).with_child(condition)
}

/// The refusal of `<resume/>`, with what is known of what the client had sent (XEP-0198 5).
pub(crate) fn not_resumed(h: Option<u32>) -> Element {
    let failed = failed(Condition::ItemNotFound);
    match h {
        Some(h) => failed.with_attr("h", h.to_string()),
        None => failed,
    }
}

/// The stream goes on with an earlier one (XEP-0198 5).
pub(crate) fn resumed(resumed: &Resumed) -> Element {
    Element::new("resumed", ns::STREAM_MANAGEMENT)
        .with_attr("previd", &resumed.id)
        .with_attr("h", resumed.h.to_string())
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
