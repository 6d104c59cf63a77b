//! Characters that are allowed in some places only (RFC 5892 appendix A).

use icu_properties::CodePointMapData;
use icu_properties::props::{JoiningType, Script};
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::UnicodeEmoji;

/// Whether the rule of `c`, which stands at `at`, holds.
pub(super) fn allows(text: &str, at: usize, c: char) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + c.len_utf8()..].chars().next();
    match c {
        '\u{200d}' => before.is_some_and(is_virama),
        '\u{200c}' => before.is_some_and(is_virama) || joins(text, at, c),
        '\u{b7}' => before == Some('l') && after == Some('l'),
        '\u{375}' => after.is_some_and(|c| script(c) == Script::Greek),
        '\u{5f3}' | '\u{5f4}' => before.is_some_and(|c| script(c) == Script::Hebrew),
        '\u{30fb}' => text
            .chars()
            .any(|c| matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han)),
        '\u{660}'..='\u{669}' => !text.contains(|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
        '\u{6f0}'..='\u{6f9}' => !text.contains(|c| matches!(c, '\u{660}'..='\u{669}')),
        _ => false,
    }
}

/// Whether `c` is a character that nobody sees, CONTEXTJ of RFC 5892.
pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether `c` is a joiner or a variation selector inside an emoji sequence (UTS 51 1.4.4).
pub(super) fn in_emoji(text: &str, at: usize, c: char) -> bool {
    let mut before = text[..at].chars().rev();
    let last = before.next();
    match c {
        '\u{fe0e}' | '\u{fe0f}' => last.is_some_and(is_emoji),
        '\u{200d}' => {
            let emoji = if last == Some('\u{fe0f}') {
                before.next()
            } else {
                last
            };
            let after = text[at + c.len_utf8()..].chars().next();
            emoji.is_some_and(is_emoji) && after.is_some_and(is_emoji)
        }
        _ => false,
    }
}

/// A.1: a cursive script joins over the character, `(L|D) T* ZWNJ T* (R|D)`.
fn joins(text: &str, at: usize, c: char) -> bool {
    let joining = |c| CodePointMapData::<JoiningType>::new().get(c);
    let visible = |c: &char| joining(*c) != JoiningType::Transparent;
    let before = text[..at].chars().rev().find(visible).map(joining);
    let after = text[at + c.len_utf8()..].chars().find(visible).map(joining);
    matches!(
        before,
        Some(JoiningType::LeftJoining | JoiningType::DualJoining)
    ) && matches!(
        after,
        Some(JoiningType::RightJoining | JoiningType::DualJoining)
    )
}

fn is_virama(c: char) -> bool {
    canonical_combining_class(c) == 9
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

/// Digits, `#` and `*` are emoji to Unicode, but not to a reader.
fn is_emoji(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char()
}
