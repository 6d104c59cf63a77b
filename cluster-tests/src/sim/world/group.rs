//! The control group among the world: its members' messages and disks, the questions of the others, and how
//! they follow the map.

use rookery_control::raft::Event as RaftEvent;
use rookery_control::raft::eraftpb::{Message, MessageType};
use rookery_control::{EndedLeases, Outcome, Policy, Proposal, ShardChange, Unavailable};

use super::{CONTROLS, Event, World};
use crate::sim::clock::{MS, Micros};
use crate::sim::member::{Caller, Member, Out};

/// The member that a node follows, and what it was sent.
pub(super) struct Followed {
    member: u32,
    /// When the stream began, which tells it from others.
    begun: Micros,
    /// When the last of it arrives: nothing overtakes it.
    arrives: Micros,
    sent_map: u64,
    sent_policy: u64,
    sent_endings: u64,
    unreached_since: Option<Micros>,
}

/// What a node is told of the group.
pub(in crate::sim) struct News {
    changes: Vec<ShardChange>,
    policy: Policy,
    ended: EndedLeases,
}

impl World {
    pub(super) fn member_tick(&mut self, node: u32) {
        let tick_ms = self.settings.control.tick_ms;
        self.with_member(node, |member, now, outs| {
            let wall = member.drift.wall(now);
            member.tick(wall, outs);
        });
        let Some(member) = self.members.get(&node) else {
            return;
        };
        let next = self.now + member.drift.lasts(tick_ms * MS);
        self.schedule(next, Event::MemberTick(node));
    }

    /// Lets a member work, and does what it wants.
    pub(super) fn with_member(
        &mut self,
        node: u32,
        work: impl FnOnce(&mut Member, Micros, &mut Vec<Out>),
    ) {
        let Some(member) = self.members.get_mut(&node) else {
            return;
        };
        let before = member.state().map_or(0, |state| state.applied());
        let mut outs = Vec::new();
        work(member, self.now, &mut outs);
        if let Some(state) = member.state()
            && state.applied() != before
        {
            self.oracle.registrations.saw(state);
        }
        for out in outs {
            match out {
                Out::Send(message) => self.send_raft(message),
                Out::Answer(caller, answer) => {
                    let at = self.now + self.network.latency();
                    let member = node;
                    self.schedule(
                        at,
                        Event::Told {
                            caller,
                            member,
                            answer,
                        },
                    );
                }
                Out::Write => self.write_log(node),
            }
        }
    }

    fn send_raft(&mut self, message: Message) {
        let way = (message.from as u32, message.to as u32);
        let at = self.now + self.network.latency();
        let arrives = self.raft_arrives.entry(way).or_default();
        *arrives = at.max(*arrives + 1);
        let at = *arrives;
        let message = Box::new(message);
        self.schedule(at, Event::Raft { message });
    }

    pub(super) fn raft_message(&mut self, message: Message) {
        let (from, to) = (message.from as u32, message.to as u32);
        let kind = message.get_msg_type();
        let reached = !self.network.is_cut(from, to) && self.is_up(to);
        self.journal.note(
            self.now,
            format_args!("raft {from}-{to} {kind:?} {} {reached}", message.term),
        );
        if kind == MessageType::MsgSnapshot {
            let event = RaftEvent::SnapshotSent {
                node: u64::from(to),
                delivered: reached,
            };
            self.with_member(from, |member, _, outs| member.step(event, outs));
        }
        if reached {
            let event = RaftEvent::Message(Box::new(message));
            self.with_member(to, |member, _, outs| member.step(event, outs));
        } else {
            let event = RaftEvent::Unreachable {
                node: u64::from(to),
            };
            self.with_member(from, |member, _, outs| member.step(event, outs));
        }
    }

    fn write_log(&mut self, node: u32) {
        let slow = self.slow_disks > 0;
        let Some(member) = self.members.get_mut(&node) else {
            return;
        };
        if !member.begin_write() {
            return;
        }
        let life = member.life;
        let lasts = self.dice.between(300, 3 * MS);
        let more = if slow {
            self.dice.between(10 * MS, 400 * MS)
        } else {
            0
        };
        self.schedule(self.now + lasts + more, Event::Written { node, life });
    }

    pub(super) fn log_written(&mut self, node: u32, life: u32) {
        if self
            .members
            .get(&node)
            .is_some_and(|member| member.life == life)
        {
            self.with_member(node, |member, _, outs| member.written(outs));
        }
    }

    /// Sends on the questions of a node.
    pub(super) fn take_calls(&mut self, node: u32) {
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let life = process.life;
        let member = member_of(process.control_link.given_up());
        for call in process.control_link.take_calls() {
            let caller = Caller {
                node,
                life,
                number: call.number,
            };
            let at = self.now + self.network.latency();
            let proposal = Box::new(call.proposal);
            self.schedule(
                at,
                Event::Ask {
                    member,
                    caller,
                    proposal,
                },
            );
        }
    }

