//! What an account or a session has received of whom, so that what is sent to it a second time is dropped.
//!
//! Frames are sent again when the owner of a shard is gone before it could say what it had done. Of one
//! session's stanzas for one recipient the numbers only grow, on every way, so the last one is enough.

use std::collections::VecDeque;

use crate::carrier::{Origin, SessionId};

/// The last stanza of each of the sessions that were heard of last.
#[derive(Debug, Default)]
pub struct Seen(VecDeque<(SessionId, u64)>);

impl Seen {
    /// How many of these stanzas have been seen; the others are from now on. They were sent one behind the
    /// other, and none of them came alone.
    pub fn repeats(&mut self, origin: Origin, stanzas: usize) -> usize {
        let last = origin.sequence + (stanzas as u64).saturating_sub(1);
        let seen = self.last(origin.session, last);
        let repeats = seen.map_or(0, |seen| (seen + 1).saturating_sub(origin.sequence));
        stanzas.min(usize::try_from(repeats).unwrap_or(usize::MAX))
    }

    /// Whether this stanza, the first of its origin, is newer than the last of its session.
    pub fn is_new(&mut self, origin: Origin) -> bool {
        self.repeats(origin, 1) == 0
    }

    /// The last stanza of a session before this one, which may be the last now.
    fn last(&mut self, session: SessionId, now: u64) -> Option<u64> {
        let known = self.0.iter().rposition(|(known, _)| *known == session);
        let Some(at) = known else {
            if self.0.len() == SESSIONS_MAX {
                self.0.pop_front();
            }
            self.0.push_back((session, now));
            return None;
        };
        let before = self.0[at].1;
        self.0[at].1 = before.max(now);
        // The last heard of is found first, and forgotten last.
        let last = self.0.len() - 1;
        self.0.swap(at, last);
        Some(before)
    }
}

/// How many sessions are remembered. What is sent again is seconds old, so this many would have to
/// write to one account within seconds to make a repeat pass.
const SESSIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(serial: u64, sequence: u64) -> Origin {
        let session = SessionId { node: 1, serial };
        Origin { session, sequence }
    }

    #[test]
    fn what_was_seen_is_not_new_and_sessions_do_not_mix() {
        let mut seen = Seen::default();
        assert!(seen.is_new(origin(1, 0)) && seen.is_new(origin(1, 4)));
        assert!(seen.is_new(origin(2, 3)));
        assert!(!seen.is_new(origin(1, 4)) && !seen.is_new(origin(1, 2)));
        assert!(seen.is_new(origin(1, 5)) && !seen.is_new(origin(2, 3)));
    }

    #[test]
    fn only_the_stanzas_that_were_seen_are_repeats() {
        let mut seen = Seen::default();
        assert_eq!(seen.repeats(origin(1, 10), 3), 0);
        assert_eq!(seen.repeats(origin(1, 11), 4), 2);
        assert_eq!(seen.repeats(origin(1, 12), 3), 3);
        assert_eq!(seen.repeats(origin(1, 20), 1), 0);
    }

    #[test]
    fn the_sessions_that_were_heard_of_longest_ago_are_forgotten() {
        let mut seen = Seen::default();
        for serial in 0..=SESSIONS_MAX as u64 {
            assert!(seen.is_new(origin(serial, 7)));
        }
        assert!(!seen.is_new(origin(1, 7)));
        assert!(seen.is_new(origin(0, 7)));
    }
}
