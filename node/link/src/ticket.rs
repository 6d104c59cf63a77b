//! Tells a shard that keeps stanzas whether a session on another node took them.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Goes with a delivery. It is forgotten with it when the delivery was taken, and torn when it was
/// not.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl Ticket {
    /// A ticket, and what waits for it: true when the delivery was taken.
    pub(crate) fn new() -> (Self, impl Future<Output = bool> + Send + 'static) {
        let (tear, torn) = oneshot::channel();
        let ticket = Self(Arc::new(Mutex::new(Some(tear))));
        (ticket, async move { torn.await.is_err() })
    }

    /// The delivery was not taken.
    pub(crate) fn tear(&self) {
        let tear = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tear) = tear {
            // Nobody may wait any more.
            let _ = tear.send(());
        }
    }
}