    pub(super) fn asked(&mut self, member: u32, caller: Caller, proposal: Proposal) {
        if !self.network.connects(caller.node, member) {
            // Nobody answers; who asked waits for it.
            return;
        }
        if !self.is_up(member) {
            let at = self.now + self.network.latency();
            let answer = Err(Unavailable::NoQuorum);
            return self.schedule(
                at,
                Event::Told {
                    caller,
                    member,
                    answer,
                },
            );
        }
        self.journal.note(
            self.now,
            format_args!("ask {} of {member}: {:?}", caller.node, proposal.command),
        );
        self.with_member(member, |member, _, outs| {
            member.forward(caller, proposal, outs);
        });
    }

    pub(super) fn told(
        &mut self,
        caller: Caller,
        member: u32,
        answer: Result<Outcome, Unavailable>,
    ) {
        if !self.network.connects(caller.node, member) {
            return;
        }
        if let Some(until) = self.paused_until(caller.node) {
            let event = Event::Told {
                caller,
                member,
                answer,
            };
            return self.schedule(until, event);
        }
        self.journal
            .note(self.now, format_args!("told {} {answer:?}", caller.node));
        if let Some(process) = self.processes.get(&caller.node)
            && process.life == caller.life
        {
            process.control_link.answered(caller.number, answer);
            self.touch(caller.node);
        }
    }

    /// Sends a node what has changed, as the member that it follows knows it.
    pub(super) fn watch(&mut self, node: u32) {
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let given_up = process.control_link.given_up();
        let member = member_of(given_up);
        let known = self
            .followed
            .get(&node)
            .is_some_and(|it| it.member == member);
        if !known {
            let followed = Followed {
                member,
                begun: self.now,
                arrives: self.now,
                sent_map: process.known_map(),
                sent_policy: process.known_policy(),
                sent_endings: process.known_endings(),
                unreached_since: None,
            };
            self.followed.insert(node, followed);
        }
        let Some(followed) = self.followed.get_mut(&node) else {
            return;
        };
        let state = self.members.get(&member).and_then(Member::state);
        let Some(state) = state.filter(|_| self.network.connects(node, member)) else {
            let since = *followed.unreached_since.get_or_insert(self.now);
            if self.now - since > UNREACHED_MAX {
                process.control_link.give_up(given_up);
            }
            return;
        };
        followed.unreached_since = None;
        let (map, policy) = (state.shards().map(), state.policy().current());
        let endings = state.ended_leases_version();
        if map.version() <= followed.sent_map
            && policy.version <= followed.sent_policy
            && endings <= followed.sent_endings
        {
            return;
        }
        let changes = map.since(followed.sent_map).collect();
        followed.sent_map = followed.sent_map.max(map.version());
        followed.sent_policy = followed.sent_policy.max(policy.version);
        followed.sent_endings = followed.sent_endings.max(endings);
        let news = Box::new(News {
            changes,
            policy,
            ended: state.ended_leases(),
        });
        let life = process.life;
        followed.arrives = (self.now + self.network.latency()).max(followed.arrives + 1);
        let (at, begun) = (followed.arrives, followed.begun);
        let event = Event::Map {
            node,
            life,
            stream: (member, begun),
            news,
        };
        self.schedule(at, event);
    }

    pub(super) fn map_arrives(
        &mut self,
        node: u32,
        life: u32,
        stream: (u32, Micros),
        news: Box<News>,
    ) {
        let followed = self.followed.get(&node);
        if followed.is_none_or(|it| (it.member, it.begun) != stream) {
            return;
        }
        if self.network.is_cut(stream.0, node) {
            // The stream breaks, and the next one begins with what the node knows.
            self.followed.remove(&node);
            return;
        }
        if let Some(until) = self.paused_until(node) {
            let event = Event::Map {
                node,
                life,
                stream,
                news,
            };
            return self.schedule(until, event);
        }
        let Some(process) = self.processes.get(&node).filter(|it| it.life == life) else {
            return;
        };
        self.journal.note(
            self.now,
            format_args!("map {node} {} changes", news.changes.len()),
        );
        process.updates.policy(news.policy);
        process.updates.shards(news.changes);
        process.updates.ended_leases(news.ended);
        self.touch(node);
    }
}

fn member_of(given_up: usize) -> u32 {
    let members: Vec<u32> = CONTROLS.collect();
    members[given_up % members.len()]
}

/// After this a node follows another member.
const UNREACHED_MAX: Micros = 1_500 * MS;
