//! The section `[names]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::options;
use serde::{Deserialize, Serialize};

use crate::state::{NameKind, NameRule, NameRuleError};

options! {
    /// Which names nobody may register, by XMPP or, unless it is forced, by the operator. Operators add to these rules
    /// and take from them while the server runs (`rookery admin names`). In a cluster the routers' files count, and the
    /// router that was configured last has its way: keep them equal.
    pub struct NameOptions {
        /// Whether names are reserved that people take for the server's own: abuse, admin, administrator, hostmaster,
        /// info, news, noc, operator, owner, postmaster, register, registration, root, security, service, signup,
        /// support, sysadmin, sysop, system, test, trouble, webmaster, www and xmpp. Whoever has one could speak in
        /// the operator's name, or get mail that is meant for the operator.
        pub well_known: bool = true, "";
        /// More reserved names, with all that looks like them. `admin` is the name, `~admin` any name with that word in
        /// it (my-admin, admin.7), and a text with `*` (anything) or `?` (one letter) is a pattern for the whole name.
        pub reserved: Vec<String> = Vec::new(), "";
        /// Names of which only the look-alikes are refused, for accounts that many know: `rookery` lets rookery
        /// register and not r0okery. `~rookery` does so for a word. They are refused also where `confusable` is off.
        pub protected: Vec<String> = Vec::new(), "";
        /// Whether a name is refused that looks like the name of another account of the host (UTS #39), so that nobody
        /// can pass for a neighbour: 0lga beside olga, or letters of another script.
        pub confusable: bool = true, "";
        /// How long the name of a deleted account is withheld, so that nobody gets what is still sent to its former
        /// owner: `none`, a number of days such as `30d`, or `forever`. Holds for accounts that are deleted from now
        /// on.
        pub tombstones: TombstoneSetting = TombstoneSetting::None, "";
        /// Whether who writes to such a name is told that it is gone (RFC 6120 8.3.3.5). It says that there was an
        /// account; without it senders hear what they hear of every name that does not exist.
        pub gone_told: bool = true, "";
    }
}

impl NameOptions {
    /// The rules that these options ask for.
    pub fn rules(&self, now: Timestamp) -> Result<Vec<NameRule>, NameRuleError> {
        let well_known = WELL_KNOWN.iter().copied().filter(|_| self.well_known);
        let well_known = well_known.map(|text| (text, NameKind::Reserved, "well known"));
        let reserved = self.reserved.iter();
        let reserved = reserved.map(|text| (text.as_str(), NameKind::Reserved, "configured"));
        let protected = self.protected.iter();
        let protected = protected.map(|text| (text.as_str(), NameKind::Protected, "configured"));
        let all = well_known.chain(reserved).chain(protected);
        all.map(|(text, kind, reason)| NameRule::new(text, kind, reason, now))
            .collect()
    }
}

/// How long the name of a deleted account is withheld, in the words of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TombstoneSetting {
    /// Not at all.
    #[default]
    None,
    /// So many days.
    Days(u32),
    /// Until an operator restores it.
    Forever,
}

impl TombstoneSetting {
    /// The longest time that is not for ever: a hundred years.
    pub const DAYS_MAX: u32 = 36_500;

    /// From when on the name of an account that is deleted now is free: none for never. None at all without a
    /// tombstone.
    pub fn until(self, now: Timestamp) -> Option<Option<Timestamp>> {
        match self {
            Self::None => None,
            Self::Days(days) => {
                let span = Duration::from_secs(u64::from(days) * 86_400);
                Some(Some(now.plus(span)))
            }
            Self::Forever => Some(None),
        }
    }
}

/// What a text is that is no such time. The operator's mistake, worded for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no time for a tombstone: write \"none\", days such as \"30d\" (at most {max}d), or \"forever\"",
    max = TombstoneSetting::DAYS_MAX
)]
pub struct TombstoneSettingError(String);

impl FromStr for TombstoneSetting {
    type Err = TombstoneSettingError;

    fn from_str(text: &str) -> Result<Self, TombstoneSettingError> {
        let days = || text.trim().strip_suffix('d')?.parse().ok();
        match text.trim() {
            "none" => Ok(Self::None),
            "forever" => Ok(Self::Forever),
            _ => match days() {
                Some(days @ 1..=Self::DAYS_MAX) => Ok(Self::Days(days)),
                _ => Err(TombstoneSettingError(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for TombstoneSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Days(days) => write!(f, "{days}d"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

impl TryFrom<String> for TombstoneSetting {
    type Error = TombstoneSettingError;

    fn try_from(text: String) -> Result<Self, TombstoneSettingError> {
        text.parse()
    }
}

impl From<TombstoneSetting> for String {
    fn from(setting: TombstoneSetting) -> Self {
        setting.to_string()
    }
}

/// What the servers that most people know withhold by default.
const WELL_KNOWN: [&str; 25] = [
    "abuse",
    "admin",
    "administrator",
    "hostmaster",
    "info",
    "news",
    "noc",
    "operator",
    "owner",
    "postmaster",
    "register",
    "registration",
    "root",
    "security",
    "service",
    "signup",
    "support",
    "sysadmin",
    "sysop",
    "system",
    "test",
    "trouble",
    "webmaster",
    "www",
    "xmpp",
];

#[cfg(test)]
mod tests {
    use rookery_xmpp::options::Section;

    use super::*;

    #[test]
    fn the_options_say_which_names_are_well_known() {
        let told = NameOptions::OPTIONS
            .iter()
            .find(|it| it.name == "well_known");
        let told = told.unwrap().reason;
        for name in WELL_KNOWN {
            let words = || told.split(|c: char| !c.is_alphanumeric());
            assert!(words().any(|word| word == name), "{name}");
        }
        assert!(WELL_KNOWN.is_sorted());
        for info in NameOptions::OPTIONS {
            assert!(info.reason.len() > 40, "{}", info.name);
        }
    }

    #[test]
    fn options_become_rules_or_say_which_text_is_none() {
        let mut options = NameOptions::default();
        assert_eq!(options.rules(Timestamp(1)).unwrap().len(), WELL_KNOWN.len());
        options.well_known = false;
        options.reserved = ["Boss", "~team", "*-bot"].map(str::to_owned).into();
        options.protected = vec!["rookery".to_owned()];
        let rules = options.rules(Timestamp(1)).unwrap();
        let texts: Vec<_> = rules.iter().map(|rule| rule.text.as_str()).collect();
        assert_eq!(texts, ["boss", "~team", "*-bot", "rookery"]);
        options.protected = vec!["*".to_owned()];
        assert!(
            options
                .rules(Timestamp(1))
                .unwrap_err()
                .to_string()
                .contains("`*`")
        );
    }

    #[test]
    fn a_tombstone_reads_as_it_is_written() {
        let day_ms = 86_400_000;
        for (text, until) in [
            ("none", None),
            ("30d", Some(Some(Timestamp(30 * day_ms + 5)))),
            ("forever", Some(None)),
        ] {
            let setting: TombstoneSetting = text.parse().unwrap();
            assert_eq!(setting.to_string(), text);
            assert_eq!(setting.until(Timestamp(5)), until);
        }
        for text in ["", "0d", "d", "36501d", "ever", "1h"] {
            assert!(text.parse::<TombstoneSetting>().is_err(), "{text}");
        }
    }
}
