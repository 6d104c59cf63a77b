//! Rates and lengths of time as operators write them: `3kb/s`, `2s`.
//!
//! ```text
//! text ("3kb/s", "off")  ─┐
//!                         ├─► Rate ─► bytes a second        text ("2s", "500ms") ─┐
//! number (3000)          ─┘                                 number (2000)        ─┴─► Span ─► milliseconds
//! ```
//!
//! The prefixes are those of other servers' bandwidth limits: thousands, and bytes, never bits. A plain number is the
//! smallest unit, bytes a second or milliseconds. What cannot be read is refused with an example of what can be.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// So many bytes a second; none, written `off`, for no limit.
///
/// Written as a whole number with `b/s`, `kb/s`, `mb/s` or `gb/s`: 1, 10³, 10⁶ and 10⁹ bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

/// A length of time in whole milliseconds, written as a whole number with `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u32);

/// Why a text is no rate or length of time. The operator's mistake, worded for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text does not have the form of a rate.
    #[error(
        "\"{0}\" is no rate: write a whole number and b/s, kb/s, mb/s or gb/s (bytes, in thousands) such as \
         \"3kb/s\", or \"off\""
    )]
    Rate(String),
    /// The rate is more than 32 bits hold.
    #[error("\"{0}\" is too fast: at most \"4gb/s\", and \"off\" for no limit")]
    TooFast(String),
    /// The text does not have the form of a length of time.
    #[error("\"{0}\" is no length of time: write a whole number and ms, s, m or h such as \"2s\"")]
    Span(String),
    /// The length is more than 32 bits of milliseconds hold.
    #[error("\"{0}\" is too long: at most \"1000h\"")]
    TooLong(String),
}

impl Rate {
    /// No limit.
    pub const OFF: Self = Self(0);

    /// A rate in bytes a second; 0 is [`OFF`](Self::OFF).
    pub const fn new(bytes_per_second: u32) -> Self {
        Self(bytes_per_second)
    }

    /// Bytes a second; 0 for no limit.
    pub const fn bytes_per_second(self) -> u32 {
        self.0
    }

    /// Whether nothing is limited.
    pub const fn is_off(self) -> bool {
        self.0 == 0
    }
}

impl Span {
    /// A length of time.
    pub const fn from_ms(ms: u32) -> Self {
        Self(ms)
    }

    /// Its milliseconds.
    pub const fn as_ms(self) -> u32 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        if trimmed == "off" {
            return Ok(Self::OFF);
        }
        let form = || UnitError::Rate(shown(text));
        let bytes = read(trimmed, &RATES).ok_or_else(form)?;
        let bytes = bytes.and_then(|bytes| u32::try_from(bytes).ok());
        bytes
            .map(Self)
            .ok_or_else(|| UnitError::TooFast(shown(text)))
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let form = || UnitError::Span(shown(text));
        let ms = read(text.trim(), &SPANS).ok_or_else(form)?;
        let ms = ms.and_then(|ms| u32::try_from(ms).ok());
        ms.map(Self).ok_or_else(|| UnitError::TooLong(shown(text)))
    }
}

/// The shortest way to write it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("off"),
            bytes => write(f, bytes, &RATES),
        }
    }
}

/// The shortest way to write it.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, &SPANS)
    }
}

/// The number and the factor of its unit: none where the form is wrong, and nothing within where 64 bits are too few.
fn read(text: &str, units: &[(&str, u64)]) -> Option<Option<u64>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return None;
    }
    let unit = unit.trim_start();
    let (_, factor) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let number = number.parse::<u64>().ok();
    Some(number.and_then(|number| number.checked_mul(*factor)))
}

/// In the largest unit that divides it.
fn write(f: &mut fmt::Formatter<'_>, value: u32, units: &[(&str, u64)]) -> fmt::Result {
    let value = u64::from(value);
    let unit = units.iter().rev();
    let largest = unit
        .filter(|(_, factor)| value > 0 || *factor == 1)
        .find(|(_, factor)| value.is_multiple_of(*factor));
    let (name, factor) = largest.unwrap_or(&units[0]);
    write!(f, "{}{name}", value / factor)
}

