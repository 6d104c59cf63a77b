//! What the store has of a stream.
//!
//! ```text
//! no node serves it ──► document: it waits          the next owner of the shard lets its client go on with it
//! its client is back ──► document: it goes on       ahead of all that the client says then: the next owner waits
//!                                                   for its node, for what the document says is not all any more
//! its client has got what is in it ──► deleted
//! ```
//!
//! A document that says that the stream waits, while it goes on, is what must never be: an owner that finds it would
//! tell the client of fewer stanzas than it has sent.

use rookery_session::carrier::SessionId;
use rookery_store::StoreError;

use crate::shard::Reply;

/// What is known of the document of a stream. Writes reach the store in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// By the writes that have ended.
    known: Known,
    /// The writes that have not, the last one last.
    under_way: Vec<(WriteId, Known)>,
    /// As which session it goes on, as the last one says.
    goes_on: Option<SessionId>,
    /// The number of the last stanza that is in the last one.
    through: u64,
    /// How the last one has ended.
    write: Write,
    /// The number of the last one.
    number: u32,
}

/// What there may be.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// A document.
    is_there: bool,
    /// One that says that the stream waits.
    says_it_waits: bool,
}

/// How the last write has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Write {
    #[default]
    None,
    UnderWay,
    Done,
    Failed,
    /// It was to delete what is there.
    NotDeleted,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the store.
    Done,
    /// The store has nothing of it.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Written {
    /// By the store's reply.
    pub(super) fn from(reply: &Reply) -> Self {
        match reply {
            Reply::Done | Reply::Deleted(_) => Self::Done,
            Reply::Failed(StoreError::Full | StoreError::Busy) => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

/// A write that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriteId(u32);

impl Stored {
    /// As it was found, with all up to this number.
    pub(super) fn found(through: u64, goes_on: Option<SessionId>) -> Self {
        Self {
            known: Known::document(goes_on),
            goes_on,
            through,
            write: Write::Done,
            ..Self::default()
        }
    }

    /// The same of a stream that is another session's now: nobody hears of a write that is under way.
    pub(super) fn handed_on(&self) -> Self {
        let write = match self.write {
            Write::UnderWay => Write::Failed,
            other => other,
        };
        Self {
            known: Known {
                is_there: self.is_there(),
                says_it_waits: self.says_it_waits(),
            },
            under_way: Vec::new(),
            write,
            ..*self
        }
    }

    /// There may be what is known of this one as well, with something else in it.
    pub(super) fn is_beside(&mut self, other: &Self) {
        self.known.is_there |= other.is_there();
        self.known.says_it_waits |= other.says_it_waits();
    }

    /// A document with all up to this number is written: the stream waits, or goes on as this session.
    pub(super) fn begins(&mut self, through: u64, goes_on: Option<SessionId>) -> WriteId {
        (self.through, self.goes_on) = (through, goes_on);
        self.next(Known::document(goes_on))
    }

    /// It is deleted.
    pub(super) fn begins_to_go(&mut self) -> WriteId {
        self.goes_on = None;
        self.next(Known::default())
    }

    /// A write has ended. What was done stands, whatever was asked for before it.
    pub(super) fn ended(&mut self, write: WriteId, written: Written) {
        let mut writes = self.under_way.iter();
        let Some(at) = writes.position(|(known, _)| *known == write) else {
            return;
        };
        let (_, made) = self.under_way[at];
        match written {
            Written::Done => {
                self.known = made;
                self.under_way.drain(..=at);
            }
            Written::Refused => {
                self.under_way.remove(at);
            }
            Written::Unknown => {
                self.known.is_there |= made.is_there;
                self.known.says_it_waits |= made.says_it_waits;
                self.under_way.remove(at);
            }
        }
        if self.is_last(write) {
            self.write = match written {
                Written::Done if made.is_there => Write::Done,
                Written::Done => Write::None,
                Written::Refused | Written::Unknown if made.is_there => Write::Failed,
                Written::Refused | Written::Unknown => Write::NotDeleted,
            };
        }
    }

    /// Whether none was asked for behind this one.
    pub(super) fn is_last(&self, write: WriteId) -> bool {
        write == WriteId(self.number)
    }

    /// Whether there may be one.
    pub(super) fn is_there(&self) -> bool {
        let under_way = self.under_way.iter();
        self.known.is_there || under_way.map(|(_, made)| made).any(|made| made.is_there)
    }

    /// Whether there may be one that says that the stream waits.
    pub(super) fn says_it_waits(&self) -> bool {
        let mut under_way = self.under_way.iter();
        self.known.says_it_waits || under_way.any(|(_, made)| made.says_it_waits)
    }

    /// Whether there is one that says that the stream goes on as this session, with all up to this number.
    pub(super) fn says_it_goes_on(&self, session: SessionId, through: u64) -> bool {
        self.goes_on == Some(session) && self.has(through)
    }

    /// Whether there is one with all up to this number.
    pub(super) fn has(&self, through: u64) -> bool {
        self.write == Write::Done && self.through >= through
    }

    /// Up to which number it has all, if there is one.
    pub(super) fn through(&self) -> Option<u64> {
        self.has(0).then_some(self.through)
    }

    /// Whether its client has got all that is in it, if it has got so many.
    pub(super) fn is_got(&self, acked: u64) -> bool {
        self.has(0) && acked >= self.through
    }

    /// Whether nothing is on its way there.
    pub(super) fn is_quiet(&self) -> bool {
        self.write != Write::UnderWay
    }

    /// Whether there is none, as far as is known, and none is on its way there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.write, Write::None | Write::Failed | Write::NotDeleted)
    }

    /// Whether it was to be deleted, and the store has not done that.
    pub(super) fn is_too_long_there(&self) -> bool {
        self.write == Write::NotDeleted && self.is_there()
    }

    /// Whether the store had no room for the last one, and has none before that.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.write, Write::Failed | Write::NotDeleted) && !self.is_there()
    }

    /// The session as which the stream goes on by what the document says.
    pub(super) fn goes_on(&self) -> Option<SessionId> {
        self.goes_on
    }

    fn next(&mut self, made: Known) -> WriteId {
        self.number = self.number.wrapping_add(1);
        self.write = Write::UnderWay;
        let write = WriteId(self.number);
        self.under_way.push((write, made));
        write
    }
}

