//! Finding entries by their keys: bucket by bucket from the newest on, without stanzas.

use super::Bucket;
use crate::error::StoreError;
use crate::limits::SEARCH_ENTRIES_MAX;
use crate::log::{LogEntry, LogQuery, LogSearch, Marks, Position};
use crate::scylla::cql::Cql;
use crate::scylla::cursor::position;
use crate::scylla::owner::Incarnation;

impl Cql {
    /// [`find_log`](crate::Store::find_log). The keys of a bucket are read and compared here: that the database filters
    /// can be forbidden by its operator.
    pub(in crate::scylla) async fn find_log(
        &self,
        at: &Incarnation,
        search: LogSearch,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let highest = search.before.map_or(i64::MAX, |before| before.pack() - 1);
        let mut left = search.among.min(SEARCH_ENTRIES_MAX);
        let mut found = Vec::new();
        if highest < 0 {
            return Ok(found);
        }
        let range = 0..=highest;
        for (number, _) in self.buckets(at, &range).await?.into_iter().rev() {
            let at_bucket = Bucket {
                at: at.clone(),
                number,
            };
            let keys = self.keys(&at_bucket, highest).await?;
            let newest = keys.iter().rev().take(left);
            let is_meant = |(_, key): &&(i64, Option<i64>)| *key == Some(search.key.pack());
            for (packed, _) in newest.filter(is_meant) {
                if found.len() == search.limit {
                    return Ok(found);
                }
                found.extend(self.archived_at(at, position(*packed)?).await?);
            }
            left -= keys.len().min(left);
            if left == 0 || found.len() == search.limit {
                break;
            }
        }
        Ok(found)
    }

    /// Positions of a bucket up to the highest, in order, each with the key of its entry: the first to arrive.
    async fn keys(
        &self,
        bucket: &Bucket,
        highest: i64,
    ) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        let (owner, number, of) = bucket.key();
        let part = bucket.part_of(&(0..=highest));
        let values = (owner, number, of, *part.start(), *part.end());
        let mut rows: Vec<(i64, Option<i64>)> =
            self.rows(&self.statements.log_keys, values).await?;
        rows.dedup_by_key(|(position, _)| *position);
        Ok(rows)
    }

    /// The entry at a position, if it belongs to the archive.
    async fn archived_at(
        &self,
        at: &Incarnation,
        position: Position,
    ) -> Result<Option<LogEntry>, StoreError> {
        let query = LogQuery {
            before: Position::unpack(position.pack().saturating_add(1)).ok(),
            ..LogQuery::after(position.previous(), 1).only(Marks::ARCHIVED)
        };
        Ok(self.read_log(at, query).await?.pop())
    }
}
