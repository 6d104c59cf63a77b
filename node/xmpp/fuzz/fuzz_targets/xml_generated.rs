//! Streams by the grammar of the tests, which the fuzzer steers: its bytes are the generator's randomness.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_xmpp::entropy::{Entropy, Steered};
use rookery_xmpp::xml::testing::{Generator, Setup, check};

fuzz_target!(|data: &[u8]| {
    let mut entropy = Steered::new(data);
    let setups = Setup::all();
    let setup = &setups[entropy.below(setups.len() as u64) as usize];
    let bytes = Generator::new(&mut entropy).stream();
    if let Err(error) = check(&bytes, setup, |bound| entropy.below(bound as u64) as usize) {
        panic!("{error}");
    }
});
