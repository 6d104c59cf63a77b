//! Which shards a process serves: the product's [`Ownership`](rookery_router::Ownership), moved by hand.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use rookery_control::NodeId;
use rookery_link::{Owner, ShardMap};
use rookery_router::OwnershipStep;
use rookery_router::shard::Shard;
use rookery_session::carrier::ShardId;

use super::Process;
use crate::sim::clock::{MS, Micros, SECOND};
use crate::sim::planted::Planted;
use crate::sim::shard_mover::{LEFT_TO_NEXT, ShardMover, Word};
use crate::sim::world::CONNECTIONS;

impl Process {
    /// Does what the shard map asks of this node.
    pub(super) fn follow_map(&mut self, now: Micros) {
        let map = self.maps.borrow_and_update().clone();
        self.stop_late(now);
        let changed = map.version() != self.seen;
        if changed {
            let mut steps = Vec::new();
            for change in map.since(self.seen) {
                let ours = change.placement.owner.map(NodeId::get) == Some(u64::from(self.id));
                let served = self.movers.contains_key(&ShardId(change.shard));
                if self.settings.planted == Some(Planted::StaleMap) && served && !ours {
                    continue;
                }
                self.ownership.follow(change, &mut steps);
            }
            self.seen = map.version();
            self.carry_out(&steps, now);
            let owner = |shard| {
                let placement = map.get(shard).unwrap_or_default();
                Owner {
                    node: placement.owner.map_or(0, NodeId::get) as u32,
                    epoch: placement.epoch,
                }
            };
            self.map.store(Arc::new(ShardMap {
                version: map.version(),
                owners: (0..self.settings.policy.shards).map(owner).collect(),
            }));
            let guard = self.enter();
            self.ways.map_changed();
            drop(guard);
        }
        if changed || now >= self.next_telling {
            self.next_telling = now + TELL_AGAIN;
            self.tell_hand_overs(now);
        }
    }

    /// Tells the hall whom to wait for no longer.
    pub(super) fn follow_leases(&mut self) {
        if self.endings.has_changed().unwrap_or(false) {
            let ended = self.endings.borrow_and_update().clone();
            let nodes = ended.nodes.iter();
            let nodes = nodes.map(|(node, life)| (node.get() as u32, *life));
            self.hall.leases_ended(nodes.collect());
        }
    }

    fn carry_out(&mut self, steps: &[OwnershipStep], now: Micros) {
        let handed: BTreeSet<_> = steps
            .iter()
            .filter_map(|step| match step {
                OwnershipStep::HandedOver(shard, _) => Some(*shard),
                _ => None,
            })
            .collect();
        let early = self.settings.planted == Some(Planted::HandOverTooEarly);
        for step in steps {
            match *step {
                OwnershipStep::Stop(shard) if early && handed.contains(&shard) => {
                    self.late_stops.push((now + LATE, shard));
                }
                OwnershipStep::Stop(shard) => self.stop(shard, now),
                _ => {}
            }
        }
        let awaited = self.awaited();
        let handle = self.clock.runtime().handle().clone();
        let _guard = handle.enter();
        for step in steps {
            if let OwnershipStep::Start(shard, epoch) = *step {
                // The group may have given it back meanwhile.
                if self.retiring.contains_key(&shard) {
                    self.retire(shard, now);
                }
                let tenure = (epoch, awaited.clone());
                let mover = ShardMover::new(shard, tenure, &self.env, &self.lease);
                self.movers.insert(shard, mover);
                self.mailboxes.open(shard);
            }
        }
    }

    /// The nodes that have sessions to announce.
    fn awaited(&self) -> BTreeSet<u32> {
        let ended = self.endings.borrow();
        let ended: BTreeSet<_> = ended.nodes.keys().map(|node| node.get() as u32).collect();
        let known = CONNECTIONS.filter(|node| !ended.contains(node));
        let linked = self.hall.nodes().into_iter();
        linked.chain(known).chain([self.id]).collect()
    }

    fn stop(&mut self, shard: ShardId, now: Micros) {
        let left = self.mailboxes.close(shard);
        let mut settled = None;
        self.with_mover(shard, now, |mover, around| {
            left.into_iter().for_each(|input| mover.run(input, around));
            settled = Some(mover.is_settled());
        });
        if let Some(settled) = settled {
            let until = now + Shard::SETTLED_WITHIN.as_micros() as Micros;
            self.retiring.insert(shard, (settled, until));
            self.retire_settled(now);
        }
    }

    /// Who has nothing left to settle, or has waited for it long enough, serves no more.
    pub(super) fn retire_settled(&mut self, now: Micros) {
        let mut cx = Context::from_waker(Waker::noop());
        let retiring = self.retiring.iter_mut();
        let done = retiring.filter_map(|(shard, (settled, until))| {
            let is_settled = Pin::new(settled).poll(&mut cx).is_ready();
            (is_settled || *until <= now).then_some(*shard)
        });
        for shard in done.collect::<Vec<_>>() {
            self.retire(shard, now);
        }
        self.has_followed();
    }

    /// No lease counts before what the map has taken from this node is served here no more: another one may have served
    /// it since.
    fn has_followed(&self) {
        if self.retiring.is_empty() {
            let seen = self.seen;
            self.followed
                .send_if_modified(|known| std::mem::replace(known, seen) != seen);
        }
    }

    fn retire(&mut self, shard: ShardId, now: Micros) {
        let is_retiring = self.retiring.remove(&shard).is_some();
        if let Some(mover) = self.movers.remove(&shard).filter(|_| is_retiring) {
            self.surrounded(now, |around| mover.retire(around));
            let is_left = |word: &&Word| match word {
                Word::Request(of, _, id, _) => *of == shard && *id == LEFT_TO_NEXT,
                _ => false,
            };
            let left = self.words.iter().filter(is_left).count();
            self.left_to_next.insert(shard, (left, now + LEFT_WITHIN));
        }
    }

    fn stop_late(&mut self, now: Micros) {
        let late = std::mem::take(&mut self.late_stops);
        for (due, shard) in late {
            if due <= now {
                self.stop(shard, now);
            } else {
                self.late_stops.push((due, shard));
            }
        }
    }

    fn tell_hand_overs(&self, now: Micros) {
        let node = NodeId::new(u64::from(self.id)).expect("nodes are numbered from 1");
        for (shard, epoch) in self.ownership.handed_over() {
            if self.retiring.contains_key(&shard) {
                continue;
            }
            let left = self.left_to_next.get(&shard);
            if left.is_some_and(|(left, until)| *left > 0 && now < *until) {
                continue;
            }
            let control = self.control.clone();
            self.clock.runtime().spawn(async move {
                // It is told again until the map has changed.
                let _ = control.handed_over(node, shard.0, epoch).await;
            });
        }
    }
}

/// Before what the group was not told is told again.
const TELL_AGAIN: Micros = 500 * MS;

/// How long the next owner of a shard is kept waiting for what this one writes.
const LEFT_WITHIN: Micros = 2 * SECOND;

/// How much later a planted bug stops a shard.
const LATE: Micros = 700 * MS;
