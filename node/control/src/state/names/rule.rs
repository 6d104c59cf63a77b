//! Rules about names: which ones nobody may register.
//!
//! ```text
//! admin       the name, and all that looks like it: аdmin, adrnin
//! ~support    a whole word of the name: the-support, support.7, suрроrt_team
//! *-official  a pattern over the whole name: * is anything, ? one letter
//! ```

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::{prepare_local, skeleton};
use serde::{Deserialize, Serialize};

use super::NameForms;

/// What a rule withholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameKind {
    /// The name and what looks like it.
    Reserved,
    /// What looks like the name, and not the name itself: it belongs to somebody, or may.
    Protected,
}

impl NameKind {
    /// A word for metrics, logs and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Protected => "protected",
        }
    }
}

/// How a rule reads a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Whole,
    Word,
    Pattern,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRule {
    /// As it is written, prepared: no two rules have one text.
    pub text: String,
    /// What the text, without its signs, looks like.
    skeleton: String,
    /// What it withholds.
    pub kind: NameKind,
    /// Why, for operators; [`REASON_BYTES_MAX`](Self::REASON_BYTES_MAX) at most.
    pub reason: String,
    /// When it was made.
    pub since: Timestamp,
}

/// Why a text is no rule. The operator's mistake, worded for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRuleError {
    /// It has no letters, or more than a rule may.
    #[error(
        "`{0}` is no rule: write a name of 1 to {max} bytes, as in admin, ~support or *-official",
        max = NameRule::TEXT_BYTES_MAX
    )]
    Length(String),
    /// Something in it can be in no name.
    #[error("`{0}` is no rule: no name can have that in it")]
    Letters(String),
    /// A pattern with too many stars, which would cost too much to compare.
    #[error("`{0}` has more than {max} stars", max = NameRule::STARS_MAX)]
    Stars(String),
    /// A pattern is not a name that could look like another.
    #[error("`{0}` is a pattern: it can be reserved, but not protected")]
    Protected(String),
}

impl NameRule {
    /// Bytes of a rule's text.
    pub const TEXT_BYTES_MAX: usize = 64;

    /// Stars in a pattern: each may make a comparison longer by the length of the name.
    pub const STARS_MAX: usize = 4;

    /// Bytes of a reason; what is longer is refused by the operator's API and cut in the log.
    pub const REASON_BYTES_MAX: usize = 200;

    /// The rule that a text stands for.
    pub fn new(
        text: &str,
        kind: NameKind,
        reason: &str,
        since: Timestamp,
    ) -> Result<Self, NameRuleError> {
        let text = text.trim();
        let letters = text.strip_prefix(WORD).unwrap_or(text);
        if text.len() > Self::TEXT_BYTES_MAX || letters.trim_matches(['*', '?']).is_empty() {
            return Err(NameRuleError::Length(text.to_owned()));
        }
        if text.matches('*').count() > Self::STARS_MAX {
            return Err(NameRuleError::Stars(text.to_owned()));
        }
        let wrong = || NameRuleError::Letters(text.to_owned());
        let prepared = pieces(letters, |piece| {
            Some(prepare_local(piece).ok()?.into_owned())
        });
        let prepared = prepared.ok_or_else(wrong)?;
        let looks = pieces(&prepared, |piece| Some(skeleton(piece))).ok_or_else(wrong)?;
        let sign = &text[..text.len() - letters.len()];
        let rule = Self {
            text: format!("{sign}{prepared}"),
            skeleton: looks,
            kind,
            reason: reason.to_owned(),
            since,
        };
        match (rule.reading(), kind, sign) {
            (Reading::Pattern, NameKind::Protected, _) => Err(NameRuleError::Protected(rule.text)),
            (Reading::Pattern, _, "~") => Err(wrong()),
            _ => Ok(rule),
        }
    }

    pub(super) fn reading(&self) -> Reading {
        if self.text.contains(['*', '?']) {
            Reading::Pattern
        } else if self.text.starts_with(WORD) {
            Reading::Word
        } else {
            Reading::Whole
        }
    }

    /// What the text looks like without its sign.
    pub(super) fn skeleton(&self) -> &str {
        &self.skeleton
    }

    /// Whether it withholds a name.
    pub fn withholds(&self, forms: &NameForms) -> bool {
        let letters = self.text.strip_prefix(WORD).unwrap_or(&self.text);
        let counts = |name: &str| self.kind == NameKind::Reserved || name != letters;
        match self.reading() {
            Reading::Whole => forms.skeleton == self.skeleton && counts(&forms.name),
            Reading::Word => forms
                .words
                .iter()
                .any(|(word, looks)| *looks == self.skeleton && counts(word)),
            Reading::Pattern => {
                matches(&self.text, &forms.name) || matches(&self.skeleton, &forms.skeleton)
            }
        }
    }

