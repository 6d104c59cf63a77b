//! What goes through the log.

use std::net::IpAddr;

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::format::{FormatError, decode, encode_as};
use super::{
    Ban, BanTarget, ClusterSecret, InviteId, ListChange, LoginReport, NameForms, NameRule,
    NewInvites, NodeId, NodeRole, QuotaKey, QuotaPolicy, QuotaRenewal, RegistrationPolicy, Renewal,
    RequestId, ReservationId, RouterReport, ShardPolicy, ShownInvite, ThrottleKey, TokenHash,
};

/// One entry of the log: a command with what is needed to apply it exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Which request this is a copy of.
    pub request: RequestId,
    /// The sender waits for no answer to its requests below this number.
    pub acknowledged: u64,
    /// When the sender made the request, by its own clock.
    pub now: Timestamp,
    /// What to do.
    pub command: Command,
}

impl Proposal {
    /// The bytes of a log entry.
    pub fn encode(&self) -> Vec<u8> {
        encode_as(self.command.format(), self)
    }

    /// The proposal in a log entry's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        decode(bytes)
    }
}

/// A change to the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Take a place in every window for one registration.
    Reserve {
        /// The virtual host, prepared.
        host: String,
        /// Where the client comes from.
        address: IpAddr,
        /// The account's localpart, prepared; kept in the log for the operator.
        name: String,
        /// The same as rules look at it. Without it, from a router of an earlier build, no rule is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forms: Option<NameForms>,
        /// The invitation that was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invite: Option<ShownInvite>,
    },
    /// The account exists: the place is taken for as long as the windows are.
    Commit {
        /// Which reservation.
        reservation: ReservationId,
    },
    /// The account was not made: the place is given back.
    Release {
        /// Which reservation.
        reservation: ReservationId,
    },
    /// A member's configuration asks for this policy.
    ConfigureRegistration {
        /// What the configuration says.
        policy: RegistrationPolicy,
    },
    /// An administrator sets a policy over the configuration's.
    SetRegistration {
        /// What shall hold until it is reset.
        policy: RegistrationPolicy,
    },
    /// An administrator returns to the configuration's policy.
    ResetRegistration,
    /// An administrator makes a token with which one node may join.
    CreateToken {
        /// What the token's secret hashes to.
        token: TokenHash,
        /// The roles that the node may hold.
        roles: Vec<NodeRole>,
        /// From when on the token is worth nothing.
        expires: Timestamp,
    },
    /// Somebody shows a token's secret and becomes a node. Consumes the token.
    Admit {
        /// What the secret hashes to.
        token: TokenHash,
        /// Where the node will be reached, `host:port`.
        address: String,
    },
    /// A node that starts says where it is and what it does.
    Enlist {
        /// Which node.
        node: NodeId,
        /// Where it is reached, `host:port`.
        address: String,
        /// The roles it holds.
        roles: Vec<NodeRole>,
        /// The newest format of commands that it speaks; 0 from builds that do not say it.
        #[serde(default)]
        format: u8,
    },
    /// An administrator removes a node for ever.
    RemoveNode {
        /// Which node.
        node: NodeId,
        /// Whether it stays if its lease holds. Builds before format 5 ask for no lease.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unless_alive: bool,
    },
    /// An administrator wants a node empty, or used again.
    DrainNode {
        /// Which node.
        node: NodeId,
        /// Whether it shall be empty.
        draining: bool,
    },
    /// A router's configuration asks for these numbers.
    ConfigureShards {
        /// What the configuration says.
        policy: ShardPolicy,
    },
    /// A router's store was restored from a backup, in which logs reach up to this epoch: shards are served above it
    /// only, or what is appended would sort among what is there. Only proposed behind a restore, so that members of an
    /// older build never meet it in an upgrade.
    RaiseEpochs {
        /// The highest epoch in the store.
        above: u32,
    },
    /// A node says that it lives.
    Renew {
        /// Which node.
        node: NodeId,
        /// What it says of itself.
        renewal: Renewal,
    },
    /// The leader has measured this much time since it last said so. Only a leader's own log makes it: it is
    /// never asked for again, so no time is counted twice.
    Advance {
        /// Milliseconds on its monotonic clock.
        ms: u64,
    },
    /// A node has stopped in order, and serves nothing any more.
    Leave {
        /// Which node.
        node: NodeId,
    },
    /// An owner has handed a shard to the router that it moves to.
    HandedOver {
        /// The owner.
        node: NodeId,
        /// Which shard.
        shard: u16,
        /// The owner's epoch.
        epoch: u32,
    },
    /// An administrator moves a shard.
    MoveShard {
        /// Which shard.
        shard: u16,
        /// To which router.
        to: NodeId,
    },
    /// A connection node's configuration grants these traffic budgets.
    ConfigureQuota {
        /// What the configuration says.
        policy: QuotaPolicy,
    },
    /// A connection node says what it uses and wants of the traffic budgets.
    RenewQuota {
        /// Which node.
        node: NodeId,
        /// What it says.
        renewal: QuotaRenewal,
    },
    /// An administrator gives a budget all of its burst again.
    ResetQuota {
        /// Which budget.
        key: QuotaKey,
    },
    /// An administrator looks what the registration throttle has counted. It changes nothing.
    ShowThrottle {
        /// By which key; by all without one.
        key: Option<ThrottleKey>,
    },
    /// An administrator empties one window of the registration throttle.
    ResetThrottle {
        /// Whose.
        key: ThrottleKey,
    },
    /// An administrator bans somebody, or changes their bans.
    AddBans {
        /// The bans.
        bans: Vec<Ban>,
    },
    /// An administrator lifts bans.
    RemoveBans {
        /// Whose.
        targets: Vec<BanTarget>,
    },
    /// A connection node tells of failed logins, and from where blocked accounts are known.
    ReportLogins {
        /// Which node.
        node: NodeId,
        /// What it tells.
        report: LoginReport,
    },
    /// An administrator looks what the login guard has counted. It changes nothing.
    ShowGuard {
        /// Of whom; of all without one.
        target: Option<BanTarget>,
    },
    /// An administrator forgets failed logins, and lets in who was blocked for them.
    ResetGuard {
        /// Whose; everybody's without one.
        target: Option<BanTarget>,
    },
    /// A router's configuration withholds these names.
    ConfigureNames {
        /// What the configuration says.
        rules: Vec<NameRule>,
    },
    /// An administrator withholds names, or changes why.
    ReserveNames {
        /// Which.
        rules: Vec<NameRule>,
    },
    /// An administrator ends rules about names, also those of the configuration.
    ReleaseNames {
        /// The texts of the rules.
        texts: Vec<String>,
    },
    /// An administrator wants to know whether strangers may have a name, or is about to use it. It changes nothing; by
    /// the log it is judged by all rules that were made before.
    CheckName {
        /// The name.
        forms: NameForms,
    },
    /// The sweeper of a router looks which accounts are counted as awaiting approval. It changes nothing.
    ShowAwaiting,
    /// Accounts await approval, or do so no more: what a router has found in the store, or an administrator has done.
    TendAwaiting {
        /// Their addresses.
        joined: Vec<String>,
        /// The addresses of those that were approved, or are gone.
        left: Vec<String>,
    },
    /// An administrator or, by the router that owns the account, a user makes invitations.
    CreateInvites {
        /// Which.
        invites: NewInvites,
    },
    /// An administrator ends invitations.
    RevokeInvites {
        /// Which.
        ids: Vec<InviteId>,
    },
    /// Somebody wants to know what a token is worth. It changes nothing, and takes no use.
    CheckInvite {
        /// The host where it was shown, prepared; without it, it was shown to none.
        host: Option<String>,
        /// What it hashes to.
        id: InviteId,
    },
    /// An administrator looks at the invitations. It changes nothing.
    ListInvites {
        /// Those behind this one, in the order of their ids; from the first on without it.
        after: Option<InviteId>,
        /// Only those of this user.
        by: Option<String>,
    },
    /// An administrator looks how budgets are shared out. It changes nothing; by the log any node can ask, and sees all
    /// that was decided before.
    ShowQuota {
        /// Which budget; all without one.
        key: Option<QuotaKey>,
    },
    /// An administrator changes from which networks accounts are made, over the configuration's lists.
    ChangeLists {
        /// What.
        change: ListChange,
    },
    /// An administrator returns to the configuration's lists.
    ResetLists,
    /// An administrator empties all windows of the registration throttle.
    ResetAllThrottle,
    /// An administrator looks what was refused. It changes nothing.
    ShowRefusals,
    /// A router tells whom it has refused, and what has happened to its accounts.
    ReportRouter {
        /// Which node.
        node: NodeId,
        /// What it tells.
        report: RouterReport,
    },
    /// An administrator, or the router that tells who watches, reads events. It changes nothing.
    ShowEvents {
        /// Those behind this number, the oldest first.
        #[serde(default)]
        after: Option<u64>,
        /// Without `after`: those before this number, the newest first; from the newest without it.
        #[serde(default)]
        before: Option<u64>,
        /// At most so many.
        limit: u32,
    },
    /// Whoever watches has been told of all events up to this one.
    TellEvents {
        /// Its number.
        up_to: u64,
    },
    /// A node that starts proposes the secret of the cluster. The first proposal holds for ever.
    ProposeSecret {
        /// What it would be.
        secret: ClusterSecret,
    },
    /// A router's store was restored from a backup, with the secret of the cluster that it was made of: it holds from
    /// now on. Proposed before the first shard of that store is served, and again with each start of a router.
    RestoreSecret {
        /// What it was.
        secret: ClusterSecret,
    },
}

