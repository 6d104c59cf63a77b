//! What an unfinished token waits for, so that bytes which come one by one are not read over and
//! over.
//!
//! ```text
//! token unfinished ─► gate shut ─► new bytes: looked through once, for the token's end only
//!                                   └─► gate open ─► token read again
//! ```
//!
//! Without it a tag of 8 kB that comes byte by byte would be read 8,000 times. With it each byte is
//! looked at three times at most: when the token is tried first, by the gate, and when the token is
//! complete.

use memchr::{memchr, memchr3};

use super::charref;

/// Whether the token at the reader's place may be complete by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may be.
    #[default]
    Open,
    /// A tag that lacks its `>`.
    Tag {
        /// How far was looked already.
        looked: usize,
        /// The quote that is open there, or 0.
        quote: u8,
    },
    /// A reference that lacks its `;`.
    Reference {
        /// Where it begins.
        at: usize,
        /// How far was looked already.
        looked: usize,
    },
}

impl Gate {
    /// Shut until the tag at `at` is complete.
    pub(super) fn for_tag(at: usize) -> Self {
        Self::Tag {
            looked: at,
            quote: 0,
        }
    }

    /// Shut until the reference at `at` is complete or too long to be one.
    pub(super) fn for_reference(at: usize) -> Self {
        Self::Reference { at, looked: at }
    }

    /// Looks at what is new in `src`; gives the number of bytes looked at. The gate is open
    /// afterwards, or everything was looked at.
    pub(super) fn look(&mut self, src: &[u8]) -> usize {
        let before = match self {
            Self::Open => return 0,
            Self::Tag { looked, .. } | Self::Reference { looked, .. } => *looked,
        };
        let after = match self {
            Self::Tag { looked, quote } => match end_of_tag(src, *looked, quote) {
                Some(end) => {
                    *self = Self::Open;
                    end
                }
                None => {
                    *looked = src.len();
                    src.len()
                }
            },
            Self::Reference { at, looked } => {
                let complete = memchr(b';', &src[*looked..]).is_some();
                *looked = src.len();
                if complete || src.len() - *at >= charref::BYTES_MAX {
                    *self = Self::Open;
                }
                src.len()
            }
            Self::Open => before,
        };
        after - before
    }
}

/// The place behind the first `>` outside quotes.
fn end_of_tag(src: &[u8], from: usize, quote: &mut u8) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = &src[at..];
        let found = match *quote {
            0 => memchr3(b'>', b'"', b'\'', rest)?,
            quote => memchr(quote, rest)?,
        };
        at += found + 1;
        match (*quote, rest[found]) {
            (0, b'>') => return Some(at),
            (0, opening) => *quote = opening,
            _ => *quote = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_waited_for_over_quotes_that_hold_its_end() {
        let source = b"<a b='>\">' c=\">'\">x";
        let mut gate = Gate::for_tag(0);
        for length in 1..=source.len() {
            gate.look(&source[..length]);
            assert_eq!(gate == Gate::Open, length >= source.len() - 1, "{length}");
        }
    }

    #[test]
    fn every_byte_is_looked_at_once() {
        let source = [b"<a ".to_vec(), vec![b'x'; 100]].concat();
        let mut gate = Gate::for_tag(0);
        let looked: usize = (1..=source.len())
            .map(|length| gate.look(&source[..length]))
            .sum();
        assert_eq!(looked, source.len());
    }

    #[test]
    fn a_reference_is_waited_for_until_it_ends_or_cannot_be_one() {
        let mut gate = Gate::for_reference(1);
        gate.look(b"x&am");
        assert_ne!(gate, Gate::Open);
        gate.look(b"x&amp;");
        assert_eq!(gate, Gate::Open);
        let mut gate = Gate::for_reference(0);
        gate.look(b"&aaaaaaaaaaa");
        assert_eq!(gate, Gate::Open);
    }
}
