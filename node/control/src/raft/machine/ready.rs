//! What raft-rs has ready: towards the disk, the other members and the state.

use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeV2, ConfState, Entry, EntryType, Message, Snapshot};
use raft::{Ready, Storage};

use super::super::event::{Effect, MachineError};
use super::super::pending::{Answer, Ticket};
use super::super::store::Write;
use super::{Held, RaftMachine};
use crate::error::Unavailable;
use crate::state::{ControlState, Members, Outcome, Proposal, RequestId};

impl RaftMachine {
    pub(super) fn take_ready(
        &mut self,
        mut ready: Ready,
        effects: &mut Vec<Effect>,
    ) -> Result<(), MachineError> {
        send(ready.take_messages(), effects);
        for read in ready.take_read_states() {
            self.read_allowed(&read.request_ctx, read.index);
        }
        let write = self.write_of(&ready)?;
        let messages = ready.take_persisted_messages();
        let committed = ready.take_committed_entries();
        let number = ready.number();
        self.node.advance_append_async(ready);
        let installs = write.as_ref().and_then(|write| write.install.as_ref());
        let installs = installs.map(|snapshot| snapshot.get_metadata().index);
        self.held.push_back(Held {
            write: self.written,
            ready: number,
            installs,
            messages,
        });
        effects.extend(write.map(Box::new).map(Effect::Persist));
        self.apply(committed)?;
        if let Some(write) = self.compaction() {
            effects.push(Effect::Persist(Box::new(write)));
        }
        Ok(())
    }

    /// What of a ready must be written before anybody is told; `None` if it is nothing, or a commit index alone.
    fn write_of(&mut self, ready: &Ready) -> Result<Option<Write>, MachineError> {
        if let Some(hard_state) = ready.hs() {
            self.commit_unsaved = Some(hard_state.clone());
        }
        let install = (!ready.snapshot().is_empty()).then(|| ready.snapshot().clone());
        if let Some(snapshot) = &install {
            self.install(snapshot.clone())?;
        }
        self.node.mut_store().append(ready.entries());
        if !ready.must_sync() {
            return Ok(None);
        }
        let hard_state = self.commit_unsaved.take();
        let entries = ready.entries().clone();
        Ok(Some(Write {
            install,
            entries,
            hard_state,
            ..self.next_write()
        }))
    }

    fn install(&mut self, snapshot: Snapshot) -> Result<(), MachineError> {
        let index = snapshot.get_metadata().index;
        self.state = ControlState::restore(snapshot.get_data())
            .map_err(|source| MachineError::Format { index, source })?;
        self.node.mut_store().install(snapshot);
        Ok(())
    }

    pub(super) fn next_write(&mut self) -> Write {
        self.written += 1;
        Write {
            number: self.written,
            ..Write::default()
        }
    }

    pub(super) fn persisted(&mut self, number: u64) {
        self.write_error = None;
        self.persisted = self.persisted.max(number);
    }

    /// Tells raft-rs what is durable and sends the messages that say so.
    pub(super) fn release_held(&mut self, effects: &mut Vec<Effect>) {
        while self
            .held
            .front()
            .is_some_and(|held| held.write <= self.persisted)
        {
            let Some(held) = self.held.pop_front() else {
                return;
            };
            self.node.on_persist_ready(held.ready);
            if let Some(index) = held.installs {
                self.node.advance_apply_to(index);
            }
            send(held.messages, effects);
        }
    }

    fn apply(&mut self, entries: Vec<Entry>) -> Result<(), MachineError> {
        let Some(last) = entries.last().map(|entry| entry.index) else {
            return Ok(());
        };
        for entry in entries {
            match entry.get_entry_type() {
                EntryType::EntryNormal => self.apply_proposal(&entry)?,
                EntryType::EntryConfChange => {
                    let mut change = ConfChange::default();
                    change.merge_from_bytes(entry.get_data())?;
                    let conf_state = self.node.apply_conf_change(&change)?;
                    self.apply_members(entry.index, conf_state);
                }
                EntryType::EntryConfChangeV2 => {
                    let mut change = ConfChangeV2::default();
                    change.merge_from_bytes(entry.get_data())?;
                    let conf_state = self.node.apply_conf_change(&change)?;
                    self.apply_members(entry.index, conf_state);
                }
            }
        }
        self.node.advance_apply_to(last);
        Ok(())
    }

    fn apply_proposal(&mut self, entry: &Entry) -> Result<(), MachineError> {
        let index = entry.index;
        if entry.get_data().is_empty() {
            self.state.skip(index);
            return Ok(());
        }
        let proposal = Proposal::decode(entry.get_data())
            .map_err(|source| MachineError::Format { index, source })?;
        let outcome = self.state.apply(index, &proposal);
        let RequestId {
            node,
            incarnation,
            sequence,
        } = proposal.request;
        let ticket = Ticket(sequence);
        let ours = node == self.id && incarnation == self.incarnation;
        let ticket = if ours {
            Some(ticket)
        } else {
            self.pending.forwarded(proposal.request)
        };
        if let Some(ticket) = ticket
            && self.pending.answered(ticket)
        {
            let answer = match outcome {
                Outcome::Stale | Outcome::Overload => Answer::Unavailable(Unavailable::Overloaded),
                outcome => Answer::Outcome(outcome),
            };
            self.answers.push((ticket, answer));
        }
        Ok(())
    }

    fn apply_members(&mut self, index: u64, conf_state: ConfState) {
        self.state.skip(index);
        // Whoever was added has nothing yet, and takes no snapshot from before.
        let added = |id: &u64| !self.node.store().conf_state().get_learners().contains(id);
        self.snapshot_due |= conf_state.get_learners().iter().any(added);
        // Between two configurations both decide.
        let voters = [conf_state.get_voters(), conf_state.get_voters_outgoing()].concat();
        let members = Members::new(&voters, conf_state.get_learners());
        self.state.set_members(members);
        self.node.mut_store().set_conf_state(conf_state);
    }

    /// A snapshot of our own and a shorter log, once enough was applied since the last, or when it is asked for.
    pub(super) fn compaction(&mut self) -> Option<Write> {
        let applied = self.state.applied();
        let store = self.node.store();
        let last = store.last_snapshot().get_metadata().index;
        let after = match std::mem::take(&mut self.snapshot_due) {
            true => 1,
            false => self.control.snapshot_after_entries.max(1),
        };
        if applied < last + after {
            return None;
        }
        let mut snapshot = Snapshot::default();
        snapshot.set_data(self.state.snapshot().into());
        let meta = snapshot.mut_metadata();
        meta.index = applied;
        meta.term = store.term(applied).ok()?;
        meta.set_conf_state(store.conf_state().clone());
        let kept = self.control.log_kept_entries;
        let start = self.node.mut_store().compact(snapshot.clone(), kept);
        // On restart the commit index must not be below the snapshot.
        self.commit_unsaved = None;
        let hard_state = Some(self.node.raft.hard_state());
        Some(Write {
            compact: Some((snapshot, start)),
            hard_state,
            ..self.next_write()
        })
    }
}

fn send(messages: Vec<Message>, effects: &mut Vec<Effect>) {
    if !messages.is_empty() {
        effects.push(Effect::Send(messages));
    }
}
