//! Counts that are forgotten in steps: what is counted within one half-life is exactly that many.
//!
//! ```text
//! count   3      3 | 1.5        | 0.75: nothing is left, and the next event begins a count of its own
//!         ▲      ▲ ▲            ▲
//!      begins    +1 half-life   +2 half-lives
//! ```
//!
//! A count that decays all the time never reaches N with the N-th event: a moment after the first it is less than 1.
//! So limits would be one higher than the operator has written. Here a limit of N is reached by the N-th event, as
//! long as it comes within one half-life of the first; what is older counts half, a quarter, and so on.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How often something has happened, lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decaying {
    /// Events in thousandths, so that halves of few are not lost.
    thousandths: u64,
    /// When the present step began.
    at: Timestamp,
}

impl Decaying {
    /// The whole events that are left at a moment, where they halve with every so many milliseconds.
    pub fn count(self, half_life_ms: u64, now: Timestamp) -> u32 {
        let left = self.decayed(half_life_ms, now).thousandths / ONE;
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// The same with so many more.
    #[must_use]
    pub fn plus(self, events: u32, half_life_ms: u64, now: Timestamp) -> Self {
        let left = self.decayed(half_life_ms, now);
        let more = u64::from(events).saturating_mul(ONE);
        Self {
            thousandths: left.thousandths.saturating_add(more),
            ..left
        }
    }

    /// The same without one of them; `None` if nothing is left.
    #[must_use]
    pub fn minus_one(self, half_life_ms: u64, now: Timestamp) -> Option<Self> {
        let left = self.decayed(half_life_ms, now);
        let thousandths = left.thousandths.checked_sub(ONE).filter(|it| *it >= ONE)?;
        Some(Self {
            thousandths,
            ..left
        })
    }

    /// What is left, as of the step that the moment lies in. Less than one is nothing, and the next step begins now.
    fn decayed(self, half_life_ms: u64, now: Timestamp) -> Self {
        let half_life_ms = half_life_ms.max(1);
        let passed = now.as_millis().saturating_sub(self.at.as_millis());
        let steps = passed / half_life_ms;
        let thousandths = self.thousandths >> steps.min(63);
        match thousandths < ONE {
            true => Self {
                thousandths: 0,
                at: now,
            },
            false => Self {
                thousandths,
                at: Timestamp(self.at.as_millis() + steps * half_life_ms),
            },
        }
    }
}

/// One event, in thousandths.
const ONE: u64 = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF_LIFE: u64 = 1_000;

    fn after(events: &[u64]) -> Decaying {
        let none = Decaying::default();
        events
            .iter()
            .fold(none, |count, at| count.plus(1, HALF_LIFE, Timestamp(*at)))
    }

    fn left(count: Decaying, now: u64) -> u32 {
        count.count(HALF_LIFE, Timestamp(now))
    }

    #[test]
    fn so_many_within_a_half_life_are_exactly_so_many() {
        assert_eq!(left(after(&[5_000, 5_001, 5_999]), 5_999), 3);
        let many: Vec<_> = (0..1_000).map(|event| 5_000 + event).collect();
        assert_eq!(left(after(&many), 5_999), 1_000);
    }

    #[test]
    fn they_halve_in_steps_from_the_first_until_nothing_is_left() {
        let three = after(&[5_000, 5_500, 5_900]);
        let seen = [5_999, 6_000, 6_999, 7_000].map(|now| left(three, now));
        assert_eq!(seen, [3, 1, 1, 0]);
        let again = three.plus(1, HALF_LIFE, Timestamp(7_900));
        assert_eq!(left(again, 8_899), 1, "a count of its own");
        assert_eq!(left(again, 8_900), 0);
        let more = three.plus(1, HALF_LIFE, Timestamp(6_500));
        assert_eq!((left(more, 6_999), left(more, 7_000)), (2, 1));
    }

    #[test]
    fn one_that_is_taken_back_leaves_the_others() {
        let two = after(&[5_000, 5_001]);
        let one = two.minus_one(HALF_LIFE, Timestamp(5_002)).expect("one");
        assert_eq!(left(one, 5_999), 1);
        assert_eq!(one.minus_one(HALF_LIFE, Timestamp(5_003)), None);
        assert_eq!(Decaying::default().minus_one(HALF_LIFE, Timestamp(1)), None);
    }

    #[test]
    fn extremes_do_no_harm() {
        let most = Decaying {
            thousandths: u64::MAX,
            at: Timestamp(9),
        };
        assert_eq!(
            most.count(0, Timestamp(0)),
            u32::MAX,
            "a clock that went back"
        );
        assert_eq!(
            most.plus(u32::MAX, 1, Timestamp(9)).count(1, Timestamp(9)),
            u32::MAX
        );
        assert_eq!(most.count(1, Timestamp(u64::MAX)), 0);
    }

    proptest! {
        /// Never more than there were, and never less than those of the last step.
        #[test]
        fn a_count_lies_between_what_was_lately_and_what_was_ever(
            gaps in prop::collection::vec(0..900_u64, 1..40),
        ) {
            let mut now = 10_000;
            let events: Vec<_> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let count = left(after(&events), now) as usize;
            prop_assert!(count <= events.len());
            if now - events[0] < HALF_LIFE {
                prop_assert_eq!(count, events.len());
            }
        }
    }
}
