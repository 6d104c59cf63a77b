//! Addresses against two independent implementations, over every character and over odd texts.
//!
//! `precis-profiles` implements RFC 8265 with the tables of Unicode 6.3; `jid` implements RFC 6122,
//! the predecessor of RFC 7622, with those of Unicode 3.2. So they know fewer characters; what
//! differs otherwise is written down here.

use jid::Jid as OldJid;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::precis_core::{CodepointInfo, DerivedPropertyValue, Error};
use precis_profiles::{OpaqueString, UsernameCaseMapped};
use proptest::prelude::*;
use rookery_xmpp::jid::{Jid, prepare_local, prepare_resource};

/// What an oracle of Unicode 6.3 cannot know: a character that was not assigned then.
fn is_newer(error: &Error) -> bool {
    matches!(
        error,
        Error::BadCodepoint(CodepointInfo {
            property: DerivedPropertyValue::Unassigned,
            ..
        })
    )
}

const EXCLUDED: &[char] = &['"', '&', '\'', '/', ':', '<', '>', '@', ' '];

/// Compares one text with the oracle's answer; `None` when they agree.
fn difference(ours: Option<String>, theirs: Result<String, Error>) -> Option<String> {
    match (ours, theirs) {
        (Some(ours), Ok(theirs)) if ours == theirs => None,
        (None, Err(_)) => None,
        (Some(_), Err(error)) if is_newer(&error) => None,
        (ours, theirs) => Some(format!("ours {ours:?}, theirs {theirs:?}")),
    }
}

/// The oracle judges before NFC, and so takes texts that it refuses the second time: it is asked twice.
fn twice(enforce: impl Fn(&str) -> Result<String, Error>, text: &str) -> Result<String, Error> {
    enforce(&enforce(text)?)
}

fn local_difference(text: &str) -> Option<String> {
    let enforce = |text: &str| UsernameCaseMapped::enforce(text).map(|text| text.into_owned());
    let theirs = twice(enforce, text);
    if theirs.as_ref().is_ok_and(|text| text.contains(EXCLUDED)) {
        return prepare_local(text)
            .ok()
            .map(|ours| format!("{ours} has an excluded character"));
    }
    difference(
        prepare_local(text).ok().map(|text| text.into_owned()),
        theirs,
    )
}

fn resource_difference(text: &str) -> Option<String> {
    let enforce = |text: &str| OpaqueString::enforce(text).map(|text| text.into_owned());
    let theirs = twice(enforce, text);
    difference(
        prepare_resource(text).ok().map(|text| text.into_owned()),
        theirs,
    )
}

#[test]
fn every_character_is_judged_as_by_precis_profiles() {
    let mut differences = Vec::new();
    for c in (0..=0x10_ffff).filter_map(char::from_u32) {
        let text = c.to_string();
        if let Some(difference) = local_difference(&text) {
            differences.push(format!("local U+{:04X}: {difference}", u32::from(c)));
        }
        if let Some(difference) = resource_difference(&text) {
            differences.push(format!("resource U+{:04X}: {difference}", u32::from(c)));
        }
    }
    assert!(
        differences.is_empty(),
        "{}:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn what_case_mapping_moves_away_from_its_context_is_refused() {
    // The dot of İ comes between virama and joiner only when both are in order.
    assert!(prepare_local("İ\u{94d}\u{200c}").is_err());
    assert_eq!(local_difference("İ\u{94d}\u{200c}"), None);
}

#[test]
fn a_joiner_that_only_normalization_moves_into_its_context_is_refused() {
    // The mark comes ahead of the virama when both are in order.
    assert!(prepare_local("\u{94d}\u{ff9e}\u{200c}").is_err());
    assert_eq!(local_difference("\u{94d}\u{ff9e}\u{200c}"), None);
    assert!(prepare_local("क\u{94d}\u{200c}").is_ok());
    assert!(prepare_resource("a\u{94d}\u{301}\u{200c}").is_err());
    assert_eq!(resource_difference("a\u{94d}\u{301}\u{200c}"), None);
    assert!(prepare_resource("क\u{94d}\u{200c}").is_ok());
}

/// The oracle takes the Bidi Rule's third condition ("followed by zero or more NSM") to forbid
/// marks inside a label, and so refuses vocalised Hebrew and Arabic, which RFC 5893 2 allows.
fn has_inner_mark_in_rtl(text: &str) -> bool {
    let mark = |c| matches!(c, '\u{301}' | '\u{327}' | '\u{345}' | '\u{94d}' | 'ﾞ');
    text.contains(['ש', 'م', 'ب', '٠', '٩', '\u{5f3}']) && text.contains(mark)
}

/// Characters of which every rule of the profiles meets some. Without `Σ`: the oracle maps
/// character by character, where Unicode's toLowerCase gives `ς` at the end of a word.
fn odd_text() -> impl Strategy<Value = String> {
    let odd = "aZl09-._@/ \u{301}\u{327}\u{345}\u{200c}\u{200d}\u{b7}\u{375}\
               α\u{5f3}ש\u{30fb}カ漢٠٩۰۹مب्कςσßẞİıﬁＡｱﾞ\u{a0}\u{3000}Åﾡ가ㄱǅ\u{640}";
    let odd: Vec<char> = odd.chars().collect();
    prop::collection::vec(prop::sample::select(odd), 1..7).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn odd_texts_are_judged_as_by_precis_profiles(text in odd_text()) {
        if !has_inner_mark_in_rtl(&text) {
            prop_assert_eq!(local_difference(&text), None);
        }
        prop_assert_eq!(resource_difference(&text), None);
    }

    /// On well-formed ASCII both RFCs agree.
    #[test]
    fn plain_addresses_are_those_of_the_jid_crate(
        text in
            "([!#-%*-.0-9;=?A-Z\\[\\]^_`a-z{|}~]{1,9}@)?[a-zA-Z0-9]{1,5}(\\.[a-zA-Z][a-zA-Z0-9]{0,5}){0,3}(/[ -~]{1,9})?"
    ) {
        let ours = Jid::parse(&text).map(|jid| jid.to_string()).map_err(|error| error.to_string());
        let theirs = OldJid::new(&text).map(|jid| jid.to_string()).map_err(|error| error.to_string());
        prop_assert_eq!(ours.clone().ok(), theirs.clone().ok(), "ours {:?}, theirs {:?}", ours, theirs);
    }
}
