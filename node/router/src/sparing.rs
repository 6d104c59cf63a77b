//! Log lines that strangers, or a store that is away, could write without end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one line through in a while, and counts what was not said meanwhile.
#[derive(Debug, Default)]
pub struct Sparing(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Sparing {
    /// Whether a line may be written now: how many were not, since the one before. `None` if this one is not either.
    pub fn says(&self) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = said
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if !is_due {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

/// Between two lines: enough to see who tries what, and too few to fill a disk.
const EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_in_a_while_tells_how_many_were_not_written() {
        let sparing = Sparing::default();
        assert_eq!(sparing.says(), Some(0));
        for _ in 0..7 {
            assert_eq!(sparing.says(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(sparing.says(), Some(7));
        assert_eq!(sparing.says(), None);
    }
}
