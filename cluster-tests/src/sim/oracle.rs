//! What must always be true, and what the clients know.
//!
//! * **A message** arrives, waits in the recipient's log, or is answered with an error. Not where its sender's
//!   session was ended by the server, or its connection node died, unless it was told that it is acknowledged; and not
//!   where it was with a session whose stream cannot be resumed and whose node died with it, or before the session's
//!   last words had reached a shard.
//!   Nor where it was kept for a stream that can be resumed by the client's node and by the shard's owner, and the one
//!   has died before the other had heard of it: what is kept twice outlives one of both. An owner that gives the shard
//!   up leaves its copy in the store.
//! * **Acknowledged** (XEP-0198) is no message that is nowhere yet. What a client was told, by `<a/>`, `<resumed/>` or
//!   `<failed/>`, never goes back and never exceeds what it has sent; the rest it sends again: on the stream that goes
//!   on as the same message, on a new one as another.
//! * **A stream that is resumed** is one session: what is said below of a session holds of all of it. A client and the
//!   shard count each stanza alike.
//! * **In a log** what the store has acknowledged to the shard's owner stays until a session has taken it, whatever
//!   dies. But not what its sender keeps as long: what was put there for one session alone, which did not take it, and
//!   is on its way to another one, whose node is to have it.
//! * **Order** holds of one session's messages to one address, at each session that they reach. But what a session
//!   did not take comes from the log, and may come late: newer messages may have got there while it was on its way
//!   back, from a link that was full or cut. And what an owner of the recipient's shard gave only to other sessions,
//!   for this one was behind or not there yet, comes from the next owner if nobody could tell that it was taken:
//!   behind those newer ones that the former owner had for this session. To drop it would lose it, for the others may
//!   be gone.
//! * **No phantom**: what arrives was sent, by who it says, to who gets it, as it is; and an owner of the recipient's
//!   shard was given it before.
//! * **No duplicate** at one session.
//! * **One owner**: whoever acts for a shard does so under the newest epoch under which anybody has acted, and each
//!   epoch is one node's.
//! * **Registrations**: each that was acknowledged exists; no more of them in any window than the limit.
//! * **Budgets**: in no window of true time all nodes together take more of one than its burst and its rate allow, and
//!   one read for each run of a process; after healing each node that wants more than its floor gets it.
//! * **The group**: members that have applied as much are the same; one request takes one place.

pub(crate) mod budgets;
mod given;
mod owners;
pub(crate) mod registrations;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rookery_session::carrier::{SessionId, ShardId};
use rookery_xmpp::jid::Jid;

use super::clock::{Micros, SECOND};
use super::message::Received;
use super::world::SHARDS;
use budgets::Budgets;
pub(crate) use given::Given;
use owners::Owners;
use registrations::Registrations;

/// What is broken, in words.
pub(crate) type Violation = String;

/// Everything that was sent and what became of it.
pub(crate) struct Oracle {
    sent: Vec<Sent>,
    /// By recipient's session, sender's session and address: the last message that arrived.
    last: BTreeMap<(SessionId, SessionId, String), u64>,
    arrived: BTreeSet<(SessionId, u64)>,
    /// When sessions were ended from the server's side.
    ended: BTreeMap<SessionId, Micros>,
    given: Given,
    /// The newest epoch of each shard.
    epochs: BTreeMap<ShardId, u32>,
    /// When the store last had no answer for the owner of a shard.
    refused: BTreeMap<ShardId, Micros>,
    pub(crate) owners: Owners,
    pub(crate) registrations: Registrations,
    pub(crate) budgets: Budgets,
    violation: Option<Violation>,
    /// Figures for the report.
    pub(crate) tally: Tally,
}

/// How much a run has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) bounced: u64,
    pub(crate) stored: u64,
    /// Lost where that is allowed today.
    pub(crate) excused: u64,
    pub(crate) moves: u64,
    /// Messages that were not sent, for their clients had to wait for a budget.
    pub(crate) held: u64,
    pub(crate) registered: u64,
    /// Messages that their clients were told are acknowledged.
    pub(crate) acked: u64,
    /// Streams that were resumed, and that were not.
    pub(crate) resumed: u64,
    pub(crate) refused: u64,
}

