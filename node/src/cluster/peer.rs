//! The task that brings messages to one member.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use rookery_control::NodeId;
use rookery_control::raft::encode_message;
use rookery_control::raft::eraftpb::Message;
use rookery_proto::raft::RaftEnvelope;
use rookery_proto::raft::raft_client::RaftClient;
use rookery_xmpp::entropy::OsEntropy;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::backoff::Backoff;
use super::dial::{DialError, dial};
use super::identity::node_name;
use super::transport::Way;
use super::version::Spoken;

/// Reads one member's queue, keeps one stream to it, and tells Raft when there is none.
pub(super) struct Peer {
    way: Arc<Way>,
    node: NodeId,
    queue: mpsc::Receiver<Message>,
    spoken: Arc<Spoken>,
    backoff: Backoff,
    /// The last failure that was logged: a member that stays away is one line in the log.
    told: Option<String>,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoStream {
    /// Nobody has said where the member is.
    #[error("its address is not known")]
    Unknown,
    /// It is not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It refuses, or the connection broke.
    #[error("{}", .0.message())]
    Ended(Box<Status>),
}

/// What became of a stream.
enum End {
    /// The transport is gone.
    Closed,
    Broken(NoStream),
}

impl Peer {
    pub(super) fn new(
        way: Arc<Way>,
        node: NodeId,
        queue: mpsc::Receiver<Message>,
        spoken: Arc<Spoken>,
    ) -> Self {
        Self {
            way,
            node,
            queue,
            spoken,
            backoff: Backoff::default(),
            told: None,
        }
    }

    /// Runs until the transport is dropped.
    pub(super) async fn run(mut self) {
        // Nothing to send, nothing to connect for: a removed member is left alone.
        while let Some(first) = self.queue.recv().await {
            let end = match connect(&self.way, self.node).await {
                Ok(client) => self.push(client, first).await,
                Err(error) => End::Broken(error),
            };
            match end {
                End::Closed => return,
                End::Broken(error) => self.pause(&error).await,
            }
        }
    }

    async fn push(&mut self, mut client: RaftClient<Channel>, first: Message) -> End {
        let (envelopes, stream) = mpsc::channel(ENVELOPES_MAX);
        let call = client.push(ReceiverStream::new(stream));
        tokio::pin!(call);
        let mut batch = vec![first];
        let mut worked = false;
        loop {
            let sent = envelopes.send(self.envelope(&batch));
            tokio::select! {
                ended = &mut call => return self.ended(ended.err()),
                // The call holds the other end.
                _ = sent => batch.clear(),
            }
            let taken = tokio::select! {
                ended = &mut call => return self.ended(ended.err()),
                taken = self.queue.recv_many(&mut batch, BATCH_MAX) => taken,
            };
            if taken == 0 {
                return End::Closed;
            }
            if !std::mem::replace(&mut worked, true) {
                self.reached();
            }
        }
    }

    fn ended(&self, status: Option<Status>) -> End {
        let status = status.unwrap_or_else(|| Status::unavailable("the member ended the stream"));
        self.spoken.heed(&status);
        // A removed member is refused here only when the group needs it no more.
        self.way.book.heed(&status);
        End::Broken(NoStream::Ended(Box::new(status)))
    }

    fn envelope(&self, messages: &[Message]) -> RaftEnvelope {
        let encoded = messages
            .iter()
            .filter_map(|message| match encode_message(message) {
                Ok(bytes) => Some(Bytes::from(bytes)),
                Err(error) => {
                    tracing::error!(%error, "raft message cannot be sent");
                    None
                }
            });
        RaftEnvelope {
            version: self.spoken.get(),
            to: self.node.get(),
            address: self.way.address.clone(),
            messages: encoded.collect(),
        }
    }

    fn reached(&mut self) {
        self.backoff.reset();
        if self.told.take().is_some() {
            tracing::info!(node = self.node.get(), "control member reached again");
        }
    }

    async fn pause(&mut self, error: &NoStream) {
        let peer = self.node.to_string();
        counter!("rookery_cluster_reconnects_total", "peer" => peer).increment(1);
        // The queue being full, a later failure tells it.
        self.way.mailbox.unreachable(self.node);
        let reason = error.to_string();
        if self.told.as_ref() != Some(&reason) {
            tracing::warn!(node = self.node.get(), %error, "control member not reached");
            self.told = Some(reason);
        }
        let wait: Duration = self.backoff.after_failure(&mut OsEntropy);
        tokio::time::sleep(wait).await;
        // What waited is old; Raft has it still.
        while self.queue.try_recv().is_ok() {}
    }
}

/// A connection to the member, which has proved to be that node.
pub(super) async fn connect(way: &Way, node: NodeId) -> Result<RaftClient<Channel>, NoStream> {
    let address = way.book.address(node).ok_or(NoStream::Unknown)?;
    let credentials = way.credentials.now();
    let name = node_name(&credentials.identity.cluster, node);
    let channel = dial(&address, name, Arc::clone(&credentials.client)).await?;
    Ok(RaftClient::new(channel))
}

/// Messages that may wait for one member. Raft has at most 64 appends under way to it.
pub(super) const PEER_QUEUE_MAX: usize = 256;

/// Messages in one envelope. With their usual size of some kilobytes it is far below what gRPC takes; several large
/// ones are kept apart by the flow control of appends.
const BATCH_MAX: usize = 32;

/// Envelopes between the task and the connection.
const ENVELOPES_MAX: usize = 2;
