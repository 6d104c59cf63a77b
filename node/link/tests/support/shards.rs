use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use rookery_session::carrier::{Full, ShardId, ShardInput, Shards, Stands, Tenure, Word};
use tokio::sync::Notify;

/// Shards that do nothing but keep what they get, up to a number of inputs each.
pub(crate) struct FakeShards {
    queues: Arc<Vec<Queue>>,
    capacity: usize,
}

#[derive(Default)]
struct Queue {
    inputs: Mutex<VecDeque<ShardInput>>,
    came: Notify,
    went: Notify,
}

impl FakeShards {
    pub(crate) fn new(shards: u16, capacity: usize) -> Arc<Self> {
        let queues = (0..shards).map(|_| Queue::default()).collect();
        Arc::new(Self {
            queues: Arc::new(queues),
            capacity,
        })
    }

    /// The next input of a shard, which has been dealt with when it is dropped.
    pub(crate) async fn next(&self, shard: u16) -> ShardInput {
        let mut input = self.take(shard).await;
        if let Some(Some(receipt)) = input.receipt_mut() {
            let tenure: Arc<dyn Tenure> = Arc::new(Served);
            receipt.enter(&tenure);
        }
        input
    }

    /// The next input of a shard, which is not dealt with.
    pub(crate) async fn take(&self, shard: u16) -> ShardInput {
        let queue = &self.queues[usize::from(shard)];
        let next = async {
            loop {
                if let Some(input) = queue.inputs.lock().unwrap().pop_front() {
                    queue.went.notify_one();
                    return input;
                }
                queue.came.notified().await;
            }
        };
        super::soon("an input for a shard", next).await
    }

    pub(crate) fn waiting(&self, shard: u16) -> usize {
        self.queues[usize::from(shard)].inputs.lock().unwrap().len()
    }
}

impl Shards for FakeShards {
    fn offer(&self, shard: ShardId, input: ShardInput) -> Result<(), Full<ShardInput>> {
        if matches!(input, ShardInput::AllAnnounced(_)) {
            // These wait for nobody.
            return Ok(());
        }
        let queue = &self.queues[usize::from(shard.0)];
        let mut inputs = queue.inputs.lock().unwrap();
        if inputs.len() >= self.capacity {
            return Err(Full(input));
        }
        inputs.push_back(input);
        queue.came.notify_one();
        Ok(())
    }

    fn offer_when_room(
        &self,
        shard: ShardId,
        input: ShardInput,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let this = Self {
            queues: self.queues.clone(),
            capacity: self.capacity,
        };
        Box::pin(async move {
            let mut input = input;
            while let Err(Full(back)) = this.offer(shard, input) {
                input = back;
                this.queues[usize::from(shard.0)].went.notified().await;
            }
        })
    }
}

/// The owner of a shard, for ever.
struct Served;

impl Tenure for Served {
    fn stands(&self) -> Stands {
        Stands::Firmly
    }

    fn keep(&self, _: Word) {
        unreachable!("it stands firmly");
    }
}
