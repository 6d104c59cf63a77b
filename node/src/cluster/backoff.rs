//! How long to wait before the next try.

use std::time::Duration;

use rookery_xmpp::entropy::Entropy;

/// Doubles the wait with each failure, within bounds, and draws from its upper half: a hundred peers of a node that
/// comes back do not all come at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: SHORTEST }
    }
}

impl Backoff {
    /// The wait after one more failure.
    pub(super) fn after_failure(&mut self, entropy: &mut dyn Entropy) -> Duration {
        let half = self.next / 2;
        self.next = (self.next * 2).min(LONGEST);
        let within = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(entropy.below(within))
    }

    /// Something worked.
    pub(super) fn reset(&mut self) {
        self.next = SHORTEST;
    }
}

const SHORTEST: Duration = Duration::from_millis(100);

/// A member that comes back is found within an election.
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use rookery_xmpp::entropy::Seeded;

    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let (mut backoff, mut entropy) = (Backoff::default(), Seeded::new(1));
        let waits: Vec<_> = (0..20)
            .map(|_| backoff.after_failure(&mut entropy))
            .collect();
        assert!(waits[0] >= SHORTEST / 2 && waits[0] < SHORTEST);
        assert!(waits[19] >= LONGEST / 2 && waits[19] < LONGEST);
        assert_ne!(waits[18], waits[19]);
        backoff.reset();
        assert!(backoff.after_failure(&mut entropy) < SHORTEST);
    }
}
