//! The replicated state machine: [`ControlState`].
//!
//! Every member applies the same commands in the same order and must come to the same state, byte for byte. So there
//! is no clock, no randomness and no map without an order in here. Time enters with the commands and never goes
//! backwards: the state's time is the latest that any command brought. (A node whose clock runs ahead therefore makes
//! windows pass for nobody until the others have caught up; keep the clocks of the control nodes in step.)
//!
//! Snapshots and commands are JSON behind a version: the state is small, an operator can read it with the `sqlite3`
//! tool when everything else has failed, and fields can be added. Maps are ordered, so the bytes are deterministic.

mod awaiting;
mod bans;
mod changes;
mod command;
mod events;
mod format;
mod guard;
mod invites;
mod ledger;
mod levels;
mod lists;
mod members;
mod names;
mod nodes;
mod outcome;
mod overload;
mod policy;
mod quota;
mod refusals;
mod registration;
mod requests;
mod router_report;
mod secret;
mod shards;
mod source;
mod throttle;
mod watched;

pub use awaiting::AWAITING_MAX;
pub use bans::{Ban, BanList, BanTarget, BanTargetError, BanUpdate};
pub use command::{Asker, Command, Proposal};
pub use events::{Event, EventKind, EventKindError, Events, EventsHead, NewEvent};
pub use format::FormatError;
pub(crate) use format::{decode, encode};
pub use guard::{
    Guard, GuardBlock, GuardCount, GuardLimits, GuardList, GuardReport, GuardUpdate, LoginReport,
    networks,
};
pub use invites::{
    Invite, InviteId, InviteIdError, InviteKind, InvitePage, InviteRefused, InviteTerms, Invites,
    NewInvites, ShownInvite,
};
pub(crate) use levels::Behind;
pub use lists::{ListChange, Listing, Network, NetworkError, RegistrationLists};
pub use members::{Member, Members, NodeId};
pub use names::{NameForms, NameKind, NameRule, NameRuleError, NameRules};
pub use nodes::{Directory, Node, NodeRole, TokenHash};
pub use outcome::Outcome;
pub use overload::OverloadRule;
pub use policy::{Policy, PolicyState, RegistrationMode, RegistrationPolicy};
pub use quota::{
    QuotaGrant, QuotaHolding, QuotaKey, QuotaKeyError, QuotaKind, QuotaPolicy, QuotaRate,
    QuotaRenewal, QuotaReport, QuotaWant, Quotas, WANTS_MAX,
};
pub use refusals::{RefusalCause, RefusalCounts, RefusalHour, Refusals};
pub use registration::ReservationId;
pub use requests::RequestId;
pub use router_report::RouterReport;
pub use secret::ClusterSecret;
pub use shards::{
    EndedLeases, Lease, LeaseStanding, Leases, MEASURED_MS_MAX, Placement, Renewal, ShardChange,
    ShardMap, ShardPolicy, ShardRefusal, Shards, decode_changes, encode_changes,
};
pub use source::WindowKind;
pub use throttle::{ThrottleKey, ThrottleKeyError, ThrottleReport, ThrottleUse};

use std::sync::Arc;

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use awaiting::Awaiting;
use format::encode_as;
use invites::Wanted;
use nodes::Nodes;
use overload::OverloadBlocks;
use registration::Registrations;
use requests::{Requests, Seen};
use router_report::Reporters;

