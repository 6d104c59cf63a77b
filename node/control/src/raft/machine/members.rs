//! The leader's care for its members.

use std::collections::BTreeMap;

use super::super::config::ELECTION_TICKS;
use super::super::membership::{Situation, Step};
use super::super::{MemberProgress, NodeId};
use super::RaftMachine;

/// At which tick each member was heard of last.
#[derive(Debug, Default)]
pub(super) struct Activity(BTreeMap<u64, u64>);

impl Activity {
    fn is_active(&self, id: u64, tick: u64) -> bool {
        let heard = self.0.get(&id);
        heard.is_some_and(|heard| heard + 2 * ELECTION_TICKS as u64 > tick)
    }
}

impl RaftMachine {
    /// One step towards the members that there should be, if we lead and no step is under way.
    pub(super) fn steer_members(&mut self) {
        if !self.is_leader() {
            self.activity.0.clear();
            return;
        }
        self.hear_members();
        if self.node.raft.has_pending_conf() {
            return;
        }
        let directory = self.state.directory();
        let situation = Situation {
            leader: self.id,
            conf: self.node.store().conf_state(),
            directory: &directory,
            matched: &|id| self.matched(id),
            committed: self.node.raft.raft_log.committed,
        };
        match situation.next() {
            None => {}
            Some(Step::HandOver(to)) => self.node.transfer_leader(to),
            Some(Step::Change(change)) => {
                tracing::info!(?change, "control members change");
                if let Err(error) = self.node.propose_conf_change(Vec::new(), change) {
                    tracing::debug!(%error, "change of members not taken");
                }
            }
        }
    }

    /// raft-rs forgets at every check of the quorum who has answered; a member is not gone within that moment.
    fn hear_members(&mut self) {
        let heard = self
            .node
            .raft
            .prs()
            .iter()
            .filter(|(_, progress)| progress.recent_active);
        let heard = heard.map(|(id, _)| (*id, self.ticks));
        self.activity.0.extend(heard);
        self.activity.0.insert(self.id.get(), self.ticks);
    }

    /// The last entry that a member has, if it was heard of lately.
    fn matched(&self, id: u64) -> Option<u64> {
        let active = self.activity.is_active(id, self.ticks);
        let progress = self.node.raft.prs().get(id).filter(|_| active)?;
        Some(progress.matched)
    }

    /// How far the members are, if we lead.
    pub(super) fn progress(&self) -> Vec<MemberProgress> {
        if !self.is_leader() {
            return Vec::new();
        }
        let mut all: Vec<_> = self
            .node
            .raft
            .prs()
            .iter()
            .filter_map(|(id, progress)| {
                Some(MemberProgress {
                    node: NodeId::new(*id)?,
                    matched: progress.matched,
                    active: self.activity.is_active(*id, self.ticks),
                })
            })
            .collect();
        all.sort_by_key(|progress| progress.node);
        all
    }
}
