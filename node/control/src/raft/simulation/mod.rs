//! Three members in one thread under a seeded schedule: lost, doubled and late messages, partitions (one-way as well),
//! crashes that lose what was not written, failing disks, clocks that disagree.

mod oracle;
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use raft::eraftpb::{Message, MessageType};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, Seeded};

use super::{
    Answer, Effect, Event, LogStore, MachineOptions, ModelDisk, RaftMachine, Ticket, Write,
};
use crate::error::Unavailable;
use crate::options::ControlOptions;
use crate::state::{Command, NodeId, Outcome, RegistrationMode, RegistrationPolicy, ReservationId};
use crate::window::WindowSetting;
use oracle::Oracle;

const MEMBERS: u64 = 3;
const WINDOW_MS: u64 = 20_000;
const WINDOW_LIMIT: u32 = 10;

/// A running group with everything around it.
struct World {
    random: Seeded,
    now: u64,
    members: BTreeMap<u64, Member>,
    network: Vec<Message>,
    /// Directions (from, to) in which nothing passes.
    cut: BTreeSet<(u64, u64)>,
    oracle: Oracle,
    addresses: u128,
    /// A disk that says it has written and has not, to show that the checks find it.
    lying_disk: bool,
}

/// One member: running or crashed.
struct Member {
    machine: Option<RaftMachine>,
    disk: ModelDisk,
    unwritten: Vec<Write>,
    written: Vec<Write>,
    failing: bool,
    next_ticket: u64,
    asked: BTreeMap<Ticket, Command>,
    skew_ms: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Seeded::new(seed),
            now: 1_000_000,
            members: BTreeMap::new(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            oracle: Oracle::default(),
            addresses: 0,
            lying_disk: false,
        };
        for id in 1..=MEMBERS {
            let skew_ms = world.random.below(3_000);
            world.members.insert(id, Member::new(skew_ms));
            world.start(id, seed);
        }
        world
    }

    fn start(&mut self, id: u64, seed: u64) {
        let member = self.members.get_mut(&id).unwrap();
        let options = MachineOptions {
            node: NodeId::new(id).unwrap(),
            seed,
            control: options(),
        };
        let recovered = member.disk.recover();
        member.machine = Some(RaftMachine::new(options, recovered).unwrap());
        member.next_ticket = 0;
    }

    fn crash(&mut self, id: u64) {
        let lose = self.lying_disk;
        let member = self.members.get_mut(&id).unwrap();
        member.machine = None;
        member.unwritten.clear();
        member.asked.clear();
        if lose {
            member.disk.forget_last_write();
        }
    }

    /// One random thing happens.
    fn step(&mut self, seed: u64) {
        self.now += self.random.below(60);
        let id = 1 + self.random.below(MEMBERS);
        match self.random.below(1_000) {
            0..=199 => self.tick(id),
            200..=649 => (0..4).for_each(|_| self.deliver_one()),
            650..=849 => self.write(id),
            850..=949 => self.reserve(id),
            950..=959 => self.configure(id),
            960..=964 => self.partition(id),
            965..=974 => self.cut.clear(),
            975..=976 => self.fail_disk(id),
            977..=980 => self.crash(id),
            _ if self.members[&id].machine.is_none() => self.start(id, seed),
            _ => {}
        }
        self.check(id);
    }

    fn tick(&mut self, id: u64) {
        self.event(id, Event::Tick);
    }

    fn deliver_one(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let which = self.random.below(self.network.len() as u64) as usize;
        let message = self.network.swap_remove(which);
        let lost = self.cut.contains(&(message.from, message.to)) || self.random.below(50) == 0;
        if message.get_msg_type() == MessageType::MsgSnapshot {
            let (node, delivered) = (message.to, !lost);
            self.event(message.from, Event::SnapshotSent { node, delivered });
        }
        if lost {
            return self.event(message.from, Event::Unreachable { node: message.to });
        }
        if self.random.below(50) == 0 {
            self.network.push(message.clone());
        }
        self.event(message.to, Event::Message(Box::new(message)));
    }

    fn write(&mut self, id: u64) {
        let member = self.members.get_mut(&id).unwrap();
        let Some(number) = member.unwritten.last().map(|write| write.number) else {
            return;
        };
        if member.failing {
            return self.event(
                id,
                Event::WriteFailed {
                    reason: "disk is full".into(),
                },
            );
        }
        member.disk.write(&member.unwritten).unwrap();
        member.written.append(&mut member.unwritten);
        self.event(id, Event::Persisted { number });
    }

    fn fail_disk(&mut self, id: u64) {
        for (other, member) in &mut self.members {
            member.failing = *other == id && !member.failing;
        }
    }

    fn partition(&mut self, id: u64) {
        let other = 1 + self.random.below(MEMBERS);
        self.cut.insert((id, other));
        if self.random.below(2) == 0 {
            self.cut.insert((other, id));
        }
    }

    fn reserve(&mut self, id: u64) {
        self.addresses += 1;
        let address = IpAddr::from(Ipv6Addr::from_bits(self.addresses << 64));
        self.propose(
            id,
            Command::Reserve {
                host: "h".into(),
                address,
                name: "olga".into(),
                forms: None,
                invite: None,
            },
        );
    }

    /// A policy that differs from the last one in nothing that the checks need.
    fn configure(&mut self, id: u64) {
        let mut policy = policy();
        policy.per_host = WindowSetting::fixed(1_000 + self.random.below(9) as u32, 1);
        self.propose(id, Command::SetRegistration { policy });
    }

    fn propose(&mut self, id: u64, command: Command) {
        let member = self.members.get_mut(&id).unwrap();
        if member.machine.is_none() {
            return;
        }
        member.next_ticket += 1;
        let ticket = Ticket(member.next_ticket);
        member.asked.insert(ticket, command.clone());
        let now = Timestamp(self.now + member.skew_ms);
        self.event(
            id,
            Event::Propose {
                ticket,
                now,
                command,
            },
        );
    }

    fn event(&mut self, id: u64, event: Event) {
        let member = self.members.get_mut(&id).unwrap();
        let Some(machine) = &mut member.machine else {
            return;
        };
        machine.step(event);
        loop {
            let mut effects = Vec::new();
            let Some(machine) = &mut self.members.get_mut(&id).unwrap().machine else {
                return;
            };
            machine.flush(&mut effects).unwrap();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.execute(id, effect);
            }
        }
    }

    fn execute(&mut self, id: u64, effect: Effect) {
        match effect {
            Effect::Send(messages) => self.network.extend(messages),
            Effect::Persist(write) => {
                self.members.get_mut(&id).unwrap().unwritten.push(*write);
            }
            Effect::Answer(ticket, answer) => self.answered(id, ticket, answer),
            Effect::Policy(_)
            | Effect::Directory(_)
            | Effect::Shards(_)
            | Effect::Bans(_)
            | Effect::Guard(_)
            | Effect::Names(_)
            | Effect::Events(_)
            | Effect::EndedLeases(_) => {}
        }
    }

    fn answered(&mut self, id: u64, ticket: Ticket, answer: Answer) {
        let member = self.members.get_mut(&id).unwrap();
        let command = member
            .asked
            .remove(&ticket)
            .expect("answered once, to who asked");
        match (command, answer) {
            (_, Answer::Outcome(Outcome::Reserved(reservation))) => {
                self.oracle.reserved(reservation);
                match self.random.below(10) {
                    0..=6 => self.propose(id, Command::Commit { reservation }),
                    7..=8 => self.propose(id, Command::Release { reservation }),
                    _ => {}
                }
            }
            (Command::Commit { reservation }, Answer::Outcome(Outcome::Settled)) => {
                self.oracle.committed(reservation);
            }
            (_, Answer::Unavailable(unavailable)) => self.oracle.unavailable(unavailable),
            _ => {}
        }
    }

    fn check(&mut self, id: u64) {
        if let Some(machine) = &self.members[&id].machine {
            self.oracle.saw(machine.state());
            self.oracle.saw_leader(machine.leader());
        }
    }

    /// Everything works again, until all members have caught up and answered.
    fn heal(&mut self, seed: u64) {
        self.cut.clear();
        for id in 1..=MEMBERS {
            self.members.get_mut(&id).unwrap().failing = false;
            if self.members[&id].machine.is_none() {
                self.start(id, seed);
            }
        }
        for _ in 0..100 {
            self.calm_turn();
        }
        self.configure(1);
        let ticket = Ticket(self.members[&1].next_ticket);
        for _ in 0..40 {
            self.calm_turn();
        }
        assert!(
            !self.members[&1].asked.contains_key(&ticket),
            "no answer after healing"
        );
        let applied: BTreeSet<_> = self.states().map(|state| state.applied()).collect();
        assert_eq!(applied.len(), 1, "members did not catch up: {applied:?}");
        for id in 1..=MEMBERS {
            self.check(id);
        }
    }

    /// A tick for everybody, and every message and write on its way.
    fn calm_turn(&mut self) {
        self.now += 100;
        for id in 1..=MEMBERS {
            self.tick(id);
        }
        loop {
            for id in 1..=MEMBERS {
                self.write(id);
            }
            if self.network.is_empty() {
                return;
            }
            for message in std::mem::take(&mut self.network) {
                if message.get_msg_type() == MessageType::MsgSnapshot {
                    let node = message.to;
                    self.event(
                        message.from,
                        Event::SnapshotSent {
                            node,
                            delivered: true,
                        },
                    );
                }
                self.event(message.to, Event::Message(Box::new(message)));
            }
        }
    }

    fn states(&self) -> impl Iterator<Item = &crate::state::ControlState> {
        self.members
            .values()
            .filter_map(|member| member.machine.as_ref())
            .map(RaftMachine::state)
    }
}

impl Member {
    fn new(skew_ms: u64) -> Self {
        let voters: Vec<_> = (1..=MEMBERS).filter_map(NodeId::new).collect();
        Self {
            machine: None,
            disk: ModelDisk::new(&voters),
            unwritten: Vec::new(),
            written: Vec::new(),
            failing: false,
            next_ticket: 0,
            asked: BTreeMap::new(),
            skew_ms,
        }
    }
}

/// Short logs, so that members that were away need snapshots.
fn options() -> ControlOptions {
    ControlOptions {
        tick_ms: 100,
        snapshot_after_entries: 20,
        log_kept_entries: 5,
        proposal_timeout_ms: 8_000,
        ..ControlOptions::default()
    }
}

fn policy() -> RegistrationPolicy {
    RegistrationPolicy {
        mode: RegistrationMode::On,
        in_all: WindowSetting::fixed(WINDOW_LIMIT, WINDOW_MS / 1_000),
        reservation_ms: 6_000,
        ..RegistrationPolicy::default()
    }
}
