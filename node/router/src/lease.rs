//! Until when this node may serve its shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A lease of the control group, by this node's own monotonic clock. Cheap to clone; all clones are
/// one lease.
///
/// A lease lasts from the moment *before* it was asked for, so that it ends here before the control
/// group can give the shards to another node. Whoever acts for a shard looks first, and again after
/// each write: what was written after the end is told to nobody.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    /// Milliseconds after `origin`; [`FOR_EVER`] without a control group to ask.
    until_ms: AtomicU64,
}

impl Lease {
    /// The lease of a process that is its whole cluster.
    pub fn for_ever() -> Self {
        Self::until(FOR_EVER)
    }

    /// A lease that must be granted first.
    pub fn none() -> Self {
        Self::until(0)
    }

    /// The group has granted it for so long, to who asked at that moment. It never becomes shorter
    /// by an answer that comes late.
    pub fn extend(&self, asked: Instant, lasts: Duration) {
        let until = asked.saturating_duration_since(self.0.origin) + lasts;
        self.0.until_ms.fetch_max(millis(until), Ordering::AcqRel);
    }

    /// Gives it up: the node stops.
    pub fn end(&self) {
        self.0.until_ms.store(0, Ordering::Release);
    }

    /// Whether it lasts.
    pub fn holds(&self) -> bool {
        let until = self.0.until_ms.load(Ordering::Acquire);
        until == FOR_EVER || (until > 0 && millis(self.0.origin.elapsed()) < until)
    }

    /// What is left of it.
    pub fn left(&self) -> Duration {
        let until = Duration::from_millis(self.0.until_ms.load(Ordering::Acquire));
        until.saturating_sub(self.0.origin.elapsed())
    }

    fn until(ms: u64) -> Self {
        Self(Arc::new(Inner {
            origin: Instant::now(),
            until_ms: AtomicU64::new(ms),
        }))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(FOR_EVER - 1)
}

const FOR_EVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_lasts_from_before_it_was_asked_for() {
        let lease = Lease::none();
        assert!(!lease.holds());
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        lease.extend(asked, Duration::from_secs(5));
        assert_eq!(lease.left(), Duration::from_secs(3));
        tokio::time::advance(Duration::from_millis(2_999)).await;
        assert!(lease.holds());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!lease.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_takes_nothing_away() {
        let lease = Lease::none();
        let first = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        lease.extend(Instant::now(), Duration::from_secs(5));
        lease.extend(first, Duration::from_secs(5));
        assert_eq!(lease.left(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_is_over() {
        let lease = Lease::none();
        lease.extend(Instant::now(), Duration::from_secs(5));
        lease.end();
        assert!(!lease.holds());
        assert!(Lease::for_ever().holds());
    }
}
