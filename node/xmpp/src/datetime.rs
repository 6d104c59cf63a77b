//! XEP-0082: moments as text.
//!
//! `2002-09-10T23:08:25Z`, `2002-09-10T23:41:07.120+02:00`, and dates alone, `1994-05-20`.

use crate::clock::Timestamp;

/// Writes a moment in UTC, with milliseconds where there are any (XEP-0082 3.2). Moments beyond the
/// year 9999, which the form cannot hold, are written as its last second.
pub fn format(moment: Timestamp) -> String {
    let millis = moment.as_millis().min(LAST_MILLI);
    let (days, in_day) = (millis / DAY_MS, millis % DAY_MS);
    let (year, month, day) = date_of(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if milli != 0 {
        text.push_str(&format!(".{milli:03}"));
    }
    text.push('Z');
    text
}

/// Reads a moment (XEP-0082 3.2). Fractions beyond milliseconds are cut; a leap second counts as
/// the second before it, and what lies before 1970, when no stanza was sent, as its first moment. `None` for anything
/// else.
pub fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once('T')?;
    let days = days_of(date)?;
    let zone_at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let offset_minutes = offset_minutes(zone)?;
    let local = days
        .checked_mul(DAY_MS as i64)?
        .checked_add(clock_millis(clock)?)?;
    let since_1970 = (local - offset_minutes * 60_000).max(0);
    Some(Timestamp(since_1970.unsigned_abs()))
}

/// Reads a date (XEP-0082 3.1) as its first moment in UTC; `None` for what is none or lies before
/// 1970.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    u64::try_from(days_of(text)?)
        .ok()
        .map(|days| Timestamp(days * DAY_MS))
}

/// `23:08:25` or `23:08:25.125` as milliseconds since midnight.
fn clock_millis(text: &str) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction_millis(fraction)?),
        None => (text, 0),
    };
    let (hours, minutes) = hours_and_minutes(whole.get(..5)?)?;
    let seconds = digits(whole.get(5..)?.strip_prefix(':')?, 2).filter(|seconds| *seconds <= 60)?;
    Some((hours * 3600 + minutes * 60 + seconds.min(59)) * 1000 + fraction)
}

fn fraction_millis(text: &str) -> Option<i64> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let places = text.bytes().chain([b'0'; 3]).take(3);
    valid.then(|| places.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// `Z`, `+02:00` or `-05:30`.
fn offset_minutes(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('+') { 1 } else { -1 };
    let (hours, minutes) = hours_and_minutes(zone.get(1..)?)?;
    Some(sign * (hours * 60 + minutes))
}

fn hours_and_minutes(text: &str) -> Option<(i64, i64)> {
    let (hours, minutes) = text.split_once(':')?;
    let hours = digits(hours, 2).filter(|hours| *hours < 24)?;
    let minutes = digits(minutes, 2).filter(|minutes| *minutes < 60)?;
    Some((hours, minutes))
}

/// `1994-05-20` as days since 1970-01-01.
fn days_of(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2).filter(|month| (1..=12).contains(month))?;
    let day = digits(parts.next()?, 2).filter(|day| (1..=month_days(year, month)).contains(day))?;
    let before = (1..month).map(|month| month_days(year, month)).sum::<i64>();
    Some(days_before_year(year) - days_before_year(1970) + before + day - 1)
}

/// Year, month and day of a day since 1970-01-01.
fn date_of(days: u64) -> (i64, i64, i64) {
    let days = i64::try_from(days).unwrap_or(i64::MAX / DAY_MS as i64);
    let since_zero = days + days_before_year(1970);
    let mut year = since_zero * 400 / DAYS_IN_400_YEARS;
    while days_before_year(year + 1) <= since_zero {
        year += 1;
    }
    while days_before_year(year) > since_zero {
        year -= 1;
    }
    let mut rest = since_zero - days_before_year(year);
    let mut month = 1;
    while rest >= month_days(year, month) {
        rest -= month_days(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

/// Days of the years 0 to `year` - 1 of the Gregorian calendar, continued backwards.
fn days_before_year(year: i64) -> i64 {
    let last = year - 1;
    year * 365 + last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400) + 1
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A number of exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let valid = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok()).flatten()
}

const DAY_MS: u64 = 86_400_000;
const DAYS_IN_400_YEARS: i64 = 146_097;
/// 9999-12-31T23:59:59Z.
const LAST_MILLI: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-07-21T02:56:15Z", 0),
            ("2002-09-10T23:08:25Z", 1_031_699_305_000),
            ("2000-02-29T12:00:00.5Z", 951_825_600_500),
            ("2002-09-11T01:08:25.1239+02:00", 1_031_699_305_123),
            ("2002-09-10T17:38:25-05:30", 1_031_699_305_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(parse(text), Some(Timestamp(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "T",
            "2002-09-10",
            "2002-09-10T23:08:25",
            "2002-09-10 23:08:25Z",
            "2002-13-10T23:08:25Z",
            "2001-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2002-09-31T00:00:00Z",
            "2002-00-10T00:00:00Z",
            "2002-09-10T24:00:00Z",
            "2002-09-10T23:60:00Z",
            "2002-09-10T23:08:61Z",
            "2002-09-10T23:08Z",
            "2002-09-10T23:08:25.Z",
            "2002-09-10T23:08:25.1aZ",
            "2002-09-10T23:08:25+0200",
            "2002-09-10T23:08:25+24:00",
            "2002-09-10T23:08:25Zx",
            "02-09-10T23:08:25Z",
            "+002-09-10T23:08:25Z",
            "12002-09-10T23:08:25Z",
            "2002-9-10T23:08:25Z",
            "２002-09-10T23:08:25Z",
            "2002-09-10T2é:08:25Z",
            "20020910T23:08:25Z",
            "2002-09-10T23:08:25-",
            "2002-09-10T-02:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_their_first_moment() {
        assert_eq!(parse_date("1970-01-02"), Some(Timestamp(DAY_MS)));
        assert_eq!(parse_date("1994-05-20T"), None);
        assert_eq!(parse_date("1969-12-31"), None);
    }

    #[test]
    fn far_futures_do_not_overflow() {
        assert_eq!(format(Timestamp(u64::MAX)), "9999-12-31T23:59:59Z");
        assert_eq!(format(Timestamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(
            format(Timestamp(951_825_600_007)),
            "2000-02-29T12:00:00.007Z"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..=LAST_MILLI) {
            prop_assert_eq!(parse(&format(Timestamp(millis))), Some(Timestamp(millis)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9TZ:.+-]{0,30}|\\PC{0,30}") {
            let _ = (parse(&text), parse_date(&text));
        }
    }
}
