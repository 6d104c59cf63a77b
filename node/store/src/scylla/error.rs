//! What the driver's errors mean to the caller.

use scylla::errors::{
    DbError, ExecutionError, FirstRowError, IntoRowsResultError, MaybeFirstRowError,
    NewSessionError, PrepareError, RequestAttemptError, RowsError,
};

use crate::codec::corrupt;
use crate::error::StoreError;

impl From<ExecutionError> for StoreError {
    fn from(error: ExecutionError) -> Self {
        match &error {
            ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Overloaded | DbError::RateLimitReached { .. },
                _,
            )) => Self::Busy,
            _ => unavailable(&error),
        }
    }
}

impl From<PrepareError> for StoreError {
    fn from(error: PrepareError) -> Self {
        unavailable(&error)
    }
}

impl From<NewSessionError> for StoreError {
    fn from(error: NewSessionError) -> Self {
        unavailable(&error)
    }
}

impl From<IntoRowsResultError> for StoreError {
    fn from(error: IntoRowsResultError) -> Self {
        corrupt(&error)
    }
}

impl From<RowsError> for StoreError {
    fn from(error: RowsError) -> Self {
        corrupt(&error)
    }
}

impl From<MaybeFirstRowError> for StoreError {
    fn from(error: MaybeFirstRowError) -> Self {
        corrupt(&error)
    }
}

impl From<FirstRowError> for StoreError {
    fn from(error: FirstRowError) -> Self {
        corrupt(&error)
    }
}

impl From<scylla::errors::DeserializationError> for StoreError {
    fn from(error: scylla::errors::DeserializationError) -> Self {
        corrupt(&error)
    }
}

/// The database cannot be reached, or did not do it, for the reason `cause`.
pub(super) fn unavailable(cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(cause.to_string().into())
}