/// As much of a wrong text as an error should show.
fn shown(text: &str) -> String {
    text.chars().take(32).collect()
}

/// Smallest first.
const RATES: [(&str, u64); 4] = [
    ("b/s", 1),
    ("kb/s", 1_000),
    ("mb/s", 1_000_000),
    ("gb/s", 1_000_000_000),
];

/// Smallest first.
const SPANS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Reads a text, or a whole number in the smallest unit.
struct Either<T> {
    expected: &'static str,
    of_number: fn(u32) -> T,
}

impl<T: FromStr<Err = UnitError>> Visitor<'_> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let fits = u32::try_from(number).map(self.of_number);
        fits.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let fits = u32::try_from(number).map(self.of_number);
        fits.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Either {
            expected: "a rate such as \"3kb/s\", a whole number of bytes a second, or \"off\"",
            of_number: Self,
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Either {
            expected: "a length of time such as \"2s\", or a whole number of milliseconds",
            of_number: Self,
        })
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_in_every_unit_and_is_written_in_the_largest() {
        for (text, bytes, written) in [
            ("3kb/s", 3_000, "3kb/s"),
            ("3000 B/s", 3_000, "3kb/s"),
            (" 1500b/s ", 1_500, "1500b/s"),
            ("2mb/s", 2_000_000, "2mb/s"),
            ("1gb/s", 1_000_000_000, "1gb/s"),
            ("0kb/s", 0, "off"),
            ("off", 0, "off"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(
                (rate.bytes_per_second(), rate.to_string()),
                (bytes, written.into())
            );
            assert_eq!(rate.is_off(), bytes == 0);
        }
    }

    #[test]
    fn a_length_of_time_reads_in_every_unit_and_is_written_in_the_largest() {
        for (text, ms, written) in [
            ("2s", 2_000, "2s"),
            ("500ms", 500, "500ms"),
            ("90 s", 90_000, "90s"),
            ("120s", 120_000, "2m"),
            ("1h", 3_600_000, "1h"),
            ("0s", 0, "0ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.as_ms(), span.to_string()),
                (ms, written.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn plain_numbers_are_bytes_a_second_and_milliseconds() {
        let rate: Rate = serde_json::from_str("3000").unwrap();
        assert_eq!(rate, Rate::new(3_000));
        assert_eq!(serde_json::to_string(&rate).unwrap(), "\"3kb/s\"");
        let span: Span = serde_json::from_str("2000").unwrap();
        assert_eq!(serde_json::to_string(&span).unwrap(), "\"2s\"");
    }

    #[test]
    fn what_is_neither_says_what_to_write() {
        for text in [
            "", "3", "3k", "kb/s", "3kb", "-3kb/s", "1.5kb/s", "3 kbit/s", "3é", "ten",
        ] {
            let error = text.parse::<Rate>().unwrap_err();
            assert_eq!(error, UnitError::Rate(text.into()));
            assert!(error.to_string().contains("3kb/s"), "{error}");
        }
        for text in ["", "2", "s", "2 weeks", "-2s", "1.5s", "2é"] {
            let error = text.parse::<Span>().unwrap_err();
            assert_eq!(error, UnitError::Span(text.into()));
            assert!(error.to_string().contains("2s"), "{error}");
        }
        for text in ["5gb/s", "99999999999999999999gb/s", "9999999999999gb/s"] {
            assert!(
                matches!(text.parse::<Rate>(), Err(UnitError::TooFast(_))),
                "{text}"
            );
        }
        assert!(matches!(
            "1200h".parse::<Span>(),
            Err(UnitError::TooLong(_))
        ));
        for number in ["-1", "4294967296", "true", "[]"] {
            let error = serde_json::from_str::<Rate>(number)
                .unwrap_err()
                .to_string();
            assert!(error.contains("expected a rate such as"), "{error}");
            assert!(serde_json::from_str::<Span>(number).is_err(), "{number}");
        }
    }
}
