//! Why a backup was not made, read or restored.

use std::io;
use std::path::{Path, PathBuf};

use rookery_store::StoreError;

/// What went wrong; each tells the operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refuses a file.
    #[error("cannot use {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Somebody's files are where the backup is to go.
    #[error("{} is not empty and holds no backup: choose another folder", .0.display())]
    NotEmpty(PathBuf),
    /// There is a backup already.
    #[error("{} holds a finished backup: choose another folder", .0.display())]
    Finished(PathBuf),
    /// The folder holds no backup.
    #[error("{} holds no backup", .0.display())]
    None(PathBuf),
    /// The backup was interrupted.
    #[error(
        "the backup in {} is not finished: `rookery backup` with the same folder goes on", .0.display()
    )]
    Unfinished(PathBuf),
    /// A later build made it.
    #[error(
        "the backup in {} has version {found} of the format, this build knows versions up to {known}: \
         use a newer rookery", path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// A chunk is gone.
    #[error("{} is missing: the backup is not whole", .0.display())]
    Missing(PathBuf),
    /// The disk, or somebody, has changed the backup.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The store that a backup is to be restored into is in use.
    #[error(
        "the store is not empty: {0} owns something in it; a backup is restored into an empty store only"
    )]
    StoreNotEmpty(String),
    /// A router uses the store.
    #[error(
        "the router of node {node} uses this store, or did {seconds} s ago: stop all routers of it (one that died is \
         forgotten after a minute), or restore into a keyspace of its own"
    )]
    StoreInUse {
        /// Which node.
        node: String,
        /// Since it last said so.
        seconds: u64,
    },
    /// Another backup was being restored into the store.
    #[error(
        "another backup was being restored into this store and is not finished: finish that one, or \
         begin with an empty store"
    )]
    OtherRestore,
    /// A record that no store can hold.
    #[error("a record does not make sense: {0}")]
    Record(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server that is asked for its store.
    #[error("{}", .0.message())]
    Server(#[from] tonic::Status),
}

impl BackupError {
    /// For `map_err` of a call of the file system on `path`.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |cause| Self::File { path, cause }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
