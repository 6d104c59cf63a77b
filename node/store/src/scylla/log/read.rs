//! Reading a page.

use scylla::response::PagingState;

use super::Bucket;
use super::bucket::number_of;
use crate::codec::{origin, timestamp};
use crate::error::StoreError;
use crate::log::{LogEntry, LogQuery};
use crate::scylla::cql::Cql;
use crate::scylla::cursor::position;
use crate::scylla::owner::Incarnation;

/// A page while it is filled.
struct Page {
    entries: Vec<LogEntry>,
    limit: usize,
    newest_first: bool,
}

impl Cql {
    /// [`read_log`](crate::Store::read_log).
    pub(in crate::scylla) async fn read_log(
        &self,
        at: &Incarnation,
        query: LogQuery,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let from = query
            .after
            .map_or(0, |after| after.pack().saturating_add(1));
        let to = query.before.map_or(i64::MAX, |before| before.pack() - 1);
        let nothing_above = query.after.is_some_and(|after| after.pack() == i64::MAX);
        let mut page = Page {
            entries: Vec::new(),
            limit: query.limit,
            newest_first: query.newest_first,
        };
        if from > to || nothing_above || query.limit == 0 {
            return Ok(page.entries);
        }
        let statement = match query.newest_first {
            true => &self.statements.buckets_down,
            false => &self.statements.buckets_up,
        };
        let values = (&at.owner, at.number, number_of(from), number_of(to));
        let mut next = Some(PagingState::start());
        while let Some(state) = next {
            let (buckets, more) = self
                .page::<(i64, Option<i64>)>(statement, values, state)
                .await?;
            for (number, _) in buckets {
                let at = at.clone();
                if !self
                    .fill(&mut page, &Bucket { at, number }, from, to)
                    .await?
                {
                    return Ok(page.entries);
                }
            }
            next = more;
        }
        Ok(page.entries)
    }

    /// Adds what a bucket has. False when the page is full.
    async fn fill(
        &self,
        page: &mut Page,
        bucket: &Bucket,
        from: i64,
        to: i64,
    ) -> Result<bool, StoreError> {
        let part = bucket.part_of(&(from..=to));
        let (owner, incarnation, number) = bucket.key();
        let values = (owner, incarnation, number, *part.start(), *part.end());
        let mut next = Some(PagingState::start());
        while let Some(state) = next {
            let mut statement = match page.newest_first {
                true => self.statements.log_down.clone(),
                false => self.statements.log_up.clone(),
            };
            statement.set_page_size(page.rows_wanted());
            let (rows, more) = self
                .page::<(i64, i64, Vec<u8>, Option<Vec<u8>>)>(&statement, values, state)
                .await?;
            for (packed, received, stanza, of) in rows {
                let entry = LogEntry {
                    position: position(packed)?,
                    received: timestamp(received),
                    stanza: stanza.into(),
                    origin: of.as_deref().map(origin).transpose()?,
                };
                if !page.take(entry) {
                    return Ok(false);
                }
            }
            next = more;
        }
        Ok(true)
    }
}

impl Page {
    /// Takes the next row. Of those at one position the first to arrive stays: they come in order of arrival, or in the
    /// reverse. False when the page is full.
    fn take(&mut self, entry: LogEntry) -> bool {
        let full = self.entries.len() == self.limit;
        match self.entries.last_mut() {
            Some(last) if last.position == entry.position => {
                if self.newest_first {
                    *last = entry;
                }
            }
            _ if full => return false,
            _ => self.entries.push(entry),
        }
        true
    }

    /// One more than is missing tells whether the last entry is the right one.
    fn rows_wanted(&self) -> i32 {
        let missing = self.limit - self.entries.len();
        i32::try_from(missing + 1).map_or(ROWS_MAX, |rows| rows.min(ROWS_MAX))
    }
}

/// Rows in one answer of the database: bounds its size where stanzas are large.
const ROWS_MAX: i32 = 256;

#[cfg(test)]
mod tests {
    use rookery_xmpp::clock::Timestamp;

    use super::*;
    use crate::log::Position;

    #[test]
    fn of_several_rows_at_one_position_the_first_to_arrive_stays() {
        let rows = [(1, "a"), (2, "b"), (2, "late"), (3, "c")];
        let entry = |(sequence, text): (u64, &'static str)| LogEntry {
            position: Position::new(0, sequence).unwrap(),
            received: Timestamp(0),
            stanza: text.into(),
            origin: None,
        };
        let read = |newest_first, limit| {
            let mut page = Page {
                entries: Vec::new(),
                limit,
                newest_first,
            };
            let mut rows: Vec<_> = rows.into_iter().map(entry).collect();
            if newest_first {
                rows.reverse();
            }
            rows.into_iter()
                .take_while(|row| page.take(row.clone()))
                .count();
            page.entries
                .into_iter()
                .map(|entry| entry.stanza)
                .collect::<Vec<_>>()
        };
        assert_eq!(read(false, 9), ["a", "b", "c"]);
        assert_eq!(read(true, 9), ["c", "b", "a"]);
        assert_eq!(read(false, 2), ["a", "b"]);
        assert_eq!(read(true, 2), ["c", "b"]);
    }
}
