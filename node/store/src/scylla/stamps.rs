//! Write timestamps that only grow.

use std::sync::atomic::{AtomicI64, Ordering};

use rookery_xmpp::clock::Timestamp;
use scylla::policies::timestamp_generator::TimestampGenerator;
use uuid::Uuid;

/// Gives every write of this process a timestamp above those of all earlier ones.
///
/// Of two writes to one cell the database keeps the one with the higher timestamp, so the order of one process's writes
/// is that of its calls, whichever database node takes them. Between processes the clocks decide: one that takes over
/// an owner must not begin to write before its clock has passed the former's last write, which the waiting time behind
/// a lease gives.
///
/// Timestamps come in pairs: the odd one behind each belongs to the same caller, for what must come right behind in the
/// same step (a deletion, then what takes its place).
#[derive(Debug)]
pub(super) struct Stamps {
    last: AtomicI64,
    /// Tells this process's arrivals from those of others in the same moment.
    origin: i64,
}

impl Stamps {
    pub(super) fn new() -> Self {
        let random = i64::from(Uuid::new_v4().as_fields().1);
        Self {
            last: AtomicI64::new(0),
            origin: random & ((1 << ORIGIN_BITS) - 1),
        }
    }

    /// The timestamp of a write, in µs. The one behind it is the caller's too.
    pub(super) fn next(&self) -> i64 {
        let now = i64::try_from(Timestamp::now().as_millis()).unwrap_or(i64::MAX / MICROS);
        let now = now.saturating_mul(MICROS);
        let behind = |last: i64| Some(now.max(last + 2));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, behind);
        now.max(last.unwrap_or_default() + 2)
    }

    /// A number for something that arrives now: above all former ones of this process, and not another process's.
    pub(super) fn arrival(&self) -> i64 {
        (self.next() << ORIGIN_BITS) | self.origin
    }
}

impl TimestampGenerator for Stamps {
    fn next_timestamp(&self) -> i64 {
        self.next()
    }
}

/// Microseconds take 51 bits until the year 2041, and one more until 2112: 10 are left.
const ORIGIN_BITS: u32 = 10;

const MICROS: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_grow_and_leave_room_for_one_more() {
        let stamps = Stamps::new();
        let first = stamps.next();
        let second = stamps.next();
        assert!(first + 1 < second);
        assert!(stamps.arrival() < stamps.arrival());
    }
}