impl Known {
    /// A document that says that the stream waits, or goes on.
    fn document(goes_on: Option<SessionId>) -> Self {
        Self {
            is_there: true,
            says_it_waits: goes_on.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALCONY: SessionId = SessionId { node: 3, serial: 1 };

    #[test]
    fn a_stream_goes_on_when_the_last_write_says_so() {
        let mut stored = Stored::default();
        assert!(!stored.is_there() && stored.is_missing());
        let waits = stored.begins(4, None);
        assert!(stored.says_it_waits() && !stored.has(4) && !stored.is_missing());
        stored.ended(waits, Written::Done);
        assert!(stored.has(4) && !stored.has(5));
        let goes_on = stored.begins(4, Some(BALCONY));
        assert!(stored.says_it_waits());
        // Its way is over meanwhile.
        let waits = stored.begins(5, None);
        stored.ended(goes_on, Written::Done);
        assert!(stored.says_it_waits() && !stored.says_it_goes_on(BALCONY, 4));
        stored.ended(waits, Written::Done);
        let goes_on = stored.begins(5, Some(BALCONY));
        stored.ended(goes_on, Written::Done);
        assert!(!stored.says_it_waits() && stored.says_it_goes_on(BALCONY, 5));
    }

    #[test]
    fn a_store_that_refuses_leaves_what_was_there() {
        let mut stored = Stored::found(4, None);
        let goes_on = stored.begins(4, Some(BALCONY));
        stored.ended(goes_on, Written::Refused);
        assert!(stored.says_it_waits() && stored.is_missing() && stored.is_there());
        let goes = stored.begins_to_go();
        stored.ended(goes, Written::Unknown);
        assert!(stored.says_it_waits());
        let goes = stored.begins_to_go();
        stored.ended(goes, Written::Done);
        assert!(!stored.is_there());
    }

    #[test]
    fn what_was_refused_for_certain_is_not_there() {
        for (written, may_be) in [(Written::Refused, false), (Written::Unknown, true)] {
            let mut stored = Stored::default();
            let waits = stored.begins(1, None);
            stored.ended(waits, written);
            assert_eq!(stored.says_it_waits(), may_be);
            assert!(stored.is_missing());
            assert_eq!(stored.is_refused(), !may_be);
        }
        let mut stored = Stored::default();
        let first = stored.begins(1, None);
        let again = stored.begins(1, None);
        stored.ended(again, Written::Refused);
        assert!(stored.says_it_waits(), "of the first nobody knows");
        stored.ended(first, Written::Refused);
        assert!(!stored.says_it_waits() && !stored.is_there());
    }
}
