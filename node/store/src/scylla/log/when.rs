//! Where in a log a time begins.
//!
//! Times grow along the positions but for what clocks differ by ([`TIMES_FALL`](crate::log::TIMES_FALL)). So the bucket
//! is found by halves, one row for each look, and in it the position, in one read without stanzas.

use std::ops::RangeInclusive;

use rookery_xmpp::clock::Timestamp;

use super::Bucket;
use crate::codec::millis;
use crate::error::StoreError;
use crate::scylla::cql::Cql;
use crate::scylla::owner::Incarnation;

impl Cql {
    /// The position within `range` below which every entry is older than `moment`, and from which on none is; the one
    /// behind its end if all are older.
    pub(super) async fn first_since(
        &self,
        at: &Incarnation,
        range: &RangeInclusive<i64>,
        moment: Timestamp,
    ) -> Result<i64, StoreError> {
        let (moment, buckets) = (millis(moment), self.buckets(at, range).await?);
        let bucket = |number| Bucket {
            at: at.clone(),
            number,
        };
        // Buckets below `low` begin with what is older, those from `high` on with what is not.
        let (mut low, mut high) = (0, buckets.len());
        while low < high {
            let middle = low + (high - low) / 2;
            // Where buckets are empty the next one speaks for them.
            let (mut begins, mut told_by) = (None, middle);
            while begins.is_none() && told_by < high {
                begins = self.begins(&bucket(buckets[told_by].0)).await?;
                told_by += 1;
            }
            match begins {
                Some(received) if received < moment => low = told_by,
                _ => high = middle,
            }
        }
        let Some((number, _)) = low.checked_sub(1).and_then(|last| buckets.get(last)) else {
            return Ok(*range.start());
        };
        let last = bucket(*number);
        let entries = self.index(&last, range).await?;
        let first = entries.iter().find(|entry| entry.received >= moment);
        let behind = last.part_of(range).end().saturating_add(1);
        Ok(first.map_or(behind, |entry| entry.position))
    }

    /// When the first entry of a bucket was received, if there is one.
    async fn begins(&self, bucket: &Bucket) -> Result<Option<i64>, StoreError> {
        let statement = &self.statements.log_begins;
        let row: Option<(Option<i64>,)> = self.first(statement, bucket.key()).await?;
        Ok(row.and_then(|(received,)| received))
    }
}
