//! What the owner of a shard that gives it up leaves to the next one.
//!
//! ```text
//! shard is given up ──► a document for each stream that no node serves, or whose node alone ──► next owner begins
//!                       would have what its client has not got, and entries of logs that
//!                       the store has refused
//!                           └─ it refuses some: they are written again a moment later, but not for long
//! ```
//!
//! Of what a dead node's clients have not got there is no other copy when this owner is gone. Of what others have not
//! got there is one, at their node: it may die before the next owner has heard of it, or be the next owner.

use std::time::Duration;

use futures_util::future::join_all;
use rookery_session::carrier::ShardId;
use rookery_store::log::Append;

use super::{Reply, Request};
use crate::account::{Stranded, stranded};

/// The streams that need another copy, and what was to go into logs when the time of others was up.
pub struct LeftToNext {
    pub(super) shard: ShardId,
    pub(super) streams: Vec<Stranded>,
    /// What the store has refused so far.
    pub(super) unlogged: Vec<Vec<Append>>,
}

impl LeftToNext {
    /// How long the next owner is kept waiting for what this one writes.
    pub const WITHIN: Duration = Duration::from_secs(2);

    /// Before what was refused is written again.
    const AGAIN: Duration = Duration::from_millis(100);

    /// How many writes are begun: what is begun late may come behind what the next owner writes.
    const TRIES: u32 = 10;

    /// What is to be written.
    pub fn requests(&self) -> Vec<Request> {
        let streams = self.streams.iter();
        let streams = streams.map(|it| stranded::put(self.shard, it));
        let unlogged = self.unlogged.iter().cloned().map(Request::Append);
        streams.chain(unlogged).collect()
    }

    /// Has it written. Whether it is.
    pub async fn write<F>(&self, mut perform: impl FnMut(Request) -> F) -> bool
    where
        F: Future<Output = Reply>,
    {
        let written = async {
            let mut refused = vec![true; self.streams.len() + self.unlogged.len()];
            for tried in 0..Self::TRIES {
                if tried > 0 {
                    tokio::time::sleep(Self::AGAIN).await;
                }
                let left = self.requests().into_iter().zip(&mut refused);
                let left = left.filter(|(_, is_refused)| **is_refused);
                let written = left.map(|(request, is_refused)| {
                    let reply = perform(request);
                    async { *is_refused = !matches!(reply.await, Reply::Done) }
                });
                join_all(written).await;
                if !refused.contains(&true) {
                    return true;
                }
            }
            false
        };
        let written = tokio::time::timeout(Self::WITHIN, written).await;
        written.unwrap_or(false)
    }
}
