//! What carries frames to shards and between them.
//!
//! One trait for each side, and one carrier for each distance: inside a process frames go through
//! bounded mailboxes ([`InProcess`]). What the two sides say is in [`rookery_session::carrier`] and
//! [`PeerFrame`].

mod in_process;

pub use in_process::InProcess;
use rookery_session::carrier::{Full, ShardId};

use crate::shard::PeerFrame;

/// A shard's way to the other shards, wherever they are.
pub trait Peers: Send + Sync {
    /// Queues stanzas at another shard; gives them back when its queue is full.
    fn forward(&self, shard: ShardId, frame: PeerFrame) -> Result<(), Full<PeerFrame>>;
}
