//! An account on its way into memory.
//!
//! ```text
//! first work ──► Load ──► loaded: it works off what waits
//!                  ▲  └──► the store is out of reach: questions are answered so
//!                  │            ├─ nothing waits that would be lost: the rest is answered with errors
//!                  └── a tick ──┴─ sessions of before, and what they have not got: it is read again, for a while
//! ```
//!
//! A new owner of a shard reads hundreds of accounts at once, and each of them has sessions that its nodes announce. If
//! the store hesitates just then, nobody's stream may end with it.

use std::time::Duration;

use rookery_session::carrier::Answer;
use rookery_store::StoreError;
use rookery_xmpp::clock::Timestamp;

use super::Turn;
use crate::account::{Waiting, Work, absent};

/// What waits for an account that is being read.
pub(super) struct Loading {
    waiting: Waiting,
    since: Timestamp,
    /// The store has failed, and is asked again with the next tick.
    has_failed: bool,
}

impl Loading {
    /// The store is asked now.
    pub(super) fn new(turn: &Turn<'_>) -> Self {
        Self {
            waiting: Waiting::default(),
            since: turn.now,
            has_failed: false,
        }
    }

    /// Lets work wait.
    pub(super) fn wait(&mut self, turn: &mut Turn<'_>, work: Work) {
        match work {
            // Who asks has a deadline of his own.
            Work::Ask { from, ask, .. } if self.has_failed => {
                turn.answer(&from, ask, Answer::Unavailable);
            }
            work => {
                if let Err(work) = self.waiting.push(work, &turn.options) {
                    absent::overloaded(turn, work);
                }
            }
        }
    }

    /// The account is here, or there is none: what has waited.
    pub(super) fn into_waiting(self) -> Waiting {
        self.waiting
    }

    /// The store could not say. What is left waits until it is asked again; `None` if that is not to be.
    pub(super) fn fails(self, turn: &mut Turn<'_>, error: &StoreError) -> Option<Self> {
        let retry = Duration::from_millis(turn.options.load_retry_ms);
        let is_early = turn.now < self.since.plus(retry);
        let is_passing = matches!(error, StoreError::Unavailable(_) | StoreError::Busy);
        let mut kept = Waiting::default();
        let mut must_stay = false;
        for work in self.waiting {
            if matches!(work, Work::Ask { .. }) {
                absent::unavailable(turn, work, error);
            } else {
                must_stay |= !matches!(work, Work::Arrive { .. });
                kept.keep(work);
            }
        }
        if must_stay && is_early && is_passing {
            return Some(Self {
                waiting: kept,
                has_failed: true,
                ..self
            });
        }
        kept.for_each(|work| absent::unavailable(turn, work, error));
        None
    }

    /// Whether the store is to be asked again. It is from now on.
    pub(super) fn asks_again(&mut self) -> bool {
        std::mem::take(&mut self.has_failed)
    }
}
