//! What sessions' queues have taken, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rookery_session::carrier::SessionId;

/// Tells what of a run was first. Sessions know no time, so this is a count.
pub(super) type Moment = u64;

/// Messages that some session's queue has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    by_anybody: BTreeSet<u64>,
    first: BTreeMap<(SessionId, u64), Moment>,
    /// With which session the stream began that a session goes on with.
    roots: BTreeMap<SessionId, SessionId>,
    moment: Moment,
}

impl Given {
    /// A session's queue has taken it.
    pub(crate) fn insert(&self, session: SessionId, number: u64) {
        let moment = self.moment();
        let mut taken = self.taken();
        taken.by_anybody.insert(number);
        let root = taken.roots.get(&session).copied().unwrap_or(session);
        taken.first.entry((root, number)).or_insert(moment);
    }

    /// A session goes on with the stream that began with another one, or with itself.
    pub(crate) fn goes_on(&self, session: SessionId, root: SessionId) {
        self.taken().roots.insert(session, root);
    }

    /// Whether any has.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.taken().by_anybody.contains(&number)
    }

    /// When this session has.
    pub(super) fn when(&self, session: SessionId, number: u64) -> Option<Moment> {
        self.taken().first.get(&(session, number)).copied()
    }

    /// The present moment, behind all that were before.
    pub(super) fn moment(&self) -> Moment {
        let mut taken = self.taken();
        taken.moment += 1;
        taken.moment
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
