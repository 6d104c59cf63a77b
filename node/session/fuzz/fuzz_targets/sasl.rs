//! Any bytes as the messages of logins: the first chooses the mechanism, LF stands between two messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_session::testing::check_messages;

fuzz_target!(|data: &[u8]| {
    if let Err(error) = check_messages(data) {
        panic!("{error}");
    }
});
