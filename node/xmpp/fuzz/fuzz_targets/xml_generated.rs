//! Streams by the grammar of the tests, which the fuzzer steers: its bytes are the generator's randomness.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_xmpp::entropy::Entropy;
use rookery_xmpp::xml::testing::{Generator, Setup, check};

/// The fuzzer's bytes, then zeros.
struct Steered<'a>(&'a [u8]);

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

fuzz_target!(|data: &[u8]| {
    let mut entropy = Steered(data);
    let setups = Setup::all();
    let setup = &setups[entropy.below(setups.len() as u64) as usize];
    let bytes = Generator::new(&mut entropy).stream();
    if let Err(error) = check(&bytes, setup, |bound| entropy.below(bound as u64) as usize) {
        panic!("{error}");
    }
});
