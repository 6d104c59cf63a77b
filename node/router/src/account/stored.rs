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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    /// There may be one.
    is_there: bool,
    /// There may be one that says that the stream waits.
    says_it_waits: bool,
    /// As which session it goes on, as the last one says.
    goes_on: Option<SessionId>,
    /// The number of the last stanza that is in the last one.
    through: u64,
    write: Write,
    /// The number of the last write.
    number: u32,
    /// What there may have been before it, which is there still if the store has refused it.
    before: (bool, bool),
}

/// How the last write has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Write {
    #[default]
    None,
    UnderWay,
    Done,
    Failed,
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
            is_there: true,
            says_it_waits: goes_on.is_none(),
            goes_on,
            through,
            write: Write::Done,
            number: 0,
            before: (true, goes_on.is_none()),
        }
    }

    /// The same of a stream that is another session's now: nobody hears of a write that is under way.
    pub(super) fn handed_on(self) -> Self {
        let write = match self.write {
            Write::UnderWay => Write::Failed,
            other => other,
        };
        Self { write, ..self }
    }

    /// A document with all up to this number is written: the stream waits, or goes on as this session.
    pub(super) fn begins(&mut self, through: u64, goes_on: Option<SessionId>) -> WriteId {
        self.remembers();
        self.is_there = true;
        self.says_it_waits |= goes_on.is_none();
        (self.through, self.goes_on) = (through, goes_on);
        self.next(Write::UnderWay)
    }

    /// A write has ended. Only the last one says what there is.
    pub(super) fn ended(&mut self, write: WriteId, written: Written) {
        if write != WriteId(self.number) {
            return;
        }
        self.write = match written {
            Written::Done => Write::Done,
            Written::Refused | Written::Unknown => Write::Failed,
        };
        match written {
            Written::Done if self.goes_on.is_some() => self.says_it_waits = false,
            Written::Refused => (self.is_there, self.says_it_waits) = self.before,
            Written::Done | Written::Unknown => {}
        }
    }

    /// It is deleted.
    pub(super) fn begins_to_go(&mut self) -> WriteId {
        self.remembers();
        self.goes_on = None;
        self.next(Write::UnderWay)
    }

    /// The deletion has ended.
    pub(super) fn is_gone(&mut self, write: WriteId, written: Written) {
        match written {
            Written::Done if write == WriteId(self.number) => self.forgotten(),
            Written::Done => {}
            other => self.ended(write, other),
        }
    }

    /// It is not needed any more, and says nothing that is wrong.
    pub(super) fn forgotten(&mut self) {
        let number = self.number;
        *self = Self {
            number,
            ..Self::default()
        };
    }

    /// Whether there may be one.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Whether there may be one that says that the stream waits.
    pub(super) fn says_it_waits(&self) -> bool {
        self.is_there && self.says_it_waits
    }

    /// Whether there is one that says that the stream goes on as this session, with all up to this number.
    pub(super) fn says_it_goes_on(&self, session: SessionId, through: u64) -> bool {
        self.goes_on == Some(session) && self.has(through)
    }

    /// Whether there is one with all up to this number.
    pub(super) fn has(&self, through: u64) -> bool {
        self.is_there && self.write == Write::Done && self.through >= through
    }

    /// Whether its client has got all that is in it, if it has got so many.
    pub(super) fn is_got(&self, acked: u64) -> bool {
        self.has(0) && acked >= self.through
    }

    /// Whether there is none, as far as is known, and none is on its way there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.write, Write::None | Write::Failed)
    }

    /// The session as which the stream goes on by what the document says.
    pub(super) fn goes_on(&self) -> Option<SessionId> {
        self.goes_on
    }

    /// While a write is under way nobody knows what there is.
    fn remembers(&mut self) {
        self.before = match self.write {
            Write::UnderWay => (true, true),
            _ => (self.is_there, self.says_it_waits()),
        };
    }

    fn next(&mut self, write: Write) -> WriteId {
        self.number = self.number.wrapping_add(1);
        self.write = write;
        WriteId(self.number)
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
        stored.is_gone(goes, Written::Unknown);
        assert!(stored.says_it_waits());
        let goes = stored.begins_to_go();
        stored.is_gone(goes, Written::Done);
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
        }
        let mut stored = Stored::default();
        let _under_way = stored.begins(1, None);
        let again = stored.begins(1, None);
        stored.ended(again, Written::Refused);
        assert!(stored.says_it_waits(), "of the first nobody knows");
    }
}
