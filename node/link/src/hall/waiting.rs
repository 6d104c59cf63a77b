//! What waits for shards that are full: bounded by the credit of the link that it came by.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rookery_session::carrier::{Full, ShardId, ShardInput};

use super::Accepted;

/// The inputs of one link that wait, by shard. A task for each full shard gives them to it one
/// after the other.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Queues>);

#[derive(Default)]
struct Queues {
    by_shard: HashMap<ShardId, VecDeque<ShardInput>>,
    /// Shards that no task works for yet.
    new: Vec<ShardId>,
}

impl Waiting {
    /// Gives an input to its shard, behind what waits for it. False if it waits.
    pub(super) fn give(&self, link: &Accepted, shard: ShardId, input: ShardInput) -> bool {
        let mut queues = self.queues();
        if let Some(queue) = queues.by_shard.get_mut(&shard) {
            queue.push_back(input);
            return false;
        }
        let Err(Full(input)) = link.hall.config.shards.offer(shard, input) else {
            return true;
        };
        queues.by_shard.insert(shard, VecDeque::from([input]));
        queues.new.push(shard);
        false
    }

    /// Begins to work off what has begun to wait.
    pub(super) fn start(&self, link: &Arc<Accepted>) {
        let new = std::mem::take(&mut self.queues().new);
        for shard in new {
            let work = work_off(link.clone(), shard);
            link.hall.config.runtime.spawn(work);
        }
    }

    /// Drops what waits for a shard: it comes again.
    pub(super) fn clear(&self, shard: ShardId) {
        if let Some(queue) = self.queues().by_shard.get_mut(&shard) {
            queue.clear();
        }
    }

    /// The next that waits.
    fn next(&self, shard: ShardId) -> Option<ShardInput> {
        self.queues().by_shard.get_mut(&shard)?.pop_front()
    }

    /// Ends a shard's queue, unless something waits in it.
    pub(super) fn end(&self, shard: ShardId) -> bool {
        let mut queues = self.queues();
        let empty = queues.by_shard.get(&shard).is_none_or(VecDeque::is_empty);
        if empty {
            queues.by_shard.remove(&shard);
        }
        empty
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn work_off(link: Arc<Accepted>, shard: ShardId) {
    loop {
        while let Some(input) = link.waiting.next(shard) {
            link.hall.config.shards.offer_when_room(shard, input).await;
        }
        if link.room(shard) {
            return;
        }
    }
}
