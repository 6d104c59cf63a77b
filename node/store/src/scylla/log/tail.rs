//! The upper end of a log: how high it ever was, and where its newest entries come from.

use super::Bucket;
use crate::codec::origin;
use crate::error::StoreError;
use crate::log::{Marks, Position, Recent};
use crate::scylla::cql::{Cql, Together};
use crate::scylla::cursor::position;
use crate::scylla::owner::Incarnation;

/// What is known of the upper end of a log.
pub(in crate::scylla) struct Top {
    /// The highest position that the log ever had.
    pub(in crate::scylla) high: Option<Position>,
    /// Those of its newest entries that have an origin, newest first.
    pub(in crate::scylla) recent: Vec<Recent>,
}

/// A position, and marks and packed origin of the entry there.
type Columns = (i64, Option<i8>, Option<Vec<u8>>);

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

    /// The upper end of a log: its newest `entries`, one at least.
    pub(in crate::scylla) async fn log_top(
        &self,
        at: &Incarnation,
        entries: usize,
    ) -> Result<Top, StoreError> {
        let statement = &self.statements.high_read;
        let removed: Option<(i64,)> = self.first(statement, (&at.owner, at.number)).await?;
        let removed = removed.map(|(packed,)| packed);
        // Below what was removed there is nothing to look for.
        let buckets = self.buckets(at, &(removed.unwrap_or(0)..=i64::MAX)).await?;
        let (mut newest, mut looked_at): (Vec<Columns>, usize) = (Vec::new(), 0);
        for (number, _) in buckets.into_iter().rev() {
            let at = at.clone();
            let missing = entries - newest.len();
            let rows = self.newest_of(&Bucket { at, number }, missing).await?;
            newest.extend(rows);
            looked_at += 1;
            if newest.len() == entries || (!newest.is_empty() && looked_at >= BUCKETS_MAX) {
                break;
            }
        }
        let high = removed.max(newest.first().map(|(packed, ..)| *packed));
        let recent = newest.into_iter().filter_map(|(at, marks, of)| {
            let of = of?;
            let recent = || {
                Ok(Recent {
                    position: position(at)?,
                    origin: origin(&of)?,
                    marks: Marks::stored(marks.map(i64::from)),
                })
            };
            Some(recent())
        });
        Ok(Top {
            high: high.map(position).transpose()?,
            recent: recent.collect::<Result<_, StoreError>>()?,
        })
    }

    /// The newest entries of a bucket, so many at most, newest first.
    async fn newest_of(&self, bucket: &Bucket, entries: usize) -> Result<Vec<Columns>, StoreError> {
        let (owner, incarnation, number) = bucket.key();
        // One more than is wanted tells whether the last is the right one.
        let rows = i32::try_from(entries + 1).unwrap_or(i32::MAX);
        let first = *bucket.positions().start();
        let values = (owner, incarnation, number, first, rows);
        let mut rows = self.rows(&self.statements.log_newest, values).await?;
        keep_first_to_arrive(&mut rows);
        rows.truncate(entries);
        Ok(rows)
    }
}

/// Of several rows at one position the first to arrive stays: the last, for they come newest first.
fn keep_first_to_arrive(rows: &mut Vec<Columns>) {
    rows.reverse();
    rows.dedup_by_key(|(position, ..)| *position);
    rows.reverse();
}

/// Each epoch begins another bucket, and what is sent again was appended in the last few. So a load takes no longer
/// where a log is spread over many.
const BUCKETS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_rows_at_one_position_the_first_to_arrive_stays() {
        let row = |position, text: &str| (position, None, Some(text.as_bytes().to_vec()));
        let mut rows = vec![row(3, "c"), row(2, "late"), row(2, "b"), row(1, "a")];
        keep_first_to_arrive(&mut rows);
        assert_eq!(rows, [row(3, "c"), row(2, "b"), row(1, "a")]);
    }
}
