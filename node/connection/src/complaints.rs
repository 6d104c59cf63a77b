//! One line in the log for many refusals of a kind: a flood must not fill the disk.

use std::collections::BTreeMap;

/// What was refused since it was last told, by cause.
#[derive(Debug, Default)]
pub(crate) struct Complaints(BTreeMap<&'static str, Untold>);

#[derive(Clone, Copy, Debug, Default)]
struct Untold {
    count: u64,
    told_ms: Option<u64>,
}

impl Complaints {
    /// One more. Gives how many there were since they were last told, where it is time to tell.
    pub(crate) fn count(&mut self, cause: &'static str, now_ms: u64) -> Option<u64> {
        let untold = self.0.entry(cause).or_default();
        untold.count += 1;
        let is_due = |told: u64| now_ms.saturating_sub(told) >= TELL_MS;
        if !untold.told_ms.is_none_or(is_due) {
            return None;
        }
        untold.told_ms = Some(now_ms);
        Some(std::mem::take(&mut untold.count))
    }
}

/// Between two lines of one cause, in milliseconds.
const TELL_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let mut complaints = Complaints::default();
        assert_eq!(complaints.count("full", 0), Some(1));
        let told = (1..100).filter_map(|_| complaints.count("full", 9_999));
        assert_eq!(told.count(), 0);
        assert_eq!(complaints.count("banned", 9_999), Some(1));
        assert_eq!(complaints.count("full", 10_000), Some(100));
    }
}
