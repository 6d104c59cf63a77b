//! When the writer commits: at once if it was idle, else a little later, with company.

use std::time::Duration;

use tokio::time::Instant;

use crate::sqlite::SqliteOptions;

/// The rule of the gather window. A commit costs 0.15 to 0.3 ms of CPU and an fsync whatever it
/// holds, so under load it pays to wait; where every commit so far held one operation, it does not.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    operations_max: usize,
    /// When the last commit ended, if it was shared.
    shared_at: Option<Instant>,
}

impl Pace {
    pub(super) fn new(options: &SqliteOptions) -> Self {
        let window = Duration::from_micros(options.gather_us);
        Self {
            window,
            operations_max: options.group_operations_max as usize,
            shared_at: None,
        }
    }

    /// Operations in a group at most; a single call may exceed it.
    pub(super) fn operations_max(&self) -> usize {
        self.operations_max
    }

    /// How much longer a group gathers, if it does.
    pub(super) fn gathers_for(&self, now: Instant) -> Option<Duration> {
        let left = (self.shared_at? + self.window).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A commit of so many operations has ended.
    pub(super) fn committed(&mut self, now: Instant, operations: usize) {
        self.shared_at = (operations > 1).then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> (Pace, Instant) {
        (Pace::new(&SqliteOptions::default()), Instant::now())
    }

    #[test]
    fn an_idle_writer_does_not_wait() {
        let (mut pace, now) = pace();
        assert_eq!(pace.gathers_for(now), None);
        pace.committed(now, 100);
        assert_eq!(pace.gathers_for(now + Duration::from_millis(3)), None);
    }

    #[test]
    fn single_writes_one_after_the_other_do_not_wait() {
        let (mut pace, now) = pace();
        pace.committed(now, 1);
        assert_eq!(pace.gathers_for(now), None);
    }

    #[test]
    fn behind_a_shared_commit_the_next_gathers_for_the_rest_of_the_window() {
        let (mut pace, now) = pace();
        pace.committed(now, 2);
        let left = pace.gathers_for(now + Duration::from_millis(1));
        assert_eq!(left, Some(Duration::from_micros(1_500)));
    }
}
