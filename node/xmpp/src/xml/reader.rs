//! The reader of one stream.

use super::counts::{LaneCounts, UnknownReason};
use super::env::{Env, Sender};
use super::error::ReadError;
use super::fast::{self, Step};
use super::item::{Item, StreamHeader};
use super::limits::XmlLimits;
use super::outline;
use super::reference::{Finding, Reference};
use super::scratch::{self, Scratch};
use crate::escape::escape_attr;
use crate::stanza::Content;
use crate::stream_error::StreamCondition;

/// Reads one direction of one stream, item by item, in chunks of any size.
///
/// Idle it holds no more than what the stream's header left behind; the memory to read in belongs
/// to the thread and comes back to it with [`release_temporaries`](Self::release_temporaries).
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
    /// What the fast lane has of an unfinished element, from its first byte.
    pending: Vec<u8>,
    error: Option<ReadError>,
    fast_lane: bool,
    counts: LaneCounts,
}

/// Where in the stream the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two items, or before the first.
    Between,
    /// In an element that the fast lane reads.
    Fast,
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
            limits: limits.bounded(),
            sender: None,
            lang: None,
            reference: Reference::default(),
            phase: Phase::Between,
            scratch: None,
            pending: Vec::new(),
            error: None,
            fast_lane: false,
            counts: LaneCounts::default(),
        }
    }

    /// Changes the limits, as authentication does. An item that is unfinished is measured by the
    /// new ones.
    pub fn set_limits(&mut self, limits: XmlLimits) {
        self.limits = limits.bounded();
    }

    /// From the next item on, writes this full address as `from` into every stanza, whatever the
    /// peer wrote there (RFC 6120 8.1.2.1). `None` leaves `from` alone, as between servers.
    ///
    /// To be called between items. An element that is unfinished by then may lack the stamp, so it
    /// ends the stream instead of getting through.
    pub fn stamp_from(&mut self, full: Option<&str>) {
        if !self.is_idle() {
            self.error = Some(STAMPED_LATE);
        }
        self.sender = full.map(|full| Box::new(Sender::new(full)));
    }

    /// Whether the fast lane may read; only after authentication, because what it holds in memory
    /// is less bounded.
    pub fn fast_lane(&mut self, allowed: bool) {
        self.fast_lane = allowed;
    }

    /// Expects a new stream, as after STARTTLS and SASL (RFC 6120 5.4.3.3, 6.4.6). Limits and the
    /// stamped address stay.
    pub fn reset(&mut self) {
        self.reference = Reference::default();
        self.lang = None;
        self.pending = Vec::new();
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
            scratch::shrink(&mut self.pending);
            if let Some(scratch) = &mut self.scratch {
                scratch::shrink(&mut scratch.canon);
            }
        }
    }

    /// Bytes of an unfinished item that were taken already, as the peer wrote them.
    pub fn pending_bytes(&self) -> usize {
        match self.phase {
            Phase::Between | Phase::Closed => 0,
            Phase::Fast => self.pending.len(),
            Phase::Reference => self.scratch.as_ref().map_or(0, |s| s.build.raw_bytes()),
        }
    }

    /// Elements read so far, by lane.
    pub fn counts(&self) -> &LaneCounts {
        &self.counts
    }

    /// Gives the counts and begins again at zero.
    pub fn take_counts(&mut self) -> LaneCounts {
        std::mem::take(&mut self.counts)
    }

    /// Whether no item is unfinished.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Between | Phase::Closed)
    }

    /// Takes one item from the front of `input` and appends its canonical form to `out`, into which
    /// the header's spans point. `None`: all of `input` was taken, what is unfinished of an item is
    /// kept. White space between items is dropped.
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
        let finding = match self.advance(input, out) {
            Ok(finding) => finding,
            Err(error) => {
                self.fail(error);
                return Err(error);
            }
        };
        Ok(match finding {
            None => None,
            Some(Finding::Open(header)) => Some(Item::Open(self.opened(header))),
            Some(Finding::Stanza) => {
                let scratch = self.scratch.get_or_insert_with(Scratch::take);
                Some(Item::Stanza(&scratch.header))
            }
            Some(Finding::Close) => {
                self.phase = Phase::Closed;
                Some(Item::Close)
            }
        })
    }

    fn advance(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Finding>, ReadError> {
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
            let scratch = self.scratch.get_or_insert_with(Scratch::take);
            if self.fast_lane && self.reference.content_is_default() {
                scratch.begin_fast();
                self.phase = Phase::Fast;
            } else {
                scratch.begin_reference();
                self.phase = Phase::Reference;
            }
        }
        if self.phase == Phase::Fast {
            match self.read_fast(input, out) {
                Progress::Done => return Ok(Some(Finding::Stanza)),
                Progress::Waiting => return Ok(None),
                Progress::Unknown(reason) => self.leave_fast_lane(reason)?,
            }
        }
        self.read_reference(input, out)
    }

    fn read_reference(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Finding>, ReadError> {
        let (scratch, env, reference, _) = self.parts();
        let finding = reference.feed(scratch, input, &env)?;
        if let Some(Finding::Stanza) = finding {
            outline::shift(&mut scratch.header, out.len());
            out.extend_from_slice(&scratch.canon);
            self.counts.reference += 1;
        }
        if finding.is_some() {
            self.phase = Phase::Between;
        }
        Ok(finding)
    }

    /// Reads from the front of `input`, or behind what is pending, as far as the fast lane gets.
    fn read_fast(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Progress {
        let bytes_max = self.limits.stanza_bytes_max;
        loop {
            let kept = self.pending.len();
            let taken = input.len().min(bytes_max.saturating_sub(kept));
            let taken = if kept == 0 {
                taken
            } else {
                taken.min(STEP_BYTES)
            };
            if taken == 0 {
                let full = kept >= bytes_max && !input.is_empty();
                return if full { TOO_LONG } else { Progress::Waiting };
            }
            let (scratch, env, _, pending) = self.parts();
            let source = match kept {
                0 => &input[..taken],
                _ => {
                    pending.extend_from_slice(&input[..taken]);
                    &pending[..]
                }
            };
            match fast::read(scratch, source, &env) {
                Step::Done { run, end } => {
                    outline::shift(&mut scratch.header, out.len());
                    if !scratch.canon.is_empty() {
                        out.extend_from_slice(&scratch.canon);
                    }
                    out.extend_from_slice(&source[run..end]);
                    *input = &input[end - kept..];
                    self.pending = Vec::new();
                    self.phase = Phase::Between;
                    self.counts.fast += 1;
                    return Progress::Done;
                }
                Step::Incomplete if kept == 0 => self.pending = source.to_vec(),
                Step::Incomplete => {}
                Step::Unknown(reason) => {
                    // The bytes that were added are still in front of `input`.
                    pending.truncate(kept);
                    return Progress::Unknown(reason);
                }
            }
            *input = &input[taken..];
        }
    }

    /// Begins the element anew in the reference lane.
    fn leave_fast_lane(&mut self, reason: UnknownReason) -> Result<(), ReadError> {
        self.counts.unknown[reason as usize] += 1;
        self.phase = Phase::Reference;
        let pending = std::mem::take(&mut self.pending);
        let (scratch, env, reference, _) = self.parts();
        scratch.begin_reference();
        match reference.feed(scratch, &mut &pending[..], &env)? {
            None => Ok(()),
            // The fast lane would have ended there as well.
            Some(_) => Err(ReadError::new(
                StreamCondition::InternalServerError,
                "lanes differ",
            )),
        }
    }

    /// What reading needs, each by itself.
    fn parts(&mut self) -> (&mut Scratch, Env<'_>, &mut Reference, &mut Vec<u8>) {
        let env = Env {
            content: self.content,
            limits: &self.limits,
            from: self.sender.as_deref(),
            lang: self.lang.as_deref(),
        };
        let scratch = self.scratch.get_or_insert_with(Scratch::take);
        (scratch, env, &mut self.reference, &mut self.pending)
    }

    /// Nothing more is read, so nothing is kept to read with.
    fn fail(&mut self, error: ReadError) {
        self.error = Some(error);
        self.phase = Phase::Closed;
        self.pending = Vec::new();
        self.release_temporaries();
    }

    /// Bytes that the fast lane has looked at in the last element.
    #[cfg(feature = "testing")]
    pub(crate) fn looked(&self) -> usize {
        self.scratch
            .as_ref()
            .map_or(0, |scratch| scratch.fast.looked)
    }

    /// Whether the fast lane took the last element as it stood.
    #[cfg(feature = "testing")]
    pub(crate) fn was_verbatim(&self) -> bool {
        self.scratch
            .as_ref()
            .is_some_and(|scratch| scratch.canon.is_empty())
    }

    fn opened(&mut self, header: StreamHeader) -> StreamHeader {
        let lang = header
            .lang
            .as_deref()
            .filter(|lang| lang.len() <= LANG_BYTES_MAX);
        self.lang = lang.map(|lang| {
            let mut escaped = Vec::with_capacity(lang.len());
            escape_attr(lang, &mut escaped);
            String::from_utf8(escaped)
                .expect("escaping keeps UTF-8")
                .into_boxed_str()
        });
        header
    }
}

/// How far the fast lane came.
enum Progress {
    Done,
    Waiting,
    Unknown(UnknownReason),
}

const STAMPED_LATE: ReadError = ReadError::new(
    StreamCondition::InternalServerError,
    "address set inside an element",
);

/// A longer language of a stream is not stamped on its stanzas, or a peer could make each of its
/// small stanzas large. RFC 5646 4.4.1 finds 35 to be enough.
const LANG_BYTES_MAX: usize = 64;

const TOO_LONG: Progress = Progress::Unknown(UnknownReason::Limit);

/// Bytes that are added at once to an unfinished element, so that a large read which begins with
/// the end of one is not copied whole.
const STEP_BYTES: usize = 2048;

/// White space between items keeps connections alive (RFC 6120 4.6.1) and means nothing.
fn skip_white_space(input: &mut &[u8]) {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = *input {
        *input = rest;
    }
}
