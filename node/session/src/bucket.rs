//! The token bucket of a stream: reading stops when it is empty, and nothing is dropped.
//!
//! Operators know it as a rate (`bytes_per_second`) and a burst (`burst_ms` at that rate). The bucket
//! may be overdrawn by the last read; the pause that follows is exactly the time until it is level
//! again, so that over any time `t` a stream gets at most `rate × t + burst` and one read.

use rookery_xmpp::clock::Timestamp;

rookery_xmpp::options! {
    /// How fast a client's stream is read.
    pub struct BandwidthOptions {
        /// Bytes that are read a second, after TLS; 0 for no limit. Text needs little: this slows floods, not people.
        pub bytes_per_second: u32 = 10_000, "bytes/s";
        /// How long a burst at that rate may be, so that a login or a pasted page is not slowed.
        pub burst_ms: u32 = 2_000, "ms";
    }
}

/// The bucket of one stream, in thousandths of a byte, so that no rate drifts.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: u64,
    capacity: i64,
    level: i64,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub fn new(options: &BandwidthOptions, now: Timestamp) -> Self {
        let rate = u64::from(options.bytes_per_second);
        let capacity = i64::try_from(rate * u64::from(options.burst_ms)).unwrap_or(i64::MAX);
        Self {
            rate,
            capacity,
            level: capacity,
            at: now,
        }
    }

    /// Takes what was read, and says how many milliseconds the socket must rest.
    pub fn take(&mut self, bytes: usize, now: Timestamp) -> u64 {
        if self.rate == 0 {
            return 0;
        }
        // A byte a second is a thousandth of a byte a millisecond.
        let passed = now.as_millis().saturating_sub(self.at.as_millis());
        let gained = i64::try_from(passed.saturating_mul(self.rate)).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(gained).min(self.capacity);
        self.at = self.at.max(now);
        let taken = i64::try_from(bytes)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        self.level = self.level.saturating_sub(taken);
        if self.level >= 0 {
            0
        } else {
            self.level.unsigned_abs().div_ceil(self.rate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        let options = BandwidthOptions {
            bytes_per_second: 3_000,
            burst_ms: 2_000,
        };
        Bucket::new(&options, Timestamp(0))
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = bucket();
        assert_eq!(bucket.take(6_000, Timestamp(0)), 0);
        assert_eq!(bucket.take(3_000, Timestamp(0)), 1_000);
        assert_eq!(bucket.take(1, Timestamp(1_000)), 1);
    }

    #[test]
    fn over_a_minute_exactly_rate_and_burst_are_read() {
        let mut bucket = bucket();
        let (mut now, mut read) = (0, 0_u64);
        while now < 60_000 {
            let pause = bucket.take(700, Timestamp(now));
            read += 700;
            now += pause;
        }
        let exact = 3_000 * 60 + 6_000;
        assert!(read >= exact && read <= exact + 700, "{read}");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = bucket();
        bucket.take(9_000, Timestamp(5_000));
        assert_eq!(bucket.take(0, Timestamp(1_000)), 1_000);
        assert_eq!(bucket.take(0, Timestamp(5_000)), 1_000);
    }

    #[test]
    fn without_a_rate_there_is_no_pause() {
        let options = BandwidthOptions {
            bytes_per_second: 0,
            burst_ms: 0,
        };
        assert_eq!(
            Bucket::new(&options, Timestamp(0)).take(usize::MAX, Timestamp(0)),
            0
        );
    }
}
