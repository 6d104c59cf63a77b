//! The log on SQLite: [`SqliteLog`].

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use protobuf::Message;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use super::store::{LogStore, Recovered, StoreError, Write};
use crate::state::{ControlState, Members, NodeId};

/// The log and snapshots of one member in `control.sqlite`, in WAL mode with every commit synced.
///
/// Every record carries a check sum over its index and bytes, because SQLite checks none and a member that read a
/// flipped bit would part from the others in silence. The database is held exclusively while it is open.
pub struct SqliteLog {
    connection: Connection,
}

impl SqliteLog {
    /// Opens the member's log below `dir`, which is made (mode 0700) if it is not there. An empty one begins a group
    /// with these `voters`, which must be the same for all of them; without any it waits to be added to a group.
    ///
    /// # Errors
    /// See [`StoreError`]: a database that is damaged, in use, another node's or a newer build's is left as it is.
    pub fn open(
        dir: &Path,
        node: NodeId,
        voters: &[NodeId],
    ) -> Result<(Self, Recovered), StoreError> {
        let path = prepare_files(dir).map_err(|error| from_io(&error))?;
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        let transaction = connection.transaction()?;
        let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match found {
            0 => create(&transaction, node, voters)?,
            FORMAT => check_node(&transaction, node)?,
            found if found > FORMAT => {
                return Err(StoreError::Newer {
                    found,
                    known: FORMAT,
                });
            }
            found => return Err(StoreError::Corrupt(format!("format {found}"))),
        }
        let recovered = recover(&transaction)?;
        transaction.commit()?;
        Ok((Self { connection }, recovered))
    }

    /// The most pages the database may have, to try a full disk.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
    }
}

impl LogStore for SqliteLog {
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for write in writes {
            put(&transaction, write)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Makes the directory and the file for the owner alone; SQLite gives its side files the same mode.
fn prepare_files(dir: &Path) -> std::io::Result<std::path::PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = dir.join("control.sqlite");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    // The folder's own name too: what is synced in a folder is lost with it.
    let above = dir.parent().filter(|it| !it.as_os_str().is_empty());
    for folder in [dir, above.unwrap_or_else(|| Path::new("."))] {
        File::open(folder)?.sync_all()?;
    }
    Ok(path)
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.set_prepared_statement_cache_capacity(16);
    // Takes the exclusive lock now, so that a second process fails here.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    Ok(())
}

fn create(
    transaction: &Transaction<'_>,
    node: NodeId,
    voters: &[NodeId],
) -> Result<(), StoreError> {
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 {
        return Err(StoreError::Foreign(
            "it has tables, but no format".to_owned(),
        ));
    }
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    let snapshot = first_snapshot(voters);
    let meta = snapshot.get_metadata();
    put_snapshot(transaction, &snapshot)?;
    transaction.execute(
        "INSERT INTO member (node, incarnation, start_index, start_term, term, vote, commit_index)
         VALUES (?1, 0, ?2, ?3, ?3, 0, ?2)",
        params![node.get(), meta.index, meta.term],
    )?;
    Ok(())
}

/// What every member of a new group begins with: the empty state and its voters. What waits for a group begins
/// before that, so that it can only go on from a member's snapshot.
pub(super) fn first_snapshot(voters: &[NodeId]) -> Snapshot {
    if voters.is_empty() {
        let mut snapshot = Snapshot::default();
        snapshot.set_data(ControlState::default().snapshot().into());
        return snapshot;
    }
    let voters: Vec<u64> = voters.iter().map(|node| node.get()).collect();
    let mut state = ControlState::default();
    state.skip(FIRST_INDEX);
    state.set_members(Members::new(&voters, &[]));
    let mut snapshot = Snapshot::default();
    snapshot.set_data(state.snapshot().into());
    let meta = snapshot.mut_metadata();
    meta.index = FIRST_INDEX;
    meta.term = FIRST_TERM;
    meta.set_conf_state(ConfState {
        voters,
        ..ConfState::default()
    });
    snapshot
}

fn check_node(transaction: &Transaction<'_>, node: NodeId) -> Result<(), StoreError> {
    let found: u64 = transaction.query_row("SELECT node FROM member", [], |row| row.get(0))?;
    if found == node.get() {
        return Ok(());
    }
    Err(StoreError::Foreign(format!(
        "it belongs to node {found}, this is node {node}"
    )))
}

fn recover(transaction: &Transaction<'_>) -> Result<Recovered, StoreError> {
    transaction.execute("UPDATE member SET incarnation = incarnation + 1", [])?;
    let (incarnation, start, mut hard_state) = transaction.query_row(
        "SELECT incarnation, start_index, start_term, term, vote, commit_index FROM member",
        [],
        |row| {
            let (term, vote, commit) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let hard_state = HardState {
                term,
                vote,
                commit,
                ..HardState::default()
            };
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?), hard_state))
        },
    )?;
    let snapshot = read_snapshot(transaction)?;
    let entries = read_entries(transaction, start)?;
    let index = snapshot.get_metadata().index;
    hard_state.commit = hard_state.commit.max(index);
    let last = start.0 + entries.len() as u64;
    if index < start.0 || last < hard_state.commit {
        return Err(StoreError::Corrupt(format!(
            "log ({}, {last}] does not reach from snapshot {index} to commit {}",
            start.0, hard_state.commit
        )));
    }
    Ok(Recovered {
        start,
        entries,
        snapshot,
        hard_state,
        incarnation,
    })
}

