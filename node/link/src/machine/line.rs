//! Numbers, credit and resends of one direction, and what the other direction is told of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::{Frame, Header, Malformed, Outgoing};

/// How much may wait for the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineLimits {
    /// Bytes on the line, from being queued to being taken.
    pub bytes_max: usize,
    /// Bytes of one tag.
    pub tag_bytes_max: usize,
    /// Bytes in one parcel, a single larger frame aside.
    pub parcel_bytes_max: usize,
    /// Bytes of a frame: the peer reads no larger parcel.
    pub frame_bytes_max: usize,
    /// Bytes in memory of the frames that do not count, until the peer has told to forget them: one that hears none
    /// of the answers that it asks for would have them pile up.
    pub answers_bytes_max: usize,
}

/// What is sent one way, and how much of the other way was handled.
pub(crate) struct Line<F> {
    limits: LineLimits,
    /// Which connection carries the line.
    generation: u64,
    /// The version of the connection, once both have said hello.
    version: Option<u8>,
    /// Since when there is no connection.
    down_since: Option<Duration>,
    /// What was received and known when the connection was opened.
    opened_at: (u64, u64),
    /// Since when connections end with something to send and none of it sent: some frame may be what
    /// ends them.
    fruitless_since: Option<Duration>,
    /// What the peer has not told to forget.
    items: VecDeque<Item<F>>,
    /// Number of the first item.
    first: u64,
    /// How many of the items this connection, or one before, has carried over.
    sent: usize,
    /// The highest number that the peer has shown to have.
    known: u64,
    /// The peer has answered the last parcel with frames: it will do so again, and soon.
    lively: bool,
    bytes: usize,
    /// Bytes in memory of frames that do not count.
    answers_bytes: usize,
    shares: Vec<Share>,
    /// Tags that were refused, in order.
    short: Vec<u16>,
    freed: bool,
    received: u64,
    /// What the last parcel has told of it.
    told: u64,
    /// Bytes received since.
    untold_bytes: usize,
    tell_now: bool,
    /// Nothing is taken any more.
    closed: bool,
}

struct Item<F> {
    frame: Option<Arc<F>>,
    tag: u16,
    size: usize,
    /// Bytes that count.
    weight: usize,
    /// Bytes in memory, of a frame that does not count.
    answer: usize,
    /// What had been handled when it was queued.
    handled: u64,
}

/// What one tag has on the line.
#[derive(Clone, Copy, Default)]
struct Share {
    /// On the way.
    bytes: usize,
    /// At the peer, waiting for a full shard.
    held: usize,
    busy: bool,
}

/// A frame is not queued.
pub(crate) enum NotQueued<F> {
    /// The line, or the tag's part of it, is full.
    NoRoom(F),
    /// It is larger than what the peer reads: it never will be.
    TooLarge(F),
}

impl<F> NotQueued<F> {
    /// The frame.
    pub(crate) fn into_frame(self) -> F {
        match self {
            Self::NoRoom(frame) | Self::TooLarge(frame) => frame,
        }
    }
}

/// What a connection has to do.
pub(crate) enum Polled<F> {
    /// Send this.
    Parcel(Outgoing<F>),
    /// Nothing.
    Pending,
    /// End: another connection has taken over, or none shall be.
    Ended,
}

impl<F: Frame> Line<F> {
    /// A line that nothing was sent on.
    pub(crate) fn new(limits: LineLimits, now: Duration) -> Self {
        Self {
            limits,
            generation: 0,
            version: None,
            down_since: Some(now),
            opened_at: (0, 0),
            fruitless_since: None,
            items: VecDeque::new(),
            first: 1,
            sent: 0,
            known: 0,
            lively: false,
            bytes: 0,
            answers_bytes: 0,
            shares: Vec::new(),
            short: Vec::new(),
            freed: false,
            received: 0,
            told: 0,
            untold_bytes: 0,
            tell_now: false,
            closed: false,
        }
    }