    pub(super) fn cut_reason(&mut self) {
        while self.reason.len() > Self::REASON_BYTES_MAX {
            self.reason.pop();
        }
    }
}

/// Begins a rule about a word.
const WORD: char = '~';

/// A text whose pieces between stars and question marks are replaced; none if one cannot be.
fn pieces(text: &str, replace: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut replaced = String::with_capacity(text.len());
    for part in text.split_inclusive(['*', '?']) {
        let piece = part.trim_end_matches(['*', '?']);
        if !piece.is_empty() {
            replaced.push_str(&replace(piece)?);
        }
        replaced.push_str(&part[piece.len()..]);
    }
    Some(replaced)
}

/// Whether a pattern fits all of a text. Takes time in the order of the product of their lengths at worst.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // Where to go on if what is behind the last star does not fit: the star takes one letter more.
    let mut again: Option<(&str, &str)> = None;
    loop {
        let wanted = rest.chars().next();
        match (wanted, left.chars().next()) {
            (Some('*'), _) => {
                rest = &rest[1..];
                again = Some((rest, left));
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                rest = &rest[wanted.len_utf8()..];
                left = &left[found.len_utf8()..];
            }
            (None, None) => return true,
            _ => {
                let Some((behind, from)) = again else {
                    return false;
                };
                let Some(taken) = from.chars().next() else {
                    return false;
                };
                let from = &from[taken.len_utf8()..];
                again = Some((behind, from));
                (rest, left) = (behind, from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str, kind: NameKind) -> Result<NameRule, NameRuleError> {
        NameRule::new(text, kind, "", Timestamp(1))
    }

    fn withholds(text: &str, name: &str) -> bool {
        let forms = NameForms::of(name);
        rule(text, NameKind::Reserved).unwrap().withholds(&forms)
    }

    #[test]
    fn a_name_is_withheld_with_all_that_looks_like_it() {
        for name in ["admin", "аdmin", "adrnin", "аdmіn"] {
            assert!(withholds("Admin", name), "{name}");
        }
        for name in ["admins", "the-admin", "administrator", "nimda"] {
            assert!(!withholds("admin", name), "{name}");
        }
    }

    #[test]
    fn a_word_is_withheld_wherever_it_stands_as_a_whole() {
        for name in ["support", "the-support", "support.7", "x_suрроrt"] {
            assert!(withholds("~support", name), "{name}");
        }
        for name in ["supporter", "unsupported", "sup-port"] {
            assert!(!withholds("~support", name), "{name}");
        }
    }

    #[test]
    fn a_pattern_fits_the_whole_name_or_what_it_looks_like() {
        for (pattern, name, fits) in [
            ("*-official", "rookery-official", true),
            ("*-official", "rookery-offiсial", true),
            ("*-official", "official", false),
            ("*admin*", "my-admin-7", true),
            ("*admin*", "myаdrnin", true),
            ("*admin*", "myadmi", false),
            ("bot?", "bot7", true),
            ("bot?", "bot77", false),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxcxxb", false),
            ("?ücher", "bücher", true),
        ] {
            assert_eq!(withholds(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_protected_name_is_free_and_what_looks_like_it_is_not() {
        for (text, name, held) in [
            ("rookery", "rookery", false),
            ("rookery", "r0okery", true),
            ("~rookery", "rookery-fan", false),
            ("~rookery", "r0okery-fan", true),
        ] {
            let forms = NameForms::of(name);
            let rule = rule(text, NameKind::Protected).unwrap();
            assert_eq!(rule.withholds(&forms), held, "{text} {name}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_by_what_is_wrong_with_it() {
        for text in ["", "~", "*", "?*", &"x".repeat(65)] {
            let refused = rule(text, NameKind::Reserved);
            assert!(matches!(refused, Err(NameRuleError::Length(_))), "{text}");
        }
        for text in ["a@b", "a b", "~adm*", "\u{1}"] {
            let refused = rule(text, NameKind::Reserved);
            assert!(matches!(refused, Err(NameRuleError::Letters(_))), "{text}");
        }
        let stars = rule("a*b*c*d*e*f", NameKind::Reserved);
        assert!(matches!(stars, Err(NameRuleError::Stars(_))));
        let pattern = rule("a*", NameKind::Protected);
        assert!(matches!(pattern, Err(NameRuleError::Protected(_))));
    }

    #[test]
    fn a_long_name_of_one_letter_is_compared_in_no_time_that_grows_with_the_stars() {
        let name = "a".repeat(1_023);
        assert!(!withholds("*a*a*a*b", &name));
        assert!(withholds("*a*a*a*a", &name));
    }
}
