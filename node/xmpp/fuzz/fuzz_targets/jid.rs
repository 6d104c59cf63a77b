//! No text makes addresses panic; what is prepared stays as it is; the parts join to the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_xmpp::jid::{Jid, is_prepared};

fuzz_target!(|text: &str| {
    let Ok(jid) = Jid::parse(text) else {
        assert!(!is_prepared(text));
        return;
    };
    assert_eq!(is_prepared(text), jid.as_str() == text);
    assert!(is_prepared(jid.as_str()));
    assert_eq!(Jid::parse(jid.as_str()).as_ref(), Ok(&jid));
    assert_eq!(Jid::from_parts(jid.local(), jid.domain(), jid.resource()).as_ref(), Ok(&jid));
});
