//! References: the five names that XML knows, and numbers.

use memchr::memchr;

use super::Stop;
use crate::xml::counts::UnknownReason;

/// A reference at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// How long it is written, from `&` to `;`.
    pub(super) len: usize,
    /// What it stands for.
    pub(super) value: char,
}

/// The longest one that is known here, `&#x` and eight digits; the parser of the reference lane
/// knows no longer ones.
pub(super) const BYTES_MAX: usize = 12;

/// Reads the reference that begins with the first byte.
pub(super) fn read(bytes: &[u8]) -> Result<Reference, Stop> {
    const UNKNOWN: Stop = Stop::Unknown(UnknownReason::Reference);
    let within = &bytes[..bytes.len().min(BYTES_MAX)];
    let Some(end) = memchr(b';', within) else {
        let may_go_on = within.len() < BYTES_MAX
            && within[1..]
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#');
        return Err(if may_go_on { Stop::Incomplete } else { UNKNOWN });
    };
    let value = match &within[1..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', digits @ ..] => number(digits, 16).ok_or(UNKNOWN)?,
        [b'#', digits @ ..] => number(digits, 10).ok_or(UNKNOWN)?,
        _ => return Err(UNKNOWN),
    };
    Ok(Reference {
        len: end + 1,
        value,
    })
}

/// The character with this number, if XML allows it (XML 1.0 2.2).
fn number(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number = digits.iter().try_fold(0_u32, |number, &digit| {
        char::from(digit)
            .to_digit(radix)
            .and_then(|digit| (number * radix).checked_add(digit))
    })?;
    char::from_u32(number)
        .filter(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_references_are_read_and_others_are_not() {
        let value = |bytes: &[u8]| read(bytes).map(|reference| (reference.len, reference.value));
        assert_eq!(value(b"&amp;x"), Ok((5, '&')));
        assert_eq!(value(b"&#9;"), Ok((4, '\t')));
        assert_eq!(value(b"&#x1F600;"), Ok((9, '\u{1f600}')));
        assert_eq!(value(b"&#x0010fFfF;"), Ok((12, '\u{10ffff}')));
        assert_eq!(value(b"&am"), Err(Stop::Incomplete));
        for unknown in [
            &b"&nbsp;"[..],
            b"&;",
            b"&#;",
            b"&#x;",
            b"&#X41;",
            b"&#0;",
            b"&#xD800;",
            b"&#xFFFE;",
            b"&#x110000;",
            b"&#x00000041;x",
            b"&#-1;",
            b"&#+41;",
            b"& ;",
            b"&am\"",
            b"& ",
            b"&aaaaaaaaaaa",
        ] {
            let found = value(unknown);
            let eight_digits = unknown == b"&#x00000041;x";
            assert_eq!(found.is_ok(), eight_digits, "{unknown:?} {found:?}");
        }
    }
}
