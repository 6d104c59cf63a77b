//! How much of a budget a node could use.

use crate::state::QuotaRate;

/// What was seen of one key since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Bytes that were read.
    pub(super) spent: u64,
    /// Times that somebody had to wait.
    pub(super) limited: u64,
}

/// The demand of one key, in bytes a second.
///
/// Who had to wait could use everything. Otherwise it is a little more than what was used, and falls by half a look
/// at most, so that what is used in turns is not given back in between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand(u32);

impl Demand {
    /// Takes in what was seen in so many milliseconds.
    pub(super) fn measure(&mut self, seen: Seen, passed_ms: u64, rate: QuotaRate) {
        let used = seen.spent.saturating_mul(1_000) / passed_ms.max(1);
        let used = used.saturating_add(used / 4);
        self.0 = if seen.limited > 0 {
            rate.bytes_per_second
        } else {
            u32::try_from(used)
                .unwrap_or(u32::MAX)
                .max(self.0 / 2)
                .min(rate.bytes_per_second)
        };
    }

    /// What is wanted of the pool on top of this floor. What is not worth an entry is left to the floor.
    pub(super) fn beyond(self, floor: u32, rate: QuotaRate) -> u32 {
        let wanted = self.0.saturating_sub(floor).min(rate.pool());
        if wanted < rate.bytes_per_second / WORTH {
            0
        } else {
            wanted
        }
    }
}

/// Less than this part of the rate is not asked for.
const WORTH: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: QuotaRate = QuotaRate {
        bytes_per_second: 10_000,
        burst_ms: 2_000,
    };

    fn measured(demand: &mut Demand, spent: u64, limited: u64) -> u32 {
        demand.measure(Seen { spent, limited }, 1_000, RATE);
        demand.beyond(1_000, RATE)
    }

    #[test]
    fn who_waits_wants_all_and_who_is_idle_wants_nothing_soon() {
        let mut demand = Demand::default();
        assert_eq!(measured(&mut demand, 100, 0), 0);
        assert_eq!(measured(&mut demand, 900, 3), 5_000);
        assert_eq!(measured(&mut demand, 4_000, 0), 4_000);
        assert_eq!(measured(&mut demand, 0, 0), 1_500);
        assert_eq!(measured(&mut demand, 0, 0), 250);
        assert_eq!(measured(&mut demand, 0, 0), 0);
    }
}
