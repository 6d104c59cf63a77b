//! The control floor: what every node of a cluster must agree on, decided through Raft.
//!
//! ```text
//!  connection, admin            Control (client.rs)             driver thread (raft/driver.rs)
//!        │  reserve_registration   │                                    │
//!        ├────────────────────────►│ ── proposal, bounded queue ───────►│ RaftMachine::step(Propose)
//!        │                         │                                    │ RaftMachine::flush ─► Persist
//!        │                         │                                    │ SqliteLog::write (one fsync for
//!        │                         │                                    │   all that is queued)
//!        │                         │                                    │ RaftMachine::step(Persisted)
//!        │                         │                                    │   commit ─► ControlState::apply
//!        │◄────────────────────────┤◄─────────── Answer ────────────────┤
//!        │                         │◄─────────── Policy ────────────────┤ (arc-swap and watch)
//! ```
//!
//! Four parts:
//!
//! * [`state`]: the replicated state machine, without clock, randomness or IO. It holds the registration throttle,
//!   the versioned policy, the members and the outcomes of answered requests.
//! * [`raft`]: raft-rs as a machine ([`raft::RaftMachine`]), its log on SQLite ([`raft::SqliteLog`]), the way to other
//!   members ([`raft::Transport`]) and the thread that moves the bytes between them.
//! * [`quota`]: a node's own part of the traffic budgets, without clock or IO as well.
//! * [`Control`]: the handle that the rest of the process holds, on a member of the group or elsewhere; elsewhere it
//!   asks the members through a [`Link`].
//!
//! A group of one member takes exactly this way; what three members add is a transport.

mod client;
mod error;
mod gauges;
mod options;
pub mod quota;
pub mod raft;
mod remote;
pub mod state;
mod window;

pub use client::{Control, Granted, Invited, NamesChanged, Reserve, Reserved};
pub use error::{
    BansRefused, InvitesRefused, ListsRefused, NamesRefused, NodesRefused, RegistrationRefused,
    SettleError, ShardsRefused, StartError, Unavailable,
};
pub use options::{
    ControlOptions, GuardOptions, NameOptions, QuotaOptions, RegistrationChoice,
    RegistrationOptions, TombstoneSetting,
};
pub use raft::{ControlStatus, MemberProgress};
pub use remote::{Link, Try, Updates};
pub use state::{
    AWAITING_MAX, Asker, Ban, BanList, BanTarget, BanTargetError, BanUpdate, ClusterSecret,
    Command, Directory, EndedLeases, Event, EventKind, EventKindError, Events, EventsHead,
    FormatError, Guard, GuardBlock, GuardCount, GuardLimits, GuardList, GuardReport, GuardUpdate,
    Invite, InviteId, InviteIdError, InviteKind, InvitePage, InviteRefused, InviteTerms, Invites,
    LeaseStanding, ListChange, Listing, LoginReport, Member, NameForms, NameKind, NameRule,
    NameRuleError, NameRules, Network, NetworkError, NewEvent, NewInvites, Node, NodeId, NodeRole,
    Outcome, OverloadRule, Placement, Policy, Proposal, QuotaGrant, QuotaHolding, QuotaKey,
    QuotaKeyError, QuotaKind, QuotaPolicy, QuotaRate, QuotaRenewal, QuotaReport, QuotaWant,
    RefusalCause, RefusalCounts, RefusalHour, Refusals, RegistrationLists, RegistrationMode,
    RegistrationPolicy, Renewal, RequestId, ReservationId, RouterReport, ShardChange, ShardMap,
    ShardPolicy, ShardRefusal, ShownInvite, ThrottleKey, ThrottleKeyError, ThrottleReport,
    ThrottleUse, TokenHash, WindowKind, decode_changes, encode_changes, networks,
};
pub use window::{Window, WindowError, WindowSetting};
