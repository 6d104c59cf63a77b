//! The thread that owns one member: it moves events in and effects out, and holds no rule.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use raft::eraftpb::Message;
use rookery_xmpp::clock::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::{
    Answer, ControlStatus, Effect, Event, LogStore, MachineError, RaftMachine, StoreError, Ticket,
    Transport, Write,
};
use crate::error::Unavailable;
use crate::gauges;
use crate::state::{
    BanList, Command, Directory, EndedLeases, EventsHead, GuardList, NameRules, NodeId, Outcome,
    Policy, Proposal, RegistrationPolicy, ShardMap,
};

/// What the thread is given. The queue is bounded; who finds it full is refused.
pub(crate) enum Input {
    Propose(Command, Timestamp, oneshot::Sender<Answer>),
    Forward(Box<Proposal>, oneshot::Sender<Answer>),
    Read(oneshot::Sender<Answer>),
    Status(oneshot::Sender<ControlStatus>),
    Raft(Event),
    Stop(oneshot::Sender<()>),
}

/// Where other members' messages, and news of our own to them, go in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailbox(pub(crate) SyncSender<Input>);

impl Mailbox {
    /// A message from another member. False if it was dropped because the queue is full or the member has stopped;
    /// Raft repeats it.
    pub fn deliver(&self, message: Message) -> bool {
        self.put(Event::Message(Box::new(message)))
    }

    /// A message to this member could not be sent.
    pub fn unreachable(&self, node: NodeId) -> bool {
        self.put(Event::Unreachable { node: node.get() })
    }

    /// A snapshot to this member arrived, or did not. Must be told, and told again if this returns false: the leader
    /// waits for it.
    pub fn snapshot_sent(&self, node: NodeId, delivered: bool) -> bool {
        self.put(Event::SnapshotSent {
            node: node.get(),
            delivered,
        })
    }

    fn put(&self, event: Event) -> bool {
        self.0.try_send(Input::Raft(event)).is_ok()
    }
}

/// What a driver works with.
pub(crate) struct DriverParts {
    pub(crate) machine: RaftMachine,
    pub(crate) store: Box<dyn LogStore>,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) inputs: Receiver<Input>,
    pub(crate) tick: Duration,
    /// What this node's configuration says, proposed once at start.
    pub(crate) configured: RegistrationPolicy,
    /// Called with every new policy.
    pub(crate) publish: Box<dyn Fn(Arc<Policy>) + Send>,
    /// Called with every new shard map.
    pub(crate) publish_shards: Box<dyn Fn(Arc<ShardMap>) + Send>,
    /// Called with every new list of bans.
    pub(crate) publish_bans: Box<dyn Fn(Arc<BanList>) + Send>,
    /// Called with every new list of the login guard.
    pub(crate) publish_guard: Box<dyn Fn(Arc<GuardList>) + Send>,
    /// Called with every new list of rules about names.
    pub(crate) publish_names: Box<dyn Fn(Arc<NameRules>) + Send>,
    /// Called with every change of the nodes that have no lease any more.
    pub(crate) publish_ended_leases: Box<dyn Fn(Arc<EndedLeases>) + Send>,
    /// Called whenever something has happened, or was told.
    pub(crate) publish_events: Box<dyn Fn(EventsHead) + Send>,
    /// Called with every new directory.
    pub(crate) publish_directory: Box<dyn Fn(Arc<Directory>) + Send>,
}

/// The thread's state.
pub(crate) struct Driver {
    parts: DriverParts,
    effects: Vec<Effect>,
    /// Writes that are not on disk, in order.
    unwritten: VecDeque<Write>,
    /// The last write failed: wait for a tick before trying again.
    write_failing: bool,
    replies: HashMap<Ticket, (oneshot::Sender<Answer>, Instant)>,
    next_ticket: u64,
    configuring: Configuring,
    next_tick: Instant,
    leader: Option<NodeId>,
    clock_warned: bool,
    stopping: Option<oneshot::Sender<()>>,
}

/// How far the configuration's policy got.
enum Configuring {
    Due,
    Asked(Ticket),
    Done,
}

impl Driver {
    pub(crate) fn new(parts: DriverParts) -> Self {
        Self {
            next_tick: Instant::now() + parts.tick,
            parts,
            effects: Vec::new(),
            unwritten: VecDeque::new(),
            write_failing: false,
            replies: HashMap::new(),
            next_ticket: 0,
            configuring: Configuring::Due,
            leader: None,
            clock_warned: false,
            stopping: None,
        }
    }

