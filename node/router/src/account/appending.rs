//! Messages on their way into the log: those that wait for a reader, and those that are archived.
//!
//! What one frame asks for is one append, and its receipt waits for that. Where the store refuses, what waits is
//! bounced; what is only archived was delivered or sent on already, and the store is asked again each second.

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Origin, Receipt};
use rookery_store::StoreError;
use rookery_store::log::{Append, DELIVERED, Marks, Position};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Rec;
use rookery_xmpp::stanza_error::StanzaError;

use super::offline::store_refusal;
use super::{Account, repeats};
use crate::shard::{Reply, Request, Turn};

/// How many archived entries the cursor may pass before it is kept: what a load looks at for nothing.
const PASSED_MAX: u64 = 256;

/// A message on its way into the log, and where it must be bounced to if that fails.
pub(super) struct Kept {
    pub(super) from: Arc<Jid>,
    pub(super) to: Arc<Jid>,
    pub(super) position: Position,
    pub(super) bytes: Bytes,
    pub(super) rec: Rec,
    pub(super) origin: Option<Origin>,
    pub(super) marks: Marks,
    /// Sessions of this process are given it at once.
    pub(super) is_given: bool,
}

impl Kept {
    /// Whether it waits for a reader.
    fn waits(&self) -> bool {
        self.marks.contains(Marks::OWED) && !self.is_given
    }
}

/// One append.
pub(super) struct Appending {
    /// Its first position, by which it is known among those that are under way.
    first: Position,
    received: Timestamp,
    kept: Vec<Kept>,
}

/// What was sent on or delivered already, and must be archived still: the store is asked until it has it.
pub(super) struct Again {
    append: Appending,
    /// Of whom it was sent: acknowledged means archived.
    receipt: Option<Receipt>,
}

impl Account {
    /// Writes the messages that were kept in this turn: one append for all.
    pub(super) fn flush_offline(&mut self, turn: &mut Turn<'_>) {
        let Some(first) = self.offline.batch.first() else {
            return;
        };
        let append = Appending {
            first: first.position,
            received: turn.now,
            kept: std::mem::take(&mut self.offline.batch),
        };
        self.offline.under_way.push_back(append.first);
        self.append(turn, append);
    }

    fn append(&mut self, turn: &mut Turn<'_>, append: Appending) {
        let appends = append.kept.iter().map(|message| {
            let owner = Jid::clone(self.jid());
            let bytes = message.bytes.clone();
            Append::new(owner, message.position, bytes, append.received)
                .of(message.origin.map(repeats::stored))
                .marked(message.marks)
        });
        let request = Request::Append(appends.collect());
        self.request_beside(turn, request, move |account, turn, reply| {
            account.appended(turn, append, reply);
            account.drain_offline(turn);
            account.retract_next(turn);
        });
    }

    fn appended(&mut self, turn: &mut Turn<'_>, append: Appending, reply: Reply) {
        let Appending {
            first,
            received,
            kept,
        } = append;
        let (owed, archived): (Vec<_>, Vec<_>) = kept.into_iter().partition(Kept::waits);
        self.offline.appending -= owed.len() as u64;
        let refusal = match reply {
            Reply::Done => {
                self.offline.stored += owed.len() as u64;
                self.offline.appended += 1;
                self.archived(&archived);
                let in_both = |message: &&Kept| message.marks.contains(Marks::ARCHIVED);
                let came = archived.iter().chain(&owed).filter(in_both).count();
                self.archive_grew(turn, came as u64);
                None
            }
            Reply::Failed(error) => {
                if !owed.is_empty() {
                    self.offline.append_failed(first, turn.now);
                    self.retracting
                        .forget(owed.iter().map(|message| message.position));
                }
                Some(store_refusal(&error))
            }
            _ => Some(store_refusal(&StoreError::Invalid("reply"))),
        };
        let again = refusal.is_some() && !archived.is_empty();
        if let Some(refusal) = refusal {
            bounce_all(turn, &owed, &refusal);
        }
        if again {
            let append = Appending {
                first,
                received,
                kept: archived,
            };
            let receipt = turn.receipt.clone();
            return self.offline.again.push(Again { append, receipt });
        }
        self.offline.under_way.retain(|other| *other != first);
        self.offline.move_along();
        if self.offline.passed >= PASSED_MAX {
            self.keep_cursor(turn);
        }
    }

    /// Has the store asked again for what it refused to archive.
    pub(super) fn archive_again(&mut self, turn: &mut Turn<'_>) {
        for Again { append, receipt } in std::mem::take(&mut self.offline.again) {
            turn.receipt = receipt;
            self.append(turn, append);
            turn.receipt = None;
        }
    }

    /// Keeps the cursor, if it has moved.
    pub(super) fn keep_cursor(&mut self, turn: &mut Turn<'_>) {
        let offline = &mut self.offline;
        let busy = offline.keeping || offline.draining || offline.given.is_some();
        let Some(cursor) = offline.cursor.filter(|_| offline.has_moved() && !busy) else {
            return;
        };
        offline.keeping = true;
        let passed = offline.passed;
        let request = Request::SetCursor(Jid::clone(self.jid()), DELIVERED, cursor);
        self.request_beside(turn, request, move |account, turn, reply| {
            account.offline.keeping = false;
            if matches!(reply, Reply::Done) {
                account.offline.passed -= passed;
            }
            account.drain_offline(turn);
        });
    }
}

fn bounce_all(turn: &mut Turn<'_>, kept: &[Kept], error: &StanzaError) {
    for message in kept {
        turn.bounce(
            &message.from,
            &message.to,
            &message.bytes,
            message.rec,
            error,
        );
    }
}
