//! The readable form of a throttle window: `3/1h` is at most three within any hour.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// At most [`limit`](Self::limit) events in any stretch of [`per_ms`](Self::per_ms) milliseconds.
///
/// Written `LIMIT/LENGTH` with a length of whole seconds, minutes, hours or days: `3/1h`, `10/90s`, `1/7d`. The number
/// of the length may be left out when it is one: `3/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    limit: u32,
    per_ms: u64,
}

impl Window {
    /// The longest window: what was granted must be remembered that long.
    pub const PER_MS_MAX: u64 = 31 * DAY_MS;
    /// The highest limit; beyond it a throttle no longer protects anything.
    pub const LIMIT_MAX: u32 = 50_000;

    /// A window of at most `limit` (1 to [`LIMIT_MAX`](Self::LIMIT_MAX)) in any `per_seconds` (1 s to 31 days).
    pub fn new(limit: u32, per_seconds: u64) -> Result<Self, WindowError> {
        if limit == 0 {
            return Err(WindowError::LimitZero);
        }
        if limit > Self::LIMIT_MAX {
            return Err(WindowError::LimitTooHigh(limit));
        }
        match per_seconds.checked_mul(1000) {
            Some(per_ms @ 1..=Self::PER_MS_MAX) => Ok(Self { limit, per_ms }),
            _ => Err(WindowError::LengthOutOfRange(per_seconds)),
        }
    }

    /// How many may succeed within the window.
    pub fn limit(self) -> u32 {
        self.limit
    }

    /// The length of the window in milliseconds.
    pub fn per_ms(self) -> u64 {
        self.per_ms
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let form = || WindowError::Form(text.chars().take(32).collect());
        let (limit, length) = text.trim().split_once('/').ok_or_else(form)?;
        let limit: u32 = limit.trim_end().parse().map_err(|_| form())?;
        let length = length.trim();
        let unit = length.chars().next_back().ok_or_else(form)?;
        let unit_seconds = UNITS
            .iter()
            .find(|(letter, _)| *letter == unit)
            .map(|(_, seconds)| *seconds)
            .ok_or_else(form)?;
        let number = match length[..length.len() - unit.len_utf8()].trim_end() {
            "" => 1,
            digits => digits.parse::<u64>().map_err(|_| form())?,
        };
        Self::new(limit, number.saturating_mul(unit_seconds))
    }
}

/// The shortest way to write it: the largest unit that divides the length.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per_ms / 1000;
        let (letter, unit_seconds) = UNITS
            .into_iter()
            .find(|(_, unit_seconds)| seconds.is_multiple_of(*unit_seconds))
            .unwrap_or(('s', 1));
        write!(f, "{}/{}{letter}", self.limit, seconds / unit_seconds)
    }
}

impl TryFrom<String> for Window {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

/// One window of the configuration: a [`Window`], or the word `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WindowSetting(pub Option<Window>);

impl WindowSetting {
    /// At most `limit` in any `per_seconds`.
    ///
    /// # Panics
    /// If [`Window::new`] would refuse it: for limits that are written in the source.
    pub fn fixed(limit: u32, per_seconds: u64) -> Self {
        Self(Some(
            Window::new(limit, per_seconds).expect("a fixed window is within the bounds"),
        ))
    }
}

impl FromStr for WindowSetting {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        if text.trim() == "off" {
            Ok(Self(None))
        } else {
            text.parse().map(Some).map(Self)
        }
    }
}

impl fmt::Display for WindowSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(window) => window.fmt(f),
        }
    }
}

impl TryFrom<String> for WindowSetting {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

impl From<WindowSetting> for String {
    fn from(setting: WindowSetting) -> Self {
        setting.to_string()
    }
}

/// Why a text is no throttle window. The operator's mistake, worded for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The text does not have the form.
    #[error(
        "\"{0}\" is not a window: write LIMIT/LENGTH such as \"3/1h\" (s, m, h or d), or \"off\""
    )]
    Form(String),
    /// Nothing would ever be let through.
    #[error("a window's limit must be at least 1: to let nobody in set the mode to \"closed\"")]
    LimitZero,
    /// The limit is beyond [`Window::LIMIT_MAX`].
    #[error("a window's limit of {0} is too high: at most {max}", max = Window::LIMIT_MAX)]
    LimitTooHigh(u32),
    /// The length is zero or beyond [`Window::PER_MS_MAX`].
    #[error("a window's length of {0} s is out of range: 1 s to 31 d")]
    LengthOutOfRange(u64),
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The units with their seconds, largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reads_in_every_unit_and_is_written_in_the_largest() {
        for (text, limit, seconds, shown) in [
            ("3/1h", 3, 3_600, "3/1h"),
            ("3/h", 3, 3_600, "3/1h"),
            (" 10 / 90s ", 10, 90, "10/90s"),
            ("1/120m", 1, 7_200, "1/2h"),
            ("300/7d", 300, 604_800, "300/7d"),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(
                (window.limit(), window.per_ms()),
                (limit, seconds * 1000),
                "{text}"
            );
            assert_eq!(window.to_string(), shown);
        }
    }

    #[test]
    fn a_text_that_is_no_window_says_what_to_write() {
        for text in [
            "", "3", "3/", "/h", "3/1w", "-1/1h", "3/1é", "x/1h", "3/1.5h",
        ] {
            assert!(
                matches!(text.parse::<Window>(), Err(WindowError::Form(_))),
                "{text}"
            );
        }
        assert_eq!("0/1h".parse::<Window>(), Err(WindowError::LimitZero));
        assert_eq!(
            "50001/1h".parse::<Window>(),
            Err(WindowError::LimitTooHigh(50_001))
        );
        assert_eq!(
            "1/0s".parse::<Window>(),
            Err(WindowError::LengthOutOfRange(0))
        );
        assert_eq!(
            "1/32d".parse::<Window>(),
            Err(WindowError::LengthOutOfRange(32 * 86_400))
        );
        assert!("1/99999999999999999999d".parse::<Window>().is_err());
        assert!("1/9999999999999999d".parse::<Window>().is_err());
        assert!(
            "3".parse::<Window>()
                .unwrap_err()
                .to_string()
                .contains("3/1h")
        );
    }

    #[test]
    fn a_setting_may_be_off() {
        assert_eq!("off".parse(), Ok(WindowSetting(None)));
        assert_eq!("3/1h".parse(), Ok(WindowSetting::fixed(3, 3_600)));
        assert_eq!(
            serde_json::to_string(&WindowSetting(None)).unwrap(),
            "\"off\""
        );
        assert!(serde_json::from_str::<WindowSetting>("\"on\"").is_err());
    }
}
