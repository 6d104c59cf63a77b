//! The queues in front of a process's shards: what `node/router/src/carrier/in_process.rs` does with
//! actors' mailboxes.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rookery_router::shard::Input;
use rookery_session::carrier::{Full, ShardId, ShardInput, Shards};
use tokio::sync::Notify;

/// The bounded queues of those shards that a process serves. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Mailboxes(Arc<Inner>);

struct Inner {
    queues: Mutex<Queues>,
    room: Notify,
    max: usize,
}

#[derive(Default)]
struct Queues {
    by_shard: BTreeMap<ShardId, VecDeque<Input>>,
    /// Whose turn it is, once for each input.
    turns: VecDeque<ShardId>,
}

impl Mailboxes {
    /// No shard is served yet; each queue will take so many inputs.
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Inner {
            queues: Mutex::default(),
            room: Notify::new(),
            max,
        }))
    }

    /// A shard is served from now on.
    pub(crate) fn open(&self, shard: ShardId) {
        self.queues().by_shard.entry(shard).or_default();
    }

    /// A shard is served no more; what is still to be handled before it ends.
    pub(crate) fn close(&self, shard: ShardId) -> VecDeque<Input> {
        let mut queues = self.queues();
        queues.turns.retain(|turn| *turn != shard);
        let left = queues.by_shard.remove(&shard).unwrap_or_default();
        drop(queues);
        self.0.room.notify_waiters();
        left
    }

    /// The next input, and whose it is.
    pub(crate) fn next(&self) -> Option<(ShardId, Input)> {
        let mut queues = self.queues();
        let shard = queues.turns.pop_front()?;
        let input = queues.by_shard.get_mut(&shard)?.pop_front()?;
        drop(queues);
        self.0.room.notify_waiters();
        Some((shard, input))
    }

    /// The length of the longest queue.
    pub(crate) fn longest(&self) -> usize {
        let queues = self.queues();
        queues
            .by_shard
            .values()
            .map(VecDeque::len)
            .max()
            .unwrap_or(0)
    }

    /// Room in each queue.
    pub(crate) fn max(&self) -> usize {
        self.0.max
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, shard: ShardId, input: ShardInput) -> Result<(), NotPut> {
        let mut queues = self.queues();
        let Some(queue) = queues.by_shard.get_mut(&shard) else {
            return Err(NotPut::NotServed(input));
        };
        if queue.len() >= self.0.max {
            return Err(NotPut::Full(input));
        }
        queue.push_back(input.into());
        queues.turns.push_back(shard);
        Ok(())
    }
}

enum NotPut {
    Full(ShardInput),
    NotServed(ShardInput),
}

impl Shards for Mailboxes {
    fn offer(&self, shard: ShardId, input: ShardInput) -> Result<(), Full<ShardInput>> {
        self.put(shard, input).map_err(|not_put| match not_put {
            NotPut::Full(input) | NotPut::NotServed(input) => Full(input),
        })
    }

    fn offer_when_room(
        &self,
        shard: ShardId,
        mut input: ShardInput,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mailboxes = self.clone();
        Box::pin(async move {
            loop {
                let room = mailboxes.0.room.notified();
                match mailboxes.put(shard, input) {
                    // As in the product: a shard that has gone takes what was for it along.
                    Ok(()) | Err(NotPut::NotServed(_)) => return,
                    Err(NotPut::Full(back)) => input = back,
                }
                room.await;
            }
        })
    }
}
