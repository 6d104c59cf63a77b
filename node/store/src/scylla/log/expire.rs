//! Expiry: by the day on which stanzas were received, bucket by bucket.

use std::collections::{HashMap, HashSet};

use rookery_xmpp::clock::Timestamp;
use uuid::Uuid;

use super::Bucket;
use super::append::day_of;
use super::bucket::Indexed;
use super::remove::runs;
use crate::codec::millis;
use crate::error::StoreError;
use crate::scylla::cql::Cql;
use crate::scylla::owner::Incarnation;
use crate::scylla::slice::SLICES;

impl Cql {
    /// [`expire_log`](crate::Store::expire_log). What is of the days before is found by their lists; a bucket's change
    /// is atomic.
    pub(in crate::scylla) async fn expire_log(
        &self,
        older_than: Timestamp,
    ) -> Result<u64, StoreError> {
        let last = day_of(older_than);
        let days: Vec<(i32,)> = self.rows(&self.statements.days_read, (last,)).await?;
        let mut expired = 0;
        for (day,) in days {
            for slice in 0..SLICES {
                expired += self.expire_slice(day, slice, millis(older_than)).await?;
            }
            // Of this day nothing is left, and nobody takes it for registered.
            if day < last && day + DAYS_KEPT < day_of(Timestamp::now()) {
                for slice in 0..SLICES {
                    self.write(&self.statements.day_forget, (day, slice))
                        .await?;
                }
                self.write(&self.statements.days_forget, (day,)).await?;
            }
        }
        Ok(expired)
    }

    async fn expire_slice(&self, day: i32, slice: i16, older: i64) -> Result<u64, StoreError> {
        let statement = &self.statements.day_read;
        let buckets: Vec<(String, Uuid, i64)> = self.rows(statement, (day, slice)).await?;
        let mut expired = 0;
        for (owner, incarnation, number) in buckets {
            let at = Incarnation {
                owner,
                number: incarnation,
            };
            expired += self.expire_bucket(&Bucket { at, number }, older).await?;
        }
        Ok(expired)
    }

    /// Removes what is old of a bucket, and the second places of the same stanzas: so each counts once.
    async fn expire_bucket(&self, bucket: &Bucket, older: i64) -> Result<u64, StoreError> {
        let entries = self.index(bucket, &bucket.positions()).await?;
        let is_old = |entry: &Indexed| entry.received < older;
        let mut others: HashMap<&Bucket, HashSet<(i64, i64)>> = HashMap::new();
        for entry in entries.iter().filter(|entry| is_old(entry)) {
            if let Some((other, position)) = &entry.other {
                let places = others.entry(other).or_default();
                places.insert((*position, entry.arrival));
            }
        }
        for (other, places) in others {
            let theirs = self.index(other, &other.positions()).await?;
            let same = |entry: &Indexed| places.contains(&(entry.position, entry.arrival));
            self.remove_from(other, &runs(&theirs, same)).await?;
        }
        self.remove_from(bucket, &runs(&entries, is_old)).await?;
        Ok(entries.iter().filter(|entry| is_old(entry)).count() as u64)
    }
}

/// Days whose lists stay: longer than a registration is taken for valid.
const DAYS_KEPT: i32 = 2;
