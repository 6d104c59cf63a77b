//! Draws captchas for all shards of a process: one at a time, no faster than is wanted, and with a bounded queue.
//!
//! ```text
//! shards ─► at most WAITING_MAX wait ─► one is drawn, on a thread that may block ─► its place is free after the pace
//!             └─ more are told so
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rookery_store::StoreError;
use tokio::sync::Semaphore;

use super::Reply;
use crate::captcha;

/// How many may wait for theirs, some seconds at the usual pace. Who comes then is told to try again.
const WAITING_MAX: usize = 64;

/// The drawing of pictures.
pub(super) struct Pictures {
    waiting: AtomicUsize,
    turn: Arc<Semaphore>,
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Pictures {
    /// Draws a captcha; the next one is begun no sooner than `pace` after this one.
    pub(super) async fn draw(&self, text: String, seed: u64, pace: Duration) -> Reply {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Reply::NotDrawn;
        }
        let turn = self.turn.clone().acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Ok(turn) = turn else {
            return Reply::Failed(StoreError::Invalid("shutting down"));
        };
        tokio::spawn(async move {
            tokio::time::sleep(pace).await;
            drop(turn);
        });
        let drawn = tokio::task::spawn_blocking(move || captcha::draw(&text, seed)).await;
        match drawn {
            Ok(Ok(picture)) => Reply::Drawn(Bytes::from(picture)),
            Ok(Err(error)) => {
                tracing::error!(%error, "a captcha was not drawn");
                Reply::NotDrawn
            }
            Err(_) => Reply::Failed(StoreError::Invalid("drawing panicked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pictures_come_no_faster_than_wanted_and_too_many_are_told_so() {
        let (pictures, begun) = (Pictures::default(), Instant::now());
        let pace = Duration::from_millis(50);
        let all = (0..100).map(|seed| pictures.draw("KAX37W".to_owned(), seed, pace));
        let replies = join_all(all).await;
        let drawn = replies
            .iter()
            .filter(|reply| matches!(reply, Reply::Drawn(_)));
        let drawn = u32::try_from(drawn.count()).expect("few");
        // One is drawn while the others wait.
        assert!((64..=65).contains(&drawn), "{drawn}");
        assert!(
            replies
                .iter()
                .all(|reply| matches!(reply, Reply::Drawn(_) | Reply::NotDrawn))
        );
        assert!(
            begun.elapsed() >= pace * (drawn - 1),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(pictures.waiting.load(Ordering::Relaxed), 0);
    }
}
