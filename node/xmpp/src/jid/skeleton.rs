//! What a name looks like: the skeleton of UTS #39, by which names that readers take for one another are found.
//!
//! ```text
//! аdmin (Cyrillic а) ──NFKC, lower case──► аdmin ──confusables──► adrnin ──lower case──► adrnin
//! admin ───────────────────────────────────────────────────────────────────────────────► adrnin
//! ```
//!
//! Two names are confusable if their skeletons are equal. A skeleton is for comparing only: it is no name, and nobody
//! is shown it. The tables map some letters to capitals (`0` to `O`), and the digit `1` and capital `I` to `l`, so the
//! case is folded before and after.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton as confusables;

/// Which tables and which rule [`skeleton`] goes by: the Unicode version of the tables in tenths, and the number of the
/// rule below it. Skeletons of different versions must not be compared; who stores them stores this as well.
pub const SKELETON_VERSION: u32 = {
    let (major, minor, _) = unicode_security::UNICODE_VERSION;
    (major as u32 * 10 + minor as u32) * 100 + RULE
};

/// Raised with every change of how the tables are used.
const RULE: u32 = 1;

/// How many times as many bytes as its name a skeleton may have (a test tries every letter).
pub const SKELETON_GROWTH_MAX: usize = 7;

/// The skeleton of a prepared localpart, or of a part of one (UTS #39 section 4).
pub fn skeleton(local: &str) -> String {
    if local.bytes().all(is_plain) {
        return plain(local);
    }
    let folded: String = local.nfkc().flat_map(char::to_lowercase).collect();
    confusables(&folded).flat_map(char::to_lowercase).collect()
}

/// The words of a prepared localpart: what is between all that is neither letter, mark nor digit. So `the.admin-team`
/// has `the`, `admin` and `team`. The whole name is its only word if nothing parts it.
pub fn words(local: &str) -> impl Iterator<Item = &str> {
    let is_joint = |c: char| !c.is_alphanumeric() && !is_combining_mark(c);
    local.split(is_joint).filter(|word| !word.is_empty())
}

/// What nearly all names are made of: here the tables are known by heart.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || matches!(byte, b'0'..=b'9' | b'-' | b'.' | b'_')
}

/// The skeleton of a plain name, as [`confusables`] gives it.
fn plain(local: &str) -> String {
    let mut skeleton = String::with_capacity(local.len() + 8);
    for byte in local.bytes() {
        match byte {
            b'm' => skeleton.push_str("rn"),
            b'0' => skeleton.push('o'),
            b'1' => skeleton.push('l'),
            other => skeleton.push(char::from(other)),
        }
    }
    skeleton
}

#[cfg(test)]
mod tests {
    use super::super::prepare_local;
    use super::*;

    /// The definition, without the shortcut.
    fn by_tables(local: &str) -> String {
        let folded: String = local.nfkc().flat_map(char::to_lowercase).collect();
        confusables(&folded).flat_map(char::to_lowercase).collect()
    }

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        let alike = [
            ("admin", "аdmin"),
            ("admin", "adrnin"),
            ("paypal", "раураl"),
            ("microsoft", "rnicrosoft"),
            ("olga", "0lga"),
            ("paul", "pau1"),
            ("root", "r00t"),
            ("scope", "ѕсоре"),
            ("google", "goog1e"),
            ("admin", "ɑdmin"),
            ("ο", "o"),
            ("bücher", "bu\u{308}cher"),
            ("ｘmpp", "xmpp"),
        ];
        for (one, other) in alike {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
    }

    #[test]
    fn names_that_differ_to_the_eye_have_different_skeletons() {
        for (one, other) in [
            ("admin", "nimda"),
            ("olga", "igor"),
            ("bücher", "bucher"),
            ("a.b", "a-b"),
            ("я", "r"),
        ] {
            assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
        }
    }

    #[test]
    fn the_shortcut_for_plain_names_says_what_the_tables_say() {
        for byte in (0..=127_u8).filter(|byte| is_plain(*byte)) {
            for text in [
                format!("{}", byte as char),
                format!("a{0}m{0}1", byte as char),
            ] {
                assert_eq!(skeleton(&text), by_tables(&text), "{text}");
            }
        }
    }

    #[test]
    fn a_skeleton_of_a_skeleton_is_itself() {
        for name in [
            "admin",
            "аdmin",
            "раураl",
            "0l1",
            "ѕсоре",
            "bücher",
            "山田",
            "שלום",
        ] {
            assert_eq!(skeleton(&skeleton(name)), skeleton(name), "{name}");
        }
    }

    #[test]
    fn no_letter_of_a_name_vanishes_or_grows_without_bound() {
        let mut most = 1;
        // Behind these planes there are ideographs, which are like themselves only.
        let letters = ('\0'..='\u{33ff}').chain('\u{a000}'..='\u{abff}');
        for c in letters.chain('\u{e000}'..='\u{16fff}') {
            let name = c.to_string();
            let looks = skeleton(&name);
            let growth = looks.len().div_ceil(name.len());
            if growth == 1 || growth == most {
                continue;
            }
            if prepare_local(&name).is_ok_and(|prepared| *prepared == *name) {
                assert_ne!(growth, 0, "{c:?}");
                most = most.max(growth);
            }
        }
        assert!((2..=SKELETON_GROWTH_MAX).contains(&most), "{most}");
    }

    #[test]
    fn words_are_what_is_between_signs() {
        let all = |local| words(local).collect::<Vec<_>>();
        assert_eq!(all("the.admin-team"), ["the", "admin", "team"]);
        assert_eq!(all("а\u{301}dmin_7"), ["а\u{301}dmin", "7"]);
        assert_eq!(all("administrators"), ["administrators"]);
        assert_eq!(all("--"), [""; 0]);
    }
}
