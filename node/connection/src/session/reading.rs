//! From the socket to machine and shard.

use std::task::{Context, Poll};
use std::time::Duration;

use rookery_session::event::Event;
use rookery_session::is_for_shard;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::stanza::{Batch, Flags, Kind, Rec};
use rookery_xmpp::xml::{Item, StreamHeader};

use super::actor::SessionActor;
use super::writing::Ending;
use crate::proxy_header::looks_like_header;
use crate::scratch::Scratch;
use crate::timers::Alarm;
use crate::wire::Read;

/// An item of the stream, freed from the reader.
enum Found {
    Open(StreamHeader),
    /// A stanza for the shard.
    Stanza(Rec),
    /// A stanza that its sender wrote in somebody else's name.
    Forged,
    /// What concerns the machine.
    Element(Element),
    Close,
}

impl SessionActor {
    /// Reads what the socket has, up to a bound, and hands it on.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Timestamp) {
        for _ in 0..READS_A_TURN {
            if !self.may_read() {
                return;
            }
            let now_ms = self.shared.quota.now_ms();
            let bytes_max = match self.bytes_max(now_ms) {
                Ok(bytes_max) => bytes_max,
                Err(wait) => return self.timers.arm(Alarm::Rested, wait),
            };
            let Poll::Ready(read) = self.wire.poll_read(cx, scratch, bytes_max) else {
                return;
            };
            match read {
                Ok(Read::Some {
                    bytes,
                    more,
                    secured,
                }) => {
                    self.received((bytes, secured), scratch, (now, now_ms));
                    if more {
                        cx.waker().wake_by_ref();
                        return;
                    }
                }
                Ok(Read::Broken) => {
                    self.watch_for_proxy(&scratch.raw);
                    return self.event(Event::Lost, scratch, now);
                }
                Ok(Read::End) | Err(_) => return self.lose(scratch, now),
            }
        }
        // The socket must be polled until it has nothing, or it wakes nobody.
        cx.waker().wake_by_ref();
    }

    /// A stream is not read while it rests, while its shard has no room or has not dealt with what
    /// came before, and while its client does not read.
    fn may_read(&self) -> bool {
        matches!(self.ending, Ending::NotYet)
            && !self.machine.is_ended()
            && !self.timers.is_armed(Alarm::Rested)
            && self.link.has_room()
            && self.machine.may_read()
            && self.wire.unsent_bytes() < UNSENT_BYTES_MAX
    }

    /// What the next read may take, by the limits of the stream and the budgets that it takes from; or how long it
    /// waits.
    fn bytes_max(&mut self, now_ms: u64) -> Result<usize, Duration> {
        self.pace.follow(now_ms);
        self.quota.exempt(self.pace.is_exempt());
        let wait_ms = match self.pace.wait_ms(now_ms) {
            0 => self.quota.wait_ms(),
            wait_ms => wait_ms,
        };
        match wait_ms {
            0 => Ok(self.pace.bytes_max(now_ms)),
            wait_ms => Err(Duration::from_millis(wait_ms)),
        }
    }

    fn received(
        &mut self,
        (read, secured): (usize, bool),
        scratch: &mut Scratch,
        (now, now_ms): (Timestamp, u64),
    ) {
        if secured && let Some(tls) = self.wire.tls() {
            let facts = tls.facts();
            self.event(Event::Secured(facts), scratch, now);
        }
        let plain = std::mem::take(&mut scratch.plain);
        let bytes = plain.len() + self.padding.count(read, plain.len());
        scratch.elements = 0;
        if bytes > 0 {
            self.quota.spend(bytes);
        }
        if !plain.is_empty() {
            scratch.meters.bytes_read.increment(plain.len() as u64);
            self.machine.heard(now);
            self.digest(&plain, scratch, now);
            self.reader.release_temporaries();
        }
        if bytes > 0
            && let Some(by) = self.pace.take(bytes, scratch.elements, now_ms)
        {
            scratch.meters.rests(by).increment(1);
            self.leave_pace(now_ms);
        }
        scratch.plain = plain;
        scratch.plain.clear();
    }

    /// Gives the stream's items to whom they concern, in their order.
    fn digest(&mut self, plain: &[u8], scratch: &mut Scratch, now: Timestamp) {
        let mut input = plain;
        while !self.machine.is_ended() {
            let in_clear = self.wire.tls().is_none();
            match self.next(&mut input, scratch) {
                Ok(None) => break,
                Ok(Some(Found::Stanza(rec))) => scratch.recs.push(rec),
                Ok(Some(Found::Open(header))) => self.event(Event::Opened(&header), scratch, now),
                Ok(Some(Found::Element(element))) => {
                    self.hand_over(scratch);
                    self.event(Event::Element(&element), scratch, now);
                }
                Ok(Some(Found::Forged)) => {
                    // Those before it count; it does not.
                    self.hand_over(scratch);
                    self.event(Event::Forged, scratch, now);
                }
                Ok(Some(Found::Close)) => {
                    self.hand_over(scratch);
                    self.event(Event::Closed, scratch, now);
                }
                Err(error) => {
                    self.watch_for_proxy(plain);
                    self.hand_over(scratch);
                    self.event(Event::Malformed(&error), scratch, now);
                    break;
                }
            }
            // What was sent in clear behind <starttls/> anybody may have put there (x04).
            if in_clear && self.wire.tls().is_some() && !input.is_empty() {
                return self.event(Event::Lost, scratch, now);
            }
        }
        self.hand_over(scratch);
    }

    /// Tells the operator of a load balancer that he did not name.
    fn watch_for_proxy(&self, began: &[u8]) {
        if looks_like_header(began) {
            self.shared.forged_header(self.seat.address());
        }
    }

    fn next(
        &mut self,
        input: &mut &[u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Found>, rookery_xmpp::xml::ReadError> {
        let bound = self.machine.is_bound();
        let numbered = self.machine.is_numbered();
        let item = self.reader.next(input, &mut scratch.canonical)?;
        scratch.elements += usize::from(matches!(item, Some(Item::Stanza(_))));
        Ok(item.map(|item| match item {
            Item::Open(header) => Found::Open(header),
            Item::Close => Found::Close,
            Item::Stanza(header) if header.flags.contains(Flags::FROM_MISMATCH) => Found::Forged,
            Item::Stanza(header)
                if bound
                    && (numbered && header.kind != Kind::Other
                        || is_for_shard(header, &scratch.canonical)) =>
            {
                Found::Stanza(Rec::of(header))
            }
            Item::Stanza(header) => {
                let parsed = Element::parse(header.whole.of(&scratch.canonical));
                Found::Element(parsed.expect("the reader writes canonical elements"))
            }
        }))
    }

    /// Sends the stanzas that were read to the shard, as one batch.
    fn hand_over(&mut self, scratch: &mut Scratch) {
        if !scratch.recs.is_empty() {
            scratch.meters.batches.increment(1);
            scratch.meters.stanzas.increment(scratch.recs.len() as u64);
            let buf = bytes::Bytes::copy_from_slice(&scratch.canonical);
            let (recs, stanzas) = (scratch.recs.clone(), scratch.recs.len());
            let batch = Batch { buf, recs };
            let bytes = batch.stanza_bytes();
            if let Some(first) = self.link.stanzas(batch, self.machine.is_managed()) {
                self.machine.submitted(first, stanzas, bytes);
            }
            scratch.recs.clear();
        }
        scratch.canonical.clear();
    }
}

/// The second read finds nothing and leaves the waker, unless the client is fast.
const READS_A_TURN: usize = 2;

/// Sealed bytes that wait for a slow client before it is read no further: its own requests make no
/// more answers.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
