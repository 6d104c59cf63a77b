//! Where a delivery lies in the log of its account.

use std::num::NonZeroU64;

/// The places of the stanzas of one delivery in the account's log, packed, where the log owes them until the client
/// has got them. Where a stream can be resumed they travel with its stanzas, for the next owner of the shard; other
/// sessions' nodes are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// One behind the other, from there on; 0 if the log does not owe them.
    Run(u64),
    /// Each somewhere else, as many as there are stanzas.
    Each(Box<[u64]>),
}

impl Logged {
    /// The log does not owe them.
    pub const NOT: Self = Self::Run(0);

    /// The place of the stanza that stands there.
    pub fn at(&self, index: usize) -> Option<NonZeroU64> {
        match self {
            Self::Run(0) => None,
            Self::Run(first) => NonZeroU64::new(first + index as u64),
            Self::Each(all) => all.get(index).copied().and_then(NonZeroU64::new),
        }
    }

    /// Whether a stanza with this place, or none, can travel behind so many of these.
    pub fn continues(&self, stanzas: usize, next: Option<NonZeroU64>) -> bool {
        matches!(self, Self::Run(_)) && self.at(stanzas) == next
    }

    /// The same without the first stanzas.
    #[must_use]
    pub fn behind(&self, stanzas: usize) -> Self {
        match self {
            Self::Run(_) => self.at(stanzas).into(),
            Self::Each(all) => Self::Each(all.get(stanzas..).unwrap_or_default().into()),
        }
    }

    /// The same where one of so many stanzas lies at this place.
    #[must_use]
    pub fn with(&self, index: usize, place: NonZeroU64, stanzas: usize) -> Self {
        let known = (0..stanzas).map(|at| match at == index {
            true => place.get(),
            false => self.at(at).map_or(0, NonZeroU64::get),
        });
        Self::Each(known.collect())
    }

    /// The same with those stanzas that stay.
    #[must_use]
    pub fn filtered(&self, stays: impl IntoIterator<Item = bool>) -> Self {
        if *self == Self::NOT {
            return Self::NOT;
        }
        let stays = stays.into_iter().enumerate();
        let places = stays.filter(|(_, stays)| *stays);
        let place = |(at, _)| self.at(at).map_or(0, NonZeroU64::get);
        Self::Each(places.map(place).collect())
    }
}

impl Default for Logged {
    fn default() -> Self {
        Self::NOT
    }
}

impl From<Option<NonZeroU64>> for Logged {
    fn from(first: Option<NonZeroU64>) -> Self {
        Self::Run(first.map_or(0, NonZeroU64::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_stay_with_their_stanzas() {
        let place = NonZeroU64::new;
        let run = Logged::from(place(7));
        assert_eq!((run.at(0), run.at(2)), (place(7), place(9)));
        assert!(run.continues(3, place(10)));
        assert!(!run.continues(3, place(11)) && !run.continues(3, None));
        assert!(Logged::NOT.continues(1, None) && !Logged::NOT.continues(1, place(1)));
        assert_eq!(run.behind(2), Logged::Run(9));
        let each = run.filtered([true, false, true]);
        assert_eq!(each, Logged::Each([7, 9].into()));
        assert_eq!(each.behind(1).at(0), place(9));
        assert_eq!(Logged::NOT.filtered([true, false]), Logged::NOT);
        assert_eq!(Logged::NOT.behind(3), Logged::NOT);
    }
}