    /// Queues a frame that counts. One of any size is taken where nothing else is under way.
    pub(crate) fn push(&mut self, frame: F, tag: u16) -> Result<(), NotQueued<F>> {
        let size = frame.size();
        if size > self.limits.frame_bytes_max {
            return Err(NotQueued::TooLarge(frame));
        }
        let share = self.share(tag);
        let fits_share = share.bytes == 0 || share.bytes + size <= self.limits.tag_bytes_max;
        let fits = self.bytes == 0 || self.bytes + size <= self.limits.bytes_max;
        if share.busy || self.closed || !fits_share || !fits {
            self.refused(tag);
            return Err(NotQueued::NoRoom(frame));
        }
        self.bytes += size;
        self.shares[usize::from(tag)].bytes += size;
        self.append(frame, tag, size, true);
        Ok(())
    }

    /// Queues a frame that is always taken: an answer, or word of what became of a frame. There are
    /// never more of them than of what they answer; a peer that hears none of them is found out by
    /// [`is_unheard`](Self::is_unheard). False on a line that is closed, and for a frame larger than
    /// what the peer reads.
    pub(crate) fn push_always(&mut self, frame: F) -> bool {
        let size = frame.size();
        let taken = !self.closed && size <= self.limits.frame_bytes_max;
        if taken {
            self.append(frame, 0, size, false);
        }
        taken
    }

    /// Whether so much was answered that the peer has not heard that the link must end.
    pub(crate) fn is_unheard(&self) -> bool {
        self.answers_bytes > self.limits.answers_bytes_max
    }

    /// Whether a large answer may be queued. Past half of the bound there are short ones only, so that a peer which is
    /// merely slow does not lose the link.
    pub(crate) fn has_room_for_answer(&self) -> bool {
        self.answers_bytes <= self.limits.answers_bytes_max / 2
    }

    /// Notes that somebody waits until this tag has room.
    pub(crate) fn refused(&mut self, tag: u16) {
        if !self.short.contains(&tag) {
            self.short.push(tag);
        }
    }

    /// The tags that were refused, once something has become free.
    pub(crate) fn take_short(&mut self) -> Vec<u16> {
        if std::mem::take(&mut self.freed) {
            std::mem::take(&mut self.short)
        } else {
            Vec::new()
        }
    }

    /// Whether there is no connection.
    pub(crate) fn is_down(&self) -> bool {
        self.down_since.is_some()
    }

    /// Whether the peer knows what came with this version, as far as it has said which it speaks.
    pub(crate) fn understands(&self, since: u8) -> bool {
        self.version.is_none_or(|version| since <= version)
    }

    /// Bytes that count.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many frames were handled.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// What a hello may tell to forget: everything before the first frame that the peer has yet to
    /// hear.
    pub(crate) fn forgettable(&self) -> u64 {
        self.items
            .front()
            .map_or(self.received, |item| item.handled)
    }

    /// A new connection: older ones end. Nothing is sent before [`open`](Self::open).
    pub(crate) fn connect(&mut self) -> u64 {
        self.generation += 1;
        self.version = None;
        self.generation
    }

    /// The connection that may speak.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Both sides have said hello: goes on behind what the peer has received.
    pub(crate) fn open(
        &mut self,
        generation: u64,
        version: u8,
        received: u64,
        forget: u64,
    ) -> Result<(), Malformed> {
        if generation != self.generation {
            return Ok(());
        }
        let last = self.first + self.items.len() as u64 - 1;
        if received < self.known || received > last {
            return Err(Malformed("the peer has received what was not sent"));
        }
        self.sent = (received + 1 - self.first) as usize;
        self.known = received;
        self.lively = false;
        self.version = Some(version);
        self.down_since = None;
        self.opened_at = (self.received, self.known);
        self.tell_now = self.received > 0;
        self.forget(forget)
    }

    /// The connection has ended.
    pub(crate) fn disconnect(&mut self, generation: u64, now: Duration) {
        if generation != self.generation {
            return;
        }
        self.generation += 1;
        if self.version.take().is_some() {
            let fruitless = !self.items.is_empty() && self.opened_at == (self.received, self.known);
            self.fruitless_since = match fruitless {
                true => self.fruitless_since.or(Some(now)),
                false => None,
            };
        }
        self.down_since.get_or_insert(now);
    }

