//! The log: one per owner, at once its archive, its offline queue and the source of redelivery.
//!
//! An entry sits at a [`Position`]. A message between two local owners is appended once, with a
//! place in each of the two logs, and its stanza is stored once.

mod key;
mod marks;
mod origin;
mod position;

use std::time::Duration;

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

pub use key::Key;
pub use marks::Marks;
pub use origin::{Origin, Recent};
pub use position::{Position, PositionError};

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose log: any bare JID, an account's or a room's.
    pub owner: Jid,
    /// Where in it.
    pub position: Position,
    /// What the entry is for in this log.
    pub marks: Marks,
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
    /// An entry of one log, which waits to be delivered.
    pub fn new(owner: Jid, position: Position, stanza: Bytes, received: Timestamp) -> Self {
        Self {
            place: Place {
                owner,
                position,
                marks: Marks::OWED,
            },
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

    /// The same entry, for this in the first log.
    pub fn marked(self, marks: Marks) -> Self {
        let place = Place {
            marks,
            ..self.place
        };
        Self { place, ..self }
    }

    /// The same entry in the log of `owner` too, for the same as in the first.
    pub fn and(self, owner: Jid, position: Position) -> Self {
        let marks = self.place.marks;
        self.and_at(Place {
            owner,
            position,
            marks,
        })
    }

    /// The same entry at a second place.
    pub fn and_at(self, second: Place) -> Self {
        Self {
            second: Some(second),
            ..self
        }
    }

    /// Whether it belongs to the archive in one of its places.
    pub(crate) fn is_archived(&self) -> bool {
        self.places()
            .any(|place| place.marks.contains(Marks::ARCHIVED))
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
    /// What it is for.
    pub marks: Marks,
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
    /// Only entries received at this moment or later. A page by time begins where the times of the log say, so where
    /// they fall along the positions by more than [`TIMES_FALL`] it may miss entries.
    pub since: Option<Timestamp>,
    /// Only entries received at this moment or earlier.
    pub until: Option<Timestamp>,
    /// Only entries with all of these marks. Entries without them in between are passed over one by one.
    pub only: Marks,
}

/// How far the times of a log may fall along its positions: what the clocks of two owners of an account may differ by,
/// with much to spare.
pub const TIMES_FALL: Duration = Duration::from_secs(60);

/// The cursor up to which an account's sessions were given what waited for them. It is read with the account.
pub const DELIVERED: &str = "delivered";

impl LogQuery {
    /// The first `limit` entries above `after`, oldest first.
    pub fn after(after: Option<Position>, limit: usize) -> Self {
        Self {
            after,
            before: None,
            limit,
            newest_first: false,
            since: None,
            until: None,
            only: Marks::NONE,
        }
    }

    /// The last `limit` entries below `before`, newest first.
    pub fn before(before: Option<Position>, limit: usize) -> Self {
        Self {
            after: None,
            before,
            limit,
            newest_first: true,
            ..Self::after(None, limit)
        }
    }

    /// The same page, only of entries with all of these marks.
    pub fn only(self, marks: Marks) -> Self {
        Self {
            only: marks,
            ..self
        }
    }

    /// Whether an entry of these marks, received then, is asked for, its position aside.
    pub(crate) fn wants(&self, marks: Marks, received: Timestamp) -> bool {
        marks.contains(self.only)
            && self.since.is_none_or(|since| since <= received)
            && self.until.is_none_or(|until| received <= until)
    }

    /// Every entry below the first one of this time or later was received before `since`.
    pub(crate) fn begins_at(&self) -> Option<Timestamp> {
        let fall = TIMES_FALL.as_millis() as u64;
        self.since
            .map(|since| Timestamp(since.as_millis().saturating_sub(fall)))
    }

    /// Every entry from the first one of this time or later on was received behind `until`.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        self.until
            .map(|until| until.plus(TIMES_FALL + Duration::from_millis(1)))
    }
}

/// What to look for in a log: archived entries of one key, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSearch {
    /// The key.
    pub key: Key,
    /// Only entries below this position.
    pub before: Option<Position>,
    /// How many entries are looked at, from the newest on; what is older is not found. Cut to
    /// [`SEARCH_ENTRIES_MAX`](crate::limits::SEARCH_ENTRIES_MAX).
    pub among: usize,
    /// Entries at most.
    pub limit: usize,
}

/// A range of positions, both ends included; a missing end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRange {
    /// The lowest position.
    pub from: Option<Position>,
    /// The highest position.
    pub through: Option<Position>,
    /// Whether entries of the archive are not meant, and stay.
    pub spares_archived: bool,
}

impl LogRange {
    /// One position.
    pub fn only(position: Position) -> Self {
        Self {
            from: Some(position),
            through: Some(position),
            spares_archived: false,
        }
    }

    /// Everything up to `position`, with it.
    pub fn through(position: Position) -> Self {
        Self {
            through: Some(position),
            ..Self::all()
        }
    }

    /// The whole log.
    pub fn all() -> Self {
        Self::default()
    }

    /// The same range, but for entries of the archive.
    pub fn sparing_archived(self) -> Self {
        Self {
            spares_archived: true,
            ..self
        }
    }

    /// Whether an entry of these marks within the range is to go.
    pub fn takes(self, marks: Marks) -> bool {
        !(self.spares_archived && marks.contains(Marks::ARCHIVED))
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
