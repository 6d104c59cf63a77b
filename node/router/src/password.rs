//! How good a password is: pure rules, the same for strangers, for who changes the own one, and for operators.
//!
//! ```text
//! password ─► length ─► one of the most common? ─► guesses, as an attacker makes them ─► flaw, or none
//!             at once    └──────── zxcvbn: milliseconds of a core, off the shard ────┘
//! ```
//!
//! The measure is the number of guesses that zxcvbn expects of an attacker who knows how people choose passwords:
//! common ones first (it brings a list of 30,000), then words, names, dates, rows of keys, repetitions and sequences,
//! what is known of the account itself, and all of these put together; the rest is tried letter by letter.

use rookery_xmpp::jid::Jid;
use zxcvbn::feedback::Warning;
use zxcvbn::zxcvbn;

use crate::PASSWORD_BYTES_MAX;

rookery_xmpp::options! {
    /// Which passwords accounts may have. They hold for who registers, for who changes the own password and, unless it
    /// is forced, for operators. Passwords from before stay.
    pub struct PasswordOptions {
        /// Shortest password. What is shorter is found by trying everything, however odd it looks.
        pub length_min: u32 = 8, "characters";
        /// Whether the 30,000 most common passwords are refused, those that leaked lists are full of: whoever tries
        /// to break into many accounts tries them first.
        pub common_refused: bool = true, "";
        /// How many guesses a password must withstand, as a power of ten: 6 asks for 1,000,000 guesses of somebody
        /// who knows how people choose passwords, which the limits on failed logins stretch to years. 8 withstands a
        /// stolen database of keys for a while. 0 asks for none.
        pub strength_min: u32 = 6, "powers of ten";
        /// From which age of a session on its client must give the password to set a new one, or to remove the
        /// account (XEP-0077 3.2, 3.3), so that an unlocked device or a stolen session is not enough to take an
        /// account over. 0 asks always. Many clients cannot do it: they go on working where people log in anew
        /// before they do either.
        pub old_asked_after_s: u32 = 600, "s";
    }
}

/// What is wrong with a password, worded for whoever chose it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PasswordFlaw {
    /// It has too few characters.
    #[error(
        "the password is too short: it has {has} characters, and at least {least} are asked for"
    )]
    Short {
        /// Its characters.
        has: usize,
        /// The fewest that are let through.
        least: usize,
    },
    /// It has more bytes than a login could carry.
    #[error("the password is too long: it has {has} bytes, and may have {PASSWORD_BYTES_MAX}")]
    Long {
        /// Its bytes.
        has: usize,
    },
    /// It is on the list.
    #[error("the password is too weak: it is one of the most common ones")]
    Common,
    /// It would be found too soon.
    #[error(
        "the password is too weak: about {} guesses find it, and at least {} are asked for.{}",
        number(*.guesses),
        number(10_u64.saturating_pow(*.least)),
        hint(.advice)
    )]
    Weak {
        /// The guesses that find it.
        guesses: u64,
        /// The power of ten that is asked for.
        least: u32,
        /// What would make it better; may be empty.
        advice: String,
    },
}

impl PasswordOptions {
    /// Whether there is more to look at than the length.
    pub fn is_judged(&self) -> bool {
        self.common_refused || self.strength_min > 0
    }

    /// What is wrong with the length, if it is; costs nothing.
    pub fn check_length(&self, password: &str) -> Result<(), PasswordFlaw> {
        if password.len() > PASSWORD_BYTES_MAX {
            let has = password.len();
            return Err(PasswordFlaw::Long { has });
        }
        let (has, least) = (password.chars().count(), self.length_min as usize);
        match has < least {
            true => Err(PasswordFlaw::Short { has, least }),
            false => Ok(()),
        }
    }

