//! The token buckets of a stream: reading stops while one is overdrawn, and nothing is dropped.
//!
//! ```text
//! may it be read? ─► wait_ms: 0, or how long until both buckets are level
//! how much?       ─► bytes_max: what is in the bucket, or the least that is worth a read
//! it was read     ─► take(bytes, stanzas): overdraws by one read at most
//! ```
//!
//! Operators know a bucket as a rate and a burst at that rate. It may be overdrawn by the last read; the pause that
//! follows is exactly the time until it is level again, so that over any time `t` a stream gets at most `rate × t +
//! burst` and one read. So that this last read is small, it takes no more than what a quarter of a second gives. One
//! record of TLS (16 KiB) comes as a whole all the same.
//!
//! Times are milliseconds of a clock that never goes back.

use rookery_xmpp::units::{Rate, Span};

use crate::bandwidth::BandwidthOptions;

/// What is read from one stream, in bytes and in stanzas.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    bytes: Bucket,
    stanzas: Bucket,
}

/// Which limit has a stream rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestBy {
    /// It sent bytes faster than it may.
    Bytes,
    /// It sent stanzas faster than it may.
    Stanzas,
}

impl Pace {
    /// Full buckets, as a client's stream has them.
    pub fn of_client(options: &BandwidthOptions, now_ms: u64) -> Self {
        Self {
            bytes: Bucket::of_bytes(options.client_rate, options.client_burst, now_ms),
            stanzas: Bucket::of_stanzas(
                options.client_stanzas_per_second,
                options.client_stanzas_burst,
                now_ms,
            ),
        }
    }

    /// Nothing is limited.
    pub fn unlimited(now_ms: u64) -> Self {
        let off = Bucket::of_stanzas(0, 0, now_ms);
        Self {
            bytes: off,
            stanzas: off,
        }
    }

    /// Other limits from now on. What was overdrawn stays so, and is level again as fast as they have it.
    pub fn change(&mut self, to: Self, now_ms: u64) {
        self.bytes.change(to.bytes, now_ms);
        self.stanzas.change(to.stanzas, now_ms);
    }

    /// Has no more in any bucket than an earlier stream has left in its own, and gained since.
    pub fn go_on(&mut self, from: Self, now_ms: u64) {
        self.bytes.go_on(from.bytes, now_ms);
        self.stanzas.go_on(from.stanzas, now_ms);
    }

    /// Whether nothing is missing in any bucket.
    pub fn is_full(&mut self, now_ms: u64) -> bool {
        self.bytes.is_full(now_ms) && self.stanzas.is_full(now_ms)
    }

    /// Before a read: 0 if it may be done, otherwise how many milliseconds until then.
    pub fn wait_ms(&mut self, now_ms: u64) -> u64 {
        self.bytes.wait_ms(now_ms).max(self.stanzas.wait_ms(now_ms))
    }

    /// How much the next read may take, in bytes: as much as is there, or as is worth a read.
    pub fn bytes_max(&mut self, now_ms: u64) -> usize {
        self.bytes.next_max(now_ms)
    }

    /// After a read: what it gave. Says which limit has the stream rest now, the one that takes longer.
    pub fn take(&mut self, bytes: usize, stanzas: usize, now_ms: u64) -> Option<RestBy> {
        let by_bytes = self.bytes.take(bytes, now_ms);
        let by_stanzas = self.stanzas.take(stanzas, now_ms);
        match (by_bytes, by_stanzas) {
            (0, 0) => None,
            (bytes, stanzas) if bytes >= stanzas => Some(RestBy::Bytes),
            _ => Some(RestBy::Stanzas),
        }
    }
}

impl RestBy {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Stanzas => "stanzas",
        }
    }
}

/// One bucket, in thousandths of what it counts, so that no rate drifts: one a second is a thousandth a millisecond.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// How many a second; 0 for no limit.
    rate: u64,
    capacity: i64,
    level: i64,
    at_ms: u64,
}

impl Bucket {
    /// A full bucket of bytes, which holds what the rate gives in the burst.
    pub fn of_bytes(rate: Rate, burst: Span, now_ms: u64) -> Self {
        let rate = u64::from(rate.bytes_per_second());
        Self::new(rate, rate * u64::from(burst.as_ms()), now_ms)
    }

    /// A full bucket of what is counted one by one, which holds so many.
    pub fn of_stanzas(per_second: u32, burst: u32, now_ms: u64) -> Self {
        Self::new(u64::from(per_second), u64::from(burst) * 1_000, now_ms)
    }

    fn new(rate: u64, capacity: u64, now_ms: u64) -> Self {
        let capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
        Self {
            rate,
            capacity,
            level: capacity,
            at_ms: now_ms,
        }
    }

    /// Another rate and burst from now on. A bucket that had no limit begins full; none gains by the change.
    pub fn change(&mut self, to: Self, now_ms: u64) {
        self.settle(now_ms);
        let was_off = self.rate == 0;
        let level = if was_off { to.capacity } else { self.level };
        *self = Self {
            level: level.min(to.capacity),
            at_ms: self.at_ms,
            ..to
        };
    }

    /// How many milliseconds until it is level; 0 if it is.
    pub fn wait_ms(&mut self, now_ms: u64) -> u64 {
        self.settle(now_ms);
        if self.rate == 0 || self.level >= 0 {
            return 0;
        }
        self.level.unsigned_abs().div_ceil(self.rate)
    }

    /// Takes so many, and says how many milliseconds must pass before the next.
    pub fn take(&mut self, count: usize, now_ms: u64) -> u64 {
        self.settle(now_ms);
        let taken = i64::try_from(count).unwrap_or(i64::MAX);
        self.level = self.level.saturating_sub(taken.saturating_mul(1_000));
        self.wait_ms(now_ms)
    }

    fn go_on(&mut self, mut from: Self, now_ms: u64) {
        self.settle(now_ms);
        if from.rate > 0 {
            from.settle(now_ms);
            self.level = self.level.min(from.level);
        }
    }

    fn is_full(&mut self, now_ms: u64) -> bool {
        self.settle(now_ms);
        self.level >= self.capacity
    }

    fn next_max(&mut self, now_ms: u64) -> usize {
        if self.rate == 0 {
            return usize::MAX;
        }
        self.settle(now_ms);
        let there = u64::try_from(self.level / 1_000).unwrap_or(0);
        let worth = (self.rate / READS_A_SECOND).max(READ_BYTES_MIN);
        usize::try_from(there.max(worth)).unwrap_or(usize::MAX)
    }

    fn settle(&mut self, now_ms: u64) {
        if self.rate == 0 {
            // What is not limited owes nothing.
            self.level = self.capacity;
        }
        let passed = now_ms.saturating_sub(self.at_ms);
        let gained = i64::try_from(passed.saturating_mul(self.rate)).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(gained).min(self.capacity);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

/// How often a stream that sends too much is read: more rarely it would be read in lumps, more often for crumbs.
const READS_A_SECOND: u64 = 4;

/// The least that is worth a system call and a turn of the stream's actor.
const READ_BYTES_MIN: u64 = 512;

#[cfg(test)]
mod tests;
