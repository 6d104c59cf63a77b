//! What one account may set in motion with presence: one short stanza of its own becomes one for
//! each contact.
//!
//! The budget is a bucket of stanzas. Leaving is always told, and paid for; coming and changing is
//! refused while the bucket is in debt.

use rookery_xmpp::clock::Timestamp;

use crate::RouterOptions;

/// The budget of one account.
#[derive(Default)]
pub(super) struct Fanout {
    /// Stanzas that were caused and are not forgotten yet.
    debt: u64,
    at: Timestamp,
}

impl Fanout {
    /// Whether the account may cause more.
    pub(super) fn is_open(&mut self, now: Timestamp, options: &RouterOptions) -> bool {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let forgotten = passed.saturating_mul(u64::from(options.presence_fanout_per_s)) / 1000;
        // A moment too short to forget anything goes on counting.
        if forgotten > 0 {
            self.debt = self.debt.saturating_sub(forgotten);
            self.at = now;
        }
        self.debt < u64::from(options.presence_fanout_burst)
    }

    /// The account caused this many.
    pub(super) fn charge(&mut self, stanzas: usize) {
        self.debt = self.debt.saturating_add(stanzas as u64);
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
        let options = RouterOptions {
            presence_fanout_per_s: 10,
            presence_fanout_burst: 100,
            ..RouterOptions::default()
        };
        let mut fanout = Fanout::default();
        assert!(fanout.is_open(at(1_000), &options));
        fanout.charge(105);
        assert!(!fanout.is_open(at(1_500), &options));
        assert!(fanout.is_open(at(1_600), &options));
        assert!(fanout.is_open(at(20_000), &options));
    }
}
