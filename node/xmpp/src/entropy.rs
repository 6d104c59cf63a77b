//! Randomness as an argument: machines draw from an [`Entropy`] that their mover gives them, so that a simulation can
//! repeat a run from its seed.

/// A source of unpredictable bytes. Production code passes the operating system's.
pub trait Entropy {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A token of 128 bits in 26 lower-case base-32 characters: for stream ids, resources and the like, where a guess
    /// must be hopeless (CWE-330).
    fn token(&mut self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut raw = [0; 16];
        self.fill(&mut raw);
        let mut number = u128::from_le_bytes(raw);
        let mut token = String::with_capacity(26);
        for _ in 0..26 {
            token.push(char::from(ALPHABET[(number & 31) as usize]));
            number >>= 5;
        }
        token
    }

    /// A number below `bound`, which must not be zero. The bias is below 2⁻³² for bounds below 2³².
    fn below(&mut self, bound: u64) -> u64 {
        let mut raw = [0; 8];
        self.fill(&mut raw);
        u64::from_le_bytes(raw) % bound
    }
}

/// The operating system's randomness, for movers only.
#[derive(Clone, Copy, Debug)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has randomness");
    }
}

/// A repeatable source for tests and simulations (SplitMix64). Never for production: its future follows from its past.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// A source that gives the same bytes for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// A fuzzer's bytes as choices, then zeros: it steers a generator instead of being one's seed.
#[cfg(feature = "testing")]
#[derive(Clone, Debug)]
pub struct Steered<'a>(&'a [u8]);

#[cfg(feature = "testing")]
impl<'a> Steered<'a> {
    /// A source that gives these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

#[cfg(feature = "testing")]
impl Entropy for Steered<'_> {
    fn fill(&mut self, bytes: &mut [u8]) {
        let len = self.0.len().min(bytes.len());
        bytes[..len].copy_from_slice(&self.0[..len]);
        bytes[len..].fill(0);
        self.0 = &self.0[len..];
    }

    // One byte decides most choices, so that one changed byte changes one choice.
    fn below(&mut self, bound: u64) -> u64 {
        let mut raw = [0; 8];
        let needed = if bound <= 256 { 1 } else { 3 };
        self.fill(&mut raw[..needed]);
        u64::from_le_bytes(raw) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_tokens_and_another_does_not() {
        assert_eq!(Seeded::new(7).token(), Seeded::new(7).token());
        assert_ne!(Seeded::new(7).token(), Seeded::new(8).token());
        assert_eq!(Seeded::new(7).token().len(), 26);
    }
}
