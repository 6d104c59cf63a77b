//! The Bidi Rule (RFC 5893 2), which keeps identifiers with right-to-left characters readable.

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass as B;

/// Whether the rule holds; a text without right-to-left characters it leaves alone (RFC 8265
/// 3.3.3).
pub(super) fn holds(text: &str) -> bool {
    if text.is_ascii() {
        return true;
    }
    let class = |c| CodePointMapData::<B>::new().get(c);
    let classes = || text.chars().map(class);
    if !classes().any(|class| matches!(class, B::RightToLeft | B::ArabicLetter | B::ArabicNumber)) {
        return true;
    }
    let last = classes().rev().find(|class| *class != B::NonspacingMark);
    match (classes().next(), last) {
        (Some(B::RightToLeft | B::ArabicLetter), Some(last)) => {
            let mixed = classes().any(|c| c == B::EuropeanNumber)
                && classes().any(|c| c == B::ArabicNumber);
            !mixed && is_rtl_end(last) && classes().all(is_in_rtl)
        }
        // An LTR label must not hold right-to-left characters at all (condition 5), and there are
        // some.
        _ => false,
    }
}

/// Condition 3.
fn is_rtl_end(class: B) -> bool {
    matches!(
        class,
        B::RightToLeft | B::ArabicLetter | B::EuropeanNumber | B::ArabicNumber
    )
}

/// Condition 2.
fn is_in_rtl(class: B) -> bool {
    is_rtl_end(class)
        || matches!(
            class,
            B::EuropeanSeparator
                | B::CommonSeparator
                | B::EuropeanTerminator
                | B::OtherNeutral
                | B::BoundaryNeutral
                | B::NonspacingMark
        )
}