/// A message.
struct Sent {
    at: Micros,
    from: String,
    session: SessionId,
    /// Its client manages its stream: it knows what is acknowledged, and sends the rest again.
    is_managed: bool,
    /// Its client was told that it is acknowledged.
    acked: bool,
    /// Its shard has put it before a session whose stream can be resumed.
    mirrored: bool,
    /// It is on its way to so many sessions, sent by the owner of its recipient's shard under this epoch; its sender
    /// keeps it until they have it.
    on_its_way: (u32, u32),
    to: String,
    /// The account it is for.
    recipient: String,
    delivered: bool,
    bounced: bool,
    /// It was on its way into a log.
    appended: bool,
    stored: bool,
    /// It was in the queue of a session whose node died.
    unread: bool,
    /// When a session's node died that kept it: from then on its shard alone does, until it knows that and has stored
    /// it, or the client is back.
    alone: Option<Micros>,
    /// A session of this node ended with it in its queue, and no shard has heard of that yet.
    left: Option<u32>,
    /// A session of this node ended with it, which has its second copy, and gives it back.
    parts: Option<u32>,
    /// The last epoch under which its recipient's shard was given it, by whoever had it.
    held: u32,
    due: Option<Micros>,
}

/// A message that is about to be sent.
pub(crate) struct Posting<'a> {
    pub(crate) from: &'a str,
    /// The first session of the stream.
    pub(crate) session: SessionId,
    /// Whether the stream is managed.
    pub(crate) is_managed: bool,
    /// The address as written.
    pub(crate) to: &'a str,
    /// The bare JID of the recipient.
    pub(crate) recipient: &'a str,
    /// By when it must have arrived, if nothing may hinder it.
    pub(crate) due: Option<Micros>,
}

impl Sent {
    /// The node of a session has died that kept it. If its shard's owner has died before, and the present one has not
    /// heard of it from that node, both copies are gone; but who gives a shard up has left a copy in the store.
    fn is_alone(&mut self, owners: &Owners, epochs: &BTreeMap<ShardId, u32>, now: Micros) {
        let shard = ShardId::of(&self.recipient, SHARDS);
        match epochs.get(&shard) {
            _ if owners.has_left_all(shard, self.held) => {}
            Some(present) if self.held < *present => self.unread = true,
            _ => self.alone = Some(now),
        }
    }
}

impl Oracle {
    /// Nothing was sent.
    pub(crate) fn new() -> Self {
        Self {
            sent: Vec::new(),
            last: BTreeMap::new(),
            arrived: BTreeSet::new(),
            ended: BTreeMap::new(),
            given: Given::default(),
            epochs: BTreeMap::new(),
            refused: BTreeMap::new(),
            owners: Owners::default(),
            registrations: Registrations::default(),
            budgets: Budgets::default(),
            violation: None,
            tally: Tally::default(),
        }
    }

    /// The first thing that was broken.
    pub(crate) fn violation(&mut self) -> Option<Violation> {
        let first = self.violation.take();
        first
            .or_else(|| self.owners.violation())
            .or_else(|| self.registrations.violation())
            .or_else(|| self.budgets.violation())
    }