/// Who may ask for a command by a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Only this node, for it speaks of itself; with a role if one is named.
    Itself(NodeId, Option<NodeRole>),
    /// Any node of this role.
    Role(NodeRole),
    /// The operator, by the admin API of any node: `rookery admin` works wherever he is, so any node is believed that
    /// it has one. Whoever breaks into a node of any role can therefore ban, move shards and set policies; what it
    /// asked for is in the log of the member that it asked.
    Operator,
    /// Any node, whatever it does.
    AnyNode,
    /// Members of the group and nobody else, for it decides who belongs to the cluster, or what time it is.
    Member,
}

impl Command {
    /// Who may ask for it. Every command stands here, so that a new one is judged as well.
    pub fn asker(&self) -> Asker {
        use NodeRole::{Connection, Router};
        match self {
            Self::Renew { node, renewal } => Asker::Itself(*node, renewal.routes.then_some(Router)),
            Self::Leave { node } => Asker::Itself(*node, None),
            Self::HandedOver { node, .. } => Asker::Itself(*node, Some(Router)),
            Self::RenewQuota { node, .. } | Self::ReportLogins { node, .. } => {
                Asker::Itself(*node, Some(Connection))
            }
            Self::ReportRouter { node, .. } => Asker::Itself(*node, Some(Router)),
            Self::TellEvents { .. } => Asker::Role(Router),
            // Only the account's own router knows that the user asked.
            Self::CreateInvites { invites } if invites.by.is_some() => Asker::Role(Router),
            Self::CreateInvites { .. } | Self::RevokeInvites { .. } | Self::ListInvites { .. } => {
                Asker::Operator
            }
            Self::ProposeSecret { .. } | Self::CheckInvite { .. } => Asker::AnyNode,
            Self::ChangeLists { .. }
            | Self::ResetLists
            | Self::ResetAllThrottle
            | Self::ShowRefusals
            | Self::ShowEvents { .. } => Asker::Operator,
            Self::Reserve { .. }
            | Self::Commit { .. }
            | Self::Release { .. }
            | Self::ConfigureShards { .. }
            | Self::ConfigureNames { .. }
            | Self::RaiseEpochs { .. }
            | Self::RestoreSecret { .. } => Asker::Role(Router),
            Self::ConfigureQuota { .. } => Asker::Role(Connection),
            Self::ConfigureRegistration { .. }
            | Self::SetRegistration { .. }
            | Self::ResetRegistration
            | Self::MoveShard { .. }
            | Self::ResetQuota { .. }
            | Self::ShowQuota { .. }
            | Self::ShowGuard { .. }
            | Self::ResetGuard { .. }
            | Self::ShowThrottle { .. }
            | Self::ResetThrottle { .. }
            | Self::AddBans { .. }
            | Self::RemoveBans { .. }
            | Self::ReserveNames { .. }
            | Self::ReleaseNames { .. }
            | Self::CheckName { .. }
            | Self::ShowAwaiting
            | Self::TendAwaiting { .. } => Asker::Operator,
            Self::CreateToken { .. }
            | Self::Admit { .. }
            | Self::Enlist { .. }
            | Self::RemoveNode { .. }
            | Self::DrainNode { .. }
            | Self::Advance { .. } => Asker::Member,
        }
    }

