//! The embedded store keeps what the trait promises.

use std::sync::Arc;

use rookery_store::{SqliteOptions, SqliteStore, Store};
use tempfile::TempDir;

/// A store as operators have it: what a test appends stays in the tail.
mod as_configured {
    use super::*;

    fn open() -> (Arc<dyn Store>, TempDir) {
        with(SqliteOptions::default())
    }

    rookery_store::conformance!(open());
}

/// A store whose rounds are so short that nearly every commit writes the index.
mod with_short_rounds {
    use super::*;

    fn open() -> (Arc<dyn Store>, TempDir) {
        with(SqliteOptions {
            index_round_stanzas: 2,
            ..SqliteOptions::default()
        })
    }

    rookery_store::conformance!(open());
}

fn with(options: SqliteOptions) -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let store = SqliteStore::open(dir.path(), options).expect("an empty store can be opened");
    (Arc::new(store), dir)
}
