//! What owners of shards were given, what sessions' queues have taken, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rookery_session::carrier::{SessionId, ShardId};

/// Tells what of a run was first. Sessions know no time, so this is a count.
pub(super) type Moment = u64;

/// Messages that owners of shards have acted upon, and that some session's queue has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    by_anybody: BTreeSet<u64>,
    first: BTreeMap<(SessionId, u64), Moment>,
    /// The epochs under which a shard was given a message, and when first.
    came: BTreeMap<(ShardId, u64), Vec<(u32, Moment)>>,
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

    /// A shard acts under this epoch upon these messages. Its mover says so at once: what it gives to a session of its
    /// own process is taken, and read, before the world hears any other word of it.
    pub(crate) fn came(&self, shard: ShardId, epoch: u32, numbers: &[u64]) {
        for number in numbers {
            let moment = self.moment();
            let mut taken = self.taken();
            let came = taken.came.entry((shard, *number)).or_default();
            if came.last().is_none_or(|(known, _)| *known != epoch) {
                came.push((epoch, moment));
            }
        }
    }

    /// A session goes on with the stream that began with another one, or with itself.
    pub(crate) fn goes_on(&self, session: SessionId, root: SessionId) {
        self.taken().roots.insert(session, root);
    }

    /// Whether any has.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.taken().by_anybody.contains(&number)
    }

    /// The epochs under which this shard was given it, and when first.
    pub(super) fn came_to(&self, shard: ShardId, number: u64) -> Vec<(u32, Moment)> {
        let came = self.taken().came.get(&(shard, number)).cloned();
        came.unwrap_or_default()
    }

    /// When this session has.
    pub(super) fn when(&self, session: SessionId, number: u64) -> Option<Moment> {
        self.taken().first.get(&(session, number)).copied()
    }

    /// The present moment, behind all that were before.
    fn moment(&self) -> Moment {
        let mut taken = self.taken();
        taken.moment += 1;
        taken.moment
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
