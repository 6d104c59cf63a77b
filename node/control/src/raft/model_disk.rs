//! A disk in memory: what [`SqliteLog`](super::SqliteLog) does, without a file. For simulations.

use raft::eraftpb::HardState;

use super::sqlite_log::first_snapshot;
use super::{LogStore, Recovered, StoreError, Write};
use crate::state::NodeId;

/// What one member has written, as it outlives the member.
#[derive(Debug)]
pub struct ModelDisk {
    stored: Recovered,
    before: Recovered,
}

impl ModelDisk {
    /// The disk of a member of a new group with these voters.
    pub fn new(voters: &[NodeId]) -> Self {
        let stored = Recovered {
            start: (1, 1),
            entries: Vec::new(),
            snapshot: first_snapshot(voters),
            hard_state: HardState {
                term: 1,
                commit: 1,
                ..HardState::default()
            },
            incarnation: 0,
        };
        Self {
            before: stored.clone(),
            stored,
        }
    }

    /// What a member that starts finds.
    pub fn recover(&mut self) -> Recovered {
        self.stored.incarnation += 1;
        let commit = &mut self.stored.hard_state.commit;
        *commit = (*commit).max(self.stored.snapshot.get_metadata().index);
        self.stored.clone()
    }

    /// What is on the disk.
    pub fn stored(&self) -> &Recovered {
        &self.stored
    }

    /// As if the last write had never reached the disk, though it said so.
    pub fn forget_last_write(&mut self) {
        let incarnation = self.stored.incarnation;
        self.stored = Recovered {
            incarnation,
            ..self.before.clone()
        };
    }

    fn put(&mut self, write: &Write) {
        let stored = &mut self.stored;
        if let Some(snapshot) = &write.install {
            let meta = snapshot.get_metadata();
            stored.start = (meta.index, meta.term);
            stored.entries.clear();
            stored.snapshot = snapshot.clone();
        }
        if let Some(first) = write.entries.first() {
            stored.entries.retain(|entry| entry.index < first.index);
            stored.entries.extend(write.entries.iter().cloned());
        }
        if let Some(hard_state) = &write.hard_state {
            stored.hard_state = hard_state.clone();
        }
        if let Some((snapshot, start)) = &write.compact {
            stored.snapshot = snapshot.clone();
            stored.start = *start;
            stored.entries.retain(|entry| entry.index > start.0);
        }
    }
}

impl LogStore for ModelDisk {
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.before = self.stored.clone();
        for write in writes {
            self.put(write);
        }
        Ok(())
    }
}
