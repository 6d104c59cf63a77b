//! The memory store keeps what the trait promises.

use std::sync::Arc;

use rookery_store::{MemoryStore, Store};

fn open() -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::new()), ())
}

rookery_store::conformance!(open());
