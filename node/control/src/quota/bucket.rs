//! A token bucket whose rate changes: a floor for ever, and on top what was lent until a moment.

/// One budget's bucket on one node. Times are milliseconds of the node's monotonic clock.
///
/// It gains at the rate that holds at each moment, and never has more than that rate makes in the burst; what is above
/// when the rate falls is lost. The last read may overdraw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareBucket {
    /// In bytes a second.
    floor: u32,
    lent: u32,
    lent_until_ms: u64,
    burst_ms: u64,
    /// In [`UNIT`]s.
    level: i64,
    at_ms: u64,
}

impl ShareBucket {
    /// A full bucket. Its rate may be 0.
    pub(super) fn new(floor: u32, burst_ms: u32, now_ms: u64) -> Self {
        let mut bucket = Self {
            floor,
            lent: 0,
            lent_until_ms: 0,
            burst_ms: u64::from(burst_ms),
            level: 0,
            at_ms: now_ms,
        };
        bucket.fill(now_ms);
        bucket
    }

    /// Whether something may be read.
    pub(super) fn is_open(&mut self, now_ms: u64) -> bool {
        self.settle(now_ms);
        self.level > 0
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, bytes: usize, now_ms: u64) {
        self.settle(now_ms);
        let taken = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.level = self.level.saturating_sub(taken.saturating_mul(UNIT));
    }

    /// How many milliseconds until something may be read, if nothing changes; `None` for ever.
    pub(super) fn rest_ms(&mut self, now_ms: u64) -> Option<u64> {
        if self.is_open(now_ms) {
            return Some(0);
        }
        let missing = self.level.unsigned_abs() + 1;
        let gain = self.rate(now_ms) * GAIN_A_MS;
        (gain > 0).then(|| missing.div_ceil(gain))
    }

    /// Another floor or burst, from now on.
    pub(super) fn set_floor(&mut self, floor: u32, burst_ms: u32, now_ms: u64) {
        self.settle(now_ms);
        self.floor = floor;
        self.burst_ms = u64::from(burst_ms);
        self.clamp();
    }

    /// From now on so much is lent, until then.
    pub(super) fn lend(&mut self, lent: u32, until_ms: u64, now_ms: u64) {
        self.settle(now_ms);
        self.lent = if until_ms > now_ms { lent } else { 0 };
        self.lent_until_ms = until_ms;
        self.clamp();
    }

    /// Gives back all but so much of what is lent.
    pub(super) fn shrink(&mut self, lent: u32, now_ms: u64) {
        self.settle(now_ms);
        self.lent = self.lent.min(lent);
        self.clamp();
    }

    /// What is lent now, in bytes a second.
    pub(super) fn lent(&self, now_ms: u64) -> u32 {
        if now_ms < self.lent_until_ms {
            self.lent
        } else {
            0
        }
    }

    /// What it gains now, in bytes a second.
    pub(super) fn rate(&self, now_ms: u64) -> u64 {
        u64::from(self.floor) + u64::from(self.lent(now_ms))
    }

    /// What is in it, in bytes; below 0 when it is overdrawn.
    pub(super) fn level(&mut self, now_ms: u64) -> i64 {
        self.settle(now_ms);
        self.level.div_euclid(UNIT)
    }

    /// Puts in all that fits.
    pub(super) fn fill(&mut self, now_ms: u64) {
        self.settle(now_ms);
        self.level = self.capacity();
    }

    /// Brings the level up to a moment.
    fn settle(&mut self, now_ms: u64) {
        if self.lent > 0 && self.lent_until_ms <= now_ms {
            self.gain(self.lent_until_ms);
            self.lent = 0;
            self.clamp();
        }
        self.gain(now_ms);
    }

    fn gain(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        let rate = u64::from(self.floor) + u64::from(self.lent);
        let gained = passed.saturating_mul(rate * GAIN_A_MS);
        self.level = self
            .level
            .saturating_add(i64::try_from(gained).unwrap_or(i64::MAX));
        self.at_ms = self.at_ms.max(now_ms);
        self.clamp();
    }

    fn clamp(&mut self) {
        self.level = self.level.min(self.capacity());
    }

    /// A millisecond less than the burst, for moments are known in whole milliseconds.
    fn capacity(&self) -> i64 {
        let rate = u64::from(self.floor) + u64::from(self.lent);
        let capacity = rate.saturating_mul(GAIN_A_MS * self.burst_ms.saturating_sub(1));
        i64::try_from(capacity).unwrap_or(i64::MAX)
    }
}

/// A byte in the units of the level: a 1,024th of what a rate of one byte a second makes in a millisecond.
const UNIT: i64 = 1_024 * 1_000;

/// What one byte a second gains in a millisecond: a thousandth less than a byte, for clocks that run fast.
const GAIN_A_MS: u64 = 1_023;

#[cfg(test)]
mod tests {
    use super::*;

    /// What can be read from a bucket until a moment, in pieces of a hundred bytes.
    fn drain(bucket: &mut ShareBucket, from_ms: u64, to_ms: u64) -> u64 {
        let mut read = 0;
        for now in from_ms..to_ms {
            while bucket.is_open(now) {
                bucket.take(100, now);
                read += 100;
            }
        }
        read
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = ShareBucket::new(10_000, 2_000, 0);
        let burst = drain(&mut bucket, 0, 1);
        assert!((19_900..=20_100).contains(&burst), "{burst}");
        let minute = drain(&mut bucket, 1, 60_000);
        assert!((599_000..=600_000).contains(&minute), "{minute}");
    }

    #[test]
    fn what_was_lent_is_over_at_its_end_and_its_burst_with_it() {
        let mut bucket = ShareBucket::new(1_000, 1_000, 0);
        bucket.lend(9_000, 5_000, 0);
        assert_eq!(bucket.rate(4_999), 10_000);
        let level = bucket.level(4_999);
        assert!((9_900..=10_000).contains(&level), "{level}");
        assert!(bucket.level(5_000) < 1_000);
        assert_eq!(bucket.rate(5_000), 1_000);
    }

    #[test]
    fn a_higher_rate_gives_nothing_at_once() {
        let mut bucket = ShareBucket::new(1_000, 1_000, 0);
        bucket.lend(9_000, 5_000, 0);
        assert!(bucket.level(0) < 1_000);
        bucket.lend(0, 5_000, 1_000);
        bucket.set_floor(5_000, 1_000, 1_000);
        assert!(bucket.level(1_000) < 1_000);
    }

    #[test]
    fn the_rest_ends_when_there_is_something_to_read() {
        let mut bucket = ShareBucket::new(1_000, 1_000, 0);
        bucket.take(1_999, 0);
        let rest = bucket.rest_ms(0).expect("it gains");
        assert!(!bucket.is_open(rest - 1) && bucket.is_open(rest));
        assert!((1_000..1_010).contains(&rest), "{rest}");
        assert_eq!(ShareBucket::new(0, 1_000, 0).rest_ms(7), None);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = ShareBucket::new(1_000, 1_000, 5_000);
        bucket.take(1_500, 5_000);
        let level = bucket.level(5_000);
        assert_eq!(bucket.level(1_000), level);
        assert_eq!(bucket.level(5_000), level);
    }
}
