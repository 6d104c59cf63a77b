//! Putting another stanza in an entry's place.
//!
//! All that is at the position is deleted, and the entry written again right behind, in one change. So nothing stays of
//! entries that found the position taken, nor of an append that was sent twice and comes late: it is older than the
//! deletion.

use bytes::Bytes;
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::Bucket;
use super::append::key_of;
use crate::error::StoreError;
use crate::log::{Marks, Position};
use crate::scylla::cql::{Cql, Together};
use crate::scylla::owner::Incarnation;

/// What stays of an entry: arrival, receipt, marks, the place in another log, origin.
type Columns = (
    i64,
    i64,
    Option<i8>,
    Option<String>,
    Option<Uuid>,
    Option<i64>,
    Option<Vec<u8>>,
);

impl Cql {
    /// [`replace_log`](crate::Store::replace_log).
    pub(in crate::scylla) async fn replace_log(
        &self,
        at: &Incarnation,
        position: Position,
        stanza: Bytes,
    ) -> Result<bool, StoreError> {
        let packed = position.pack();
        let bucket = Bucket::of(at.clone(), packed);
        let (owner, number, of) = bucket.key();
        let place = (owner, number, of, packed);
        let row: Option<Columns> = self.first(&self.statements.log_place, place).await?;
        let Some((arrival, received, marks, other_owner, other, other_position, origin)) = row
        else {
            return Ok(false);
        };
        let marks = Marks::stored(marks.map(i64::from));
        let key = key_of(&stanza, marks.contains(Marks::ARCHIVED));
        let stamp = self.stamps.next();
        let mut together = Together::new();
        let cleared = (stamp, owner.to_owned(), number, of, packed);
        together.add(&self.statements.log_clear_at, cleared);
        let values = (
            owner.to_owned(),
            number,
            of,
            packed,
            arrival,
            received,
            i32::try_from(stanza.len()).unwrap_or(i32::MAX),
            stanza,
            MaybeUnset::from_option(other_owner),
            MaybeUnset::from_option(other),
            MaybeUnset::from_option(other_position),
            self.stamps.arrival(),
            // Two bits.
            marks.bits() as i8,
            MaybeUnset::from_option(origin),
            MaybeUnset::from_option(key),
            stamp + 1,
        );
        together.add(&self.statements.log_insert_at, values);
        self.write_together(together).await?;
        Ok(true)
    }
}
