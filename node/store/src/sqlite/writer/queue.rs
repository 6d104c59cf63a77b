//! The way to the writer: bounded by bytes, and a caller waits for room only so long.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::backup::Backup;
use super::job::{Job, Mutation, Pending};
use crate::error::StoreError;
use crate::sqlite::SqliteOptions;

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

    /// KiB that wait or are being written.
    pub(super) fn taken_kib(&self) -> usize {
        self.room_kib as usize - self.room.available_permits()
    }

    /// Waits for room, as long as the options allow. What is larger than the whole queue takes all of it.
    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, StoreError> {
        let kib = u32::try_from(bytes / 1024 + 1)
            .unwrap_or(u32::MAX)
            .min(self.room_kib);
        let room = Arc::clone(&self.room).acquire_many_owned(kib);
        match tokio::time::timeout(self.wait_max, room).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(StoreError::Busy),
        }
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests.try_send(request).map_err(|_| gone())
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store's writer has stopped".into())
}