/// Everything the control group agrees on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlState {
    applied: u64,
    time: Timestamp,
    members: Members,
    policy: PolicyState,
    registrations: Registrations,
    #[serde(default)]
    awaiting: Awaiting,
    requests: Requests,
    #[serde(default)]
    shards: Shards,
    /// Shared with who was told of them last.
    #[serde(default)]
    bans: Arc<BanList>,
    /// Shared like the bans.
    #[serde(default)]
    names: Arc<NameRules>,
    #[serde(default)]
    guard: Guard,
    #[serde(default)]
    invites: Invites,
    #[serde(default)]
    quotas: Quotas,
    #[serde(default)]
    nodes: Nodes,
    /// The entry that changed the nodes or the members last.
    #[serde(default)]
    nodes_version: u64,
    /// The entry that ended leases last, or began one of a node that had none any more.
    #[serde(default)]
    ended_leases_version: u64,
    #[serde(default)]
    overload: OverloadBlocks,
    #[serde(default)]
    refusals: Refusals,
    #[serde(default)]
    reporters: Reporters,
    #[serde(default)]
    events: Events,
    /// Once any node has proposed one.
    #[serde(default)]
    secret: Option<ClusterSecret>,
}

impl ControlState {
    /// Applies the proposal at this index of the log and says what came of it.
    ///
    /// A request that was applied before is answered again with its first outcome and changes nothing.
    ///
    /// # Panics
    /// If `index` is not above [`applied`](Self::applied): Raft never hands out an entry twice.
    pub fn apply(&mut self, index: u64, proposal: &Proposal) -> Outcome {
        let ended = self.shards.leases().ended_count();
        let outcome = self.apply_once(index, proposal);
        if self.shards.leases().ended_count() != ended {
            self.ended_leases_version = index;
        }
        outcome
    }

    fn apply_once(&mut self, index: u64, proposal: &Proposal) -> Outcome {
        self.skip(index);
        self.time = self.time.max(proposal.now);
        let policy = self.policy.registration();
        self.registrations.advance(self.time, &policy);
        self.invites.advance(self.time);
        if let Command::Advance { ms } = proposal.command {
            // The leader's own, made once: it is no request.
            self.shards.advance(ms);
            self.quotas.advance(self.shards.clock_ms());
            return Outcome::ShardMap(self.shards.map().version());
        }
        match self
            .requests
            .look_up(proposal.request, proposal.acknowledged)
        {
            Seen::New => {}
            Seen::Answered(outcome) => return outcome,
            Seen::Stale => return Outcome::Stale,
            Seen::Overload => return Outcome::Overload,
        }
        let outcome = self.execute(index, &proposal.command);
        self.requests.keep(proposal.request, outcome.clone());
        outcome
    }

    /// Passes an entry that carries no proposal, such as a new leader's empty one.
    ///
    /// # Panics
    /// If `index` is not above [`applied`](Self::applied).
    pub fn skip(&mut self, index: u64) {
        assert!(
            index > self.applied,
            "entry {index} applied twice, at {}",
            self.applied
        );
        self.applied = index;
    }

    /// Takes over the members of Raft's configuration.
    pub fn set_members(&mut self, members: Members) {
        if self.members != members {
            self.members = members;
            self.nodes_version = self.applied;
        }
    }

