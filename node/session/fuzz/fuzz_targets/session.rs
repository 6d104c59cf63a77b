//! Whole connections of the tests, which the fuzzer steers: its bytes are all choices of everybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_session::testing::check_dialogue;
use rookery_xmpp::entropy::Steered;

fuzz_target!(|data: &[u8]| {
    if let Err(error) = check_dialogue(&mut Steered::new(data)) {
        panic!("{error}");
    }
});