    /// The run of the node's process that it names, in milliseconds since 1970.
    pub fn incarnation(&self) -> Option<u64> {
        match self {
            Self::Renew { renewal, .. } => Some(renewal.incarnation),
            Self::RenewQuota { renewal, .. } => Some(renewal.incarnation),
            Self::ReportLogins { report, .. } => Some(report.incarnation),
            Self::ReportRouter { report, .. } => Some(report.incarnation),
            _ => None,
        }
    }

    /// A word for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reserve { .. } => "reserve",
            Self::Commit { .. } => "commit",
            Self::Release { .. } => "release",
            Self::ConfigureRegistration { .. } => "configure_registration",
            Self::SetRegistration { .. } => "set_registration",
            Self::ResetRegistration => "reset_registration",
            Self::CreateToken { .. } => "create_token",
            Self::Admit { .. } => "admit",
            Self::Enlist { .. } => "enlist",
            Self::RemoveNode { .. } => "remove_node",
            Self::DrainNode { .. } => "drain_node",
            Self::ConfigureShards { .. } => "configure_shards",
            Self::RaiseEpochs { .. } => "raise_epochs",
            Self::Renew { .. } => "renew",
            Self::Advance { .. } => "advance",
            Self::Leave { .. } => "leave",
            Self::HandedOver { .. } => "handed_over",
            Self::MoveShard { .. } => "move_shard",
            Self::ConfigureQuota { .. } => "configure_quota",
            Self::RenewQuota { .. } => "renew_quota",
            Self::ResetQuota { .. } => "reset_quota",
            Self::ReportLogins { .. } => "report_logins",
            Self::ShowGuard { .. } => "show_guard",
            Self::ResetGuard { .. } => "reset_guard",
            Self::ShowThrottle { .. } => "show_throttle",
            Self::ResetThrottle { .. } => "reset_throttle",
            Self::AddBans { .. } => "add_bans",
            Self::RemoveBans { .. } => "remove_bans",
            Self::ConfigureNames { .. } => "configure_names",
            Self::ReserveNames { .. } => "reserve_names",
            Self::ReleaseNames { .. } => "release_names",
            Self::CheckName { .. } => "check_name",
            Self::ShowAwaiting => "show_awaiting",
            Self::TendAwaiting { .. } => "tend_awaiting",
            Self::CreateInvites { .. } => "create_invites",
            Self::RevokeInvites { .. } => "revoke_invites",
            Self::CheckInvite { .. } => "check_invite",
            Self::ListInvites { .. } => "list_invites",
            Self::ShowQuota { .. } => "show_quota",
            Self::ChangeLists { .. } => "change_lists",
            Self::ResetLists => "reset_lists",
            Self::ResetAllThrottle => "reset_all_throttle",
            Self::ShowRefusals => "show_refusals",
            Self::ReportRouter { .. } => "report_router",
            Self::ShowEvents { .. } => "show_events",
            Self::TellEvents { .. } => "tell_events",
            Self::ProposeSecret { .. } => "propose_secret",
            Self::RestoreSecret { .. } => "restore_secret",
        }
    }
}

#[cfg(test)]
mod tests;
