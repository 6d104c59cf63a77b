//! Queries of an archive that wait until all that came before them is in it.
//!
//! ```text
//! message ─► its append is under way ──► it is in the log ─┐
//! query ───► waits, for a second at most ──────────────────┴─► is read
//! ```
//!
//! So a client finds in its archive what it has sent and what it was given, and can go on behind the id of either.

use std::time::Duration;

use rookery_session::carrier::Receipt;
use rookery_store::log::Position;
use rookery_xmpp::clock::Timestamp;

use super::Account;
use crate::shard::Turn;

/// A query that waits. As many as an account may have under way.
pub(super) struct Waiting {
    /// What is below is to be in the log.
    behind: Position,
    /// It waits no longer.
    until: Timestamp,
    /// Of its frame.
    receipt: Option<Receipt>,
    then: Then,
}

/// What is done then. It is told whether all is in the log.
type Then = Box<dyn FnOnce(&mut Account, &mut Turn<'_>, bool) + Send>;

impl Account {
    /// Does this as soon as all that has its place in the log by now is there, or after a second without.
    pub(crate) fn when_in_log(
        &mut self,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, bool) + Send + 'static,
    ) {
        match self.offline.next_position() {
            Some(behind) if self.offline.settled_below() < Some(behind) => {
                self.archiving.waiting.push(Waiting {
                    behind,
                    until: turn.now.plus(WAIT_MAX),
                    receipt: turn.receipt.clone(),
                    then: Box::new(then),
                });
            }
            _ => then(self, turn, true),
        }
    }

    /// Something has come into the log, or a second went by.
    pub(super) fn queries_go_on(&mut self, turn: &mut Turn<'_>) {
        if self.archiving.waiting.is_empty() {
            return;
        }
        let settled = self.offline.settled_below();
        let is_there = |waiting: &Waiting| settled >= Some(waiting.behind);
        let waiting = std::mem::take(&mut self.archiving.waiting);
        let now = turn.now;
        let (ready, rest): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|it| is_there(it) || it.until <= now);
        self.archiving.waiting = rest;
        for waiting in ready {
            let is_there = is_there(&waiting);
            let of_others = std::mem::replace(&mut turn.receipt, waiting.receipt);
            (waiting.then)(self, turn, is_there);
            turn.receipt = of_others;
        }
    }
}

/// Longer than a store takes that works, and shorter than people wait for a page.
const WAIT_MAX: Duration = Duration::from_secs(1);
