//! What one account may set in motion: with presence, of which one short stanza becomes one for each contact, and with
//! searches of its archive, of which one may look at thousands of entries for nothing.
//!
//! A budget is a bucket that goes into debt: what is under way is paid for afterwards, and the next is refused until so
//! much is forgotten again. Leaving is always told, and paid for.

use rookery_xmpp::clock::Timestamp;

/// What one account has caused of a kind.
#[derive(Default)]
pub(crate) struct Budget {
    /// What was caused and is not forgotten yet.
    debt: u64,
    at: Timestamp,
}

impl Budget {
    /// Whether the account may cause more, where so much is forgotten a second, and so much may be owed.
    pub(crate) fn is_open(&mut self, now: Timestamp, (per_s, burst): (u32, u32)) -> bool {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let forgotten = passed.saturating_mul(u64::from(per_s)) / 1000;
        // A moment too short to forget anything goes on counting.
        if forgotten > 0 {
            self.debt = self.debt.saturating_sub(forgotten);
            self.at = now;
        }
        self.debt < u64::from(burst)
    }

    /// The account caused this much.
    pub(crate) fn charge(&mut self, caused: usize) {
        self.debt = self.debt.saturating_add(caused as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms)
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut budget = Budget::default();
        assert!(budget.is_open(at(1_000), (10, 100)));
        budget.charge(105);
        assert!(!budget.is_open(at(1_500), (10, 100)));
        assert!(budget.is_open(at(1_600), (10, 100)));
        assert!(budget.is_open(at(20_000), (10, 100)));
    }
}