    /// Something is broken.
    pub(crate) fn broken(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// What inboxes note.
    pub(crate) fn given(&self) -> Given {
        self.given.clone()
    }

    /// A client sends a message: its number.
    pub(crate) fn post(&mut self, posting: &Posting<'_>, now: Micros) -> u64 {
        self.sent.push(Sent {
            at: now,
            from: posting.from.to_owned(),
            session: posting.session,
            is_managed: posting.is_managed,
            acked: false,
            mirrored: false,
            on_its_way: (0, 0),
            to: posting.to.to_owned(),
            recipient: posting.recipient.to_owned(),
            delivered: false,
            bounced: false,
            appended: false,
            stored: false,
            unread: false,
            alone: None,
            left: None,
            parts: None,
            held: 0,
            due: posting.due,
        });
        self.tally.sent += 1;
        self.sent.len() as u64 - 1
    }

    /// A client reads a stanza.
    pub(crate) fn read(
        &mut self,
        account: &str,
        session: SessionId,
        stanza: Received,
        now: Micros,
    ) {
        let (number, from, whole) = match stanza {
            Received::Message(number, from, whole) => (number, from, whole),
            // A node answers what it cannot bring to any shard.
            Received::Bounce(number) => return self.bounced(number),
            Received::Other => return,
        };
        let Some(sent) = self.sent.get_mut(number as usize) else {
            return self.broken(format!(
                "{account} got message {number}, which nobody has sent"
            ));
        };
        sent.delivered = true;
        let went_through_log = sent.appended;
        if sent.due.is_some_and(|due| now > due) {
            let late = format!("message {number} to {account} arrived too late after healing");
            return self.broken(late);
        }
        if sent.recipient != account || sent.from != from || !whole {
            let what = format!(
                "message {number} from {} to {} came to {account} as one from {from}, whole: {whole}",
                sent.from, sent.to
            );
            return self.broken(what);
        }
        let shard = ShardId::of(&sent.recipient, SHARDS);
        if self.given.came_to(shard, number).is_empty() {
            return self.broken(format!(
                "message {number} to {account} came by no owner of its shard"
            ));
        }
        let way = (session, sent.session, sent.to.clone());
        if !self.arrived.insert((session, number)) {
            return self.broken(format!(
                "message {number} came twice to session {session:?}"
            ));
        }
        self.tally.delivered += 1;
        let last = self.last.insert(way, number);
        let overtook = last.filter(|last| *last > number && !went_through_log);
        if let Some(last) =
            overtook.filter(|last| !self.comes_from_next_owner(number, *last, session))
        {
            let what = format!("{account} got message {number} behind {last} of the same session");
            self.broken(what);
        }
    }

    /// Whether an owner of the recipient's shard had both of two messages, a session took the newer then, and the older
    /// came to another owner after that.
    fn comes_from_next_owner(&self, older: u64, newer: u64, session: SessionId) -> bool {
        let shard = ShardId::of(&self.sent[older as usize].recipient, SHARDS);
        let came = self.given.came_to(shard, older);
        let (Some((first, _)), Some((again, at))) = (came.first(), came.last()) else {
            return false;
        };
        let taken = self.given.when(session, newer);
        let before = self.given.came_to(shard, newer);
        let before = before.first();
        before.is_some_and(|(epoch, _)| first <= epoch && epoch < again)
            && taken.is_some_and(|taken| taken < *at)
    }

    /// A shard, one of so many, has acted under an epoch upon these messages.
    pub(crate) fn acted(
        &mut self,
        (shard, shards): (ShardId, u16),
        epoch: u32,
        messages: &[u64],
        now: Micros,
    ) {
        if self.epochs.insert(shard, epoch) != Some(epoch) {
            self.loses_what_was_alone((shard, shards), now);
        }
        for number in messages {
            let Some(sent) = self.sent.get_mut(*number as usize) else {
                continue;
            };
            (sent.left, sent.parts) = (None, None);
            if ShardId::of(&sent.recipient, shards) != shard {
                continue;
            }
            sent.held = epoch;
        }
    }

    /// The owner of a shard has heard from a session's node that it keeps these messages, and keeps them too.
    pub(crate) fn announced(&mut self, shard: (ShardId, u16), epoch: u32, numbers: &[u64]) {
        self.each_for(shard, numbers, |sent| sent.held = epoch);
    }

    /// Those of these messages that are for accounts of a shard.
    fn each_for(
        &mut self,
        (shard, shards): (ShardId, u16),
        numbers: &[u64],
        mut note: impl FnMut(&mut Sent),
    ) {
        for number in numbers {
            if let Some(sent) = self.sent.get_mut(*number as usize)
                && ShardId::of(&sent.recipient, shards) == shard
            {
                note(sent);
            }
        }
    }

    /// Both copies of what a session's node and its shard keep are gone if both die together.
    fn loses_what_was_alone(&mut self, (shard, shards): (ShardId, u16), now: Micros) {
        let refused = self.refused.get(&shard).copied().unwrap_or(0);
        for sent in &mut self.sent {
            let is_there = ShardId::of(&sent.recipient, shards) == shard;
            if let Some(at) = sent.alone.take_if(|_| is_there) {
                sent.unread |= now < at.max(refused) + ALONE_WITHIN;
            }
        }
    }

    /// The store could not do, or did not answer, what the owner of a shard has asked for.
    pub(crate) fn store_refused(&mut self, shard: ShardId, now: Micros) {
        self.refused.insert(shard, now);
    }

    /// A client was told that these messages are acknowledged.
    pub(crate) fn acked(
        &mut self,
        numbers: &[u64],
        is_durable: impl Fn(&Jid, u64) -> bool,
        now: Micros,
    ) {
        self.tally.acked += numbers.len() as u64;
        for number in numbers {
            let Some(sent) = self.sent.get_mut(*number as usize) else {
                continue;
            };
            sent.acked = true;
            let is_answered = sent.bounced || sent.mirrored || self.given.contains(*number);
            // What an owner has written that is none any more counts all the same.
            let is_in_log = || {
                let recipient = sent.recipient.parse();
                recipient.is_ok_and(|recipient| is_durable(&recipient, *number))
            };
            if !is_answered && !sent.stored && !is_in_log() {
                let (from, to) = (&sent.from, &sent.to);
                let what = format!(
                    "message {number} from {from} to {to} was acknowledged at {now} too early"
                );
                self.broken(what);
            }
        }
    }

    /// A shard keeps these messages for a stream that can be resumed.
    pub(crate) fn mirrored(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(sent) = self.sent.get_mut(*number as usize) {
                sent.mirrored = true;
            }
        }
    }

