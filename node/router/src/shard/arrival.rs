//! How a shard came to its owner from another one, and how long nobody served it.

use metrics::{counter, histogram};
use tokio::time::Instant;

/// A shard that another node served before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How it came.
    pub came: Came,
    /// Since when this node knows that the former owner serves it no more.
    pub since: Instant,
}

/// How a shard comes to its next owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The former owner has given it up for this one.
    HandedOver,
    /// The former owner has no lease any more: it has died, is cut off, or has stopped.
    Taken,
}

impl Arrival {
    /// Counts it.
    pub fn count(&self) {
        counter!("rookery_shard_moves_total", "how" => self.came.as_str()).increment(1);
    }

    /// The shard answers all from now on.
    pub(super) fn open(&self) {
        histogram!("rookery_shard_pause_seconds", "how" => self.came.as_str())
            .record(self.since.elapsed().as_secs_f64());
    }
}

impl Came {
    fn as_str(self) -> &'static str {
        match self {
            Self::HandedOver => "handed_over",
            Self::Taken => "taken",
        }
    }
}
