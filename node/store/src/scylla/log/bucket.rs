//! A bucket of a log, and what is in it.

use std::ops::RangeInclusive;

use uuid::Uuid;

use crate::error::StoreError;
use crate::log::Marks;
use crate::scylla::cql::Cql;
use crate::scylla::owner::Incarnation;

/// One partition of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::scylla) struct Bucket {
    /// Whose log.
    pub(in crate::scylla) at: Incarnation,
    /// Which bucket.
    pub(in crate::scylla) number: i64,
}

/// An entry without its stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) position: i64,
    pub(super) arrival: i64,
    pub(super) received: i64,
    pub(super) bytes: u64,
    pub(super) marks: Marks,
    /// The place that the stanza has in another log.
    pub(super) other: Option<(Bucket, i64)>,
}

/// A row as the driver gives it.
type Columns = (
    i64,
    i64,
    i64,
    i32,
    Option<i8>,
    Option<String>,
    Option<Uuid>,
    Option<i64>,
);

impl Bucket {
    /// The bucket in which `position`, packed, of a log is.
    pub(super) fn of(at: Incarnation, position: i64) -> Self {
        Self {
            at,
            number: number_of(position),
        }
    }

    /// The positions that it can hold.
    pub(super) fn positions(&self) -> RangeInclusive<i64> {
        let first = self.number << POSITION_BITS;
        first..=first | ((1 << POSITION_BITS) - 1)
    }

    /// The positions that it can hold, within `range`.
    pub(super) fn part_of(&self, range: &RangeInclusive<i64>) -> RangeInclusive<i64> {
        let own = self.positions();
        *own.start().max(range.start())..=*own.end().min(range.end())
    }

    /// Its partition key.
    pub(super) fn key(&self) -> (&str, Uuid, i64) {
        (&self.at.owner, self.at.number, self.number)
    }
}

impl Cql {
    /// The entries of a bucket within `range`, in order, one at each position.
    pub(super) async fn index(
        &self,
        bucket: &Bucket,
        range: &RangeInclusive<i64>,
    ) -> Result<Vec<Indexed>, StoreError> {
        let (owner, number, of) = bucket.key();
        let part = bucket.part_of(range);
        let values = (owner, number, of, *part.start(), *part.end());
        let rows: Vec<Columns> = self.rows(&self.statements.log_index, values).await?;
        let mut entries: Vec<Indexed> = rows.into_iter().map(Indexed::from).collect();
        // In order of arrival within a position, so the first stays.
        entries.dedup_by_key(|entry| entry.position);
        Ok(entries)
    }

    /// The numbers of the buckets that a log may have within `range` of positions, oldest first, each with the moment
    /// of its last registration in µs.
    pub(super) async fn buckets(
        &self,
        at: &Incarnation,
        range: &RangeInclusive<i64>,
    ) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        let (from, to) = (number_of(*range.start()), number_of(*range.end()));
        let values = (&at.owner, at.number, from, to);
        self.rows(&self.statements.buckets_up, values).await
    }
}

impl From<Columns> for Indexed {
    fn from(columns: Columns) -> Self {
        let (position, arrival, received, size, marks, owner, number, other) = columns;
        let other = match (owner, number, other) {
            (Some(owner), Some(number), Some(position)) => {
                let at = Incarnation { owner, number };
                Some((Bucket::of(at, position), position))
            }
            _ => None,
        };
        Self {
            position,
            arrival,
            received,
            bytes: u64::try_from(size).unwrap_or_default(),
            marks: Marks::stored(marks.map(i64::from)),
            other,
        }
    }
}

/// The bucket of a position.
pub(super) fn number_of(position: i64) -> i64 {
    position >> POSITION_BITS
}

/// 1024 positions a bucket: some 400 KB of usual messages, and 256 MB if each is as large as a client may send. Part of
/// the schema.
const POSITION_BITS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_is_in_the_bucket_of_its_number() {
        let at = Incarnation {
            owner: "juliet@capulet.example".to_owned(),
            number: Uuid::nil(),
        };
        for position in [0, 1023, 1024, i64::MAX] {
            let bucket = Bucket::of(at.clone(), position);
            assert!(bucket.positions().contains(&position), "{position}");
        }
        let second = Bucket::of(at, 1024);
        assert_eq!(second.positions(), 1024..=2047);
        assert_eq!(second.part_of(&(0..=1500)), 1024..=1500);
        assert!(second.part_of(&(0..=1000)).is_empty());
    }
}
