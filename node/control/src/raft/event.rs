//! What a [`RaftMachine`](super::RaftMachine) hears and says.

use std::sync::Arc;

use raft::eraftpb::Message;
use rookery_xmpp::clock::Timestamp;

use super::pending::{Answer, Ticket};
use super::store::Write;
use crate::options::ControlOptions;
use crate::state::{
    BanList, Command, Directory, EndedLeases, EventsHead, FormatError, GuardList, NameRules,
    NodeId, Policy, Proposal, ShardMap,
};

/// What a machine is told of itself.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// Which member it is.
    pub node: NodeId,
    /// From what election time-outs follow.
    pub seed: u64,
    /// Sizes and times.
    pub control: ControlOptions,
}

/// What happens to a machine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step of the clock.
    Tick,
    /// A message from another member.
    Message(Box<Message>),
    /// A question of this node: change the state. Tickets grow.
    Propose {
        /// Names the question.
        ticket: Ticket,
        /// The time of this node.
        now: Timestamp,
        /// The change.
        command: Command,
    },
    /// A question of another node, which numbers its own questions.
    Forward {
        /// Names the question here.
        ticket: Ticket,
        /// The question, with the other node's number of it.
        proposal: Box<Proposal>,
    },
    /// A question of this node: the policy, linearizably.
    Read {
        /// Names the question.
        ticket: Ticket,
    },
    /// All writes up to this number are on disk.
    Persisted {
        /// The number of the last one.
        number: u64,
    },
    /// Writes failed and will be tried again; nothing can become durable until then.
    WriteFailed {
        /// Why, for the status.
        reason: String,
    },
    /// A message to this member could not be sent.
    Unreachable {
        /// The member's id.
        node: u64,
    },
    /// A snapshot for this member arrived, or did not.
    SnapshotSent {
        /// The member's id.
        node: u64,
        /// Whether it arrived.
        delivered: bool,
    },
    /// An administrator wants this member to lead.
    Transfer {
        /// The member's id.
        to: u64,
    },
    /// An administrator wants a snapshot of what was applied, and the log cut.
    TakeSnapshot,
}

/// What a machine wants done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send these to the members they name.
    Send(Vec<Message>),
    /// Make this durable after all writes before it, then report it as [`Event::Persisted`].
    Persist(Box<Write>),
    /// The policy in force from now on.
    Policy(Policy),
    /// The nodes and members from now on.
    Directory(Directory),
    /// The bans from now on.
    Bans(Arc<BanList>),
    /// Who is let in no more from now on, for logins that failed.
    Guard(Arc<GuardList>),
    /// The rules about names from now on.
    Names(Arc<NameRules>),
    /// How far there are events from now on, and how far they were told.
    Events(EventsHead),
    /// The shard map from now on.
    Shards(ShardMap),
    /// The nodes that have no lease any more, from now on.
    EndedLeases(EndedLeases),
    /// Answer a question.
    Answer(Ticket, Answer),
}

/// Why a member cannot go on: to continue could make it differ from the others.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// raft-rs refuses.
    #[error("raft: {0}")]
    Raft(#[from] raft::Error),
    /// An entry or snapshot that this build cannot read.
    #[error("entry {index}: {source}")]
    Format {
        /// Where in the log.
        index: u64,
        /// What is wrong with it.
        source: FormatError,
    },
    /// A change of members that cannot be read.
    #[error("configuration change: {0}")]
    ConfChange(#[from] protobuf::ProtobufError),
}
