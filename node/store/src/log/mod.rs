//! The log: one per owner, at once its archive, its offline queue and the source of redelivery.
//!
//! An entry sits at a [`Position`]. A message between two local owners is appended once, with a
//! place in each of the two logs, and its stanza is stored once.

mod origin;
mod position;

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

pub use origin::Origin;
pub(crate) use origin::Origins;
pub use position::{Position, PositionError};

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose log: any bare JID, an account's or a room's.
    pub owner: Jid,
    /// Where in it.
    pub position: Position,
}

/// A stanza to be appended to one log, or to two at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The place in the first log.
    pub place: Place,
    /// The place in the second log, whose owner must be another.
    pub second: Option<Place>,
    /// The canonical stanza, the same bytes for both.
    pub stanza: Bytes,
    /// When it was received.
    pub received: Timestamp,
    /// Which stanza of which session it is, if it may come a second time.
    pub origin: Option<Origin>,
}

impl Append {
    /// An entry of one log.
    pub fn new(owner: Jid, position: Position, stanza: Bytes, received: Timestamp) -> Self {
        Self {
            place: Place { owner, position },
            second: None,
            stanza,
            received,
            origin: None,
        }
    }

    /// The same entry, of this origin if it has one.
    pub fn of(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// The same entry in the log of `owner` too.
    pub fn and(self, owner: Jid, position: Position) -> Self {
        Self {
            second: Some(Place { owner, position }),
            ..self
        }
    }

    /// The one or two places.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.place).chain(&self.second)
    }
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it sits.
    pub position: Position,
    /// When it was received.
    pub received: Timestamp,
    /// The canonical stanza.
    pub stanza: Bytes,
    /// Which stanza of which session it is; none where nobody said so.
    pub origin: Option<Origin>,
}

/// Which page of a log to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// Only entries above this position.
    pub after: Option<Position>,
    /// Only entries below this position.
    pub before: Option<Position>,
    /// Entries at most; cut to [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX).
    pub limit: usize,
    /// Whether the page begins at the newest entry and walks back.
    pub newest_first: bool,
}

impl LogQuery {
    /// The first `limit` entries above `after`, oldest first.
    pub fn after(after: Option<Position>, limit: usize) -> Self {
        Self {
            after,
            before: None,
            limit,
            newest_first: false,
        }
    }

    /// The last `limit` entries below `before`, newest first.
    pub fn before(before: Option<Position>, limit: usize) -> Self {
        Self {
            after: None,
            before,
            limit,
            newest_first: true,
        }
    }
}

/// A range of positions, both ends included; a missing end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRange {
    /// The lowest position.
    pub from: Option<Position>,
    /// The highest position.
    pub through: Option<Position>,
}

impl LogRange {
    /// One position.
    pub fn only(position: Position) -> Self {
        Self {
            from: Some(position),
            through: Some(position),
        }
    }

    /// Everything up to `position`, with it.
    pub fn through(position: Position) -> Self {
        Self {
            from: None,
            through: Some(position),
        }
    }

    /// The whole log.
    pub fn all() -> Self {
        Self::default()
    }

    /// The ends as packed positions.
    pub(crate) fn packed(self) -> std::ops::RangeInclusive<i64> {
        let from = self.from.map_or(0, Position::pack);
        from..=self.through.map_or(i64::MAX, Position::pack)
    }
}

/// What a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// Entries.
    pub entries: u64,
    /// Bytes of their stanzas. A stanza in two logs counts in both.
    pub bytes: u64,
}