    /// A shard has sent these messages to a session under this epoch, and their senders keep them until it has them.
    pub(crate) fn on_its_way(&mut self, shard: (ShardId, u16), epoch: u32, numbers: &[u64]) {
        self.each_for(shard, numbers, |sent| {
            let before = sent.on_its_way;
            let known = if before.0 == epoch { before.1 } else { 0 };
            sent.on_its_way = (epoch, known + 1);
        });
    }

    /// A session has not taken these messages.
    pub(crate) fn came_back(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(sent) = self.sent.get_mut(*number as usize) {
                sent.on_its_way.1 = sent.on_its_way.1.saturating_sub(1);
            }
        }
    }

    /// A message was answered with an error.
    pub(crate) fn bounced(&mut self, number: u64) {
        if let Some(sent) = self.sent.get_mut(number as usize)
            && !std::mem::replace(&mut sent.bounced, true)
        {
            self.tally.bounced += 1;
        }
    }

    /// A shard asks the store to keep a message.
    pub(crate) fn appended(&mut self, number: u64) {
        if let Some(sent) = self.sent.get_mut(number as usize) {
            sent.appended = true;
        }
    }

    /// The store has acknowledged a message.
    pub(crate) fn stored(&mut self, number: u64) {
        if let Some(sent) = self.sent.get_mut(number as usize)
            && !std::mem::replace(&mut sent.stored, true)
        {
            self.tally.stored += 1;
        }
    }

    /// A message is removed from a log: a session has taken it, or its shard keeps it for one, or has sent it to one
    /// while its sender keeps it. What a former owner appended late stands among what its next owner has given out, and
    /// goes with it: nobody was told that it is there.
    pub(crate) fn trimmed(&mut self, number: u64) {
        let sent = self.sent.get(number as usize);
        let is_kept_elsewhere = |sent: &Sent| {
            let owner = self.epochs.get(&ShardId::of(&sent.recipient, SHARDS));
            let (epoch, sessions) = sent.on_its_way;
            sent.mirrored || sessions > 0 && owner == Some(&epoch)
        };
        let is_kept = sent.is_some_and(is_kept_elsewhere) || self.given.contains(number);
        if sent.is_some_and(|sent| sent.stored) && !is_kept {
            self.broken(format!(
                "message {number} was trimmed from a log, and no session has taken it"
            ));
        }
    }

    /// A session of this node has ended, and is about to give these messages back to its shard.
    pub(crate) fn left(&mut self, node: u32, numbers: &[u64]) {
        for number in numbers {
            if let Some(sent) = self.sent.get_mut(*number as usize) {
                sent.left = Some(node);
            }
        }
    }

    /// A session of this node has ended, and gives these messages back to its shard, which has them too.
    pub(crate) fn parts(&mut self, node: u32, numbers: &[u64]) {
        for number in numbers {
            if let Some(sent) = self.sent.get_mut(*number as usize) {
                sent.parts = Some(node);
            }
        }
    }

    /// The node of a session has died, with these messages in its queue.
    pub(crate) fn unread(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(sent) = self.sent.get_mut(*number as usize) {
                sent.unread = true;
            }
        }
    }

    /// The node of a session has died that kept these messages, as its shard does: what that had given it in the same
    /// process is in the log as well.
    pub(crate) fn alone(&mut self, numbers: &[u64], node: u32, now: Micros) {
        for number in numbers {
            let Some(sent) = self.sent.get_mut(*number as usize) else {
                continue;
            };
            let shard = ShardId::of(&sent.recipient, SHARDS);
            if !self.owners.has_been(shard, sent.held, node) {
                sent.is_alone(&self.owners, &self.epochs, now);
            }
        }
    }

    /// The server has ended a session, or its node has died.
    pub(crate) fn ended(&mut self, session: SessionId, now: Micros) {
        self.ended.entry(session).or_insert(now);
    }

    /// A connection node has died, and what its sessions said last with it: also those that were over.
    pub(crate) fn node_died(&mut self, node: u32, now: Micros) {
        let its = self.sent.iter().filter(|sent| sent.session.node == node);
        for sent in its {
            self.ended.entry(sent.session).or_insert(now);
        }
        for sent in &mut self.sent {
            sent.unread |= sent.left.take_if(|of| *of == node).is_some();
            if sent.parts.take_if(|of| *of == node).is_some() {
                sent.is_alone(&self.owners, &self.epochs, now);
            }
        }
    }

    /// The run is over, and all has had time to arrive. Clients were at these nodes.
    pub(crate) fn finish(&mut self, nodes: RangeInclusive<u32>, now: Micros) {
        let lost = (0..self.sent.len()).find(|number| self.is_lost(*number));
        let excused = (0..self.sent.len()).filter(|number| self.is_open(*number));
        self.tally.excused = excused.count() as u64;
        if let Some(number) = lost {
            let sent = &self.sent[number];
            let what = format!(
                "message {number} of {} from {} to {} is lost: acknowledged {}, stored {}",
                sent.at, sent.from, sent.to, sent.acked, sent.stored
            );
            self.broken(what);
        }
        self.registrations.finish();
        self.budgets.finish(nodes, now);
    }

    /// Whether nothing is known to have become of a message.
    fn is_open(&self, number: usize) -> bool {
        let sent = &self.sent[number];
        !(sent.delivered || sent.bounced || sent.unread)
    }

    fn is_lost(&self, number: usize) -> bool {
        let sent = &self.sent[number];
        if !self.is_open(number) {
            return false;
        }
        if sent.acked || sent.stored || sent.due.is_some() {
            return true;
        }
        if sent.is_managed {
            // It was sent once more, under another number.
            return false;
        }
        let ended = self.ended.get(&sent.session);
        ended.is_none_or(|at| *at < sent.at)
    }
}

/// Within this time a shard hears that a session's node has died, and stores what it keeps for it, if the store takes
/// it: a lease, and some attempts to dial.
const ALONE_WITHIN: Micros = 8 * SECOND;

#[cfg(test)]
mod tests;
