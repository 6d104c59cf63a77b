//! The choices of a dialogue, out of one source: a seed's in a test, the fuzzer's bytes in a fuzz target.

use rookery_xmpp::entropy::Entropy;

/// Chooses what happens next.
pub(super) struct Choices<'a> {
    entropy: &'a mut dyn Entropy,
    /// How often somebody does what does not fit, in 100.
    chaos: u64,
}

impl<'a> Choices<'a> {
    /// Choices with a rate of the unusual of their own; 0 in some dialogues, which must end well.
    pub(super) fn new(entropy: &'a mut dyn Entropy) -> Self {
        let chaos = [5, 0, 2, 15, 40][entropy.below(5) as usize];
        Self { entropy, chaos }
    }

    /// Choices without anything unusual but what the caller makes so.
    pub(super) fn orderly(entropy: &'a mut dyn Entropy) -> Self {
        Self { entropy, chaos: 0 }
    }

    /// Whether everybody does what fits.
    pub(super) fn are_orderly(&self) -> bool {
        self.chaos == 0
    }

    /// Whether something unusual happens now.
    pub(super) fn odd(&mut self) -> bool {
        self.chaos > 0 && self.entropy.below(100) < self.chaos
    }

    /// One of two, equally often.
    pub(super) fn either(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A number below `bound`, which must not be 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.entropy.below(bound as u64) as usize
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, pool: &[T]) -> T {
        pool[self.below(pool.len())]
    }

    /// The source itself.
    pub(super) fn entropy(&mut self) -> &mut dyn Entropy {
        self.entropy
    }
}
