//! The decisions of one member: [`RaftMachine`].

use std::collections::VecDeque;

use raft::eraftpb::{HardState, Message, MessageType};
use raft::{RawNode, SnapshotStatus, StateRole};
use rookery_xmpp::clock::Timestamp;

use super::ControlStatus;
use super::config::{ELECTION_TICKS, config};
use super::election::ElectionTimeout;
use super::event::{Effect, Event, MachineError, MachineOptions};
use super::logger::tracing_logger;
use super::memory_log::MemoryLog;
use super::pending::{All, Answer, Pending, Ticket};
use super::store::{Recovered, Write};
use crate::error::Unavailable;
use crate::options::ControlOptions;
use crate::state::{
    Command, ControlState, EventsHead, MEASURED_MS_MAX, NodeId, Policy, Proposal, RequestId,
};

mod members;
mod ready;

/// One member of the control group: Raft, the replicated state and the questions under way. No IO, no clock.
pub struct RaftMachine {
    node: RawNode<MemoryLog>,
    state: ControlState,
    election: ElectionTimeout,
    pending: Pending,
    id: NodeId,
    incarnation: u64,
    control: ControlOptions,
    ticks: u64,
    /// The leader that pending proposals were last put to, by term and id.
    asked: Option<(u64, u64)>,
    /// The term in which the leader was last asked for pending reads.
    asked_reads: u64,
    published: Policy,
    /// The version of the directory that was told last.
    published_nodes: u64,
    /// The version of the shard map that was told last.
    published_shards: u64,
    /// The version of the bans that was told last.
    published_bans: u64,
    /// The version of the login guard's list that was told last.
    published_guard: u64,
    /// The version of the rules about names that was told last.
    published_names: u64,
    /// How far events reached when that was told last.
    published_events: EventsHead,
    /// The version of the leases that have ended that was told last.
    published_ended_leases: u64,
    /// Ticks as leader since time was last brought into the log; `None` before the first one.
    led_ticks: Option<u64>,
    written: u64,
    persisted: u64,
    /// What waits for writes, in order.
    held: VecDeque<Held>,
    /// A commit index not worth a write of its own.
    commit_unsaved: Option<HardState>,
    save_commit_due: bool,
    /// Once the log is applied: a group's only voter need not wait for a time-out. (Before that raft-rs refuses, if
    /// a change of members is among what is to be applied.)
    campaign_due: bool,
    snapshot_due: bool,
    activity: members::Activity,
    write_error: Option<String>,
    /// Answers that were found while handling events.
    answers: Vec<(Ticket, Answer)>,
}

impl RaftMachine {
    /// A member that continues from what its log store held.
    pub fn new(options: MachineOptions, recovered: Recovered) -> Result<Self, MachineError> {
        let MachineOptions {
            node: id,
            seed,
            control,
        } = options;
        let index = recovered.snapshot.get_metadata().index;
        let state = ControlState::restore(recovered.snapshot.get_data())
            .map_err(|source| MachineError::Format { index, source })?;
        let incarnation = recovered.incarnation;
        let log = MemoryLog::new(recovered);
        let config = config(id, index, &control);
        let mut node = RawNode::new(&config, log, &tracing_logger())?;
        let mut election = ElectionTimeout::new(seed, ELECTION_TICKS..2 * ELECTION_TICKS);
        election.settle(&mut node.raft);
        let in_ticks = |ms: u64| ms.div_ceil(control.tick_ms.max(1)).max(1);
        let pending = Pending::new(
            in_ticks(control.proposal_timeout_ms),
            in_ticks(control.proposal_retry_ms),
            control.proposals_pending_max as usize,
        );
        Ok(Self {
            node,
            published: Policy::default(),
            published_nodes: state.nodes_version(),
            published_shards: state.shards().map().version(),
            published_bans: state.bans().version(),
            published_guard: state.guard().version(),
            published_names: state.names().version(),
            published_events: state.events().head(),
            published_ended_leases: state.ended_leases_version(),
            led_ticks: None,
            state,
            election,
            pending,
            id,
            incarnation,
            control,
            ticks: 0,
            asked: None,
            asked_reads: 0,
            written: 0,
            persisted: 0,
            save_commit_due: false,
            campaign_due: true,
            snapshot_due: false,
            activity: members::Activity::default(),
            held: VecDeque::new(),
            commit_unsaved: None,
            write_error: None,
            answers: Vec::new(),
        })
    }

