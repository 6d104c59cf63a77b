//! Which stanzas an account has been sent before.
//!
//! ```text
//! since this owner has it    the newest of each session         Seen
//! before                     what the log's end says it holds   Loaded::recent
//! ```
//!
//! An owner may die between an append and the word of it to whoever keeps the frame. The frame then goes to the next
//! owner, who knows the message by its origin in the log. Only what is itself in the log was received: appends of one
//! session may overtake one another, so a later one says nothing of those before it.
//!
//! A repeat is dropped, but not done before the first is: whoever keeps its frame may be the only one that still would
//! send it to the next owner. So its receipt goes with that of the first, wherever that waits: on its way into the log,
//! or to a session that is cut off.
//!
//! What the log only archives was sent on or delivered as well, by an owner who may have died in between. So that
//! comes through again, and only the archive has it already ([`Repeats::archived_at`]).
//!
//! The sessions know what they have got, directly or from the log, and drop it when it comes again. So three kinds of
//! repeats pass. A message that the former owner has appended, given to a session which has ended since and removed
//! within the time that its word takes; more of them than are looked for; and one whose append arrives when the next
//! owner has already loaded the account.

use rookery_session::Seen;
use rookery_session::carrier::{Origin, Receipt, ReceiptRef, SessionId};
use rookery_store::log::{Marks, Origin as Stored, Position, Recent};

use super::open::make_room;

/// What an account has received, as far as it can come again.
pub(super) struct Repeats {
    seen: Seen,
    /// What earlier owners have put into the log for those who were absent.
    logged: Box<[Origin]>,
    /// What they have archived, and where: whether sessions got it, or others, is not known.
    archived: Box<[(Origin, Position)]>,
    /// What has come since, as long as something of it may be left to do.
    open: Vec<(Origin, ReceiptRef)>,
}

impl Repeats {
    /// What is known under `epoch` of an account that is loaded. What was appended under this one came through here,
    /// and was settled before the account was forgotten.
    pub(super) fn new(epoch: u32, recent: &[Recent]) -> Self {
        let earlier = || recent.iter().filter(|it| it.position.epoch() < epoch);
        let is_owed = |it: &&Recent| it.marks.contains(Marks::OWED);
        let is_archived = |it: &&Recent| it.marks.contains(Marks::ARCHIVED);
        let at = |it: &Recent| (carried(it.origin), it.position);
        Self {
            seen: Seen::default(),
            logged: earlier().filter(is_owed).map(|it| at(it).0).collect(),
            archived: earlier().filter(is_archived).map(at).collect(),
            open: Vec::new(),
        }
    }

    /// Where an earlier owner has archived this. It was also to be sent on or delivered, which may not have been done.
    pub(super) fn archived_at(&self, origin: Origin) -> Option<Position> {
        let found = self.archived.iter().find(|(known, _)| *known == origin);
        found.map(|(_, position)| *position)
    }

    /// Whether a stanza, which came with this receipt, has not come before. If it has, the receipt is held until what
    /// it asked for is done.
    pub(super) fn is_new(&mut self, origin: Origin, receipt: Option<&Receipt>) -> bool {
        let is_new = self.seen.is_new(origin) && !self.logged.contains(&origin);
        match receipt {
            Some(receipt) if is_new => self.opens(origin, receipt),
            Some(receipt) => {
                if let Some(first) = self.first(origin) {
                    first.carry(receipt.clone());
                }
            }
            None => {}
        }
        is_new
    }

    fn opens(&mut self, origin: Origin, receipt: &Receipt) {
        make_room(&mut self.open, |(_, known)| known.is_settled());
        self.open.push((origin, receipt.downgrade()));
    }

    /// The receipt of the first of two that are the same, if that is not done.
    fn first(&self, origin: Origin) -> Option<Receipt> {
        let of_this = |(known, _): &&(Origin, ReceiptRef)| *known == origin;
        let (_, first) = self.open.iter().rev().find(of_this)?;
        first.upgrade()
    }
}

/// An origin as logs keep it.
pub(super) fn stored(origin: Origin) -> Stored {
    Stored {
        node: origin.session.node,
        serial: origin.session.serial,
        sequence: origin.sequence,
    }
}

/// An origin as frames name it.
pub(super) fn carried(stored: Stored) -> Origin {
    let session = SessionId {
        node: stored.node,
        serial: stored.serial,
    };
    Origin {
        session,
        sequence: stored.sequence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(sequence: u64) -> Origin {
        let session = SessionId { node: 1, serial: 2 };
        Origin { session, sequence }
    }

    #[test]
    fn what_an_earlier_owner_has_logged_is_a_repeat_and_what_it_has_not_is_none() {
        let at = |epoch, sequence| Position::new(epoch, sequence).unwrap();
        let recent = |position, sequence, marks| Recent {
            position,
            origin: stored(origin(sequence)),
            marks,
        };
        let recent = [
            recent(at(2, 1), 9, Marks::OWED),
            recent(at(1, 3), 7, Marks::OWED),
            recent(at(1, 2), 4, Marks::ARCHIVED),
        ];
        let mut repeats = Repeats::new(2, &recent);
        let mut is_new = |sequence| repeats.is_new(origin(sequence), None);
        assert!(is_new(6), "its append never came");
        assert!(!is_new(7));
        assert!(is_new(8));
        assert!(is_new(9), "it was appended under this epoch");
        assert!(!is_new(9));
        assert!(is_new(4), "it was archived, and perhaps not delivered");
        assert_eq!(repeats.archived_at(origin(4)), Some(at(1, 2)));
        assert_eq!(repeats.archived_at(origin(7)), None);
    }
}
