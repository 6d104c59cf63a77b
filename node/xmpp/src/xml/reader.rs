//! The reader of one stream.

use super::env::{Env, Sender};
use super::error::ReadError;
use super::item::{Item, StreamHeader};
use super::limits::XmlLimits;
use super::reference::{Finding, Reference};
use super::scratch::Scratch;
use super::{canonical, outline};
use crate::stanza::Content;
use crate::stream_error::StreamCondition;

/// Reads one direction of one stream, item by item, in chunks of any size.
///
/// Idle it holds no more than what the stream's header left behind; the memory to read in belongs to the thread and
/// comes back to it with [`release_temporaries`](Self::release_temporaries).
#[derive(Debug)]
pub struct Reader {
    content: Content,
    limits: XmlLimits,
    sender: Option<Box<Sender>>,
    /// The stream's language, escaped.
    lang: Option<Box<str>>,
    reference: Reference,
    phase: Phase,
    scratch: Option<Box<Scratch>>,
    error: Option<ReadError>,
    fast_lane: bool,
}

/// Where in the stream the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two items, or before the first.
    Between,
    /// In an item that the reference lane reads.
    Reference,
    /// Behind the end of the stream.
    Closed,
}

impl Reader {
    /// A reader before the stream's header, which goes by the reference lane alone until
    /// [`fast_lane`](Self::fast_lane) says otherwise.
    pub fn new(content: Content, limits: XmlLimits) -> Self {
        Self {
            content,
            limits,
            sender: None,
            lang: None,
            reference: Reference::default(),
            phase: Phase::Between,
            scratch: None,
            error: None,
            fast_lane: false,
        }
    }

    /// Changes the limits, as authentication does. An item that is unfinished is measured by the new ones.
    pub fn set_limits(&mut self, limits: XmlLimits) {
        self.limits = limits;
    }

    /// From the next item on, writes this full address as `from` into every stanza, whatever the peer wrote there
    /// (RFC 6120 8.1.2.1). `None` leaves `from` alone, as between servers.
    pub fn stamp_from(&mut self, full: Option<&str>) {
        self.sender = full.map(|full| Box::new(Sender::new(full)));
    }

    /// Whether the fast lane may read; only after authentication, because what it holds in memory is less bounded.
    pub fn fast_lane(&mut self, allowed: bool) {
        self.fast_lane = allowed;
    }

    /// Expects a new stream, as after STARTTLS and SASL (RFC 6120 5.4.3.3, 6.4.6). Limits and the stamped address stay.
    pub fn reset(&mut self) {
        self.reference = Reference::default();
        self.lang = None;
        self.phase = Phase::Between;
        self.error = None;
        self.release_temporaries();
    }

    /// Gives memory back that is not needed before more bytes come. To be called after each turn.
    pub fn release_temporaries(&mut self) {
        if self.is_idle() {
            self.reference.drop_parser();
            if let Some(scratch) = self.scratch.take() {
                scratch.give_back();
            }
        } else {
            self.reference.release_temporaries();
        }
    }

    /// Bytes of an unfinished item that were taken already, as the peer wrote them.
    pub fn pending_bytes(&self) -> usize {
        match self.phase {
            Phase::Between | Phase::Closed => 0,
            Phase::Reference => self.scratch.as_ref().map_or(0, |s| s.build.raw_bytes()),
        }
    }

    /// Whether no item is unfinished.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Between | Phase::Closed)
    }

    /// Takes one item from the front of `input` and appends its canonical form to `out`, into which the header's spans
    /// point. `None`: all of `input` was taken, what is unfinished of an item is kept. White space between items is
    /// dropped.
    ///
    /// # Errors
    /// What must end the stream. It is given again by every later call.
    pub fn next(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'_>>, ReadError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let finding = self
            .advance(input)
            .inspect_err(|error| self.error = Some(*error))?;
        Ok(match finding {
            None => None,
            Some(Finding::Open(header)) => Some(Item::Open(self.opened(header))),
            Some(Finding::Stanza) => Some(self.hand_out(out)),
            Some(Finding::Close) => {
                self.phase = Phase::Closed;
                Some(Item::Close)
            }
        })
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Finding>, ReadError> {
        if self.phase == Phase::Closed {
            *input = &[];
            return Ok(None);
        }
        if self.phase == Phase::Between {
            skip_white_space(input);
            let Some(&first) = input.first() else {
                return Ok(None);
            };
            if first != b'<' {
                return Err(ReadError::new(
                    StreamCondition::BadFormat,
                    "text between elements",
                ));
            }
            self.scratch.get_or_insert_with(Scratch::take).begin();
            self.phase = Phase::Reference;
        }
        let env = Env {
            content: self.content,
            limits: &self.limits,
            from: self.sender.as_deref(),
            lang: self.lang.as_deref(),
        };
        let scratch = self.scratch.get_or_insert_with(Scratch::take);
        let finding = self.reference.feed(scratch, input, &env)?;
        if finding.is_some() {
            self.phase = Phase::Between;
        }
        Ok(finding)
    }

    fn opened(&mut self, header: StreamHeader) -> StreamHeader {
        self.lang = header.lang.as_deref().map(|lang| {
            let mut escaped = Vec::with_capacity(lang.len());
            canonical::write_value(&mut escaped, lang.as_bytes());
            String::from_utf8(escaped)
                .expect("escaping keeps UTF-8")
                .into_boxed_str()
        });
        header
    }

    fn hand_out(&mut self, out: &mut Vec<u8>) -> Item<'_> {
        let scratch = self.scratch.get_or_insert_with(Scratch::take);
        outline::shift(&mut scratch.header, out.len());
        out.extend_from_slice(&scratch.canon);
        Item::Stanza(&scratch.header)
    }
}

/// White space between items keeps connections alive (RFC 6120 4.6.1) and means nothing.
fn skip_white_space(input: &mut &[u8]) {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = *input {
        *input = rest;
    }
}
