//! Time: the true one, which only the world knows, and what each node takes for it.

use std::time::Duration;

use rookery_xmpp::clock::Timestamp;
use tokio::runtime::{Builder, Runtime};

/// A moment of true time, in microseconds since the run began.
pub(crate) type Micros = u64;

/// One millisecond.
pub(crate) const MS: Micros = 1_000;

/// One second.
pub(crate) const SECOND: Micros = 1_000 * MS;

/// The wall clock of a node that is right, at the beginning of a run.
const BEGINNING: u64 = 1_700_000_000_000;

/// How a node's clocks are wrong, for as long as the run lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    /// How much faster its clocks run, in parts per million.
    pub(crate) ppm: i64,
    /// How far its wall clock is ahead, in milliseconds.
    pub(crate) ahead_ms: u64,
}

impl Drift {
    /// What the node takes for so much true time.
    pub(crate) fn local(self, true_time: Micros) -> Micros {
        (i128::from(true_time) * i128::from(1_000_000 + self.ppm) / 1_000_000) as Micros
    }

    /// How much true time passes while the node counts so much.
    pub(crate) fn lasts(self, local: Micros) -> Micros {
        (i128::from(local) * 1_000_000 / i128::from(1_000_000 + self.ppm)) as Micros
    }

    /// The node's wall clock.
    pub(crate) fn wall(self, now: Micros) -> Timestamp {
        Timestamp(BEGINNING + self.ahead_ms + self.local(now) / MS)
    }
}

/// One process's time, and the tasks that wait for it: a runtime whose clock stands still unless the
/// world moves it.
pub(crate) struct NodeClock {
    runtime: Runtime,
    drift: Drift,
    moved: Micros,
}

impl NodeClock {
    /// A process that starts now.
    pub(crate) fn start(drift: Drift, now: Micros) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without IO needs nothing of the system");
        Self {
            runtime,
            drift,
            moved: drift.local(now),
        }
    }

    /// The runtime: what asks for the time inside it is told this node's.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// How this node's clocks are wrong.
    pub(crate) fn drift(&self) -> Drift {
        self.drift
    }

    /// Moves the clock to this moment, and lets the tasks work until they wait again.
    pub(crate) fn run(&mut self, now: Micros) {
        let local = self.drift.local(now);
        let ahead = local.saturating_sub(self.moved);
        self.moved = local.max(self.moved);
        self.runtime.block_on(async {
            if ahead > 0 {
                tokio::time::advance(Duration::from_micros(ahead)).await;
            }
            for _ in 0..ROUNDS {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// A task wakes another, which wakes a third; none of ours goes further.
const ROUNDS: usize = 4;
