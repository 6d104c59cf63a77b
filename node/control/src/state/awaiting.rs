//! Registrations that await approval, as far as they are counted: only so many may wait over the whole cluster.
//!
//! ```text
//! Reserve, mode `approval`: waiting + under way < awaiting_max ─► ReservedToAwait ─► account made ─► Commit: it waits
//!                                            else ─► Throttled(Awaiting)                     Release, expiry: as ever
//! approved, denied, expired ─► TendAwaiting(left)
//! a sweeper that compares the store ─► TendAwaiting(joined, left)
//! ```
//!
//! The accounts themselves, and who of them waits, are in the store. What crashes between the two is made up for by the
//! sweeper, which runs each minute.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Outcome;

/// The accounts that await approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Awaiting(BTreeSet<String>);

impl Awaiting {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the order of their addresses.
    pub(super) fn accounts(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    /// These wait, and those do so no more.
    pub(super) fn tend(&mut self, joined: &[String], left: &[String]) -> Outcome {
        left.iter().for_each(|account| self.leave(account));
        let joined = joined.iter().cloned();
        joined.for_each(|account| self.join(account));
        Outcome::Settled
    }

    /// An account waits. One more than can be counted is not: the queue is full for long.
    pub(super) fn join(&mut self, account: String) {
        if self.0.len() < AWAITING_BOUND {
            self.0.insert(account);
        }
    }

    /// An account waits no more.
    fn leave(&mut self, account: &str) {
        self.0.remove(account);
    }
}

/// Accounts that are counted at most, whatever the policy says: more than any policy lets wait, for a store may be
/// restored from a backup with more.
const AWAITING_BOUND: usize = 2 * AWAITING_MAX as usize;

/// The most that [`RegistrationPolicy::awaiting_max`](super::RegistrationPolicy::awaiting_max) counts for: nobody reads
/// more, and an answer must hold them all.
pub const AWAITING_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_counted_once() {
        let mut awaiting = Awaiting::default();
        for _ in 0..2 {
            awaiting.join("olga@capulet.example".to_owned());
        }
        assert_eq!(awaiting.len(), 1);
        for number in 0..=AWAITING_BOUND {
            awaiting.join(format!("guest{number}@capulet.example"));
        }
        assert_eq!(awaiting.len(), AWAITING_BOUND);
        awaiting.leave("olga@capulet.example");
        awaiting.leave("olga@capulet.example");
        assert_eq!(awaiting.len(), AWAITING_BOUND - 1);
    }
}
