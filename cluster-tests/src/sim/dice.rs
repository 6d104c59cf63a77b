//! Everything that is left to chance, from the seed.

use rookery_xmpp::entropy::{Entropy, Seeded};

/// Draws from one seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Seeded);

impl Dice {
    /// The dice of a seed, for one purpose: what one purpose draws changes nothing for another.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(Seeded::new(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93),
        ))
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound.max(1))
    }

    /// A number from `low` up to and without `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low))
    }

    /// True in so many of a thousand cases.
    pub(crate) fn permille(&mut self, cases: u64) -> bool {
        self.below(1_000) < cases
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize]
    }
}
