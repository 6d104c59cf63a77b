//! What SQLite's errors mean to the caller, and to the group that an operation was in.

use rusqlite::ErrorCode;

use crate::codec::corrupt;
use crate::error::StoreError;

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The operation alone is refused, and has changed nothing: the others of its group go on.
    Refused(StoreError),
    /// SQLite failed: the whole group is lost and its connection is not to be trusted.
    Broken(rusqlite::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match &error {
            E::SqliteFailure(cause, _) => match cause.code {
                ErrorCode::DiskFull => Self::Full,
                // The shared memory file could not grow: it lies beside the database.
                _ if cause.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => Self::Full,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => corrupt(&error),
                _ => Self::Unavailable(error.to_string().into()),
            },
            E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) => corrupt(&error),
            E::InvalidColumnType(..) | E::Utf8Error(..) => corrupt(&error),
            _ => Self::Unavailable(error.to_string().into()),
        }
    }
}
