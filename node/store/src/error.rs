//! Why the store refused, split by who is to blame.

use std::sync::Arc;

use rookery_xmpp::clock::Timestamp;

/// Why a [`Store`](crate::Store) method did not do what was asked.
///
/// After [`Full`](Self::Full), [`Busy`](Self::Busy) and [`Unavailable`](Self::Unavailable) a
/// mutation counts as not done, but after a crash that follows it may be found done: whoever tries
/// again must be idempotent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The caller: what was to be created is there.
    #[error("it already exists")]
    AlreadyExists,
    /// The caller: the name looks like that of another account.
    #[error("the name looks like that of the account {with}")]
    Confusable {
        /// The localpart of the other account; of several one.
        with: Arc<str>,
    },
    /// The caller: the name belonged to an account that was deleted.
    #[error("the name belonged to an account that is gone{}", shown_until(.until))]
    Gone {
        /// From when on it may be had again; never without it.
        until: Option<Timestamp>,
    },
    /// The caller: what was to be changed is not there.
    #[error("there is no such account")]
    NotFound,
    /// The caller: a value is outside the store's limits.
    #[error("refused by the store: {0}")]
    Invalid(&'static str),
    /// The operator: the disk (or the configured size of the store) is full. Clients hear
    /// `wait/resource-constraint`; the store recovers by itself when there is space.
    #[error("the disk is full")]
    Full,
    /// The load: no room in the store's queue within the configured time. Clients hear
    /// `wait/resource-constraint`.
    #[error("the store has more work than it can take")]
    Busy,
    /// The machine: an I/O error, a database out of reach or too slow, or the store is shut down.
    /// Clients hear `wait/resource-constraint`. The next call tries again from a clean state.
    #[error("the store is not available: {0}")]
    Unavailable(Arc<str>),
    /// The disk: what is stored does not make sense.
    #[error("stored data is damaged: {0}")]
    Corrupt(Arc<str>),
    /// The operator: this binary is older than the data. Nothing was changed.
    #[error(
        "the store has schema version {found}, this binary knows versions up to {known}: \
         run a newer rookery, or restore a backup made by this one"
    )]
    NewerSchema {
        /// The version of the data on disk.
        found: u32,
        /// The newest version that this binary can use.
        known: u32,
    },
}

fn shown_until(until: &Option<Timestamp>) -> String {
    until.map_or_else(String::new, |until| {
        format!(" until {}", rookery_xmpp::datetime::format(until))
    })
}

impl StoreError {
    /// Whether it says that an account cannot be created under its name: nothing is wrong with the store.
    pub fn is_about_name(&self) -> bool {
        matches!(
            self,
            Self::AlreadyExists | Self::Confusable { .. } | Self::Gone { .. }
        )
    }

    /// A short stable word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "already_exists",
            Self::Confusable { .. } => "confusable",
            Self::Gone { .. } => "gone",
            Self::NotFound => "not_found",
            Self::Invalid(_) => "invalid",
            Self::Full => "full",
            Self::Busy => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Corrupt(_) => "corrupt",
            Self::NewerSchema { .. } => "newer_schema",
        }
    }
}