    /// Takes in one event. What follows from it comes out of [`flush`](Self::flush), so that many events can share
    /// one write.
    pub fn step(&mut self, event: Event) {
        match event {
            Event::Tick => self.tick(),
            // Raft repeats what a member does not hear while it installs a snapshot.
            Event::Message(_) if self.installing() => {}
            // A member never says that more is committed than it knows this one to have. raft-rs would
            // panic.
            Event::Message(message) if self.commits_the_unknown(&message) => {
                tracing::warn!(
                    from = message.from,
                    "raft message refused: it commits what is not here"
                );
            }
            Event::Message(message) => {
                if let Err(error) = self.node.step(*message) {
                    tracing::debug!(%error, "raft message not taken");
                }
            }
            Event::Propose {
                ticket,
                now,
                command,
            } => self.take_proposal(ticket, now, command),
            Event::Forward { ticket, proposal } => self.take_forwarded(ticket, *proposal),
            Event::Read { ticket } => self.take_read(ticket),
            Event::Persisted { number } => self.persisted(number),
            Event::WriteFailed { reason } => {
                self.write_error = Some(reason);
                let abandoned = self.pending.abandon();
                self.refuse(abandoned, Unavailable::Disk);
            }
            Event::Unreachable { node } => self.node.report_unreachable(node),
            Event::SnapshotSent { node, delivered } => {
                let status = if delivered {
                    SnapshotStatus::Finish
                } else {
                    SnapshotStatus::Failure
                };
                self.node.report_snapshot(node, status);
            }
            Event::Transfer { to } => self.node.transfer_leader(to),
            Event::TakeSnapshot => self.snapshot_due = true,
        }
        self.election.settle(&mut self.node.raft);
    }

    /// Adds to `effects` what has become due. To be called again after its writes were reported, until it adds none.
    ///
    /// # Errors
    /// The machine must not be used any more.
    pub fn flush(&mut self, effects: &mut Vec<Effect>) -> Result<(), MachineError> {
        self.ask_new_leader();
        self.take_all_ready(effects)?;
        if std::mem::take(&mut self.campaign_due) && self.is_alone() {
            self.node.campaign()?;
            self.take_all_ready(effects)?;
        }
        if self.save_commit_due && self.write_error.is_none() {
            self.save_commit_due = false;
            effects.extend(self.finish().map(Effect::Persist));
        }
        if self.snapshot_due {
            effects.extend(self.compaction().map(Box::new).map(Effect::Persist));
        }
        // Before the answers: who is answered may look at the policy.
        let policy = self.state.policy().current();
        if policy != self.published {
            self.published = policy.clone();
            effects.push(Effect::Policy(policy));
        }
        if self.state.nodes_version() != self.published_nodes {
            self.published_nodes = self.state.nodes_version();
            effects.push(Effect::Directory(self.state.directory()));
        }
        if self.state.shards().map().version() != self.published_shards {
            self.published_shards = self.state.shards().map().version();
            effects.push(Effect::Shards(self.state.shards().map().clone()));
        }
        if self.state.bans().version() != self.published_bans {
            self.published_bans = self.state.bans().version();
            effects.push(Effect::Bans(self.state.bans().clone()));
        }
        if self.state.guard().version() != self.published_guard {
            self.published_guard = self.state.guard().version();
            effects.push(Effect::Guard(self.state.guard().clone()));
        }
        if self.state.names().version() != self.published_names {
            self.published_names = self.state.names().version();
            effects.push(Effect::Names(self.state.names().clone()));
        }
        if self.state.events().head() != self.published_events {
            self.published_events = self.state.events().head();
            effects.push(Effect::Events(self.published_events));
        }
        if self.state.ended_leases_version() != self.published_ended_leases {
            self.published_ended_leases = self.state.ended_leases_version();
            effects.push(Effect::EndedLeases(self.state.ended_leases()));
        }
        let readable = self.pending.readable(self.state.applied());
        for ticket in readable {
            self.answers
                .push((ticket, Answer::Policy(self.state.policy().current())));
        }
        let answers = self.answers.drain(..);
        effects.extend(answers.map(|(ticket, answer)| Effect::Answer(ticket, answer)));
        Ok(())
    }

