//! What an entry is for.

use std::ops::BitOr;

/// What an entry is kept for: one log serves as archive and as offline queue. The two places of a shared entry have
/// marks of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks(u8);

impl Marks {
    /// Nothing: an entry that may go at any time.
    pub const NONE: Self = Self(0);
    /// It waits to be given to a session: whoever was absent gets it.
    pub const OWED: Self = Self(1);
    /// It belongs to the archive. Without this mark an entry is kept only as long as its delivery needs it.
    pub const ARCHIVED: Self = Self(1 << 1);

    /// Whether all marks of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The marks as bits, for databases and backups.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The marks that [`bits`](Self::bits) gave. A bit that nobody here knows is nothing to this build.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::OWED.0 | Self::ARCHIVED.0))
    }

    /// Stored marks. What was kept before entries had marks waits for its reader, and is in no archive.
    pub(crate) fn stored(bits: Option<i64>) -> Self {
        let known = |bits| u8::try_from(bits).map_or(Self::NONE, Self::from_bits);
        bits.map_or(Self::OWED, known)
    }
}

impl BitOr for Marks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_from_their_bits_and_unknown_bits_are_passed_over() {
        let both = Marks::OWED | Marks::ARCHIVED;
        assert_eq!(Marks::from_bits(both.bits()), both);
        assert_eq!(Marks::from_bits(0xfd), Marks::OWED);
        assert!(both.contains(Marks::ARCHIVED) && both.contains(Marks::NONE));
        assert!(!Marks::OWED.contains(both));
        assert_eq!(Marks::stored(None), Marks::OWED);
    }
}
