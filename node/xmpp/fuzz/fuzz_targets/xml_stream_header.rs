//! Any bytes as the start of a stream, before authentication.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_xmpp::xml::Content;
use rookery_xmpp::xml::testing::check_stream_header;

fuzz_target!(|data: &[u8]| {
    let [seed, bytes @ ..] = data else { return };
    let content = if seed % 2 == 0 {
        Content::Client
    } else {
        Content::Server
    };
    let mut place = usize::from(*seed);
    let cuts = |bound: usize| {
        place = place.wrapping_mul(31).wrapping_add(7);
        place % bound
    };
    if let Err(error) = check_stream_header(bytes, content, cuts) {
        panic!("{error}");
    }
});
