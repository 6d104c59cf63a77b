//! What an operator sees of the store.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::writer::Shared;
use crate::error::StoreError;

/// Tells the recorder what the numbers mean.
pub(super) fn describe() {
    describe_histogram!(COMMIT_SECONDS, "time of a commit, with its fsync");
    describe_histogram!(BATCH_OPERATIONS, "operations in a commit");
    describe_gauge!(
        WAL_BYTES,
        "size of the write-ahead log; grows where a reader hangs"
    );
    describe_gauge!(
        TAIL_ENTRIES,
        "log entries in memory, not yet in the index on disk"
    );
    describe_gauge!(
        QUEUE_KIB,
        "data that waits to be written or is being written"
    );
    describe_counter!(ERRORS, "failed commits and reads, by kind");
}

/// A group of `operations` was committed in `took`.
pub(super) fn committed(shared: &Shared, took: Duration, operations: usize) {
    histogram!(COMMIT_SECONDS).record(took.as_secs_f64());
    histogram!(BATCH_OPERATIONS).record(operations as f64);
    gauge!(WAL_BYTES).set(shared.files.wal_bytes() as f64);
    gauge!(TAIL_ENTRIES).set(shared.tail.count() as f64);
}

/// So much more waits for the writer.
pub(super) fn queued(kib: usize) {
    gauge!(QUEUE_KIB).increment(kib as f64);
}

/// So much less waits for the writer.
pub(super) fn unqueued(kib: usize) {
    gauge!(QUEUE_KIB).decrement(kib as f64);
}

/// A commit or a read failed.
pub(super) fn failed(error: &StoreError) {
    counter!(ERRORS, "kind" => error.kind()).increment(1);
}

const COMMIT_SECONDS: &str = "rookery_store_commit_seconds";
const BATCH_OPERATIONS: &str = "rookery_store_batch_operations";
const WAL_BYTES: &str = "rookery_store_wal_bytes";
const TAIL_ENTRIES: &str = "rookery_store_tail_entries";
const QUEUE_KIB: &str = "rookery_store_queue_kib";
const ERRORS: &str = "rookery_store_errors_total";