    fn execute(&mut self, index: u64, command: &Command) -> Outcome {
        match command {
            Command::Reserve { .. } => self.reserve(index, command),
            Command::Commit { .. } | Command::Release { .. } => self.settle(command),
            Command::CreateInvites { .. }
            | Command::RevokeInvites { .. }
            | Command::CheckInvite { .. }
            | Command::ListInvites { .. } => self.change_invites(command),
            Command::ConfigureRegistration { .. }
            | Command::SetRegistration { .. }
            | Command::ResetRegistration
            | Command::ChangeLists { .. }
            | Command::ResetLists => self.change_policy(command),
            Command::ConfigureShards { .. }
            | Command::RaiseEpochs { .. }
            | Command::Renew { .. }
            | Command::Advance { .. }
            | Command::Leave { .. }
            | Command::HandedOver { .. }
            | Command::MoveShard { .. } => self.change_shards(command),
            Command::CreateToken { .. }
            | Command::Admit { .. }
            | Command::Enlist { .. }
            | Command::RemoveNode { .. }
            | Command::DrainNode { .. } => self.change_nodes(index, command),
            Command::ConfigureQuota { policy } => {
                Outcome::PolicyVersion(self.policy.configure_quota(*policy))
            }
            Command::RenewQuota { node, renewal } => {
                let (clock_ms, policy) = (self.shards.clock_ms(), self.policy.quota());
                let grant = self.quotas.renew(*node, renewal, clock_ms, &policy);
                grant.map_or(Outcome::Stale, Outcome::Quota)
            }
            Command::ResetQuota { key } => {
                self.quotas.reset(index, key.clone());
                Outcome::QuotaReset
            }
            Command::AddBans { .. } | Command::RemoveBans { .. } => self.change_bans(command),
            Command::ReportLogins { .. } => self.report_logins(command),
            Command::ShowGuard { target } => {
                Outcome::GuardReport(self.guard.show(target.as_ref(), self.time))
            }
            Command::ResetGuard { target } => self.guard.reset(target.as_ref()),
            Command::ConfigureNames { .. }
            | Command::ReserveNames { .. }
            | Command::ReleaseNames { .. }
            | Command::CheckName { .. } => self.change_names(command),
            Command::ShowThrottle { key } => self.show_throttle(key.as_ref()),
            Command::ResetThrottle { key } => self.registrations.reset(key),
            Command::ResetAllThrottle => self.reset_throttle(),
            Command::ShowRefusals => Outcome::Refusals(self.refusals.report(self.time)),
            Command::ReportRouter { .. } => self.report_router(command),
            Command::ShowEvents { .. } => self.show_events(command),
            Command::TellEvents { up_to } => {
                self.events.tell(*up_to);
                Outcome::EventsTold
            }
            Command::ProposeSecret { secret } => {
                Outcome::Secret(*self.secret.get_or_insert(*secret))
            }
            Command::RestoreSecret { secret } => Outcome::Secret(*self.secret.insert(*secret)),
            Command::ShowAwaiting => Outcome::Awaiting(self.awaiting.accounts()),
            Command::TendAwaiting { joined, left } => self.awaiting.tend(joined, left),
            Command::ShowQuota { key } => Outcome::QuotaReport(self.quotas.report(key.as_ref())),
        }
    }

    fn show_throttle(&self, key: Option<&ThrottleKey>) -> Outcome {
        let policy = self.policy.registration();
        let report = self.registrations.report(key, self.time, &policy);
        let out = self.overload.in_force(self.time).collect();
        Outcome::ThrottleReport(ThrottleReport { out, ..report })
    }

    fn reset_throttle(&mut self) -> Outcome {
        self.overload.clear();
        self.registrations.reset_all()
    }

    fn withheld(&self, forms: &NameForms) -> Option<Outcome> {
        let rule = self.names.withholding(forms)?;
        Some(Outcome::NameWithheld {
            by: rule.text.clone(),
            kind: rule.kind,
        })
    }

    fn change_names(&mut self, command: &Command) -> Outcome {
        let names = &mut self.names;
        match command {
            Command::ConfigureNames { rules } => Arc::make_mut(names).configure(rules),
            Command::ReserveNames { rules } => {
                let mut outcome = Arc::make_mut(names).reserve(rules);
                if let Outcome::Names { under_way, .. } = &mut outcome {
                    *under_way = self.registrations.under_way(rules);
                }
                outcome
            }
            Command::ReleaseNames { texts } => Arc::make_mut(names).release(texts),
            Command::CheckName { forms } => self.withheld(forms).unwrap_or(Outcome::NameFree),
            _ => Outcome::Stale,
        }
    }

