//! What a log holds: the sum over its buckets, each of which keeps its own.
//!
//! A bucket's sum holds while `sum_of` names the bucket's last change. So whoever appends or removes writes no sum, and
//! a sum is counted again, over one bucket, by whoever needs it after a change. A change and its name are one write;
//! the name is read before the entries are counted, so a sum that misses a change never names it.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Bucket;
use crate::error::StoreError;
use crate::log::LogUsage;
use crate::scylla::cql::Cql;
use crate::scylla::owner::Incarnation;

/// The sums of a bucket: the name of its last change, the name of that which the sums are of, entries, bytes.
type Sums = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);

impl Cql {
    /// [`log_usage`](crate::Store::log_usage): one row a bucket, and the buckets that have changed.
    pub(in crate::scylla) async fn log_usage(
        &self,
        at: &Incarnation,
    ) -> Result<LogUsage, StoreError> {
        let buckets = self.buckets(at, &(0..=i64::MAX)).await?;
        let sums: Vec<_> = buckets
            .into_iter()
            .map(|(number, _)| self.sum(at, number))
            .collect();
        let add = async |sum: LogUsage, bucket: LogUsage| {
            Ok(LogUsage {
                entries: sum.entries + bucket.entries,
                bytes: sum.bytes + bucket.bytes,
            })
        };
        stream::iter(sums)
            .buffer_unordered(AT_ONCE)
            .try_fold(LogUsage::default(), add)
            .await
    }

    async fn sum(&self, at: &Incarnation, number: i64) -> Result<LogUsage, StoreError> {
        let at = at.clone();
        let bucket = Bucket { at, number };
        let row: Option<Sums> = self.first(&self.statements.log_sums, bucket.key()).await?;
        let Some((Some(changed), sum_of, entries, bytes)) = row else {
            return Ok(LogUsage::default());
        };
        if let (Some(entries), Some(bytes), true) = (entries, bytes, sum_of == Some(changed)) {
            return Ok(LogUsage {
                entries: u64::try_from(entries).unwrap_or_default(),
                bytes: u64::try_from(bytes).unwrap_or_default(),
            });
        }
        let index = self.index(&bucket, &bucket.positions()).await?;
        let entries = index.len() as u64;
        let bytes = index.iter().map(|entry| entry.bytes).sum();
        let (owner, incarnation, number) = bucket.key();
        let values = (
            changed,
            i64::try_from(entries).unwrap_or(i64::MAX),
            i64::try_from(bytes).unwrap_or(i64::MAX),
            owner,
            incarnation,
            number,
        );
        self.write(&self.statements.log_set_sums, values).await?;
        Ok(LogUsage { entries, bytes })
    }
}

/// Buckets looked at the same time.
const AT_ONCE: usize = 16;
