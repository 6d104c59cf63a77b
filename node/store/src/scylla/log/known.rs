//! What this process has lately registered: that a bucket exists, and that it holds stanzas of a day.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Bucket;

/// Remembers registrations, so that they are written once in some minutes and not with each entry.
#[derive(Debug, Default)]
pub(in crate::scylla) struct Known {
    registered: Mutex<HashMap<(Bucket, i32), Instant>>,
}

impl Known {
    /// Whether it was registered lately that `bucket` holds stanzas of `day`.
    pub(super) fn contains(&self, bucket: &Bucket, day: i32) -> bool {
        let key = (bucket.clone(), day);
        self.registered()
            .get(&key)
            .is_some_and(|at| at.elapsed() < VALID)
    }

    /// It was registered now.
    pub(super) fn insert(&self, bucket: Bucket, day: i32) {
        let mut registered = self.registered();
        if registered.len() >= ENTRIES_MAX {
            // Each is written again at its next use, which costs less than to keep an order.
            registered.clear();
        }
        registered.insert((bucket, day), Instant::now());
    }

    fn registered(&self) -> MutexGuard<'_, HashMap<(Bucket, i32), Instant>> {
        self.registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some 10 MB.
const ENTRIES_MAX: usize = 65_536;

/// Far below [`FORGOTTEN_AFTER`], so that no bucket is forgotten that somebody still takes for registered.
const VALID: Duration = Duration::from_secs(600);

/// How long the last registration of an empty bucket must be ago for it to be forgotten.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
