//! What one session was given of the messages for the bare JID.
//!
//! ```text
//! arrivals at the account   1 2 3 4 5 6 7 8 9
//! begins to read                ─────┐     ┌─────
//! refuses 6, and catches up at 9     └─────┘
//! took                          3 4 5       9
//! ```
//!
//! A message that another session refuses is not kept for later if this one took it. One that was sent to it and that
//! it has not refused yet counts as taken: its refusal comes, and is judged by what the others took.

use std::collections::VecDeque;

/// Which arrivals one session took.
#[derive(Debug)]
pub(super) struct Reading {
    /// The first arrival that it was given.
    since: u64,
    /// What it was not given, or refused: from the first to before the second.
    gaps: VecDeque<(u64, u64)>,
    /// From here on it is behind.
    behind_from: Option<u64>,
}

impl Reading {
    /// Nothing was given to it.
    pub(super) fn new() -> Self {
        Self {
            since: u64::MAX,
            gaps: VecDeque::new(),
            behind_from: None,
        }
    }

    /// It is given everything from this arrival on.
    pub(super) fn begins(&mut self, next: u64) {
        self.since = next;
    }

    /// It refused this arrival, and gets nothing for a while.
    pub(super) fn falls_behind(&mut self, from: u64) {
        let known = self.behind_from.unwrap_or(from);
        self.behind_from = Some(known.min(from));
    }

    /// Whether it is behind, or was and is not given anything yet.
    pub(super) fn is_behind(&self) -> bool {
        self.behind_from.is_some()
    }

    /// It is given everything again from this arrival on.
    pub(super) fn catches_up(&mut self, next: u64) {
        let Some(from) = self.behind_from.take() else {
            return;
        };
        if self.gaps.len() == GAPS_MAX
            && let Some((_, until)) = self.gaps.pop_front()
        {
            self.since = self.since.max(until);
        }
        self.gaps.push_back((from, next));
    }

    /// Whether it was given this arrival, and has not refused it.
    pub(super) fn took(&self, arrival: u64) -> bool {
        let missed = |(from, until): &(u64, u64)| (*from..*until).contains(&arrival);
        self.since <= arrival
            && self.behind_from.is_none_or(|from| arrival < from)
            && !self.gaps.iter().any(missed)
    }
}

/// How many times of being behind are known one by one; what came before all of them counts as not
/// taken, and comes twice at worst.
const GAPS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(reading: &Reading) -> Vec<u64> {
        (0..12).filter(|arrival| reading.took(*arrival)).collect()
    }

    #[test]
    fn what_was_refused_and_what_came_while_it_was_behind_was_not_taken() {
        let mut reading = Reading::new();
        assert_eq!(taken(&reading), [0; 0]);
        reading.begins(3);
        reading.falls_behind(7);
        assert!(reading.is_behind());
        // An older refusal comes later.
        reading.falls_behind(6);
        assert!(reading.is_behind());
        assert_eq!(taken(&reading), [3, 4, 5]);
        reading.catches_up(9);
        assert_eq!(taken(&reading), [3, 4, 5, 9, 10, 11]);
        assert!(!reading.is_behind());
        reading.falls_behind(10);
        assert!(reading.is_behind());
        assert_eq!(taken(&reading), [3, 4, 5, 9]);
    }

    #[test]
    fn of_many_gaps_only_the_last_are_known() {
        let mut reading = Reading::new();
        reading.begins(0);
        for round in 0..20 {
            reading.falls_behind(10 * round + 5);
            reading.catches_up(10 * round + 8);
        }
        assert!(!reading.took(112) && !reading.took(117));
        assert!(reading.took(121) && !reading.took(126) && reading.took(199));
    }
}
