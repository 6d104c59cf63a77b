//! The threads that speak to the database.

use tokio::runtime::{Builder, Runtime};

use super::error::unavailable;
use crate::error::StoreError;

/// The threads that speak to the database.
#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// So many of them.
    pub(super) fn start(count: usize) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|cause| unavailable(&cause))?;
        Ok(Self(Some(runtime)))
    }

    /// Where they are given work.
    pub(super) fn get(&self) -> &Runtime {
        self.0.as_ref().expect("only drop takes it")
    }

    /// Lets them work, and waits for what comes of it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let outcome = self.get().spawn(work).await;
        outcome.map_err(|_| unavailable(&"a thread of the store has panicked"))
    }

    /// Takes them out, to be ended by whoever does.
    pub(super) fn take(&mut self) -> Option<Runtime> {
        self.0.take()
    }
}

/// Ends at once where no store came of them.
impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