    /// Goes as far as it can without waiting: the only member of a group is then leader, has applied its log and
    /// follows its configuration.
    pub(crate) fn start(&mut self) -> Result<(), DriverError> {
        let state = self.parts.machine.state();
        (self.parts.publish_directory)(Arc::new(state.directory()));
        (self.parts.publish_shards)(Arc::new(state.shards().map().clone()));
        (self.parts.publish_bans)(state.bans().clone());
        (self.parts.publish_guard)(state.guard().clone());
        (self.parts.publish_names)(state.names().clone());
        (self.parts.publish_ended_leases)(Arc::new(state.ended_leases()));
        (self.parts.publish_events)(state.events().head());
        self.configure();
        self.turn()
    }

    /// Serves on a thread of its own until it is stopped, nobody can ask any more, or it fails. The returned value
    /// becomes true when it fails or panics: the process has a member then that answers nobody, and must not go on.
    pub(crate) fn spawn(self) -> std::io::Result<watch::Receiver<bool>> {
        let (failed, failure) = watch::channel(false);
        let thread = std::thread::Builder::new().name("control".to_owned());
        thread.spawn(move || {
            // What it owned is gone with it, and nobody sees a part that is half changed.
            let ended = catch_unwind(AssertUnwindSafe(|| self.run()));
            let cause = match ended {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic_text(&*panic),
            };
            tracing::error!(cause, "control driver failed");
            failed.send_replace(true);
        })?;
        Ok(failure)
    }

    fn run(mut self) -> Result<(), DriverError> {
        let ended = self.serve();
        if let Some(stopping) = self.stopping {
            drop(self.parts.store);
            // Nobody waits any more: the stop is done all the same.
            let _ = stopping.send(());
        }
        ended
    }

