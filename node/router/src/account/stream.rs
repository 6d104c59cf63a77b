//! A stream that can be resumed (XEP-0198 5), as its shard knows it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_session::carrier::{Delivered, Kept, Receipt, ReceiptRef, SessionId, SinkRef};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::stanza::Batch;

use super::Stranded;
use super::former::Former;
use super::given::behind;
use super::mirror::{Mirror, MirrorRef};
use super::mirror_bounds::Bounds;
use super::open::make_room;
use super::resumption::Resuming;
use super::stored::{Stored, WriteId, Written};
use super::void::Void;
use crate::shard::Turn;

/// A stream that can be resumed.
pub(super) struct Stream {
    /// Its name.
    pub(super) id: String,
    /// The sink of the session.
    pub(super) mirror: MirrorRef,
    /// The number of the first stanza of the present way that counts, and how many counted before.
    pub(super) first: u64,
    pub(super) h: u32,
    /// When it ends without its client, if no node serves it.
    pub(super) ends: Option<Timestamp>,
    /// The sessions that it was before, the last one last.
    pub(super) former: Former,
    /// Of the present way: what its node has sent to the former owner of the shard and comes again ends before this
    /// number, and what it has sent at all before that one.
    pub(super) again: (u64, u64),
    /// When it is waited for no more, if its node can be reached.
    pub(super) again_until: Timestamp,
    /// What its client has sent and may not have been dealt with: the numbers are those of the last stanzas of each.
    open: Vec<(Range<u64>, ReceiptRef, Batch)>,
    /// Its document.
    pub(super) stored: Stored,
    /// Of the word of its last node that it serves it no more. The node keeps its copy until that is done: first there
    /// must be another one, in the store or where the stream goes on.
    only_copy: Option<Receipt>,
    /// Its client is not heard until the store has it as one that goes on, and the store has refused that.
    pub(super) is_refused: bool,
    /// It was taken from the store, and no node has said more of it.
    pub(super) is_from_store: bool,
    /// All up to this number was given by former owners of the shard, and what is behind it by this one.
    pub(super) inherited: u64,
    /// Its node says what its client has not got: it cannot be resumed any more.
    pub(super) is_ending: bool,
    /// Those who wanted to resume it before all that was sent by the present way was here.
    pub(super) early: Vec<Resuming>,
    /// What was void, for its client says it again by another way.
    pub(super) void: Void,
}

impl Stream {
    pub(super) fn new(id: String, mirror: MirrorRef, first: u64, h: u32) -> Self {
        Self {
            id,
            mirror,
            first,
            h,
            ends: None,
            former: Former::default(),
            again: (0, 0),
            again_until: Timestamp(0),
            open: Vec::new(),
            stored: Stored::default(),
            only_copy: None,
            is_refused: false,
            is_from_store: false,
            inherited: 0,
            is_ending: false,
            early: Vec::new(),
            void: Void::default(),
        }
    }

    /// As the session's node has kept it.
    pub(super) fn again(kept: &Kept, sink: SinkRef, turn: &Turn<'_>) -> Self {
        let mirror = Arc::new(Mirror::again(sink, kept, Bounds::now(turn)));
        Self {
            again: (kept.again, kept.submitted),
            again_until: turn.now.plus(AGAIN_WITHIN),
            inherited: kept.sent(),
            ..Self::new(kept.id.clone(), mirror, kept.next_stanza, kept.h)
        }
    }

    /// As a former owner of the shard has left it in the store. One whose time is up is given nothing more, nor is one
    /// that goes on at its node: that announces it, or is lost as well.
    pub(super) fn stranded(stranded: &Stranded, mirror: MirrorRef, now: Timestamp) -> Self {
        let (kept, ends) = (&stranded.kept, stranded.ends);
        Self {
            ends: Some(ends),
            is_ending: ends <= now || stranded.goes_on,
            stored: stranded.stored(),
            inherited: kept.sent(),
            is_from_store: true,
            again: (kept.again, kept.submitted),
            again_until: now.plus(AGAIN_WITHIN),
            ..Self::new(kept.id.clone(), mirror, kept.next_stanza, kept.h)
        }
    }

