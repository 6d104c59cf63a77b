//! The online copy, by SQLite's backup API on the writer's own connection.
//!
//! From any other connection each commit would begin the copy anew, and under load it would never end.
//! `VACUUM INTO` holds one read transaction for the whole copy, so that the write-ahead log grows meanwhile, and was
//! measured to push the p99 of an append to 79 ms. Here the writer copies some pages between two
//! groups; what a group changes in pages that are already copied, SQLite writes to the copy as well.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rusqlite::Connection;
use rusqlite::backup::{Backup as Copy, StepResult};
use tokio::sync::oneshot;

use super::Writer;
use super::queue::Room;
use super::session::Session;
use crate::error::StoreError;
use crate::sqlite::files::{io_error, private_file};

/// A copy that is asked for.
pub(super) struct Backup {
    path: PathBuf,
    reply: oneshot::Sender<Result<(), StoreError>>,
    _room: Room,
}

impl Backup {
    pub(super) fn new(
        path: PathBuf,
        reply: oneshot::Sender<Result<(), StoreError>>,
        room: Room,
    ) -> Self {
        Self {
            path,
            reply,
            _room: room,
        }
    }

    /// Makes the copy while `writer` goes on committing, and answers.
    pub(super) fn run(self, writer: &mut Writer) {
        let Self { path, reply, _room } = self;
        let outcome = write(&path, writer);
        if let Err(error) = &outcome {
            tracing::warn!(%error, path = %path.display(), "backup failed");
        }
        // Whoever asked may have gone; the file is there all the same.
        let _gone = reply.send(outcome);
    }
}

/// Copies to a file beside `path` and gives it its name when it is whole.
fn write(path: &Path, writer: &mut Writer) -> Result<(), StoreError> {
    if path.exists() {
        return Err(StoreError::AlreadyExists);
    }
    let mut part = path.to_owned().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let outcome = copy(&part, writer).and_then(|()| publish(&part, path));
    if outcome.is_err() {
        // It may not even be there.
        let _gone = std::fs::remove_file(&part);
    }
    outcome
}

/// Copies the database to `part`, some pages after each group.
fn copy(part: &Path, writer: &mut Writer) -> Result<(), StoreError> {
    let conn = Rc::clone(writer.session()?.connection());
    private_file(part)?.set_len(0).map_err(io_error)?;
    let mut target = Connection::open(part)?;
    // A copy that is cut short is thrown away, and a whole one is synced once.
    target.pragma_update(None, "journal_mode", "OFF")?;
    target.pragma_update(None, "synchronous", "OFF")?;
    let copy = Copy::new(&conn, &mut target)?;
    while copy.step(STEP_PAGES)? != StepResult::Done {
        writer.turn();
        let is_same = |session: &Session| Rc::ptr_eq(session.connection(), &conn);
        if !writer.session.as_ref().is_some_and(is_same) {
            return Err(StoreError::Unavailable(
                "a write failed during the copy".into(),
            ));
        }
    }
    Ok(())
}

/// Makes the copy durable, then its name.
fn publish(part: &Path, path: &Path) -> Result<(), StoreError> {
    File::open(part)
        .and_then(|file| file.sync_all())
        .map_err(io_error)?;
    std::fs::rename(part, path).map_err(io_error)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error)
}

/// Pages between two groups: 2 MiB, some milliseconds.
const STEP_PAGES: i32 = 256;
