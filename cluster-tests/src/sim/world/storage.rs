//! The store among the world: requests on their way, and what the oracle learns from them.

use std::collections::BTreeMap;

use rookery_router::shard::{Reply, Request};
use rookery_store::StoreError;
use rookery_store::log::{Append, Marks};

use super::{DATABASE, Event, World};
use crate::sim::clock::{MS, Micros, SECOND};
use crate::sim::database::Asker;
use crate::sim::message::number_of;
use crate::sim::planted::Planted;
use crate::sim::shard_mover::LEFT_TO_NEXT;

/// The messages of appends that were not answered.
pub(super) type Appends = BTreeMap<(u32, u32, u16, u32, u64), Vec<u64>>;

impl World {
    /// A shard asks the store.
    pub(super) fn ask_store(&mut self, asker: Asker, request: Request) {
        if let Some(what) = about_logs(&request) {
            let asks = format_args!("asks {} {} {what}", asker.node, asker.shard.0);
            self.journal.note(self.now, asks);
        }
        if let Request::Append(appends) = &request {
            let numbers = numbers(appends);
            numbers
                .iter()
                .for_each(|number| self.oracle.appended(*number));
            self.appends.insert(key(asker), numbers);
        }
        if !self.network.connects(asker.node, DATABASE) {
            return self.store_is_silent(asker);
        }
        if self.settings.planted == Some(Planted::AckBeforeAppend)
            && matches!(request, Request::Append(_))
        {
            let early = Event::Answered(asker, Box::new(Reply::Done));
            self.schedule(self.now + 300, early);
        }
        let number = self.database.hear(asker, request);
        let lasts = self.network.latency() + self.dice.between(100, 2 * MS);
        let slow = match self.slow_disks {
            0 => 0,
            _ => self.dice.between(20 * MS, 900 * MS),
        };
        self.schedule(self.now + lasts + slow, Event::Apply(number));
    }

    pub(super) fn apply(&mut self, number: u64) {
        if let Some((gone, stay)) = self.database.trims(number) {
            // What is there twice, for a former owner of the shard appended it late, is still there.
            let stay: Vec<_> = stay.iter().filter_map(number_of).collect();
            let gone = gone.iter().filter_map(number_of);
            gone.filter(|number| !stay.contains(number))
                .for_each(|number| self.oracle.trimmed(number));
        }
        let Some((asker, reply)) = self.database.apply(number) else {
            return;
        };
        self.journal.note(
            self.now,
            format_args!("store {} {} {reply:?}", asker.node, asker.shard.0),
        );
        if asker.request == LEFT_TO_NEXT && matches!(reply, Reply::Done) {
            self.oracle.owners.left(asker.shard, asker.epoch);
        }
        if !self.network.connects(asker.node, DATABASE) {
            return self.store_is_silent(asker);
        }
        let at = self.now + self.network.latency();
        self.schedule(at, Event::Answered(asker, Box::new(reply)));
    }

    /// The store dies with what it was about to write.
    pub(super) fn store_dies(&mut self) {
        for asker in self.database.die() {
            self.store_is_silent(asker);
        }
    }

    /// Nobody can say what came of a request.
    fn store_is_silent(&mut self, asker: Asker) {
        let error = StoreError::Unavailable("no answer in time".into());
        let reply = Box::new(Reply::Failed(error));
        self.schedule(self.now + SILENT, Event::Answered(asker, reply));
    }

    pub(super) fn store_answered(&mut self, asker: Asker, reply: Reply) {
        if let Some(until) = self.paused_until(asker.node) {
            return self.schedule(until, Event::Answered(asker, Box::new(reply)));
        }
        let process = self.processes.get_mut(&asker.node);
        let Some(process) = process.filter(|process| process.life == asker.life) else {
            return;
        };
        let appended = self.appends.remove(&key(asker));
        if matches!(
            reply,
            Reply::Failed(StoreError::Full | StoreError::Unavailable(_))
        ) {
            self.oracle.store_refused(asker.shard, self.now);
        }
        if matches!(reply, Reply::Done) && process.acts_for(asker.shard, asker.epoch, self.now) {
            for number in appended.into_iter().flatten() {
                self.oracle.stored(number);
            }
        }
        process.replied(asker.shard, asker.epoch, asker.request, reply);
        self.touch(asker.node);
    }
}

fn key(asker: Asker) -> (u32, u32, u16, u32, u64) {
    let Asker {
        node,
        life,
        shard,
        epoch,
        request,
    } = asker;
    (node, life, shard.0, epoch, request.0)
}

/// What is asked about an account's log, for the journal.
fn about_logs(request: &Request) -> Option<String> {
    Some(match request {
        Request::Append(appends) => {
            let one = |append: &Append| (append.place.position, number_of(&append.stanza));
            let owner = appends.first().map(|append| &append.place.owner);
            let what: Vec<_> = appends.iter().map(one).collect();
            format!("append {owner:?} {what:?}")
        }
        Request::ReadLog(owner, query) => format!("read {owner} {query:?}"),
        Request::RemoveLog(owner, range) => format!("remove {owner} {range:?}"),
        Request::SetCursor(owner, _, position) => format!("cursor {owner} {position:?}"),
        _ => return None,
    })
}

/// The messages that wait in what is appended: what is only archived is delivered otherwise.
fn numbers(appends: &[Append]) -> Vec<u64> {
    let waits = |append: &&Append| append.place.marks.contains(Marks::OWED);
    let waiting = appends.iter().filter(waits);
    let number = |append: &Append| number_of(&append.stanza);
    waiting.filter_map(number).collect()
}

/// When a router gives up waiting for the store.
const SILENT: Micros = 2 * SECOND;
