//! Messages on their way into the log: those that wait for a reader, and those that are archived.
//!
//! What one frame asks for is one append, and its receipt waits for that. Where the store refuses, what waits is
//! bounced. What is only archived was delivered or sent on already, and what comes back from a session was
//! acknowledged to its sender: for these the store is asked again each second.

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Origin, Receipt};
use rookery_store::StoreError;
use rookery_store::log::{Append, DELIVERED, LogUsage, Marks, Position};
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
    /// Its sender was told that it has arrived, and may be gone.
    pub(super) is_told: bool,
}

impl Kept {
    /// Whether it waits for a reader.
    fn waits(&self) -> bool {
        self.marks.contains(Marks::OWED) && !self.is_given
    }

    /// Whether an error is a fair answer to its sender. What was sent on, delivered or acknowledged is past that.
    fn may_be_refused(&self) -> bool {
        self.waits() && !self.is_told
    }
}

/// One append.
pub(super) struct Appending {
    /// Its first position, by which it is known among those that are under way.
    first: Position,
    received: Timestamp,
    kept: Vec<Kept>,
}

/// What was sent on, delivered or acknowledged already, and must be in the log: the store is asked until it has it.
pub(super) struct Again {
    append: Appending,
    /// Of whom it was sent: acknowledged means archived.
    receipt: Option<Receipt>,
    /// The store is asked.
    is_asked: bool,
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
        let request = Request::Append(self.entries(&append));
        self.request_beside(turn, request, move |account, turn, reply| {
            account.appended(turn, append, reply);
            account.drain_offline(turn);
            account.retract_next(turn);
        });
    }

    fn entries(&self, append: &Appending) -> Vec<Append> {
        let entries = append.kept.iter().map(|message| {
            let owner = Jid::clone(self.jid());
            let bytes = message.bytes.clone();
            Append::new(owner, message.position, bytes, append.received)
                .of(message.origin.map(repeats::stored))
                .marked(message.marks)
        });
        entries.collect()
    }

    /// What the store has refused so far, and nobody may have besides this owner of the shard.
    pub(crate) fn unlogged(&self) -> impl Iterator<Item = Vec<Append>> {
        let again = self.offline.again.iter();
        again.map(|again| self.entries(&again.append))
    }

    fn appended(&mut self, turn: &mut Turn<'_>, append: Appending, reply: Reply) {
        let refusal = match reply {
            Reply::Done => return self.is_in_log(turn, append),
            Reply::Failed(error) => error,
            _ => StoreError::Invalid("reply"),
        };
        let Appending {
            first,
            received,
            kept,
        } = append;
        let (refused, again): (Vec<_>, Vec<_>) = kept.into_iter().partition(Kept::may_be_refused);
        self.offline.appending -= refused.len() as u64;
        if !refused.is_empty() {
            self.offline.append_failed(first, turn.now);
            let positions = refused.iter().map(|message| message.position);
            self.retracting.forget(positions);
            bounce_all(turn, &refused, &store_refusal(&refusal));
        }
        if again.is_empty() {
            return self.is_over(turn, first);
        }
        let append = Appending {
            first,
            received,
            kept: again,
        };
        self.offline.again.push(Again {
            append,
            receipt: turn.receipt.clone(),
            is_asked: false,
        });
    }

    fn is_in_log(&mut self, turn: &mut Turn<'_>, append: Appending) {
        let (owed, archived): (Vec<_>, Vec<_>) = append.kept.into_iter().partition(Kept::waits);
        self.offline.appending -= owed.len() as u64;
        self.offline.stored += owed.len() as u64;
        self.offline.appended += 1;
        self.archived(&archived);
        let in_both = |message: &&Kept| message.marks.contains(Marks::ARCHIVED);
        let mut came = LogUsage::default();
        for message in archived.iter().chain(&owed).filter(in_both) {
            came.entries += 1;
            came.bytes += message.bytes.len() as u64;
        }
        self.archive_grew(turn, came);
        self.is_over(turn, append.first);
    }

    /// An append is under way no more.
    fn is_over(&mut self, turn: &mut Turn<'_>, first: Position) {
        self.offline.under_way.retain(|other| *other != first);
        self.offline.move_along();
        self.queries_go_on(turn);
        if self.offline.passed >= PASSED_MAX {
            self.keep_cursor(turn);
        }
    }

    /// Has the store asked again for what it refused and nobody else can be asked for.
    pub(super) fn append_again(&mut self, turn: &mut Turn<'_>) {
        for at in 0..self.offline.again.len() {
            let again = &mut self.offline.again[at];
            if std::mem::replace(&mut again.is_asked, true) {
                continue;
            }
            let first = again.append.first;
            turn.receipt = again.receipt.clone();
            let request = Request::Append(self.entries(&self.offline.again[at].append));
            self.request_beside(turn, request, move |account, turn, reply| {
                account.appended_again(turn, first, &reply);
            });
            turn.receipt = None;
        }
    }

    fn appended_again(&mut self, turn: &mut Turn<'_>, first: Position, reply: &Reply) {
        let again = &mut self.offline.again;
        let Some(at) = again.iter().position(|it| it.append.first == first) else {
            return;
        };
        if !matches!(reply, Reply::Done) {
            again[at].is_asked = false;
            return;
        }
        let Again { append, .. } = again.remove(at);
        self.is_in_log(turn, append);
        self.drain_offline(turn);
        self.retract_next(turn);
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