fn read_snapshot(transaction: &Transaction<'_>) -> Result<Snapshot, StoreError> {
    let stored = transaction
        .query_row(
            "SELECT snapshot_index, bytes, checksum FROM snapshot",
            [],
            |row| {
                Ok((
                    row.get::<_, u64>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                ))
            },
        )
        .optional()?;
    let Some((index, bytes, sum)) = stored else {
        return Err(StoreError::Corrupt("no snapshot".to_owned()));
    };
    let snapshot: Snapshot = decode("snapshot", index, &bytes, &sum)?;
    ControlState::restore(snapshot.get_data())?;
    Ok(snapshot)
}

fn read_entries(
    transaction: &Transaction<'_>,
    start: (u64, u64),
) -> Result<Vec<Entry>, StoreError> {
    let mut statement = transaction
        .prepare("SELECT entry_index, bytes, checksum FROM entry ORDER BY entry_index")?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    let (mut index, mut term) = start;
    while let Some(row) = rows.next()? {
        let stored: u64 = row.get(0)?;
        let entry: Entry = decode(
            "entry",
            stored,
            row.get_ref(1)?.as_blob()?,
            row.get_ref(2)?.as_blob()?,
        )?;
        if entry.index != index + 1 || stored != entry.index || entry.term < term {
            return Err(StoreError::Corrupt(format!(
                "entry {stored} does not follow {index}"
            )));
        }
        (index, term) = (entry.index, entry.term);
        entries.push(entry);
    }
    Ok(entries)
}

fn decode<M: Message + Default>(
    what: &str,
    index: u64,
    bytes: &[u8],
    sum: &[u8],
) -> Result<M, StoreError> {
    let corrupt = |why: &str| StoreError::Corrupt(format!("{what} {index}: {why}"));
    if checksum(index, bytes) != sum {
        return Err(corrupt("check sum does not match"));
    }
    let mut message = M::default();
    message
        .merge_from_bytes(bytes)
        .map_err(|error| corrupt(&error.to_string()))?;
    Ok(message)
}

fn encode(message: &impl Message) -> Result<Vec<u8>, StoreError> {
    message
        .write_to_bytes()
        .map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn checksum(index: u64, bytes: &[u8]) -> [u8; 8] {
    let digest = Sha256::new()
        .chain_update(index.to_be_bytes())
        .chain_update(bytes)
        .finalize();
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest[..8]);
    sum
}

fn put(transaction: &Transaction<'_>, write: &Write) -> Result<(), StoreError> {
    if let Some(snapshot) = &write.install {
        let meta = snapshot.get_metadata();
        put_snapshot(transaction, snapshot)?;
        put_start(transaction, (meta.index, meta.term))?;
        transaction.execute("DELETE FROM entry", [])?;
    }
    put_entries(transaction, &write.entries)?;
    if let Some(hard_state) = &write.hard_state {
        transaction
            .prepare_cached("UPDATE member SET term = ?1, vote = ?2, commit_index = ?3")?
            .execute(params![hard_state.term, hard_state.vote, hard_state.commit])?;
    }
    if let Some((snapshot, start)) = &write.compact {
        put_snapshot(transaction, snapshot)?;
        put_start(transaction, *start)?;
        transaction.execute("DELETE FROM entry WHERE entry_index <= ?1", [start.0])?;
    }
    Ok(())
}

fn put_entries(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), StoreError> {
    let Some(first) = entries.first() else {
        return Ok(());
    };
    transaction
        .prepare_cached("DELETE FROM entry WHERE entry_index >= ?1")?
        .execute([first.index])?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO entry (entry_index, bytes, checksum) VALUES (?1, ?2, ?3)")?;
    for entry in entries {
        let bytes = encode(entry)?;
        insert.execute(params![entry.index, bytes, checksum(entry.index, &bytes)])?;
    }
    Ok(())
}

fn put_snapshot(transaction: &Transaction<'_>, snapshot: &Snapshot) -> Result<(), StoreError> {
    let index = snapshot.get_metadata().index;
    let bytes = encode(snapshot)?;
    transaction.execute(
        "REPLACE INTO snapshot (one, snapshot_index, bytes, checksum) VALUES (1, ?1, ?2, ?3)",
        params![index, bytes, checksum(index, &bytes)],
    )?;
    Ok(())
}

fn put_start(transaction: &Transaction<'_>, start: (u64, u64)) -> Result<(), StoreError> {
    transaction.execute(
        "UPDATE member SET start_index = ?1, start_term = ?2",
        params![start.0, start.1],
    )?;
    Ok(())
}

fn from_io(error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Io(error.to_string()),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Corrupt(error.to_string())
            }
            Some(_) => Self::Io(error.to_string()),
            // Not from SQLite's engine: a value of another type than our schema has.
            None => Self::Corrupt(error.to_string()),
        }
    }
}

impl From<rusqlite::types::FromSqlError> for StoreError {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// The format of the database, in SQLite's `user_version`.
const FORMAT: i64 = 1;

/// A group begins as if everything up to here had been said: members that join later get it as a snapshot.
const FIRST_INDEX: u64 = 1;
const FIRST_TERM: u64 = 1;

/// `member` and `snapshot` have one row. `start_…` is the entry before the first one stored.
const SCHEMA: &str = "
CREATE TABLE member (
    node INTEGER NOT NULL, incarnation INTEGER NOT NULL,
    start_index INTEGER NOT NULL, start_term INTEGER NOT NULL,
    term INTEGER NOT NULL, vote INTEGER NOT NULL, commit_index INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshot (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    snapshot_index INTEGER NOT NULL, bytes BLOB NOT NULL, checksum BLOB NOT NULL
) STRICT;
CREATE TABLE entry (
    entry_index INTEGER PRIMARY KEY, bytes BLOB NOT NULL, checksum BLOB NOT NULL
) STRICT;
";

#[cfg(test)]
mod tests;
