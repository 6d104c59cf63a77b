//! The service `Raft`: another member's messages go to this node's member.

use std::sync::Arc;

use rookery_control::NodeId;
use rookery_control::raft::eraftpb::{Message, MessageType};
use rookery_control::raft::{Mailbox, decode_message};
use rookery_proto::raft::raft_server::Raft;
use rookery_proto::raft::{PushEnded, RaftEnvelope, SnapshotChunk, SnapshotInstalled};
use tonic::{Request, Response, Status, Streaming};

use super::authorization::identity;
use super::book::Book;
use super::version;

/// Hears other members.
pub(super) struct RaftService {
    pub(super) own: NodeId,
    pub(super) book: Arc<Book>,
    pub(super) mailbox: Mailbox,
}

impl RaftService {
    /// Takes one envelope. Messages that find the member's queue full are dropped: Raft repeats them.
    fn take(&self, from: NodeId, envelope: &RaftEnvelope) -> Result<(), Status> {
        version::check(envelope.version, "raft")?;
        self.check_caller(from, envelope.to)?;
        if !envelope.address.is_empty() {
            self.book.hear(from, &envelope.address);
        }
        for bytes in &envelope.messages {
            self.mailbox.deliver(self.message(from, bytes)?);
        }
        Ok(())
    }

    fn check_caller(&self, from: NodeId, to: u64) -> Result<(), Status> {
        if to != self.own.get() {
            return Err(Status::failed_precondition(format!(
                "this is node {}",
                self.own
            )));
        }
        // It may have been removed since its stream began.
        if self.book.is_gone(from) {
            let from = from.get();
            tracing::warn!(node = from, "raft stream of a removed node ended");
            return Err(Status::permission_denied(
                "this node was removed from the cluster",
            ));
        }
        Ok(())
    }

    /// Nobody speaks for another member.
    fn message(&self, from: NodeId, bytes: &[u8]) -> Result<Message, Status> {
        let message = decode_message(bytes)
            .map_err(|error| Status::invalid_argument(format!("no raft message: {error}")))?;
        // Passed on to the leader, this one names the member that shall lead.
        let is_transfer = message.get_msg_type() == MessageType::MsgTransferLeader;
        let speaks_for_itself = message.from == from.get() || is_transfer;
        if !speaks_for_itself || message.to != self.own.get() {
            return Err(Status::permission_denied(
                "the message is not from you to me",
            ));
        }
        Ok(message)
    }
}

#[tonic::async_trait]
impl Raft for RaftService {
    async fn push(
        &self,
        request: Request<Streaming<RaftEnvelope>>,
    ) -> Result<Response<PushEnded>, Status> {
        let from = identity(&request)?.node;
        let mut envelopes = request.into_inner();
        while let Some(envelope) = envelopes.message().await? {
            self.take(from, &envelope)?;
        }
        Ok(Response::new(PushEnded {}))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotInstalled>, Status> {
        let from = identity(&request)?.node;
        let mut chunks = request.into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            version::check(chunk.version, "snapshot")?;
            self.check_caller(from, chunk.to)?;
            bytes.extend_from_slice(&chunk.data);
            if bytes.len() > SNAPSHOT_BYTES_MAX {
                return Err(Status::resource_exhausted("the snapshot is too large"));
            }
            if chunk.last {
                let message = self.message(from, &bytes)?;
                tracing::info!(from = from.get(), bytes = bytes.len(), "snapshot received");
                return match self.mailbox.deliver(message) {
                    true => Ok(Response::new(SnapshotInstalled {})),
                    false => Err(Status::unavailable("the member is busy")),
                };
            }
        }
        Err(Status::data_loss("the snapshot was cut"))
    }
}

/// Ten times the largest state: 30 MB of registrations and a directory of 65,536 nodes.
const SNAPSHOT_BYTES_MAX: usize = 512 << 20;
