//! A member of the control group: the product's `RaftMachine` with a disk of its own; what
//! `node/control/src/raft/driver.rs` moves.

use std::collections::BTreeMap;

use rookery_control::raft::eraftpb::Message;
use rookery_control::raft::{
    Answer, Effect, Event, LogStore, MachineOptions, ModelDisk, RaftMachine, Ticket, Write,
};
use rookery_control::state::ControlState;
use rookery_control::{Command, NodeId, Outcome, Proposal, RegistrationPolicy, Unavailable};
use rookery_xmpp::clock::Timestamp;

use super::clock::Drift;
use super::process::Settings;

/// Who asked: a node in one of its lives, and its own number for the question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) node: u32,
    pub(crate) life: u32,
    pub(crate) number: u64,
}

/// What a member wants of the world.
pub(crate) enum Out {
    /// Carry this to another member.
    Send(Message),
    /// Bring the answer to who asked.
    Answer(Caller, Result<Outcome, Unavailable>),
    /// Writes wait for the disk.
    Write,
}

/// One member, running or not, and its disk.
pub(crate) struct Member {
    pub(crate) id: u32,
    pub(crate) life: u32,
    pub(crate) drift: Drift,
    /// Nothing can be written.
    pub(crate) full: bool,
    /// The disk works on what it was given first.
    pub(crate) writing: usize,
    machine: Option<RaftMachine>,
    disk: ModelDisk,
    unwritten: Vec<Write>,
    callers: BTreeMap<Ticket, Caller>,
    last_ticket: u64,
    configured: bool,
    settings: Settings,
    policy: RegistrationPolicy,
}

impl Member {
    /// A member that does not run yet.
    pub(crate) fn new(
        id: u32,
        drift: Drift,
        voters: &[NodeId],
        settings: &Settings,
        policy: &RegistrationPolicy,
    ) -> Self {
        Self {
            id,
            life: 0,
            drift,
            full: false,
            writing: 0,
            machine: None,
            disk: ModelDisk::new(voters),
            unwritten: Vec::new(),
            callers: BTreeMap::new(),
            last_ticket: 0,
            configured: false,
            settings: settings.clone(),
            policy: policy.clone(),
        }
    }

    /// Starts from what is on disk.
    pub(crate) fn start(&mut self) {
        self.life += 1;
        let options = MachineOptions {
            node: NodeId::new(u64::from(self.id)).expect("nodes are numbered from 1"),
            seed: self.settings.seed,
            control: self.settings.control.clone(),
        };
        let machine = RaftMachine::new(options, self.disk.recover());
        self.machine = Some(machine.expect("what the member wrote it can read"));
        self.configured = false;
        self.last_ticket = 0;
    }

    /// Dies; what was not written is gone.
    pub(crate) fn crash(&mut self) {
        self.machine = None;
        self.unwritten.clear();
        self.writing = 0;
        self.callers.clear();
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.machine.is_some()
    }

    /// The state as far as this member has applied it.
    pub(crate) fn state(&self) -> Option<&ControlState> {
        self.machine.as_ref().map(RaftMachine::state)
    }

    /// Whether it leads.
    pub(crate) fn leads(&self) -> bool {
        self.machine.as_ref().is_some_and(RaftMachine::is_leader)
    }

    /// A step of its clock.
    pub(crate) fn tick(&mut self, wall: Timestamp, outs: &mut Vec<Out>) {
        self.step(Event::Tick, outs);
        if !self.configured {
            self.configured = true;
            let command = Command::ConfigureRegistration {
                policy: self.policy.clone(),
            };
            self.propose(wall, command, outs);
        }
        if !self.unwritten.is_empty() && self.writing == 0 {
            outs.push(Out::Write);
        }
    }

    /// Asks for a change of its own.
    pub(crate) fn propose(&mut self, now: Timestamp, command: Command, outs: &mut Vec<Out>) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let event = Event::Propose {
            ticket,
            now,
            command,
        };
        self.step(event, outs);
    }

    /// A question of another node.
    pub(crate) fn forward(&mut self, caller: Caller, proposal: Proposal, outs: &mut Vec<Out>) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.callers.insert(ticket, caller);
        let proposal = Box::new(proposal);
        self.step(Event::Forward { ticket, proposal }, outs);
    }

    /// Something happens; what follows from it goes to `outs`.
    pub(crate) fn step(&mut self, event: Event, outs: &mut Vec<Out>) {
        let Some(machine) = &mut self.machine else {
            return;
        };
        machine.step(event);
        loop {
            let mut effects = Vec::new();
            let Some(machine) = &mut self.machine else {
                return;
            };
            machine
                .flush(&mut effects)
                .expect("a member can always go on");
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.execute(effect, outs);
            }
        }
    }

    /// What the disk is to write now; false if there is nothing, or it is busy.
    pub(crate) fn begin_write(&mut self) -> bool {
        let begins = self.writing == 0 && !self.unwritten.is_empty();
        if begins {
            self.writing = self.unwritten.len();
        }
        begins
    }

    /// The disk has written what it was given.
    pub(crate) fn written(&mut self, outs: &mut Vec<Out>) {
        let count = std::mem::take(&mut self.writing).min(self.unwritten.len());
        if count == 0 {
            return;
        }
        if self.full {
            let reason = "disk is full".to_owned();
            return self.step(Event::WriteFailed { reason }, outs);
        }
        let writes: Vec<_> = self.unwritten.drain(..count).collect();
        let number = writes.last().map_or(0, |write| write.number);
        self.disk
            .write(&writes)
            .expect("the model of a disk takes everything");
        self.step(Event::Persisted { number }, outs);
        if !self.unwritten.is_empty() {
            outs.push(Out::Write);
        }
    }

    fn execute(&mut self, effect: Effect, outs: &mut Vec<Out>) {
        match effect {
            Effect::Send(messages) => outs.extend(messages.into_iter().map(Out::Send)),
            Effect::Persist(write) => {
                self.unwritten.push(*write);
                outs.push(Out::Write);
            }
            Effect::Answer(ticket, answer) => {
                if let Some(caller) = self.callers.remove(&ticket) {
                    let answer = match answer {
                        Answer::Outcome(outcome) => Ok(outcome),
                        Answer::Unavailable(unavailable) => Err(unavailable),
                        Answer::Policy(_) => Err(Unavailable::Stopped),
                    };
                    outs.push(Out::Answer(caller, answer));
                }
            }
            // Who follows the group is told from the state (`world/group.rs`).
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
}
