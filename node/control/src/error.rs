//! What callers of the control group are told, by whose fault it is.

use crate::raft::StoreError;
use crate::state::{
    Behind, InviteRefused, Invites, NameKind, NameRules, NodeId, RefusalCause, RegistrationLists,
    ShardRefusal, WindowKind,
};

/// The control group cannot answer now. Whether the request takes effect later is unknown; a reservation made that
/// way expires by itself. Towards clients: `wait/resource-constraint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No quorum answered in time.
    #[error("control group has no quorum")]
    NoQuorum,
    /// Too many requests are waiting already.
    #[error("control group is overloaded")]
    Overloaded,
    /// The log cannot be written: the disk is full or failing.
    #[error("control log cannot be written")]
    Disk,
    /// This node's control driver has stopped.
    #[error("control driver has stopped")]
    Stopped,
    /// The control group does not serve this node: it was removed, or is no member where only members may ask.
    #[error("control group refuses this node")]
    Refused,
    /// A member runs an earlier build, which could not apply the command. It was not proposed.
    #[error(
        "the control group is being upgraded: member {node} speaks format {speaks} of its commands, this one is newer"
    )]
    Upgrading {
        /// The member that speaks the least.
        node: NodeId,
        /// The newest format that it speaks.
        speaks: u8,
    },
}

impl From<Behind> for Unavailable {
    fn from(Behind { node, speaks }: Behind) -> Self {
        Self::Upgrading { node, speaks }
    }
}

impl Unavailable {
    /// A short name for metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoQuorum => "no_quorum",
            Self::Overloaded => "overloaded",
            Self::Disk => "disk",
            Self::Stopped => "stopped",
            Self::Refused => "refused",
            Self::Upgrading { .. } => "upgrading",
        }
    }
}

/// Why nobody may register here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationRefused {
    /// Registration is closed.
    #[error("registration is closed")]
    Closed,
    /// A window of the throttle is full.
    #[error("registration throttled by window {} for {retry_after_ms} ms", window.as_str())]
    Throttled {
        /// Which window; of several the one that stays full longest.
        window: WindowKind,
        /// When a place will be free if nobody else takes it, in milliseconds.
        retry_after_ms: u64,
    },
    /// A rule withholds the name.
    #[error("name is {}", .0.as_str())]
    Name(NameKind),
    /// Only the invited may register.
    #[error("registration needs an invitation")]
    InviteNeeded,
    /// The invitation that was shown is worth nothing.
    #[error(transparent)]
    Invite(#[from] InviteRefused),
    /// From that address, or in that way, nobody registers.
    #[error("registration refused: {}", .0.as_str())]
    Refused(RefusalCause),
    /// It cannot be decided, so nobody is let through.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl RegistrationRefused {
    /// The cause, as refusals are counted.
    pub fn cause(&self) -> RefusalCause {
        match *self {
            Self::Closed => RefusalCause::Closed,
            Self::Throttled { window, .. } => window.into(),
            Self::Name(kind) => kind.into(),
            Self::InviteNeeded | Self::Invite(_) => RefusalCause::Invite,
            Self::Refused(cause) => cause,
            Self::Unavailable(_) => RefusalCause::Unavailable,
        }
    }
}

/// Why the lists of networks are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListsRefused {
    /// There are as many networks as may be. The caller's to solve: one can stand for many.
    #[error(
        "the list is full: it has room for {} networks",
        RegistrationLists::NETWORKS_MAX
    )]
    Full,
    /// It is unknown whether the change was made.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why the nodes of the cluster were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodesRefused {
    /// The token was never made, has been used, or has expired. The caller's to solve.
    #[error("token was never made, has been used, or has expired")]
    Token,
    /// There is no such node. The caller's to solve.
    #[error("no such node")]
    NoSuchNode,
    /// The node was removed from the cluster and cannot come back under its id.
    #[error("node was removed from the cluster")]
    Removed,
    /// No more nodes or tokens are held.
    #[error("no room for more nodes or tokens")]
    Full,
    /// The removal would take the majority of the control group. The operator's to solve.
    #[error(
        "the control group would lose its majority: wait until an earlier removal is through \
         (`control members` lists who has a vote), or add a control node first"
    )]
    GroupTooSmall,
    /// The node lives, or has died within the time of a lease. The operator's to solve: by a drain and a stop, by
    /// waiting, or by force.
    #[error("node is alive: its lease holds for {left_ms} ms unless it is renewed")]
    Alive {
        /// Until the lease ends if it is not renewed, in milliseconds.
        left_ms: u64,
    },
    /// It is unknown whether the change was made.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nobody was banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BansRefused {
    /// There are as many bans as may be. The caller's to solve: one network can stand for many addresses.
    #[error("the list of bans is full")]
    Full,
    /// It is unknown whether the change was made.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why the rules about names are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesRefused {
    /// There are as many rules, or patterns, as may be. The caller's to solve: one pattern can stand for many names.
    #[error(
        "the list of names is full: it has room for {} rules, {} of them patterns",
        NameRules::RULES_MAX,
        NameRules::PATTERNS_MAX
    )]
    Full,
    /// It is unknown whether the change was made.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why no invitation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitesRefused {
    /// There are as many as may be. The operator's to solve, by ending some.
    #[error(
        "there is room for {} invitations, {} of them by users",
        Invites::INVITES_MAX,
        Invites::OF_USERS_MAX
    )]
    Full,
    /// The user has as many as a user may have that have not ended. The user's to solve, by waiting.
    #[error("this user has as many invitations as a user may have")]
    OfUserFull,
    /// Another invitation keeps the name to itself. The caller's to solve.
    #[error("another invitation is for this name")]
    NameHeld,
    /// It is unknown whether they were made.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why the shards are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardsRefused {
    /// The shards are not as the caller takes them to be. The caller's to solve.
    #[error("{}", .0.reason())]
    Shards(ShardRefusal),
    /// It is unknown whether the change was made.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a reservation could not be committed or released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The reservation had expired, or was settled the other way. After a late commit the account is not counted: the
    /// caller should undo it.
    #[error("reservation is no longer held")]
    NotReserved,
    /// It is unknown whether it was settled; settling again is safe.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why the control group could not be started on this node. The operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory or the database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Raft refuses what the database holds, or the options.
    #[error("control group cannot start: {0}")]
    Raft(String),
    /// No thread could be started.
    #[error("control thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// Whether the same start fails again until the operator has changed something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Store(error) => !error.is_temporary(),
            Self::Raft(_) => true,
            Self::Thread(_) => false,
        }
    }
}
