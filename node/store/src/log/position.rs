//! Where an entry sits in its log.

use std::fmt;
use std::str::FromStr;

/// A position in a log: the epoch of the shard's owner, then a sequence within it (DESIGN: what a
/// late writer of an old epoch still appends sorts before the new owner's entries).
///
/// 23 bits of epoch and 40 of sequence make one non-negative `i64`, so that every store can keep
/// and compare it as an integer. A thousand takeovers a day last for 22 years, a million entries a
/// second into one log for 12 days of one epoch; beyond either the position is refused, never
/// wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(i64);

/// A position that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// More than 23 bits of epoch.
    #[error("epoch {0} does not fit into 23 bits")]
    Epoch(u32),
    /// More than 40 bits of sequence.
    #[error("sequence {0} does not fit into 40 bits")]
    Sequence(u64),
    /// A text or number that [`Position`] did not write.
    #[error("not a position")]
    Malformed,
}

impl Position {
    /// The highest epoch.
    pub const EPOCH_MAX: u32 = (1 << 23) - 1;
    /// The highest sequence of an epoch.
    pub const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;

    /// The position `sequence` of `epoch`; refused if one of them is too large.
    pub fn new(epoch: u32, sequence: u64) -> Result<Self, PositionError> {
        if epoch > Self::EPOCH_MAX {
            return Err(PositionError::Epoch(epoch));
        }
        if sequence > Self::SEQUENCE_MAX {
            return Err(PositionError::Sequence(sequence));
        }
        Ok(Self((i64::from(epoch) << SEQUENCE_BITS) | sequence as i64))
    }

    /// The epoch.
    pub fn epoch(self) -> u32 {
        (self.0 >> SEQUENCE_BITS) as u32
    }

    /// The sequence within the epoch.
    pub fn sequence(self) -> u64 {
        self.0 as u64 & Self::SEQUENCE_MAX
    }

    /// The next position of the same epoch; refused at its end.
    pub fn next(self) -> Result<Self, PositionError> {
        Self::new(self.epoch(), self.sequence() + 1)
    }

    /// The position right below, if there is one.
    pub fn previous(self) -> Option<Self> {
        Self::unpack(self.0 - 1).ok()
    }

    /// One integer that sorts as the position does; never negative.
    pub fn pack(self) -> i64 {
        self.0
    }

    /// The position that [`pack`](Self::pack) made.
    pub fn unpack(packed: i64) -> Result<Self, PositionError> {
        if packed < 0 {
            Err(PositionError::Malformed)
        } else {
            Ok(Self(packed))
        }
    }
}

/// `epoch-sequence` in decimal: opaque to clients, legible to operators.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch(), self.sequence())
    }
}

/// Reads exactly what `Display` writes: one text for one position.
impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, sequence) = text.split_once('-').ok_or(PositionError::Malformed)?;
        let epoch = canonical_number(epoch).ok_or(PositionError::Malformed)?;
        let epoch = u32::try_from(epoch).map_err(|_| PositionError::Malformed)?;
        Self::new(
            epoch,
            canonical_number(sequence).ok_or(PositionError::Malformed)?,
        )
    }
}

/// A decimal number without sign, blanks or leading zeros.
fn canonical_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

const SEQUENCE_BITS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_sort_by_epoch_and_then_by_sequence() {
        let late_of_old = Position::new(1, Position::SEQUENCE_MAX).unwrap();
        let first_of_new = Position::new(2, 0).unwrap();
        assert!(late_of_old < first_of_new);
        assert!(late_of_old.pack() < first_of_new.pack());
    }

    #[test]
    fn the_highest_position_is_a_positive_integer() {
        let highest = Position::new(Position::EPOCH_MAX, Position::SEQUENCE_MAX).unwrap();
        assert_eq!(highest.pack(), i64::MAX);
        assert_eq!(Position::unpack(i64::MAX), Ok(highest));
        assert_eq!(Position::unpack(-1), Err(PositionError::Malformed));
    }

    #[test]
    fn overflow_is_refused_and_never_wraps() {
        assert_eq!(
            Position::new(1 << 23, 0),
            Err(PositionError::Epoch(1 << 23))
        );
        assert_eq!(
            Position::new(0, 1 << 40),
            Err(PositionError::Sequence(1 << 40))
        );
        let last = Position::new(3, Position::SEQUENCE_MAX).unwrap();
        assert_eq!(last.next(), Err(PositionError::Sequence(1 << 40)));
    }

    #[test]
    fn the_text_form_reads_back_and_has_no_second_spelling() {
        let position = Position::new(7, 42).unwrap();
        assert_eq!(position.to_string(), "7-42");
        assert_eq!("7-42".parse(), Ok(position));
        for wrong in [
            "",
            "7",
            "7-",
            "-42",
            "07-42",
            "7-042",
            "+7-42",
            "7-42 ",
            "8388608-0",
            "a-b",
        ] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong:?}");
        }
    }
}
