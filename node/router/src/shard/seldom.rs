//! Keeps a line that many have to say from filling the log.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Lets one through at once and then one in [`PAUSE`], which says how many it stands for: a store that is away is
/// refused tens of thousands of times a second.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    passed_over: u64,
}

impl Seldom {
    /// Whether the line is to be written `now`; then how many were not since the last one.
    pub(super) fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().expect("nobody panics while it is held");
        if state.last.is_some_and(|last| now < last + PAUSE) {
            state.passed_over += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.passed_over))
    }
}

const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_line_is_written_and_then_one_a_second_which_stands_for_the_others() {
        let seldom = Seldom::default();
        assert_eq!(seldom.turn(Instant::now()), Some(0));
        for _ in 0..500 {
            assert_eq!(seldom.turn(Instant::now()), None);
        }
        tokio::time::advance(PAUSE).await;
        assert_eq!(seldom.turn(Instant::now()), Some(500));
        assert_eq!(seldom.turn(Instant::now()), None);
        tokio::time::advance(2 * PAUSE).await;
        assert_eq!(seldom.turn(Instant::now()), Some(1));
    }
}
