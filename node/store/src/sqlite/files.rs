//! The files of a store: where they are, who may read them, who has them open.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use super::SqliteOptions;
use super::{names, schema};
use crate::error::StoreError;

/// The folder of a store, locked against other processes for as long as this lives.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    _lock: File,
}

/// Locks a file. A process that ends holds its lock a moment longer than its pid file, and who restarts it waits for
/// that.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody tells when another process lets go"
)]
fn lock_within(file: &File, within: Duration) -> Result<(), StoreError> {
    let until = Instant::now() + within;
    while rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= until {
            return Err(StoreError::Unavailable(
                "another process has the store open".into(),
            ));
        }
        std::thread::sleep(LOCK_AGAIN);
    }
    Ok(())
}

/// Longer than a server takes from its last word to its end.
const LOCKED_WITHIN: Duration = Duration::from_secs(2);

/// Between two attempts.
const LOCK_AGAIN: Duration = Duration::from_millis(20);

impl Files {
    /// Makes the folder if need be (0700) and the database file in it (0600: it holds SCRAM keys), and locks them.
    /// Two processes would not see each other's tails, so the second is refused as busy.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        make_folder(dir)?;
        let lock = private_file(&dir.join("store.lock"))?;
        lock_within(&lock, LOCKED_WITHIN)?;
        let database = dir.join(DATABASE);
        // SQLite gives the write-ahead log and its shared memory the permissions of the database.
        private_file(&database)?;
        Ok(Self {
            database,
            _lock: lock,
        })
    }

    /// A connection that writes: the one of the writer thread. Runs the migrations that are missing.
    pub(super) fn connect_writer(&self, options: &SqliteOptions) -> Result<Connection, StoreError> {
        let conn = self.connect()?;
        schema::check(&conn)?;
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "wal_autocheckpoint", options.checkpoint_pages)?;
        conn.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
        conn.pragma_update(None, "cache_size", -i64::from(options.writer_cache_kib))?;
        conn.pragma_update(None, "secure_delete", WIPED_IN_PASSING)?;
        if options.file_mib_max > 0 {
            let pages = u64::from(options.file_mib_max) * (1024 * 1024 / PAGE_BYTES);
            conn.pragma_update(None, "max_page_count", pages)?;
        }
        schema::migrate(&conn)?;
        names::index(&conn)?;
        Ok(conn)
    }

    /// A connection that only reads.
    pub(super) fn connect_reader(&self, options: &SqliteOptions) -> Result<Connection, StoreError> {
        let conn = self.connect()?;
        conn.pragma_update(None, "query_only", true)?;
        conn.pragma_update(None, "cache_size", -i64::from(options.reader_cache_kib))?;
        Ok(conn)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.database, flags)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(conn)
    }

    /// Bytes of the write-ahead log.
    pub(super) fn wal_bytes(&self) -> u64 {
        let mut wal = self.database.clone().into_os_string();
        wal.push("-wal");
        std::fs::metadata(wal).map_or(0, |metadata| metadata.len())
    }
}

/// Makes the folder of a copy (0700) and says where its database belongs.
pub(super) fn prepare_copy(dir: &Path) -> Result<PathBuf, StoreError> {
    make_folder(dir)?;
    Ok(dir.join(DATABASE))
}

/// Its name is on disk when this returns: what is synced in a folder is lost with the folder's own name.
fn make_folder(dir: &Path) -> Result<(), StoreError> {
    let mut make = DirBuilder::new();
    make.recursive(true).mode(0o700);
    make.create(dir).map_err(io_error)?;
    let above = dir.parent().filter(|it| !it.as_os_str().is_empty());
    let synced = File::open(above.unwrap_or_else(|| Path::new("."))).and_then(|it| it.sync_all());
    synced.map_err(io_error)
}

/// Opens `path` for writing, made if need be, for its owner alone.
pub(super) fn private_file(path: &Path) -> Result<File, StoreError> {
    let mut open = OpenOptions::new();
    let file = open
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = file.map_err(io_error)?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(io_error)?;
    Ok(file)
}

/// An error of the file system as the store's.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn io_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full,
        io::ErrorKind::AlreadyExists => StoreError::AlreadyExists,
        _ => StoreError::Unavailable(error.to_string().into()),
    }
}

/// The name of the database's file.
const DATABASE: &str = "store.db";

/// Measured: 15 % less CPU a message than 4096.
const PAGE_BYTES: u64 = 8192;

/// The write-ahead log is cut to this when it starts again after a checkpoint, should a long read have let it grow.
const WAL_KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// What leaves a page is wiped from it, for the page is written anyway; pages that become free keep what they hold. So
/// what is replaced later (`log::Replace`) has left no older copy behind where pages were split.
pub(super) const WIPED_IN_PASSING: &str = "FAST";

/// There is one writer, so only a checkpoint or an operator's own tool can be in the way.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Above the number of texts, so that none is ever compiled twice.
const STATEMENTS_MAX: usize = 128;