    /// What is to be known of it by the next owner of the shard when this one gives it up. What has not been dealt with
    /// by then does not count: its node sends it again, if there is one.
    pub(super) fn left(&self, next_stanza: u64) -> Kept {
        let open = self
            .open
            .iter()
            .filter(|(_, receipt, _)| !receipt.is_settled());
        let (mut first, mut again, mut submitted) = (next_stanza, 0, next_stanza);
        if next_stanza < self.again.0 {
            (again, submitted) = self.again;
        }
        for (numbers, ..) in open {
            first = first.min(numbers.start);
            again = again.max(numbers.end);
        }
        let kept = self.kept(next_stanza);
        match again {
            0 => kept,
            again => Kept {
                next_stanza: first,
                again,
                submitted: submitted.max(again),
                h: self.h(first),
                ..kept
            },
        }
    }

    /// What is to be known of it, if this is the number of the next stanza.
    pub(super) fn kept(&self, next_stanza: u64) -> Kept {
        let (acked, unacked, seen) = self.mirror.shown();
        Kept {
            id: self.id.clone(),
            next_stanza,
            again: 0,
            submitted: 0,
            h: self.h(next_stanza),
            acked,
            unacked,
            seen,
        }
    }

    /// Whether its node has begun to say what its client has not got.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Whether it was found in the store as one that goes on as this session, and its node has said no more of it: what
    /// that says at its end still counts.
    pub(super) fn is_over_at(&self, session: SessionId) -> bool {
        self.is_from_store && self.stored.goes_on() == Some(session)
    }

    /// Whether the store says that it waits, while a node serves it.
    pub(super) fn is_stored_wrong(&self) -> bool {
        self.ends.is_none() && self.stored.says_it_waits()
    }

    /// It goes on from what it was before. Gives what finds other ways, as [`follows`](Self::follows) does. What the
    /// former way was not given is not done before the present one is, or others are.
    pub(super) fn takes_over(&mut self, turn: &mut Turn<'_>, before: &mut Self) -> Vec<Delivered> {
        before.mirror.leads_to(self.mirror.clone());
        before.mirror.detach();
        let mut held = before.mirror.take_ungiven();
        held.extend(before.only_copy.take());
        let left = self.follows(before);
        self.mirror.holds(held.clone());
        turn.holds(held);
        left
    }

    /// What this one was before has what its node may not have been given. Gives that whose numbers are others' now:
    /// what this owner of the shard has given there under numbers that a former one had used here, or the other way
    /// round.
    fn follows(&mut self, before: &Self) -> Vec<Delivered> {
        let (_, unacked, _) = before.mirror.shown();
        let common = self.inherited.min(before.inherited);
        let mut clashing = self.mirror.never_came(&unacked, common);
        if clashing.is_empty() && common == self.inherited {
            self.mirror.adopt(&unacked);
            self.inherited = before.inherited;
        } else {
            clashing.extend(behind(&unacked, common));
        }
        if !clashing.is_empty() {
            self.stored.is_beside(&before.stored);
        } else if before.stored.is_there() {
            self.stored = before.stored.handed_on();
        }
        clashing
    }

    /// The store has these as well. Gives those whose numbers are others' now: this owner of the shard has used them,
    /// or a former one that was gone before it had these in the log.
    pub(super) fn has_in_store(&mut self, stranded: &Stranded) -> Vec<Delivered> {
        let kept = &stranded.kept;
        if self.stored.has(kept.sent()) {
            // It is known.
            return Vec::new();
        }
        let mut clashing = self.mirror.never_came(&kept.unacked, self.inherited);
        let is_all_inherited = self.mirror.sent() == self.inherited;
        if clashing.is_empty() && (is_all_inherited || kept.sent() <= self.inherited) {
            self.stored = stranded.stored();
            self.mirror.adopt(&kept.unacked);
            self.inherited = self.inherited.max(kept.sent());
            return Vec::new();
        }
        clashing.extend(behind(&kept.unacked, self.inherited));
        self.stored.is_beside(&stranded.stored());
        clashing
    }

