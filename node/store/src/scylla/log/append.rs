//! Appending.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use scylla::value::MaybeUnset;

use super::Bucket;
use crate::codec::millis;
use crate::error::StoreError;
use crate::log::{Append, Key, Marks, Place};
use crate::scylla::cql::{Cql, Together};
use crate::scylla::owner::Incarnation;
use crate::scylla::slice::slice_of;

/// A place and its stanza: a row to be written.
struct Row<'a> {
    append: &'a Append,
    position: i64,
    marks: Marks,
    arrival: i64,
    other: Option<(Incarnation, i64)>,
    key: Option<i64>,
}

impl Cql {
    /// [`append`](crate::Store::append). Each bucket gets its entries in one change, or in several when they are many.
    pub(in crate::scylla) async fn append(&self, entries: Vec<Append>) -> Result<(), StoreError> {
        let incarnations = self.incarnations(&entries).await?;
        let mut buckets: HashMap<Bucket, Vec<Row<'_>>> = HashMap::new();
        for append in &entries {
            let arrival = self.stamps.arrival();
            let key = key_of(&append.stanza, append.is_archived());
            let place = |place: &Place| {
                let at = incarnations.get(&place.owner).cloned()?;
                Some((at, place.position.pack(), place.marks))
            };
            let first = place(&append.place);
            let second = append.second.as_ref().and_then(place);
            let both = [(first.clone(), second.clone()), (second, first)];
            for ((at, position, marks), other) in both
                .into_iter()
                .filter_map(|(it, other)| Some((it?, other)))
            {
                let bucket = Bucket::of(at, position);
                buckets.entry(bucket).or_default().push(Row {
                    append,
                    position,
                    marks,
                    arrival,
                    other: other.map(|(at, position, _)| (at, position)),
                    key,
                });
            }
        }
        let changes = buckets.iter().flat_map(|(bucket, rows)| {
            chunks(rows)
                .into_iter()
                .map(move |rows| self.append_to(bucket, rows))
        });
        let changes: Vec<_> = changes.collect();
        stream::iter(changes)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// The incarnation of each owner among `entries`.
    async fn incarnations(
        &self,
        entries: &[Append],
    ) -> Result<HashMap<Jid, Incarnation>, StoreError> {
        let owners: BTreeSet<&Jid> = entries
            .iter()
            .flat_map(Append::places)
            .map(|place| &place.owner)
            .collect();
        let reads: Vec<_> = owners
            .into_iter()
            .map(async |owner| Ok((owner.clone(), self.incarnation(owner).await?)))
            .collect();
        stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn append_to(&self, bucket: &Bucket, rows: &[Row<'_>]) -> Result<(), StoreError> {
        let mut together = Together::new();
        let changed = self.stamps.arrival();
        for row in rows {
            let other = row.other.as_ref();
            let stanza = &row.append.stanza;
            let values = (
                bucket.at.owner.clone(),
                bucket.at.number,
                bucket.number,
                row.position,
                row.arrival,
                millis(row.append.received),
                i32::try_from(stanza.len()).unwrap_or(i32::MAX),
                stanza.clone(),
                MaybeUnset::from_option(other.map(|(at, _)| at.owner.clone())),
                MaybeUnset::from_option(other.map(|(at, _)| at.number)),
                MaybeUnset::from_option(other.map(|(_, position)| *position)),
                changed,
                // Two bits.
                row.marks.bits() as i8,
                MaybeUnset::from_option(row.append.origin.map(|origin| origin.pack().to_vec())),
                MaybeUnset::from_option(row.key),
            );
            together.add(&self.statements.log_insert, values);
        }
        let days: BTreeSet<i32> = rows.iter().map(|row| day_of(row.append.received)).collect();
        tokio::try_join!(self.write_together(together), self.register(bucket, &days))?;
        Ok(())
    }

    /// Makes a bucket findable: for readers, and for expiry. Beside the entries, for both must be durable before
    /// anybody is told.
    async fn register(&self, bucket: &Bucket, days: &BTreeSet<i32>) -> Result<(), StoreError> {
        for &day in days {
            if self.known.contains(bucket, day) {
                continue;
            }
            let (owner, incarnation, number) = bucket.key();
            let seen = (owner, incarnation, number, self.stamps.next());
            let in_day = (day, slice_of(owner), owner, incarnation, number);
            tokio::try_join!(
                self.write(&self.statements.bucket_seen, seen),
                self.write(&self.statements.day_put, in_day),
                self.write(&self.statements.days_put, (day,)),
            )?;
            // What is dated long ago may just be expiring.
            if day + 1 >= day_of(Timestamp::now()) {
                self.known.insert(bucket.clone(), day);
            }
        }
        Ok(())
    }
}

/// Splits rows into changes that the database takes.
fn chunks<'a, 'b>(mut rows: &'b [Row<'a>]) -> Vec<&'b [Row<'a>]> {
    let mut chunks = Vec::new();
    while !rows.is_empty() {
        let mut bytes = 0;
        let fits = |row: &&Row<'_>| {
            bytes += row.append.stanza.len();
            bytes <= CHANGE_BYTES
        };
        let count = rows
            .iter()
            .take(CHANGE_ROWS)
            .take_while(fits)
            .count()
            .max(1);
        let (chunk, rest) = rows.split_at(count);
        chunks.push(chunk);
        rows = rest;
    }
    chunks
}

/// The key that is kept of a stanza.
pub(super) fn key_of(stanza: &[u8], is_archived: bool) -> Option<i64> {
    Some(Key::packed_of(stanza, is_archived)).filter(|key| *key != 0)
}

/// The day of a moment, counted from 1970.
pub(super) fn day_of(moment: Timestamp) -> i32 {
    i32::try_from(moment.as_millis() / DAY_MS).unwrap_or(i32::MAX)
}

const DAY_MS: u64 = 86_400_000;

/// Rows and bytes of stanzas in one change: some ms of a database node.
const CHANGE_ROWS: usize = 128;
const CHANGE_BYTES: usize = 1024 * 1024;

/// Changes of one call under way at the same time.
const AT_ONCE: usize = 32;
