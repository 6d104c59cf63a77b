//! No bytes make a tree panic; what is read is written back to the byte; a record points into the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_xmpp::element::Element;
use rookery_xmpp::stanza::{Children, parse_rec};

fuzz_target!(|bytes: &[u8]| {
    let rec = parse_rec(bytes);
    if let Some(rec) = &rec {
        let children: usize = Children::of(bytes, rec).map(|child| child.bytes.len()).sum();
        assert!(children <= bytes.len());
    }
    let Ok(element) = Element::parse(bytes) else { return };
    assert_eq!(element.to_bytes(), bytes);
    let rec = rec.expect("whatever is canonical has a record");
    assert_eq!(Children::of(bytes, &rec).count(), element.elements().count());
});
