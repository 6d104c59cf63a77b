//! raft-rs as a machine, and the thread that moves its bytes.
//!
//! ```text
//!   events                    RaftMachine (no IO)                       effects, in this order
//!   Tick, Message,       ┌──────────────────────────┐    Send      a leader's messages, before the fsync
//!   Propose, Read,  ────►│ RawNode<MemoryLog>       │──► Persist   entries, hard state, snapshot: one write
//!   Persisted, …         │ ControlState             │    Policy    when it changed
//!                        └──────────────────────────┘    Answer    what came of a proposal that was applied
//!           ▲                                                │
//!           └───────────── Persisted(number) ◄───────────────┘ after the fsync; then the messages that
//!                                                              promise durability (votes, acknowledgements)
//! ```
//!
//! The machine keeps the uncompacted log in memory ([`MemoryLog`]) for raft-rs to read; durable is what the mover has
//! written to the [`LogStore`] and reported as persisted. An entry is committed, applied and answered only after that.
//!
//! What raft-rs leaves unsafe by default is set: pre-vote, check-quorum, every size limit; reads go
//! through ReadIndex, never through a lease; the election time-out is drawn from a seed instead of the thread's
//! random generator, so that a simulation repeats.

mod config;
mod driver;
mod election;
mod event;
mod logger;
mod machine;
mod membership;
mod memory_log;
#[cfg(any(test, feature = "simulation"))]
mod model_disk;
mod pending;
mod sqlite_log;
mod store;
mod transport;

pub use driver::Mailbox;
pub(crate) use driver::{Driver, DriverParts, Input};
pub use event::{Effect, Event, MachineError, MachineOptions};
pub use machine::RaftMachine;
pub use memory_log::MemoryLog;
#[cfg(any(test, feature = "simulation"))]
pub use model_disk::ModelDisk;
pub use pending::{Answer, Ticket};
pub use sqlite_log::SqliteLog;
pub use store::{LogStore, Recovered, StoreError, Write};
pub use transport::{Alone, Transport, decode_message, encode_message};

/// Raft's own messages, as they travel between members.
pub use ::raft::eraftpb;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::{LeaseStanding, Member, NodeId};

/// How the control group stands, as one member sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlStatus {
    /// The member that tells this.
    pub node: Option<NodeId>,
    /// The leader it knows, if any.
    pub leader: Option<NodeId>,
    /// Raft's term.
    pub term: u64,
    /// The last entry known to be committed.
    pub commit: u64,
    /// The last entry applied.
    pub applied: u64,
    /// Entries held in the log.
    pub log_entries: u64,
    /// The index that the last snapshot stands for.
    pub snapshot_index: u64,
    /// The members in the order of their ids.
    pub members: Vec<Member>,
    /// How far each member is, as far as the leader knows; empty elsewhere.
    pub progress: Vec<MemberProgress>,
    /// Why nothing can be written, while that is so.
    pub write_error: Option<String>,
    /// Registrations that the throttle remembers.
    pub registrations_remembered: usize,
    /// How the nodes stand by their leases, those that ever had one; empty from a member of an earlier build.
    #[serde(default)]
    pub leases: BTreeMap<NodeId, LeaseStanding>,
    /// How many shards the cluster has; 0 before its first router, and from a member of an earlier build.
    #[serde(default)]
    pub shards: u16,
}

impl ControlStatus {
    /// The bytes of the status for another node.
    pub fn encode(&self) -> Vec<u8> {
        crate::state::encode(self)
    }

    /// The status in another node's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, crate::state::FormatError> {
        crate::state::decode(bytes)
    }
}

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberProgress {
    /// Which member.
    pub node: NodeId,
    /// The last entry that it is known to have on disk.
    pub matched: u64,
    /// Whether the leader has heard of it lately.
    pub active: bool,
}

#[cfg(test)]
mod simulation;