    /// What is wrong with a password of this account. Costs up to some milliseconds, however long and odd the password
    /// is: only the first 40 characters are looked at.
    ///
    /// # Errors
    /// The first flaw in the order of [`PasswordFlaw`].
    pub fn check(&self, password: &str, account: &Jid) -> Result<(), PasswordFlaw> {
        self.check_length(password)?;
        if !self.is_judged() {
            return Ok(());
        }
        let known: Vec<&str> = known(account).collect();
        let judged = zxcvbn(&bounded(password), &known);
        let feedback = judged.feedback();
        let warning = feedback.and_then(|feedback| feedback.warning());
        if self.common_refused && warning.is_some_and(is_common) {
            return Err(PasswordFlaw::Common);
        }
        let least = self.strength_min;
        if judged.guesses() >= 10_u64.saturating_pow(least) {
            return Ok(());
        }
        Err(PasswordFlaw::Weak {
            guesses: judged.guesses(),
            least,
            advice: feedback.map(ToString::to_string).unwrap_or_default(),
        })
    }
}

/// What an attacker knows of an account: its name and its host, as a whole and in their parts.
fn known(account: &Jid) -> impl Iterator<Item = &str> {
    let (local, domain) = (account.local().unwrap_or_default(), account.domain());
    let words = local.split(['.', '-', '_']).chain(domain.split(['.', '-']));
    let words = words.filter(|word| word.len() >= 3);
    [account.as_str(), local, domain].into_iter().chain(words)
}

/// What is looked at: so much, and in so plain a form, that it is judged in milliseconds. Whoever may try passwords
/// could keep a core busy for seconds otherwise, for letters that are written as symbols (`p@$$word`) are tried in all
/// combinations of all symbols that are there, wherever they stand. In a long password only the first two kinds count
/// as letters: the others stay what they are, symbols.
fn bounded(password: &str) -> String {
    let looked_at: String = password.chars().take(LOOKED_AT).collect();
    if looked_at.chars().nth(SHORT).is_none() {
        return looked_at;
    }
    let mut kinds: Vec<char> = Vec::new();
    let plain = |c: char| match SYMBOLS.contains(c) && !kinds.contains(&c) {
        true if kinds.len() == 2 => '~',
        true => {
            kinds.push(c);
            c
        }
        false => c,
    };
    looked_at.chars().map(plain).collect()
}

/// Characters that are looked at. A password that long withstands everything, unless it repeats itself.
const LOOKED_AT: usize = 40;

/// Characters up to which all combinations are tried.
const SHORT: usize = 12;

/// Symbols that zxcvbn takes for letters; digits besides are left as they are, for they are dates and sequences as
/// well.
const SYMBOLS: &str = "@({[<!|$+%";

fn is_common(warning: Warning) -> bool {
    matches!(
        warning,
        Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword
    )
}

