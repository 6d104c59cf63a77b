//! Faults as they begin and end.

use rookery_control::{Command, NodeId};

use super::{CALM_AT, CONNECTIONS, CONTROLS, DATABASE, Event, ROUTERS, World, routers};
use crate::sim::faults::{Fault, drift};
use crate::sim::process::{Process, Roles};

impl World {
    pub(super) fn fault_begins(&mut self, at: usize) {
        let scheduled = self.faults[at];
        self.journal
            .note(self.now, format_args!("fault {:?}", scheduled.fault));
        self.schedule(self.now + scheduled.lasts, Event::Over(at));
        match scheduled.fault {
            Fault::Break(one, other) => {
                self.break_connection((one, other), "fault");
                self.break_connection((other, one), "fault");
            }
            Fault::Crash(node) => self.crash(node),
            Fault::Pause(node) => {
                self.paused.insert(node, self.now + scheduled.lasts);
            }
            Fault::StoreDies => self.store_dies(),
            Fault::Drain(node) => self.sends_away(node),
            Fault::Move(shard, to) => self.move_shard(shard, to),
            fault => self.set(fault, true),
        }
    }

    pub(super) fn fault_is_over(&mut self, at: usize) {
        if self.now >= super::HEAL_AT {
            return;
        }
        let scheduled = self.faults[at];
        self.journal
            .note(self.now, format_args!("over {:?}", scheduled.fault));
        match scheduled.fault {
            // The operator asks once more: the shard may be on its way, there, or on its way back.
            Fault::Move(shard, to) => self.move_shard(shard, to),
            Fault::Break(..) | Fault::StoreDies | Fault::Drain(_) => {}
            Fault::Crash(node) => self.restart(node),
            Fault::Pause(node) => self.touch(node),
            fault => self.set(fault, false),
        }
    }

    /// What lasts for a while.
    fn set(&mut self, fault: Fault, on: bool) {
        match fault {
            Fault::CutOneWay(from, to) => self.network.set_cut(from, to, on),
            Fault::Cut(one, other) => {
                self.network.set_cut(one, other, on);
                self.network.set_cut(other, one, on);
            }
            Fault::Isolate(node) => {
                let others = CONTROLS.chain(ROUTERS).chain(CONNECTIONS).chain([DATABASE]);
                for other in others.filter(|other| *other != node) {
                    self.network.set_cut(node, other, on);
                    self.network.set_cut(other, node, on);
                }
            }
            Fault::NoGroup(router) => {
                for member in CONTROLS {
                    self.network.set_cut(router, member, on);
                    self.network.set_cut(member, router, on);
                }
            }
            Fault::FullLog(node) => {
                if let Some(member) = self.members.get_mut(&node) {
                    member.full = on;
                }
            }
            Fault::SlowDisks if on => self.slow_disks += 1,
            Fault::SlowDisks => self.slow_disks = self.slow_disks.saturating_sub(1),
            Fault::FullStore => self.database.full = on,
            Fault::SlowNetwork => self.network.set_slow(on),
            _ => {}
        }
    }

    /// A process dies with all that it had in memory.
    fn crash(&mut self, node: u32) {
        if let Some(member) = self.members.get_mut(&node) {
            return member.crash();
        }
        if !self.processes.contains_key(&node) {
            return;
        }
        self.cut_sessions(node);
        self.break_all_of(node);
        self.followed.remove(&node);
        self.paused.remove(&node);
        self.processes.remove(&node);
    }

    fn restart(&mut self, node: u32) {
        if self.is_up(node) {
            return;
        }
        if let Some(member) = self.members.get_mut(&node) {
            return member.start();
        }
        self.start(node);
    }

    /// Starts a router, a connection node, or one that is both.
    pub(super) fn start(&mut self, node: u32) {
        let life = self.lives.entry(node).or_default();
        *life += 1;
        let (life, drift) = (*life, drift(self.seed, node));
        let roles = Roles {
            routes: routers(self.seed).contains(&node),
            connects: CONNECTIONS.contains(&node),
        };
        let process = Process::start(node, life, roles, drift, &self.settings, self.now);
        self.processes.insert(node, process);
    }

    /// The operator asks for a move.
    fn move_shard(&mut self, shard: u16, to: u32) {
        let Some(to) = NodeId::new(u64::from(to)) else {
            return;
        };
        let leader = self.members.values().find(|member| member.leads());
        let Some(leader) = leader.map(|member| member.id) else {
            return;
        };
        self.with_member(leader, |member, now, outs| {
            let wall = member.drift.wall(now);
            member.propose(wall, Command::MoveShard { shard, to }, outs);
        });
    }

    /// Everything works from now on.
    pub(super) fn heal(&mut self) {
        self.journal.note(self.now, format_args!("heal"));
        self.network.heal();
        self.slow_disks = 0;
        self.database.full = false;
        let paused: Vec<_> = std::mem::take(&mut self.paused).into_keys().collect();
        for member in self.members.values_mut() {
            member.full = false;
        }
        for node in CONTROLS.chain(ROUTERS).chain(CONNECTIONS) {
            self.restart(node);
        }
        paused.into_iter().for_each(|node| self.touch(node));
        for client in &mut self.clients {
            client.away_until = client.away_until.min(CALM_AT);
        }
    }
}
