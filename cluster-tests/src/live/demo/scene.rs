//! What happens at the moment, for the threads that hear of it and the one that shows it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::talk::{Event, Talk};
use crate::suite::now;

/// The demonstration as it stands.
pub(super) struct Scene {
    began: Instant,
    state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    /// What the clients have said.
    pub(super) talk: Talk,
    /// What is wrong with the cluster.
    pub(super) trouble: String,
    /// Which nodes were killed, in order.
    pub(super) killed: Vec<String>,
    /// When a client said something for the last time.
    pub(super) heard: Instant,
}

impl Scene {
    /// It begins.
    pub(super) fn begin() -> Self {
        let state = State {
            talk: Talk::default(),
            trouble: String::new(),
            killed: Vec::new(),
            heard: now(),
        };
        Self {
            began: now(),
            state: Mutex::new(state),
        }
    }

    /// The state of this moment, which stands still for as long as it is held.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it has gone on.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A client says something.
    pub(super) fn hear(&self, who: usize, event: Event) {
        let at = self.elapsed();
        let mut state = self.state();
        state.heard = now();
        state.talk.hear(who, at, event);
    }

    /// Something is wrong with the cluster, or nothing is any more.
    pub(super) fn trouble(&self, what: &str) {
        self.state().trouble = what.to_owned();
    }

    /// A node was killed.
    pub(super) fn killed(&self, name: &str) {
        self.trouble(&format!("{name} killed"));
        self.state().killed.push(name.to_owned());
    }

    /// Whether everything has arrived, and nothing has followed for a while.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state();
        let mut directions = state.talk.directions.iter();
        directions.all(|it| it.totals(true).is_complete())
            && state.talk.is_online()
            && state.heard.elapsed() > SILENCE
    }
}

/// What comes twice comes within this time.
const SILENCE: Duration = Duration::from_secs(3);
