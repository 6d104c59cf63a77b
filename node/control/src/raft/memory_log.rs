//! The uncompacted log, for raft-rs to read.

use std::collections::VecDeque;

use protobuf::Message as _;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};

use super::store::Recovered;

/// Entries since the last compaction, with the snapshot below or within them.
///
/// `start ≤ snapshot index ≤ last index`: some entries before the snapshot are kept for members that lag a little.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    /// Index and term of the entry before the first one held.
    start: (u64, u64),
    entries: VecDeque<Entry>,
    snapshot: Snapshot,
    conf_state: ConfState,
    /// As recovered; raft-rs keeps its own from then on.
    hard_state: HardState,
}

impl MemoryLog {
    pub(super) fn new(recovered: Recovered) -> Self {
        let conf_state = recovered.snapshot.get_metadata().get_conf_state().clone();
        Self {
            start: recovered.start,
            entries: recovered.entries.into(),
            snapshot: recovered.snapshot,
            conf_state,
            hard_state: recovered.hard_state,
        }
    }

    /// Index of the last entry, or of the one before the first if none is held.
    pub fn last(&self) -> u64 {
        self.start.0 + self.entries.len() as u64
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last snapshot.
    pub fn last_snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(super) fn conf_state(&self) -> &ConfState {
        &self.conf_state
    }

    pub(super) fn set_conf_state(&mut self, conf_state: ConfState) {
        self.conf_state = conf_state;
    }

    /// Appends entries, which replace all from the first one's index on.
    ///
    /// # Panics
    /// On a gap, or on entries that were compacted: raft-rs makes neither.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(
            first.index > self.start.0,
            "entry {} was compacted",
            first.index
        );
        assert!(
            first.index <= self.last() + 1,
            "gap before entry {}",
            first.index
        );
        self.entries
            .truncate((first.index - self.start.0 - 1) as usize);
        self.entries.extend(entries.iter().cloned());
    }

    /// Starts over from a snapshot that came from the leader.
    pub(super) fn install(&mut self, snapshot: Snapshot) {
        let meta = snapshot.get_metadata();
        self.start = (meta.index, meta.term);
        self.conf_state = meta.get_conf_state().clone();
        self.entries.clear();
        self.snapshot = snapshot;
    }

    /// Takes a snapshot of our own state and drops the entries before the last `kept` ones below it. Returns index and
    /// term of the last entry dropped.
    pub(super) fn compact(&mut self, snapshot: Snapshot, kept: u64) -> (u64, u64) {
        let through = snapshot.get_metadata().index.saturating_sub(kept);
        self.snapshot = snapshot;
        if through > self.start.0
            && let Ok(term) = self.term(through)
        {
            self.entries.drain(..(through - self.start.0) as usize);
            self.start = (through, term);
        }
        self.start
    }

    fn position(&self, index: u64) -> usize {
        (index - self.start.0 - 1) as usize
    }
}

impl Storage for MemoryLog {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(
            self.hard_state.clone(),
            self.conf_state.clone(),
        ))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        if low <= self.start.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let budget = max_size.into().unwrap_or(u64::MAX);
        let mut bytes = 0_u64;
        let within_budget = |entry: &&Entry| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(u64::from(entry.compute_size()).max(1));
            first || bytes <= budget
        };
        let range = self.entries.range(self.position(low)..self.position(high));
        Ok(range.take_while(within_budget).cloned().collect())
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.start.0 {
            return Ok(self.start.1);
        }
        if index < self.start.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        let entry = self.entries.get(self.position(index));
        entry
            .map(|entry| entry.term)
            .ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.start.0 + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    /// A member takes no snapshot in which it is not: one that was just added waits for the next.
    fn snapshot(&self, request_index: u64, to: u64) -> Result<Snapshot> {
        let meta = self.snapshot.get_metadata();
        let conf = meta.get_conf_state();
        let names_it = conf.get_voters().contains(&to) || conf.get_learners().contains(&to);
        if meta.index < request_index || !names_it {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(self.snapshot.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64) -> Entry {
        Entry {
            index,
            term,
            data: vec![0; 100].into(),
            ..Entry::default()
        }
    }

    fn snapshot(index: u64, term: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().index = index;
        snapshot.mut_metadata().term = term;
        snapshot.mut_metadata().mut_conf_state().voters = vec![1];
        snapshot
    }

    fn log() -> MemoryLog {
        let mut log = MemoryLog::default();
        log.install(snapshot(1, 1));
        log.append(&(2..=9).map(|index| entry(index, 2)).collect::<Vec<_>>());
        log
    }

    fn context() -> GetEntriesContext {
        GetEntriesContext::empty(false)
    }

    #[test]
    fn appended_entries_replace_what_conflicts() {
        let mut log = log();
        log.append(&[entry(5, 3)]);
        assert_eq!(log.last_index().unwrap(), 5);
        assert_eq!((log.term(4).unwrap(), log.term(5).unwrap()), (2, 3));
    }

    #[test]
    fn a_compacted_log_keeps_its_tail_and_the_term_before_it() {
        let mut log = log();
        assert_eq!(log.compact(snapshot(8, 2), 3), (5, 2));
        assert_eq!(log.first_index().unwrap(), 6);
        assert_eq!(log.term(5).unwrap(), 2);
        assert!(matches!(
            log.term(4),
            Err(Error::Store(StorageError::Compacted))
        ));
        let old = log.entries(5, 7, None, context());
        assert!(matches!(old, Err(Error::Store(StorageError::Compacted))));
        assert_eq!(log.entries(6, 10, None, context()).unwrap().len(), 4);
    }

    #[test]
    fn entries_are_limited_in_bytes_but_never_none() {
        let log = log();
        assert_eq!(log.entries(2, 10, 0, context()).unwrap().len(), 1);
        assert_eq!(log.entries(2, 10, 230, context()).unwrap().len(), 2);
    }

    #[test]
    fn a_snapshot_older_than_asked_for_is_not_given() {
        let mut log = log();
        assert!(log.snapshot(2, 1).is_err());
        log.compact(snapshot(8, 2), 3);
        assert_eq!(log.snapshot(8, 1).unwrap().get_metadata().index, 8);
        assert!(log.snapshot(8, 2).is_err(), "2 is not in it");
    }
}
