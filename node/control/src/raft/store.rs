//! What must be durable, and the trait of what makes it so.

use raft::eraftpb::{Entry, HardState, Snapshot};

use crate::state::FormatError;

/// One step of the log towards the disk. Writes are made in order; one call may make several durable at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Write {
    /// Grows by one with each write; reported back as persisted.
    pub number: u64,
    /// A snapshot from the leader: replaces the log and the state.
    pub install: Option<Snapshot>,
    /// Entries; all stored ones from the first one's index on are replaced.
    pub entries: Vec<Entry>,
    /// Term, vote and commit index.
    pub hard_state: Option<HardState>,
    /// A snapshot of our own state, and the last entry (index, term) to drop below it.
    pub compact: Option<(Snapshot, (u64, u64))>,
}

/// What a log store holds when it is opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Index and term of the entry before the first one held.
    pub start: (u64, u64),
    /// The entries, without a gap.
    pub entries: Vec<Entry>,
    /// The last snapshot; a group begins with one, so there always is.
    pub snapshot: Snapshot,
    /// Term, vote and commit index.
    pub hard_state: HardState,
    /// Grows with every opening.
    pub incarnation: u64,
}

/// Where the log is durable. [`SqliteLog`](super::SqliteLog) in production, a model of a disk in simulations.
pub trait LogStore: Send {
    /// Makes the writes durable in one step: when it returns all of them are on disk, or none is.
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError>;
}

/// Why the log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Writing again later may succeed.
    #[error("disk is full")]
    Full,
    /// Another process has the database open.
    #[error("control database is in use by another process")]
    InUse,
    /// The database belongs to another node or application.
    #[error("control database is not ours: {0}")]
    Foreign(String),
    /// The database was written by a newer build.
    #[error("control database has format {found}, newer than this build's {known}")]
    Newer {
        /// The format of the database.
        found: i64,
        /// The newest format that this build knows.
        known: i64,
    },
    /// The database is damaged.
    #[error("control database is corrupt: {0}")]
    Corrupt(String),
    /// The operating system refused; writing again later may succeed.
    #[error("control database: {0}")]
    Io(String),
}

impl StoreError {
    /// Whether the same write may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Full | Self::Io(_) | Self::InUse)
    }
}

impl From<FormatError> for StoreError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Newer { found } => Self::Newer {
                found: found.into(),
                known: FormatError::KNOWN.into(),
            },
            FormatError::Corrupt(reason) => Self::Corrupt(reason),
        }
    }
}