    /// Its node is there again.
    pub(super) fn reattach(&mut self, sink: SinkRef) {
        self.ends = None;
        let held = self.take_held();
        self.mirror.reattach(sink, held);
    }

    /// It was taken from the store, and is over at its node: that still says what its client had sent, and what it has
    /// not got.
    pub(super) fn says_last_words(&mut self, sink: SinkRef) {
        (self.ends, self.is_ending) = (None, true);
        self.mirror.gives_nothing_to(sink);
    }

    /// No node serves it any more. If the last one has said so, it is held with this receipt.
    pub(super) fn is_left(&mut self, word: Option<Receipt>) {
        self.only_copy = word.or_else(|| self.only_copy.take());
        self.mirror.detach();
    }

    /// What is held until there is another copy of all.
    pub(super) fn take_held(&mut self) -> Vec<Receipt> {
        self.only_copy.take().into_iter().collect()
    }

    /// Whether all that its client has not got and others count on is in the log, or in the store with this stream as
    /// one that goes on as this session: where both its node and this owner of its shard are gone, nobody else has it.
    pub(super) fn lies_elsewhere(&self, session: SessionId) -> bool {
        self.stored.says_it_goes_on(session, self.mirror.sent()) || !self.mirror.is_kept_alone()
    }

    /// Whether former owners of the shard have given something to its node that has to be in the store, for that node
    /// is this process. What is given here is in the log first.
    pub(super) fn is_in_one_process(&self, session: SessionId) -> bool {
        let is_served = self.ends.is_none() && !self.is_ending;
        let may_be = is_served && self.inherited > self.mirror.acked() && self.stored.is_quiet();
        may_be && !self.lies_elsewhere(session)
    }

    /// Whether there is a document, of a stream that is served, which is not needed, or was to go.
    pub(super) fn is_stored_for_nothing(&self) -> bool {
        let is_got = |through| self.mirror.acked() >= through;
        let through = self.stored.through();
        self.ends.is_none() && (self.stored.is_too_long_there() || through.is_some_and(is_got))
    }

    /// Whether something of it is to be in the store, and is not there or on its way there.
    pub(super) fn is_unstored(&self) -> bool {
        let (waits, is_ungiven) = (self.ends.is_some(), self.mirror.awaits_store());
        let is_waiting_there = self.stored.has(0) && self.stored.goes_on().is_none();
        match is_waiting_there {
            true => waits && is_ungiven,
            false => self.stored.is_missing() && (waits || is_ungiven),
        }
    }

    /// What no node was given is done when the document has it.
    pub(super) fn looks_at_the_store(&self) {
        if let Some(through) = self.stored.through() {
            self.mirror.is_stored(through);
        }
    }

    /// Who wants to resume a stream waits for what its client has sent, which may be among what is held. A store that
    /// has no room does not keep it from going on.
    pub(super) fn is_not_waited_for(&mut self) {
        if self.stored.is_refused() {
            self.mirror.holds_for_others();
        }
    }

    /// A write of its document has ended, which counts all that its client has sent, or not.
    pub(super) fn is_written(&mut self, write: WriteId, written: Written, counts_all: bool) {
        self.stored.ended(write, written);
        self.looks_at_the_store();
        // The last node alone could tell the next owner of the shard what else has been dealt with since.
        if self.stored.has(0) && counts_all {
            self.only_copy = None;
        }
    }

    /// It goes on by another way, whose client has sent so many.
    pub(super) fn goes_on(&mut self, had: u32) {
        (self.first, self.h, self.ends) = (0, had, None);
        self.again = (0, 0);
        self.void.begins();
        self.is_from_store = false;
    }