    fn take_all_ready(&mut self, effects: &mut Vec<Effect>) -> Result<(), MachineError> {
        self.release_held(effects);
        while self.node.has_ready() {
            let ready = self.node.ready();
            self.take_ready(ready, effects)?;
            self.release_held(effects);
            self.election.settle(&mut self.node.raft);
        }
        Ok(())
    }

    /// The last write: saves the commit index, so that a restart replays without an election.
    pub fn finish(&mut self) -> Option<Box<Write>> {
        self.commit_unsaved.take().map(|hard_state| {
            Box::new(Write {
                hard_state: Some(hard_state),
                ..self.next_write()
            })
        })
    }

    /// The replicated state as far as this member has applied it.
    pub fn state(&self) -> &ControlState {
        &self.state
    }

    /// Whether a leader says that more is committed than this member has, which no leader does of itself.
    fn commits_the_unknown(&self, message: &Message) -> bool {
        message.get_msg_type() == MessageType::MsgHeartbeat
            && message.commit > self.node.raft.raft_log.last_index()
    }

    /// Whether this member leads the group.
    pub fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// The leader that this member knows.
    pub fn leader(&self) -> Option<NodeId> {
        NodeId::new(self.node.raft.leader_id)
    }

    /// Whether this member is the group's only voter.
    pub fn is_alone(&self) -> bool {
        self.node.store().conf_state().get_voters() == [self.id.get()]
    }

