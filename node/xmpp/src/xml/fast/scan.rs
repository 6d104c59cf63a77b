//! Finding the next byte that matters, many bytes at a time and without `unsafe`.
//!
//! Blocks of 32 bytes are folded into one answer without a branch, which the compiler turns into
//! vector instructions of the target; words of 8 bytes then say where in a block the byte is.

use memchr::memchr_iter;

use crate::xml::faults::{Fault, planted};

/// The first byte at or behind `from` that is not plain character data (`<`, `>`, `&` or a control
/// character), or the end; and whether anything outside ASCII was passed on the way.
pub(super) fn text(src: &[u8], from: usize) -> (usize, bool) {
    let stops = |byte: u8| byte < b' ' || byte | 2 == b'>' || byte == b'&';
    let marks = |word: u64| {
        below_space(word) | zero_bytes(with(word, 2) ^ all(b'>')) | zero_bytes(word ^ all(b'&'))
    };
    // Most texts are short; blocks pay in the others.
    let near = src.len().min(from + BLOCK);
    let (at, high) = words(&src[..near], from, stops, marks);
    if at < near || near == src.len() {
        return (at, high);
    }
    let (at, in_blocks) = plain_blocks(src, at);
    let (at, behind) = words(src, at, stops, marks);
    (at, high | in_blocks | behind)
}

/// The same for an attribute's value, which is short as a rule: `<`, `>`, `&`, either quote, `#`
/// (which comes for nothing) or a control character.
#[inline(always)]
pub(super) fn value(src: &[u8], from: usize) -> (usize, bool) {
    words(
        src,
        from,
        |byte| byte < b' ' || byte | 2 == b'>' || byte | 5 == b'\'',
        |word| {
            below_space(word)
                | zero_bytes(with(word, 2) ^ all(b'>'))
                | zero_bytes(with(word, 5) ^ all(b'\''))
        },
    )
}

/// The first byte behind a run of XML white space that begins at `from`, or the end.
pub(super) fn behind_space(src: &[u8], from: usize) -> usize {
    let mut at = from;
    while matches!(src.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Whether the bytes are UTF-8 and hold none of the two characters in it that XML forbids (U+FFFE
/// and U+FFFF); control characters were looked for already.
pub(super) fn are_characters(bytes: &[u8]) -> bool {
    let is_utf8 = planted(Fault::Utf8Unchecked) || std::str::from_utf8(bytes).is_ok();
    let forbidden = |at| matches!(bytes.get(at + 1..at + 3), Some([0xbf, 0xbe | 0xbf]));
    is_utf8 && (planted(Fault::NoncharactersPass) || !memchr_iter(0xef, bytes).any(forbidden))
}

/// Whether a name may begin with this byte, within ASCII and without the colon.
pub(super) fn is_name_start(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == NAME_START
}

/// Whether a name may go on with this byte.
pub(super) fn is_name(byte: u8) -> bool {
    CLASSES[usize::from(byte)] != 0
}

const BLOCK: usize = 32;

/// The first block that holds anything but plain character data, or the end of the last whole one.
#[inline]
fn plain_blocks(src: &[u8], from: usize) -> (usize, bool) {
    let (mut at, mut high) = (from, 0);
    for block in src[from..].as_chunks::<BLOCK>().0 {
        let mut stops = [0; BLOCK];
        for (stop, &byte) in stops.iter_mut().zip(block) {
            *stop = u8::from(byte < b' ') | u8::from(byte | 2 == b'>') | u8::from(byte == b'&');
        }
        if any(&stops) != 0 {
            break;
        }
        high |= any(block);
        at += BLOCK;
    }
    (at, high & HIGHS != 0)
}

/// All words of a block in one.
#[inline(always)]
fn any(block: &[u8; BLOCK]) -> u64 {
    let words = block.as_chunks::<8>().0;
    words
        .iter()
        .fold(0, |any, word| any | u64::from_le_bytes(*word))
}

/// The first byte that `stops`, which `marks` finds in a word.
#[inline(always)]
fn words(
    src: &[u8],
    from: usize,
    stops: impl Fn(u8) -> bool,
    marks: impl Fn(u64) -> u64,
) -> (usize, bool) {
    let mut at = from;
    let mut high = 0;
    for word in src[from..].as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*word);
        let marked = marks(word);
        if marked != 0 {
            let place = marked.trailing_zeros() / 8;
            high |= word & ((1 << (place * 8)) - 1);
            return (at + place as usize, high & HIGHS != 0);
        }
        high |= word;
        at += 8;
    }
    let mut high = high & HIGHS != 0;
    while let Some(&byte) = src.get(at).filter(|byte| !stops(**byte)) {
        high |= byte >= 0x80;
        at += 1;
    }
    (at, high)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

const fn all(byte: u8) -> u64 {
    ONES * byte as u64
}

fn with(word: u64, bits: u8) -> u64 {
    word | all(bits)
}

/// Marks zero bytes. Exact up to and including the first; above it there may be marks too many.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Marks bytes below 0x20, exact in the same way.
fn below_space(word: u64) -> u64 {
    word.wrapping_sub(all(b' ')) & !word & HIGHS
}

const NAME_START: u8 = 2;
const NAME: u8 = 1;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let ascii = byte as u8;
        if ascii.is_ascii_alphabetic() || ascii == b'_' {
            classes[byte] = NAME_START;
        } else if ascii.is_ascii_digit() || ascii == b'-' || ascii == b'.' {
            classes[byte] = NAME;
        }
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use std::array::from_fn;

    use super::*;

    #[test]
    fn every_byte_at_every_place_is_found_or_passed() {
        for length in [0, 1, 7, 8, 9, 31, 32, 33, 40, 71] {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let bytes: Vec<u8> = (0..length)
                        .map(|i| if i == place { byte } else { b'a' })
                        .collect();
                    let stops = byte < b' ' || matches!(byte, b'<' | b'>' | b'&');
                    let found = if stops { place } else { length };
                    assert_eq!(
                        text(&bytes, 0),
                        (found, !stops && byte >= 0x80),
                        "{byte} at {place}"
                    );
                    let stops =
                        byte < b' ' || matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'' | b'#');
                    let found = if stops { place } else { length };
                    assert_eq!(
                        value(&bytes, 0),
                        (found, !stops && byte >= 0x80),
                        "{byte} at {place}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_lies_before_the_start_or_behind_the_find_does_not_count() {
        let bytes: [u8; 80] = from_fn(|i| {
            if i == 50 {
                b'<'
            } else if i % 20 == 5 {
                0xc3
            } else {
                b'x'
            }
        });
        assert_eq!(text(&bytes, 0), (50, true));
        assert_eq!(text(&bytes, 6), (50, true));
        assert_eq!(text(&bytes, 46), (50, false));
        assert_eq!(text(&bytes, 51), (80, true));
    }

    #[test]
    fn the_two_forbidden_characters_are_found_and_their_neighbours_are_not() {
        for (text, allowed) in [
            ("aé", true),
            ("\u{fffd}", true),
            ("\u{fffe}", false),
            ("x\u{ffff}y", false),
            ("\u{1fffe}", true),
            ("\u{ff3e}\u{fffe}", false),
        ] {
            assert_eq!(are_characters(text.as_bytes()), allowed, "{text:?}");
        }
        assert!(!are_characters(b"\xed\xa0\x80"), "a surrogate");
        assert!(!are_characters(b"\xc0\x80"), "overlong");
    }
}
