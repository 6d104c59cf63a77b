//! The readers: threads with a connection each, for reads that are short and end before anything is sent.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::Failure;
use super::files::io_error;
use super::metrics;
use super::view::View;
use super::writer::Shared;
use crate::error::StoreError;

/// The callers' end of the readers' queue.
#[derive(Debug)]
pub(super) struct ReadQueue {
    requests: SyncSender<Request>,
    /// Room for requests: the capacity of the channel, which therefore never blocks.
    room: Arc<Semaphore>,
    wait_max: Duration,
}

/// Reads through the view, or learns why there is none, and answers whoever waits.
type Read = dyn FnOnce(Result<View<'_>, StoreError>) -> Answered + Send;

/// A read, with whoever waits for it.
struct Request {
    read: Box<Read>,
    _room: OwnedSemaphorePermit,
}

/// Whether the connection can be used on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Well,
    ConnectionBroken,
}

/// Starts the threads. They end when the queue is dropped.
pub(super) fn start(shared: &Arc<Shared>) -> Result<(ReadQueue, Vec<JoinHandle<()>>), StoreError> {
    let capacity = shared.options.read_queue_max as usize;
    let (requests, receiver) = sync_channel(capacity);
    let receiver = Arc::new(Mutex::new(receiver));
    let threads = (0..shared.options.readers).map(|number| {
        let reader = Reader {
            shared: Arc::clone(shared),
            requests: Arc::clone(&receiver),
        };
        let thread = std::thread::Builder::new().name(format!("store-reader-{number}"));
        thread.spawn(move || reader.run()).map_err(io_error)
    });
    let threads = threads.collect::<Result<_, _>>()?;
    let wait_max = Duration::from_millis(shared.options.queue_wait_ms_max);
    Ok((
        ReadQueue {
            requests,
            room: Arc::new(Semaphore::new(capacity)),
            wait_max,
        },
        threads,
    ))
}

impl ReadQueue {
    /// Runs `read` on a reader's thread, within one read transaction for as long as it takes.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = Arc::clone(&self.room).acquire_owned();
        let Ok(room) = tokio::time::timeout(self.wait_max, room).await else {
            return Err(StoreError::Busy);
        };
        let room = room.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let read = Box::new(move |view: Result<View<'_>, StoreError>| {
            let outcome = view
                .map_err(Failure::Refused)
                .and_then(|view| view.run(read));
            let answered = match &outcome {
                Err(Failure::Broken(_)) => Answered::ConnectionBroken,
                _ => Answered::Well,
            };
            // Whoever asked may have gone.
            let _gone = reply.send(outcome.map_err(|failure| match failure {
                Failure::Refused(error) => error,
                Failure::Broken(error) => error.into(),
            }));
            answered
        });
        self.requests
            .try_send(Request { read, _room: room })
            .map_err(|_| gone())?;
        let outcome = answer.await.map_err(|_| gone())?;
        outcome.inspect_err(metrics::failed)
    }
}

/// One thread.
struct Reader {
    shared: Arc<Shared>,
    requests: Arc<Mutex<Receiver<Request>>>,
}

impl Reader {
    fn run(&self) {
        let mut open = None;
        while let Some(request) = self.next_request() {
            let conn = match open.take() {
                Some(conn) => Ok(conn),
                None => self.shared.files.connect_reader(&self.shared.options),
            };
            open = self.answer(request, conn);
        }
    }

    /// Answers a request and returns the connection if it can be used on.
    fn answer(&self, request: Request, conn: Result<Connection, StoreError>) -> Option<Connection> {
        match conn {
            Ok(conn) => {
                let answered = (request.read)(Ok(View::new(&conn, &self.shared.tail)));
                (answered == Answered::Well).then_some(conn)
            }
            Err(error) => {
                (request.read)(Err(error));
                None
            }
        }
    }

    /// Idle readers queue for the lock; one of them waits in the channel.
    fn next_request(&self) -> Option<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv()
            .ok()
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store's readers have stopped".into())
}
