//! Any bytes as elements of a stream: the first byte chooses the stream, the second where chunks end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_xmpp::xml::testing::{Setup, check};

fuzz_target!(|data: &[u8]| {
    let [setup, seed, bytes @ ..] = data else {
        return;
    };
    let setups = Setup::all();
    let setup = &setups[usize::from(*setup) % setups.len()];
    let mut state = usize::from(*seed);
    let cuts = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    if let Err(error) = check(bytes, setup, cuts) {
        panic!("{error}");
    }
});
