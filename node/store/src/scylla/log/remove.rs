//! Removing a range.

use std::ops::RangeInclusive;
use std::time::Duration;

use rookery_xmpp::clock::Timestamp;

use super::Bucket;
use super::bucket::Indexed;
use super::known::FORGOTTEN_AFTER;
use crate::error::StoreError;
use crate::log::LogRange;
use crate::scylla::cql::{Cql, Together};
use crate::scylla::owner::Incarnation;

impl Cql {
    /// [`remove_log`](crate::Store::remove_log): bucket by bucket.
    pub(in crate::scylla) async fn remove_log(
        &self,
        at: &Incarnation,
        range: LogRange,
    ) -> Result<u64, StoreError> {
        let (mut removed, packed) = (0, range.packed());
        for (number, registered) in self.buckets(at, &packed).await? {
            let at = at.clone();
            let bucket = Bucket { at, number };
            let entries = self.index(&bucket, &packed).await?;
            let is_meant = |entry: &Indexed| range.takes(entry.marks);
            self.remove_from(&bucket, &runs(&entries, is_meant)).await?;
            removed += entries.iter().filter(|entry| is_meant(entry)).count() as u64;
            if entries.is_empty() {
                self.forget_if_done(&bucket, registered).await?;
            }
        }
        Ok(removed)
    }

    /// Removes runs of positions, in order, from a bucket: one change. What is removed is remembered as the log's
    /// height before.
    pub(super) async fn remove_from(
        &self,
        bucket: &Bucket,
        runs: &[RangeInclusive<i64>],
    ) -> Result<(), StoreError> {
        let Some(highest) = runs.last().map(|run| *run.end()) else {
            return Ok(());
        };
        self.raise(&bucket.at, highest).await?;
        let mut together = Together::new();
        let (owner, incarnation, number) = bucket.key();
        let changed = self.stamps.arrival();
        let values = (changed, owner.to_owned(), incarnation, number);
        together.add(&self.statements.log_changed, values);
        for run in runs {
            let values = (
                owner.to_owned(),
                incarnation,
                number,
                *run.start(),
                *run.end(),
            );
            together.add(&self.statements.log_delete, values);
        }
        self.write_together(together).await
    }

    /// Forgets a bucket in which nothing is and nothing comes any more: nobody has registered it for long. As of that
    /// registration, so a newer one stands.
    async fn forget_if_done(
        &self,
        bucket: &Bucket,
        registered: Option<i64>,
    ) -> Result<(), StoreError> {
        let Some(stamp) = registered else {
            return Ok(());
        };
        let since_epoch = Duration::from_micros(u64::try_from(stamp).unwrap_or_default());
        let registered = Timestamp::default().plus(since_epoch);
        let whole = bucket.positions();
        if Timestamp::now().since(registered) < FORGOTTEN_AFTER
            || !self.index(bucket, &whole).await?.is_empty()
        {
            return Ok(());
        }
        let (owner, incarnation, number) = bucket.key();
        self.write(
            &self.statements.bucket_forget,
            (stamp, owner, incarnation, number),
        )
        .await
    }
}

/// The runs of positions that entries fill, where `picked` says which; entries that stay end a run.
pub(super) fn runs(
    entries: &[Indexed],
    picked: impl Fn(&Indexed) -> bool,
) -> Vec<RangeInclusive<i64>> {
    let both_picked = |one: &Indexed, other: &Indexed| picked(one) && picked(other);
    let groups = entries.chunk_by(both_picked);
    let picked_groups = groups.filter(|group| picked(&group[0]));
    picked_groups
        .map(|group| group[0].position..=group[group.len() - 1].position)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Marks;

    #[test]
    fn runs_end_where_an_entry_stays() {
        let entry = |position| Indexed {
            position,
            arrival: 0,
            received: 0,
            bytes: 0,
            marks: Marks::OWED,
            other: None,
        };
        let entries: Vec<Indexed> = [1, 2, 5, 6, 7, 9].map(entry).into();
        let of = |picked: &[i64]| runs(&entries, |entry| picked.contains(&entry.position));
        assert_eq!(of(&[1, 2, 5, 7, 9]), [1..=5, 7..=9]);
        assert_eq!(of(&[6]), [6..=6]);
        assert_eq!(of(&[]), []);
    }
}
