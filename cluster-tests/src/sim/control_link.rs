//! The way from a node to the control group: what `node/src/cluster/link.rs` does over gRPC. One member is
//! asked at a time, and left for the next when it does not answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rookery_control::{ControlStatus, Link, Outcome, Policy, Proposal, Try, Unavailable};
use rookery_xmpp::clock::Timestamp;
use tokio::sync::oneshot;

use super::planted::Planted;

/// One question on its way.
pub(crate) struct Call {
    /// Comes back with the answer.
    pub(crate) number: u64,
    /// What is asked.
    pub(crate) proposal: Proposal,
}

/// Asks the present member.
pub(crate) struct ControlLink {
    state: Mutex<State>,
    /// This node's wall clock: the handle's own is the machine's on which the simulation runs.
    wall_ms: AtomicU64,
    planted: Option<Planted>,
}

#[derive(Default)]
struct State {
    last: u64,
    calls: Vec<Call>,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Outcome, Unavailable>>>,
    given_up: usize,
}

/// One try. Dropped without an answer, its member is given up.
struct Attempt<'a> {
    link: &'a ControlLink,
    number: u64,
    given_up: usize,
    answered: bool,
}

impl ControlLink {
    /// Nothing was asked yet.
    pub(crate) fn new(planted: Option<Planted>) -> Self {
        Self {
            state: Mutex::default(),
            wall_ms: AtomicU64::new(0),
            planted,
        }
    }

    /// It is so late at this node.
    pub(crate) fn set_wall(&self, now: Timestamp) {
        self.wall_ms.store(now.0, Ordering::Relaxed);
    }

    /// What is to be asked.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    /// An answer has come.
    pub(crate) fn answered(&self, number: u64, answer: Result<Outcome, Unavailable>) {
        if let Some(waiting) = self.state().waiting.remove(&number) {
            // Who asked may have given up.
            let _ = waiting.send(answer);
        }
    }

    /// How many members were given up; which one is asked follows from it.
    pub(crate) fn given_up(&self) -> usize {
        self.state().given_up
    }

    /// The present member does not answer.
    pub(crate) fn give_up(&self, given_up: usize) {
        let mut state = self.state();
        if state.given_up == given_up {
            state.given_up += 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link for ControlLink {
    fn propose(&self, mut proposal: Proposal) -> Try<'_, Outcome> {
        proposal.now = Timestamp(self.wall_ms.load(Ordering::Relaxed));
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        if self.planted == Some(Planted::DedupeForgotten) {
            proposal.request.sequence = FORGOTTEN + number;
        }
        let (answer, answered) = oneshot::channel();
        state.calls.push(Call { number, proposal });
        state.waiting.insert(number, answer);
        let mut attempt = Attempt {
            link: self,
            number,
            given_up: state.given_up,
            answered: false,
        };
        drop(state);
        Box::pin(async move {
            let answer = answered.await.unwrap_or(Err(Unavailable::NoQuorum));
            attempt.ends(answer.is_ok());
            answer
        })
    }

    fn read(&self) -> Try<'_, Policy> {
        Box::pin(async { Err(Unavailable::Refused) })
    }

    fn status(&self) -> Try<'_, ControlStatus> {
        Box::pin(async { Err(Unavailable::Refused) })
    }
}

impl Attempt<'_> {
    fn ends(&mut self, answered: bool) {
        self.answered = answered;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.link.state().waiting.remove(&self.number);
        if !self.answered {
            self.link.give_up(self.given_up);
        }
    }
}

/// Above every number that is not planted.
const FORGOTTEN: u64 = 1_000_000;