    /// How long there has been no connection, or none that was of use.
    pub(crate) fn down_for(&self, now: Duration) -> Option<Duration> {
        let down_since = self.down_since?;
        let since = self.fruitless_since.unwrap_or(down_since);
        Some(now.saturating_sub(since.min(down_since)))
    }

    /// The next parcel of a connection: all that waits, up to the bound.
    pub(crate) fn poll(&mut self, generation: u64) -> Polled<F> {
        if generation != self.generation {
            return Polled::Ended;
        }
        let Some(version) = self.version else {
            return Polled::Pending;
        };
        if !self.has_to_send() {
            return Polled::Pending;
        }
        let first = self.first + self.sent as u64;
        let mut frames = Vec::new();
        let mut bytes = 0;
        while let Some(item) = self.items.get(self.sent) {
            if !frames.is_empty() && bytes + item.size > self.limits.parcel_bytes_max {
                break;
            }
            let Some(frame) = &item.frame else { break };
            bytes += item.size;
            frames.push(frame.clone());
            self.sent += 1;
        }
        let next = self.items.get(self.sent);
        let forget = next.map_or(self.received, |item| item.handled);
        self.told = forget;
        self.tell_now = false;
        self.untold_bytes = 0;
        let header = Header {
            version,
            forget,
            first,
        };
        Polled::Parcel(Outgoing::Frames(header, frames, bytes))
    }

    /// A parcel has come: how many of its frames are repeats.
    pub(crate) fn repeats(
        &self,
        generation: u64,
        header: &Header,
        count: usize,
    ) -> Result<usize, Malformed> {
        if generation != self.generation {
            return Ok(count);
        }
        if self.version != Some(header.version) {
            return Err(Malformed("a parcel of another version than agreed"));
        }
        let expected = self.received + 1;
        if count > 0 && header.first > expected {
            return Err(Malformed("frames are missing"));
        }
        let repeated = expected.saturating_sub(header.first);
        Ok(count.min(usize::try_from(repeated).unwrap_or(usize::MAX)))
    }

    /// Frames were handled: the peer is told with the next parcel, at once if it may be short of
    /// credit.
    pub(crate) fn handled(&mut self, count: usize, bytes: usize) {
        self.received += count as u64;
        self.lively = count > 0;
        self.untold_bytes += bytes;
        if self.untold_bytes > self.limits.tag_bytes_max / 2 {
            self.tell_now = true;
        }
    }

    /// Whether the peer waits to hear what was handled.
    pub(crate) fn has_to_tell(&self) -> bool {
        self.version.is_some() && self.told < self.received
    }

    /// Tells with the next poll, frames or not.
    pub(crate) fn tell_now(&mut self) {
        self.tell_now = self.has_to_tell();
    }

    /// Whether a connection has something to send now.
    pub(crate) fn has_to_send(&self) -> bool {
        let waits = self.items.len() - self.sent;
        self.version.is_some() && (self.tell_now || waits > 0 && !self.is_held(waits))
    }

    /// Whether the few frames that wait are to wait for more: a parcel costs its sender and its receiver as much as
    /// dozens of frames. They go as soon as the peer is heard, which is never longer than it takes to answer the last
    /// parcel; and a peer that has answered with nothing but its word, after a pause, is not waited for.
    fn is_held(&self, waits: usize) -> bool {
        let is_answered = self.known + 1 >= self.first + self.sent as u64;
        self.lively && !is_answered && !self.has_to_tell() && waits < HELD_FRAMES_MAX
    }

    /// The peer has handled everything up to this number.
    pub(crate) fn forget(&mut self, through: u64) -> Result<(), Malformed> {
        if through >= self.first + self.sent as u64 {
            return Err(Malformed("the peer has handled what was not sent"));
        }
        self.known = self.known.max(through);
        while self.first <= through
            && let Some(item) = self.items.pop_front()
        {
            self.first += 1;
            self.sent -= 1;
            self.answers_bytes -= item.answer;
            self.release(item.tag, item.weight);
        }
        Ok(())
    }

