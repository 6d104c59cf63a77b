//! The way to the writer: bounded by bytes, and a caller waits for room only so long.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::backup::Backup;
use super::job::{Job, Mutation, Pending};
use crate::error::StoreError;
use crate::sqlite::{SqliteOptions, metrics};

/// What the writer is asked to do.
pub(super) enum Request {
    /// To change something, in the next group.
    Mutate(Box<dyn Job>),
    /// To copy the database beside its other work.
    Backup(Backup),
}

/// The callers' end of the queue.
#[derive(Debug)]
pub(in crate::sqlite) struct WriteQueue {
    requests: SyncSender<Request>,
    /// Room in KiB. A request takes one at least, so that the channel, of the same capacity, never blocks.
    room: Arc<Semaphore>,
    room_kib: u32,
    wait_max: Duration,
}

impl WriteQueue {
    pub(super) fn new(options: &SqliteOptions) -> (Self, Receiver<Request>) {
        let room_kib = options.write_queue_kib_max;
        let (requests, receiver) = sync_channel(room_kib as usize);
        let room = Arc::new(Semaphore::new(room_kib as usize));
        let wait_max = Duration::from_millis(options.queue_wait_ms_max);
        (
            Self {
                requests,
                room,
                room_kib,
                wait_max,
            },
            receiver,
        )
    }

    /// Queues `mutation` and waits until its group is committed.
    pub(in crate::sqlite) async fn run<M: Mutation>(
        &self,
        mutation: M,
    ) -> Result<M::Output, StoreError> {
        let room = self.room_for(mutation.bytes()).await?;
        let (reply, answer) = oneshot::channel();
        self.send(Request::Mutate(Box::new(Pending::new(
            mutation, reply, room,
        ))))?;
        answer.await.map_err(|_| gone())?
    }

    /// Queues a backup and waits until it is written.
    pub(in crate::sqlite) async fn back_up(
        &self,
        path: &std::path::Path,
    ) -> Result<(), StoreError> {
        let room = self.room_for(0).await?;
        let (reply, answer) = oneshot::channel();
        self.send(Request::Backup(Backup::new(path.to_owned(), reply, room)))?;
        answer.await.map_err(|_| gone())?
    }

    /// Waits for room, as long as the options allow. What is larger than the whole queue takes all of it.
    async fn room_for(&self, bytes: usize) -> Result<Room, StoreError> {
        let kib = u32::try_from(bytes / 1024 + 1)
            .unwrap_or(u32::MAX)
            .min(self.room_kib);
        let room = Arc::clone(&self.room).acquire_many_owned(kib);
        match tokio::time::timeout(self.wait_max, room).await {
            Ok(Ok(permit)) => Ok(Room::new(permit)),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(StoreError::Busy),
        }
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests.try_send(request).map_err(|_| gone())
    }
}

/// What a request takes of the queue, from when it is let in until it is answered; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    permit: OwnedSemaphorePermit,
}

impl Room {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::queued(permit.num_permits());
        Self { permit }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        metrics::unqueued(self.permit.num_permits());
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store's writer has stopped".into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use ::metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
        with_local_recorder,
    };

    use super::*;

    /// Keeps the one gauge.
    #[derive(Default)]
    struct Kept(Arc<AtomicU64>);

    impl Kept {
        fn value(&self) -> f64 {
            f64::from_bits(self.0.load(Ordering::Relaxed))
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Arc::clone(&self.0))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn the_operator_sees_what_waits() {
        let (queue, _requests) = WriteQueue::new(&SqliteOptions::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let kept = Kept::default();
        with_local_recorder(&kept, || {
            let small = runtime.block_on(queue.room_for(0)).unwrap();
            let large = runtime.block_on(queue.room_for(5_000)).unwrap();
            assert_eq!(kept.value(), 6.0);
            drop(large);
            assert_eq!(kept.value(), 1.0);
            drop(small);
            assert_eq!(kept.value(), 0.0);
        });
    }
}