    fn change_shards(&mut self, command: &Command) -> Outcome {
        let shards = &mut self.shards;
        let taken = match *command {
            Command::ConfigureShards { policy } => shards.configure(policy),
            Command::RaiseEpochs { above } => shards.raise_epochs(above),
            Command::Renew { node, renewal } => {
                let lease_ms = shards.renew(node, renewal);
                return Outcome::Renewed {
                    lease_ms,
                    map_version: shards.map().version(),
                };
            }
            Command::Leave { node } => {
                shards.leave(node);
                self.quotas.leave(node);
                Ok(())
            }
            Command::HandedOver { node, shard, epoch } => shards.handed_over(node, shard, epoch),
            Command::MoveShard { shard, to } => shards.move_to(shard, to),
            _ => Ok(()),
        };
        match taken {
            Ok(()) => Outcome::ShardMap(shards.map().version()),
            Err(refusal) => Outcome::ShardRefused(refusal),
        }
    }

    fn change_nodes(&mut self, index: u64, command: &Command) -> Outcome {
        if let Some(left_ms) = self.spared_for(command) {
            return Outcome::NodeAlive { left_ms };
        }
        let before = self.nodes.known().clone();
        let outcome = self.nodes.execute(self.time, &self.members, command);
        if *self.nodes.known() != before {
            self.nodes_version = index;
        }
        if let Command::RemoveNode { node, .. } = command
            && outcome == Outcome::NodesChanged
        {
            self.quotas.leave(*node);
            self.reporters.forget(*node);
        }
        outcome
    }

    /// How long the lease holds of a node that is to be removed unless it lives, in milliseconds. The lease of one that
    /// was removed already means nothing.
    fn spared_for(&self, command: &Command) -> Option<u64> {
        match command {
            Command::RemoveNode { node, unless_alive } if *unless_alive => {
                let left_ms = self.shards.lease_left_ms(*node);
                left_ms.filter(|_| !self.nodes.is_removed(*node))
            }
            _ => None,
        }
    }

    /// Who serves which shard, and the leases.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The nodes that have no lease any more.
    pub fn ended_leases(&self) -> EndedLeases {
        self.shards.leases().ended(self.ended_leases_version)
    }

    /// The entry that changed the [`ended_leases`](Self::ended_leases) last.
    pub fn ended_leases_version(&self) -> u64 {
        self.ended_leases_version
    }

    /// Who is banned.
    pub fn bans(&self) -> &Arc<BanList> {
        &self.bans
    }

    /// Who is let in no more, for logins that failed.
    pub fn guard(&self) -> &Arc<GuardList> {
        self.guard.list()
    }

    /// Who was invited to register.
    pub fn invites(&self) -> &Invites {
        &self.invites
    }

    /// Which names nobody may register.
    pub fn names(&self) -> &Arc<NameRules> {
        &self.names
    }

    /// Who may use which part of the traffic budgets.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The nodes of the cluster and the members of the group.
    pub fn directory(&self) -> Directory {
        self.nodes.directory(self.nodes_version, &self.members)
    }

    /// The entry that changed the [`directory`](Self::directory) last.
    pub fn nodes_version(&self) -> u64 {
        self.nodes_version
    }

    /// The index of the last entry that this state has seen.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The latest time that any command brought.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Both layers of the policy.
    pub fn policy(&self) -> &PolicyState {
        &self.policy
    }

    /// The members of the group.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Registrations that are remembered, settled or not.
    pub fn registrations_remembered(&self) -> usize {
        self.registrations.len()
    }

    /// Every remembered registration: id, moment, address, whether it is committed.
    #[cfg(any(test, feature = "simulation"))]
    pub fn registrations(
        &self,
    ) -> impl Iterator<Item = (ReservationId, Timestamp, std::net::IpAddr, bool)> + '_ {
        self.registrations.iter()
    }

    /// The state as bytes that [`restore`](Self::restore) reads.
    pub fn snapshot(&self) -> Vec<u8> {
        encode_as(self.spoken(), self)
    }

    /// The state from [`snapshot`](Self::snapshot)'s bytes, also from another member's.
    pub fn restore(bytes: &[u8]) -> Result<Self, FormatError> {
        decode(bytes)
    }
}

#[cfg(test)]
mod tests;