/// With commas between the thousands, and no more digits than the estimate is worth.
fn number(value: u64) -> String {
    let scale = 10_u64.pow(value.checked_ilog10().unwrap_or(0).saturating_sub(1));
    let digits = (value / scale * scale).to_string();
    let mut written = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

fn hint(advice: &str) -> String {
    match advice.trim() {
        "" => String::new(),
        advice => format!(" {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rookery_xmpp::options::Section;

    use super::*;

    fn judged(password: &str) -> Result<(), PasswordFlaw> {
        let account = Jid::parse("juliet.capulet@verona.example").unwrap();
        PasswordOptions::default().check(password, &account)
    }

    fn is_weak(password: &str) -> bool {
        matches!(judged(password), Err(PasswordFlaw::Weak { .. }))
    }

    #[test]
    fn a_password_is_as_long_as_asked_for_in_characters_not_in_bytes() {
        let short = PasswordFlaw::Short { has: 7, least: 8 };
        assert_eq!(judged("åßðfghj"), Err(short));
        assert_eq!(judged("q7$Kfe0v"), Ok(()));
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        let flaw = PasswordFlaw::Long { has: long.len() };
        assert_eq!(judged(&long), Err(flaw));
    }

    #[test]
    fn common_passwords_are_refused_whatever_their_case() {
        for password in ["password", "12345678", "iloveyou", "Password", "sunshine"] {
            assert_eq!(judged(password), Err(PasswordFlaw::Common), "{password}");
        }
    }

    #[test]
    fn repetitions_sequences_and_rows_of_keys_count_for_little() {
        for password in ["aaaaaaaaaaaa", "abcdefghijkl", "abcabcabcabc", "24/12/1990"] {
            assert!(is_weak(password), "{password}: {:?}", judged(password));
        }
    }

    #[test]
    fn the_name_and_the_host_of_the_account_count_for_nothing() {
        for password in [
            "juliet.capulet",
            "capulet1",
            "verona.example",
            "Verona99",
            "juliet12",
        ] {
            assert!(judged(password).is_err(), "{password}");
        }
        // The same is good enough where it says nothing of the account.
        let other = Jid::parse("nurse@mantua.example").unwrap();
        let judged = PasswordOptions::default().check("juliet.capulet", &other);
        assert_eq!(judged, Ok(()));
    }

    #[test]
    fn phrases_and_random_passwords_are_let_through() {
        for password in [
            "correct horse",
            "something long",
            "a-rose-by-any-name",
            "kX9#wq2L",
        ] {
            assert_eq!(judged(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn a_flaw_says_what_is_wrong_and_what_would_help() {
        let text = judged("capulet1").unwrap_err().to_string();
        assert!(text.contains("guesses find it"), "{text}");
        assert!(text.contains("at least 1,000,000 are asked for"), "{text}");
        assert!(text.contains("Add another word"), "{text}");
        assert!(
            !text.contains("capulet"),
            "a password is not repeated: {text}"
        );
        assert_eq!(
            [0, 9, 123, 1_234, 98_765].map(number),
            ["0", "9", "120", "1,200", "98,000"]
        );
    }

    #[test]
    fn what_is_switched_off_is_not_asked_for() {
        let account = Jid::parse("juliet@localhost").unwrap();
        let options = PasswordOptions {
            length_min: 1,
            common_refused: false,
            strength_min: 0,
            ..PasswordOptions::default()
        };
        assert!(!options.is_judged());
        assert_eq!(options.check("a", &account), Ok(()));
        let strong = PasswordOptions {
            strength_min: 4,
            ..options
        };
        assert!(strong.check("password", &account).is_err());
        assert_eq!(strong.check("kX9#wq2L", &account), Ok(()));
    }

    #[test]
    fn what_is_looked_at_is_short_and_has_few_symbols_that_could_be_letters() {
        assert_eq!(
            bounded("p@$$w0rd!(|+"),
            "p@$$w0rd!(|+",
            "a short one as it is"
        );
        let odd = "4@8({[<369&#!1/|0$5+7%2".repeat(200);
        let seen = bounded(&odd);
        assert_eq!(seen.chars().count(), LOOKED_AT);
        let kinds = SYMBOLS.chars().filter(|&symbol| seen.contains(symbol));
        assert_eq!(kinds.collect::<String>(), "@(");
        assert!(seen.starts_with("4@8(~~~369&#~1/~0~5~7~2"), "{seen}");
        assert!(
            judged(&"p4$$w0rd".repeat(8)).is_err(),
            "repeated, and found"
        );
    }

    #[test]
    fn every_option_has_a_reason() {
        let reasons = PasswordOptions::OPTIONS.iter();
        reasons.for_each(|info| assert!(info.reason.len() > 40, "{}", info.name));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_password_is_too_odd_to_be_judged(password in "\\PC{0,40}", name in "[a-z.]{1,20}") {
            let account = Jid::from_parts(Some(&name), "localhost", None);
            if let Ok(account) = account {
                let _ = PasswordOptions::default().check(&password, &account);
            }
        }
    }
}