    /// Stanzas with these numbers are dealt with when their receipt is settled; the next one would be that. What comes
    /// again, for a link was broken, is done only when it is done as it came first.
    pub(super) fn opens(
        &mut self,
        (numbers, batch): (Range<u64>, &Batch),
        next_stanza: u64,
        receipt: &Receipt,
    ) {
        if numbers.start < next_stanza {
            self.unsettled().for_each(|it| it.carry(receipt.clone()));
        }
        make_room(&mut self.open, |(_, receipt, _)| receipt.is_settled());
        self.open
            .push((numbers, receipt.downgrade(), batch.clone()));
    }

    /// What has been dealt with takes no memory any more.
    pub(super) fn forgets_done(&mut self) {
        self.open.retain(|(_, receipt, _)| !receipt.is_settled());
        if self.open.is_empty() {
            self.open = Vec::new();
        }
    }

    /// What its client has sent and has not been dealt with, each with its number, in their order.
    pub(super) fn undone(&self) -> Vec<(u64, Bytes)> {
        let open = self.open.iter();
        let open = open.filter(|(_, receipt, _)| !receipt.is_settled());
        let each = open.flat_map(|(numbers, _, batch)| {
            let behind = batch.recs.len() - numbers.clone().count();
            let recs = batch.recs[behind..].iter().map(|rec| rec.bytes(&batch.buf));
            numbers.clone().zip(recs.map(Bytes::copy_from_slice))
        });
        let each: BTreeMap<_, _> = each.collect();
        each.into_iter().collect()
    }

    /// The receipts of what its client has sent and has not been dealt with.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = Receipt> {
        self.open
            .iter()
            .filter_map(|(_, receipt, _)| receipt.upgrade())
    }

    /// Whether what it waits for, without a node that serves it, still comes from the last one: that had sent it to the
    /// former owner of the shard.
    pub(super) fn is_to_come(&self, next_stanza: u64, now: Timestamp) -> bool {
        let may_come = self.ends.is_none() || self.is_from_store;
        may_come && next_stanza < self.again.0 && now < self.again_until
    }

    /// What a node has sent that cannot be reached comes when it can be, or the link says that it is lost.
    pub(super) fn looks_at_the_link(&mut self, now: Timestamp) {
        if self.again.0 > 0 && self.mirror.is_cut_off() {
            self.again_until = now.plus(AGAIN_WITHIN);
        }
    }

    pub(super) fn holds_void(&mut self, turn: &Turn<'_>, session: SessionId) {
        if let Some(receipt) = turn.receipt.clone() {
            self.void.hold(session, receipt, turn.now);
        }
    }

    /// The number of the next stanza, when this one was. Behind the last that comes again all has been dealt with.
    pub(super) fn next_behind(&self, next_stanza: u64) -> u64 {
        let (again, submitted) = self.again;
        match next_stanza >= again {
            true => next_stanza.max(submitted),
            false => next_stanza,
        }
    }

    /// How many stanzas its client has sent, if this is the number of the next.
    pub(super) fn h(&self, next_stanza: u64) -> u32 {
        self.h
            .wrapping_add(next_stanza.saturating_sub(self.first) as u32)
    }

    /// How many of them have been dealt with, none behind the first that has not. `None` where a node may know of
    /// more.
    pub(super) fn dealt_with(&self, next_stanza: u64) -> Option<u32> {
        if self.is_from_store && self.stored.goes_on().is_some() {
            return None;
        }
        let open = self.open.iter();
        let open = open.filter(|(_, receipt, _)| !receipt.is_settled());
        let first = open.map(|(numbers, ..)| numbers.start).min();
        let first = first.map_or(next_stanza, |first| first.min(next_stanza));
        Some(self.h(first))
    }
}

/// How long it is waited for what a node has sent to the former owner of a shard: it may have heard since that this was
/// dealt with, and does not send it again.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);
