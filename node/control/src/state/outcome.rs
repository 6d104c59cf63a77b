//! What comes of a command.

use serde::{Deserialize, Serialize};

use super::format::{FormatError, decode, encode};
use super::{
    ClusterSecret, Event, GuardReport, InvitePage, InviteRefused, InviteTerms, NameKind, NodeId,
    NodeRole, QuotaGrant, QuotaReport, RefusalCause, Refusals, ReservationId, ShardRefusal,
    ThrottleReport, WindowKind,
};

/// What came of a proposal, the same on every member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A place is reserved, or needs no reservation ([`ReservationId::UNCOUNTED`]).
    Reserved(ReservationId),
    /// A place is reserved for an account that awaits approval when it is made.
    ReservedToAwait(ReservationId),
    /// Nobody registers at present.
    Closed,
    /// A window is full.
    Throttled {
        /// Which one; of several the one that stays full longest.
        window: WindowKind,
        /// When a place will be free if nobody else takes it, in milliseconds.
        retry_after_ms: u64,
    },
    /// The reservation is committed, or released.
    Settled,
    /// There is no such reservation any more: it expired or was settled the other way.
    NotReserved,
    /// The version of the policy now in force.
    PolicyVersion(u64),
    /// The node's lease lasts so long from when it asked.
    Renewed {
        /// Milliseconds; 0 while the group has no shards.
        lease_ms: u64,
        /// The version of the shard map now in force. The lease is for what this map, or a later one, gives
        /// to the node.
        #[serde(default)]
        map_version: u64,
    },
    /// The version of the shard map now in force.
    ShardMap(u64),
    /// The shards are as they were.
    ShardRefused(ShardRefusal),
    /// The token, the enlistment or the removal holds.
    NodesChanged,
    /// The token was good, and is used up.
    Admitted {
        /// The new node's id.
        node: NodeId,
        /// The roles it may hold.
        roles: Vec<NodeRole>,
    },
    /// There is no such token: it was never made, was used, or has expired.
    TokenRefused,
    /// There is no such node.
    NoSuchNode,
    /// The node was removed; its id is never used again.
    NodeRemoved,
    /// There is room for no more nodes or tokens.
    NodesFull,
    /// The node stays: without it the control group could not decide.
    GroupTooSmall,
    /// The node stays: it lives, or has died so lately that nobody can know.
    NodeAlive {
        /// Until its lease ends if it is not renewed, in milliseconds.
        left_ms: u64,
    },
    /// What the node may use of the traffic budgets.
    Quota(QuotaGrant),
    /// Every node that uses the budget will fill its buckets.
    QuotaReset,
    /// What the registration throttle has counted.
    ThrottleReport(ThrottleReport),
    /// The window is empty.
    ThrottleReset {
        /// How many registrations it had.
        forgiven: u64,
    },
    /// The bans have changed.
    Bans {
        /// The version of the list now in force.
        version: u64,
        /// How many of the command's targets it concerned.
        changed: u64,
    },
    /// There is no room for more bans; none was made.
    BansFull,
    /// The logins are counted, or were.
    LoginsReported,
    /// What the login guard has counted.
    GuardReport(GuardReport),
    /// Failed logins are forgotten.
    GuardReset {
        /// Of how many networks and accounts.
        forgiven: u64,
    },
    /// The rules about names have changed.
    Names {
        /// The version of the list now in force.
        version: u64,
        /// How many of the command's rules it concerned.
        changed: u64,
        /// Registrations that had reserved a name before the rules withheld it and are not settled: addresses of
        /// accounts that may still come to be.
        under_way: Vec<String>,
    },
    /// There is no room for more rules about names; none was made.
    NamesFull,
    /// A rule withholds the name.
    NameWithheld {
        /// The text of the rule.
        by: String,
        /// What it withholds.
        kind: NameKind,
    },
    /// No rule withholds the name.
    NameFree,
    /// The addresses of the accounts that are counted as awaiting approval.
    Awaiting(Vec<String>),
    /// Only the invited may register.
    InviteNeeded,
    /// No account is made with the token that was shown.
    InviteRefused(InviteRefused),
    /// A place is reserved, and a use of the invitation is taken.
    Invited {
        /// The place.
        reservation: ReservationId,
        /// What the invitation says.
        terms: InviteTerms,
    },
    /// What a token is worth.
    InviteChecked(Result<InviteTerms, InviteRefused>),
    /// The invitations are made.
    InvitesMade,
    /// The invitations are ended.
    InvitesRevoked {
        /// How many there were.
        revoked: u64,
    },
    /// There is no room for more invitations; none was made.
    InvitesFull,
    /// The user has as many invitations as a user may have; none was made.
    InvitesOfUserFull,
    /// Another invitation keeps the name to itself, or has the token; none was made.
    InviteHeld,
    /// Some of the invitations.
    InvitePage(InvitePage),
    /// How traffic budgets are shared out.
    QuotaReport(QuotaReport),
    /// Nobody registers from that address, or in that way.
    Refused(RefusalCause),
    /// The lists of networks have changed.
    Lists {
        /// The version of the policy now in force.
        version: u64,
        /// How many networks it concerned.
        changed: u64,
    },
    /// There is no room for more networks; nothing was changed.
    ListsFull,
    /// What was refused.
    Refusals(Refusals),
    /// The report is counted, or was.
    RouterReported,
    /// Events.
    Events(Vec<Event>),
    /// The events are told.
    EventsTold,
    /// The secret of the cluster.
    Secret(ClusterSecret),
    /// Not applied: the sender had given up this request before it arrived.
    Stale,
    /// Not applied: the sender has too many requests open.
    Overload,
}

impl Outcome {
    /// The bytes of an answer to another node.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The place that was reserved, if one was.
    pub(crate) fn reservation(&self) -> Option<ReservationId> {
        match self {
            Self::Reserved(reservation) | Self::Invited { reservation, .. } => Some(*reservation),
            _ => None,
        }
    }

    /// The outcome in another node's answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        decode(bytes)
    }
}
