//! The way to the other members: [`GrpcTransport`].
//!
//! ```text
//! driver thread ─ send ─► queue of each member (bounded; full: dropped, Raft repeats) ─► task ─► Push
//!                     └─► a snapshot: a task of its own, one a member ─────────────────────────► InstallSnapshot
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{counter, gauge};
use rookery_control::NodeId;
use rookery_control::raft::eraftpb::{Message, MessageType};
use rookery_control::raft::{Mailbox, Transport};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::book::Book;
use super::credentials::Credentials;
use super::peer::{PEER_QUEUE_MAX, Peer};
use super::snapshot;
use super::version::Spoken;

/// Sends Raft's messages over gRPC, with a queue and a task for each member.
pub(super) struct GrpcTransport {
    way: Arc<Way>,
    runtime: Handle,
    peers: HashMap<u64, Line>,
}

/// What all tasks work with.
pub(super) struct Way {
    /// Where this node is reached.
    pub(super) address: String,
    pub(super) book: Arc<Book>,
    pub(super) credentials: Credentials,
    pub(super) mailbox: Mailbox,
}

/// The way to one member.
struct Line {
    node: NodeId,
    queue: mpsc::Sender<Message>,
    spoken: Arc<Spoken>,
    /// A snapshot is on its way.
    snapshot: Arc<AtomicBool>,
}

impl GrpcTransport {
    /// A transport whose tasks run on the present runtime.
    pub(super) fn new(way: Way) -> Self {
        Self {
            way: Arc::new(way),
            runtime: Handle::current(),
            peers: HashMap::new(),
        }
    }

    fn line(&mut self, node: NodeId) -> &Line {
        self.peers.entry(node.get()).or_insert_with(|| {
            let (queue, messages) = mpsc::channel(PEER_QUEUE_MAX);
            let spoken = Arc::new(Spoken::default());
            let peer = Peer::new(Arc::clone(&self.way), node, messages, Arc::clone(&spoken));
            self.runtime.spawn(peer.run());
            let snapshot = Arc::default();
            Line {
                node,
                queue,
                spoken,
                snapshot,
            }
        })
    }

    fn send_snapshot(&mut self, node: NodeId, message: Message) {
        let way = Arc::clone(&self.way);
        let line = self.line(node);
        let (busy, spoken) = (Arc::clone(&line.snapshot), Arc::clone(&line.spoken));
        let is_first = !busy.swap(true, Ordering::AcqRel);
        self.runtime.spawn(async move {
            let delivered = is_first && snapshot::send(&way, node, &spoken, message).await;
            if is_first {
                busy.store(false, Ordering::Release);
            }
            snapshot::report(&way.mailbox, node, delivered).await;
        });
    }
}

impl Transport for GrpcTransport {
    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let Some(node) = NodeId::new(message.to) else {
                continue;
            };
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.send_snapshot(node, message);
                continue;
            }
            let line = self.line(node);
            let sent = line.queue.try_send(message).is_ok();
            line.measure(sent);
            if !sent {
                // Raft then goes slower; the queue was full, so a lost report is repeated soon.
                self.way.mailbox.unreachable(node);
            }
        }
    }
}

impl Line {
    fn measure(&self, sent: bool) {
        let peer = self.node.to_string();
        let waiting = PEER_QUEUE_MAX - self.queue.capacity();
        gauge!("rookery_cluster_peer_queue", "peer" => peer.clone()).set(waiting as f64);
        if !sent {
            counter!("rookery_cluster_peer_dropped_total", "peer" => peer).increment(1);
        }
    }
}