    /// How the group stands as this member sees it.
    pub fn status(&self) -> ControlStatus {
        ControlStatus {
            node: Some(self.id),
            leader: self.leader(),
            term: self.node.raft.term,
            commit: self.node.raft.raft_log.committed,
            applied: self.state.applied(),
            log_entries: self.node.store().len() as u64,
            snapshot_index: self.node.store().last_snapshot().get_metadata().index,
            members: self.state.members().iter().collect(),
            progress: self.progress(),
            write_error: self.write_error.clone(),
            registrations_remembered: self.state.registrations_remembered(),
            leases: self.state.shards().standings(),
            shards: self
                .state
                .shards()
                .policy()
                .map_or(0, |policy| policy.shards),
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        if !self.installing() {
            self.node.tick();
        }
        let expired = self.pending.expired(self.ticks);
        self.refuse(expired, Unavailable::NoQuorum);
        let all = All::default();
        let (proposals, reads) = self.pending.due(self.ticks, all, self.own_term());
        self.ask(proposals, reads);
        self.steer_members();
        self.measure_time();
        self.save_commit_due |= self.ticks.is_multiple_of(COMMIT_SAVED_TICKS);
    }

    /// As the leader, brings the time that was measured since the last such entry into the log. Ticks never come faster
    /// than time; what gets lost with a leader only makes leases last longer.
    fn measure_time(&mut self) {
        // The first tick as leader may have come at once: time begins with it.
        let led = self
            .is_leader()
            .then_some(self.led_ticks.map_or(0, |ticks| ticks + 1));
        self.led_ticks = led;
        let tick_ms = self.control.tick_ms;
        let ms = led.unwrap_or(0) * tick_ms;
        // With one more it would be too much for one entry.
        if ms == 0 || ms + tick_ms <= MEASURED_MS_MAX {
            return;
        }
        self.led_ticks = Some(0);
        if self.state.shards().policy().is_none() && self.state.quotas().is_idle() {
            // Nobody has a lease, and none that begins later began before.
            return;
        }
        let request = RequestId {
            node: self.id,
            incarnation: self.incarnation,
            sequence: 0,
        };
        let proposal = Proposal {
            request,
            acknowledged: 0,
            now: self.state.time(),
            command: Command::Advance { ms },
        };
        // Not asked again: a copy under another leader would count time that this one has counted as well.
        if let Err(error) = self.node.propose(Vec::new(), proposal.encode()) {
            tracing::debug!(%error, "time not taken");
        }
    }

    /// Whether a snapshot from the leader is not on disk yet. raft-rs may then not be given anything that could start
    /// an election: it would ask for entries that the snapshot has replaced.
    fn installing(&self) -> bool {
        self.held.iter().any(|held| held.installs.is_some())
    }

    fn take_proposal(&mut self, ticket: Ticket, now: Timestamp, command: Command) {
        match self.refusal(&command) {
            Some(refusal) => self.refuse(vec![ticket], refusal),
            None => {
                self.pending.add_proposal(ticket, now, command, self.ticks);
                self.ask(vec![ticket], Vec::new());
            }
        }
    }

    fn take_forwarded(&mut self, ticket: Ticket, proposal: Proposal) {
        match self.refusal(&proposal.command) {
            Some(refusal) => self.refuse(vec![ticket], refusal),
            None => {
                self.pending.add_forwarded(ticket, proposal, self.ticks);
                self.ask(vec![ticket], Vec::new());
            }
        }
    }

    fn take_read(&mut self, ticket: Ticket) {
        if self.pending.is_full() {
            return self.refuse(vec![ticket], Unavailable::Overloaded);
        }
        self.pending.add_read(ticket, self.ticks);
        self.ask(Vec::new(), vec![ticket]);
    }

    fn refusal(&self, command: &Command) -> Option<Unavailable> {
        if self.write_error.is_some() {
            return Some(Unavailable::Disk);
        }
        if let Some(behind) = self.state.behind(command.format()) {
            return Some(behind.into());
        }
        self.pending.is_full().then_some(Unavailable::Overloaded)
    }

    fn refuse(&mut self, tickets: Vec<Ticket>, unavailable: Unavailable) {
        let answers = tickets
            .into_iter()
            .map(|it| (it, Answer::Unavailable(unavailable)));
        self.answers.extend(answers);
    }

    /// Puts everything unanswered to a leader that has not heard of it yet. A read comes later than a proposal: raft-rs
    /// drops, without a word, what reaches a leader before an entry of its own term is committed.
    fn ask_new_leader(&mut self) {
        let raft = &self.node.raft;
        let leader = (raft.term, raft.leader_id);
        if leader.1 == raft::INVALID_ID {
            return;
        }
        let answers_reads = raft.raft_log.term(raft.raft_log.committed) == Ok(raft.term);
        let all = All {
            proposals: self.asked != Some(leader),
            reads: answers_reads && self.asked_reads != raft.term,
        };
        if !all.proposals && !all.reads {
            return;
        }
        self.asked = Some(leader);
        if all.reads {
            self.asked_reads = leader.0;
        }
        let (proposals, reads) = self.pending.due(self.ticks, all, self.own_term());
        self.ask(proposals, reads);
    }

    /// The term, if we lead it.
    fn own_term(&self) -> Option<u64> {
        self.is_leader().then_some(self.node.raft.term)
    }

    /// Proposes and reads. What raft-rs drops, for want of a leader or of room, is asked again later.
    fn ask(&mut self, proposals: Vec<Ticket>, reads: Vec<Ticket>) {
        let (node, incarnation, own_term) = (self.id, self.incarnation, self.own_term());
        for ticket in proposals {
            let Some(proposal) = self.pending.entry(ticket, node, incarnation) else {
                continue;
            };
            match self.node.propose(Vec::new(), proposal.encode()) {
                Ok(()) => self.pending.logged(ticket, own_term),
                Err(error) => tracing::debug!(%error, "proposal not taken"),
            }
        }
        for ticket in reads {
            self.node.read_index(self.read_context(ticket));
        }
    }

    /// Names a read over the whole cluster.
    fn read_context(&self, ticket: Ticket) -> Vec<u8> {
        [self.id.get(), self.incarnation, ticket.0]
            .iter()
            .flat_map(|it| it.to_be_bytes())
            .collect()
    }

    fn read_allowed(&mut self, context: &[u8], index: u64) {
        let Some((_, ticket)) = context.split_last_chunk() else {
            return;
        };
        let ticket = Ticket(u64::from_be_bytes(*ticket));
        if self.read_context(ticket) == context {
            self.pending.allow_read(ticket, index);
        }
    }
}

/// Messages and progress that wait for a write.
struct Held {
    /// The number of the write.
    write: u64,
    /// raft-rs's number of what was written.
    ready: u64,
    /// The index of the leader's snapshot in the write.
    installs: Option<u64>,
    messages: Vec<Message>,
}

/// Ticks after which a commit index that no write took along is saved by itself.
const COMMIT_SAVED_TICKS: u64 = 10;

#[cfg(test)]
mod tests;
