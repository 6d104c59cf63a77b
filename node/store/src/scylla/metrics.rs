//! What an operator sees of the store.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_histogram, histogram};

use crate::error::StoreError;

/// Tells the recorder what the numbers mean.
pub(super) fn describe() {
    describe_histogram!(CALL_SECONDS, "time of a call of the store, by its kind");
    describe_counter!(ERRORS, "failed calls, by kind of error");
    describe_counter!(
        UNKNOWN,
        "conditional writes whose outcome had to be looked up"
    );
}

/// A call of that kind has `took` so long.
pub(super) fn called(kind: &'static str, took: Duration) {
    histogram!(CALL_SECONDS, "call" => kind).record(took.as_secs_f64());
}

/// A call failed.
pub(super) fn failed(error: &StoreError) {
    counter!(ERRORS, "kind" => error.kind()).increment(1);
}

/// Nobody knows whether a conditional write was done.
pub(super) fn unknown_outcome() {
    counter!(UNKNOWN).increment(1);
}

const CALL_SECONDS: &str = "rookery_store_call_seconds";
const ERRORS: &str = "rookery_store_errors_total";
const UNKNOWN: &str = "rookery_store_unknown_outcomes_total";
