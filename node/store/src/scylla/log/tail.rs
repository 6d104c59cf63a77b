//! How high a log ever was.

use super::Bucket;
use crate::error::StoreError;
use crate::log::Position;
use crate::scylla::cql::{Cql, Together};
use crate::scylla::cursor::position;
use crate::scylla::owner::Incarnation;

impl Cql {
    /// Remembers that a log was so high: before the entry is removed, or without one.
    pub(in crate::scylla) async fn raise(
        &self,
        at: &Incarnation,
        highest: i64,
    ) -> Result<(), StoreError> {
        let values = (at.owner.clone(), at.number, highest);
        let mut together = Together::new();
        together.add(&self.statements.high_put, values.clone());
        together.add(&self.statements.high_trim, values);
        self.write_together(together).await
    }

    /// The highest position that a log ever had.
    pub(in crate::scylla) async fn log_tail(
        &self,
        at: &Incarnation,
    ) -> Result<Option<Position>, StoreError> {
        let statement = &self.statements.high_read;
        let removed: Option<(i64,)> = self.first(statement, (&at.owner, at.number)).await?;
        let removed = removed.map(|(packed,)| packed);
        // Below what was removed there is nothing to look for.
        let buckets = self.buckets(at, &(removed.unwrap_or(0)..=i64::MAX)).await?;
        let mut newest = removed;
        for (number, _) in buckets.into_iter().rev() {
            let at = at.clone();
            let bucket = Bucket { at, number };
            let (owner, incarnation, number) = bucket.key();
            let values = (owner, incarnation, number, *bucket.positions().start());
            let row: Option<(i64,)> = self.first(&self.statements.log_newest, values).await?;
            if let Some((packed,)) = row {
                newest = newest.max(Some(packed));
                break;
            }
        }
        newest.map(position).transpose()
    }
}