    fn serve(&mut self) -> Result<(), DriverError> {
        loop {
            let wait = self.next_tick.saturating_duration_since(Instant::now());
            match self.parts.inputs.recv_timeout(wait) {
                Ok(input) => self.take_batch(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            self.tick();
            self.turn()?;
            if self.stopping.is_some() {
                return self.finish();
            }
        }
    }

    /// Takes all that is queued, so that it shares one write.
    fn take_batch(&mut self, first: Input) {
        self.take(first);
        for _ in 1..BATCH_MAX {
            match self.parts.inputs.try_recv() {
                Ok(input) => self.take(input),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Propose(command, now, reply) => {
                let ticket = self.ticket(reply);
                self.parts.machine.step(Event::Propose {
                    ticket,
                    now,
                    command,
                });
            }
            Input::Forward(proposal, reply) => {
                let ticket = self.ticket(reply);
                let event = Event::Forward { ticket, proposal };
                self.parts.machine.step(event);
            }
            Input::Read(reply) => {
                let ticket = self.ticket(reply);
                self.parts.machine.step(Event::Read { ticket });
            }
            Input::Status(reply) => {
                // Who asked may have gone.
                let _ = reply.send(self.parts.machine.status());
            }
            Input::Raft(event) => self.parts.machine.step(event),
            Input::Stop(reply) => self.stopping = Some(reply),
        }
    }

    fn ticket(&mut self, reply: oneshot::Sender<Answer>) -> Ticket {
        let ticket = self.new_ticket();
        self.replies.insert(ticket, (reply, Instant::now()));
        ticket
    }

    fn new_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        // A late wake-up is made up for, so that time-outs keep their length; a pause of the process is not: the other
        // members' clocks went on by themselves.
        let next = self.next_tick + self.parts.tick;
        self.next_tick = if next > now {
            next
        } else {
            now + self.parts.tick
        };
        self.write_failing = false;
        self.parts.machine.step(Event::Tick);
        self.configure();
        gauges::status(&self.parts.machine.status());
        self.watch_clock();
    }

    /// Tells the operator when the group's time, the latest that any member's clock brought, is ahead of this clock:
    /// the windows stand still until the clocks have caught up.
    fn watch_clock(&mut self) {
        let ahead = self.parts.machine.state().time().since(Timestamp::now());
        gauges::time_ahead(ahead);
        let is_ahead = ahead > CLOCK_AHEAD_MAX;
        if is_ahead && !self.clock_warned {
            tracing::warn!(
                ahead_s = ahead.as_secs(),
                "control group's time is ahead of this clock, registration windows stand still"
            );
        }
        self.clock_warned = is_ahead;
    }

    /// Proposes the configuration's policy until it is answered; it changes nothing if the group has it already.
    fn configure(&mut self) {
        if !matches!(self.configuring, Configuring::Due) {
            return;
        }
        let ticket = self.new_ticket();
        self.configuring = Configuring::Asked(ticket);
        let command = Command::ConfigureRegistration {
            policy: self.parts.configured.clone(),
        };
        self.parts.machine.step(Event::Propose {
            ticket,
            now: Timestamp::now(),
            command,
        });
    }

    fn turn(&mut self) -> Result<(), DriverError> {
        loop {
            self.parts.machine.flush(&mut self.effects)?;
            let idle = self.effects.is_empty();
            for effect in std::mem::take(&mut self.effects) {
                self.execute(effect);
            }
            let wrote = self.write()?;
            if idle && !wrote {
                break;
            }
        }
        let leader = self.parts.machine.leader();
        if leader != self.leader {
            self.leader = leader;
            if leader.is_some() {
                gauges::leader_changed();
            }
            let leader = leader.map(NodeId::get);
            tracing::info!(leader, "control leader changed");
        }
        Ok(())
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Send(messages) => self.parts.transport.send(messages),
            Effect::Persist(write) => self.unwritten.push_back(*write),
            Effect::Answer(ticket, answer) => self.answer(ticket, answer),
            Effect::Policy(policy) => (self.parts.publish)(Arc::new(policy)),
            Effect::Bans(bans) => (self.parts.publish_bans)(bans),
            Effect::Guard(list) => (self.parts.publish_guard)(list),
            Effect::Names(rules) => (self.parts.publish_names)(rules),
            Effect::Events(head) => (self.parts.publish_events)(head),
            Effect::Shards(map) => (self.parts.publish_shards)(Arc::new(map)),
            Effect::EndedLeases(ended) => (self.parts.publish_ended_leases)(Arc::new(ended)),
            Effect::Directory(directory) => {
                (self.parts.publish_directory)(Arc::new(directory));
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if matches!(self.configuring, Configuring::Asked(asked) if asked == ticket) {
            let done = matches!(answer, Answer::Outcome(Outcome::PolicyVersion(_)));
            self.configuring = if done {
                Configuring::Done
            } else {
                Configuring::Due
            };
            return;
        }
        let Some((reply, asked)) = self.replies.remove(&ticket) else {
            return;
        };
        gauges::answered(&answer, asked.elapsed());
        // Who asked may have gone; a reservation it made expires by itself.
        let _ = reply.send(answer);
    }

    /// Writes what is due with one sync and reports it. False if there was nothing to write, or it failed.
    fn write(&mut self) -> Result<bool, DriverError> {
        let Some(number) = self.unwritten.back().map(|write| write.number) else {
            return Ok(false);
        };
        if self.write_failing {
            return Ok(false);
        }
        let begun = Instant::now();
        match self.parts.store.write(self.unwritten.make_contiguous()) {
            Ok(()) => {
                gauges::written(begun.elapsed());
                self.unwritten.clear();
                self.parts.machine.step(Event::Persisted { number });
            }
            Err(error) if error.is_temporary() => {
                gauges::write_failed();
                tracing::error!(%error, "control log cannot be written");
                self.write_failing = true;
                self.parts.machine.step(Event::WriteFailed {
                    reason: error.to_string(),
                });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Saves the commit index and tells everybody who still waits.
    fn finish(&mut self) -> Result<(), DriverError> {
        self.unwritten
            .extend(self.parts.machine.finish().map(|write| *write));
        self.write_failing = false;
        self.write()?;
        for (_, (reply, _)) in self.replies.drain() {
            // Who asked may have gone.
            let _ = reply.send(Answer::Unavailable(Unavailable::Stopped));
        }
        Ok(())
    }
}

/// Why a driver cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a word"))
}

/// Inputs taken before the next write: a full queue.
const BATCH_MAX: usize = 4_096;

/// How far the group's time may be ahead of this node's clock before the operator is told.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(30);