    /// The peer gives this frame back.
    pub(crate) fn take_back(&mut self, number: u64) -> Option<Arc<F>> {
        let item = self.item(number)?;
        let (frame, tag, weight) = (
            item.frame.take(),
            item.tag,
            std::mem::take(&mut item.weight),
        );
        self.release(tag, weight);
        frame
    }

    /// Takes frames back that the peer has not shown to have handled. Others go in their places, for each
    /// has its number.
    pub(crate) fn recall(
        &mut self,
        wanted: impl Fn(&F) -> bool,
        other: impl Fn() -> F,
    ) -> Vec<Arc<F>> {
        let mut recalled = Vec::new();
        for at in 0..self.items.len() {
            let item = &mut self.items[at];
            let Some(frame) = item.frame.as_mut().filter(|frame| wanted(frame)) else {
                continue;
            };
            let other = Arc::new(other());
            item.size = other.size();
            recalled.push(std::mem::replace(frame, other));
            let (tag, weight) = (item.tag, std::mem::take(&mut item.weight));
            self.release(tag, weight);
        }
        recalled
    }

    /// The frames on the line, in their order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &F> {
        self.items.iter().filter_map(|item| item.frame.as_deref())
    }

    /// The peer keeps this frame for a shard that is full: nothing more for it until it has
    /// [`room`](Self::room).
    pub(crate) fn held(&mut self, number: u64) {
        let Some(item) = self.item(number) else {
            return;
        };
        item.frame = None;
        let (tag, weight) = (item.tag, std::mem::take(&mut item.weight));
        if let Some(share) = self.shares.get_mut(usize::from(tag)) {
            share.bytes -= weight;
            share.held += weight;
            share.busy = true;
        }
    }

    /// The peer has given everything that it kept for this tag to the shard.
    pub(crate) fn room(&mut self, tag: u16) {
        if let Some(share) = self.shares.get_mut(usize::from(tag)) {
            self.bytes -= std::mem::take(&mut share.held);
            share.busy = false;
            self.freed = true;
        }
    }

    /// The peer is gone for good: what it may not have. The line begins anew, under the same
    /// connection numbers.
    pub(crate) fn lose(&mut self, now: Duration) -> Vec<Arc<F>> {
        let fresh = Self {
            generation: self.generation + 1,
            short: std::mem::take(&mut self.short),
            freed: true,
            ..Self::new(self.limits, now)
        };
        let lost = std::mem::replace(self, fresh);
        lost.items
            .into_iter()
            .filter_map(|item| item.frame)
            .collect()
    }

    /// As [`lose`](Self::lose), and nothing is taken any more.
    pub(crate) fn close(&mut self, now: Duration) -> Vec<Arc<F>> {
        let lost = self.lose(now);
        self.closed = true;
        lost
    }

    fn append(&mut self, frame: F, tag: u16, size: usize, counts: bool) {
        let (weight, answer) = match counts {
            true => (size, 0),
            false => (0, size + ITEM_BYTES),
        };
        self.answers_bytes += answer;
        self.items.push_back(Item {
            frame: Some(Arc::new(frame)),
            tag,
            size,
            weight,
            answer,
            handled: self.received,
        });
    }

    /// A frame that was sent.
    fn item(&mut self, number: u64) -> Option<&mut Item<F>> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.known = self.known.max(number);
        self.items.get_mut(at).filter(|_| at < self.sent)
    }

    fn share(&mut self, tag: u16) -> Share {
        let at = usize::from(tag);
        if self.shares.len() <= at {
            self.shares.resize(at + 1, Share::default());
        }
        self.shares[at]
    }

    fn release(&mut self, tag: u16, weight: usize) {
        if weight == 0 {
            return;
        }
        self.bytes -= weight;
        self.freed = true;
        if let Some(share) = self.shares.get_mut(usize::from(tag)) {
            share.bytes -= weight;
        }
    }
}

/// So many frames are a parcel that needs no more.
const HELD_FRAMES_MAX: usize = 64;

/// What a small frame takes in memory beside its bytes on the wire: it is a word there, and an enum of all kinds here.
const ITEM_BYTES: usize = 256;
