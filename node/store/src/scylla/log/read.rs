//! Reading a page.

use scylla::response::PagingState;

use super::Bucket;
use super::bucket::number_of;
use crate::codec::{origin, timestamp};
use crate::error::StoreError;
use crate::log::{LogEntry, LogQuery, Marks};
use crate::scylla::cql::Cql;
use crate::scylla::cursor::position;
use crate::scylla::owner::Incarnation;

/// A page while it is filled.
struct Page {
    entries: Vec<LogEntry>,
    query: LogQuery,
    /// The last entry that came: another at its position may take its place.
    last: Option<LogEntry>,
}

/// A row of a log.
type Columns = (i64, i64, Vec<u8>, Option<i8>, Option<Vec<u8>>);

impl Cql {
    /// [`read_log`](crate::Store::read_log).
    pub(in crate::scylla) async fn read_log(
        &self,
        at: &Incarnation,
        query: LogQuery,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let Some((from, to)) = self.bounds(at, query).await? else {
            return Ok(Vec::new());
        };
        let mut page = Page::new(query);
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
        Ok(page.end())
    }

    /// The lowest and the highest position that a page can have, if there can be one: without what its times rule out.
    async fn bounds(
        &self,
        at: &Incarnation,
        query: LogQuery,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let mut from = match query.after.map(|after| after.pack().checked_add(1)) {
            Some(None) => return Ok(None),
            Some(Some(first)) => first,
            None => 0,
        };
        let mut to = query.before.map_or(i64::MAX, |before| before.pack() - 1);
        if let Some(begins_at) = query.begins_at().filter(|_| from <= to) {
            from = self.first_since(at, &(from..=to), begins_at).await?;
        }
        if let Some(ends_at) = query.ends_at().filter(|_| from <= to) {
            let behind = self.first_since(at, &(from..=to), ends_at).await?;
            to = to.min(behind - 1);
        }
        Ok((from <= to && query.limit > 0).then_some((from, to)))
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
            let mut statement = match page.query.newest_first {
                true => self.statements.log_down.clone(),
                false => self.statements.log_up.clone(),
            };
            statement.set_page_size(page.rows_wanted());
            let (rows, more) = self.page::<Columns>(&statement, values, state).await?;
            for (packed, received, stanza, marks, of) in rows {
                let entry = LogEntry {
                    position: position(packed)?,
                    received: timestamp(received),
                    stanza: stanza.into(),
                    origin: of.as_deref().map(origin).transpose()?,
                    marks: Marks::stored(marks.map(i64::from)),
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
    fn new(query: LogQuery) -> Self {
        Self {
            entries: Vec::new(),
            query,
            last: None,
        }
    }

    /// Takes the next row. Of those at one position the first to arrive stays: they come in order of arrival, or in the
    /// reverse. False when the page is full.
    fn take(&mut self, entry: LogEntry) -> bool {
        match &mut self.last {
            Some(last) if last.position == entry.position => {
                if self.query.newest_first {
                    *last = entry;
                }
            }
            last => {
                let done = last.replace(entry);
                self.settle(done);
            }
        }
        self.entries.len() < self.query.limit
    }

    /// The entry at a position is certain now.
    fn settle(&mut self, entry: Option<LogEntry>) {
        let wanted = |entry: &LogEntry| self.query.wants(entry.marks, entry.received);
        if let Some(entry) = entry.filter(wanted)
            && self.entries.len() < self.query.limit
        {
            self.entries.push(entry);
        }
    }

    /// The page, when nothing more comes.
    fn end(mut self) -> Vec<LogEntry> {
        let last = self.last.take();
        self.settle(last);
        self.entries
    }

    /// One more than is missing tells whether the last entry is the right one.
    fn rows_wanted(&self) -> i32 {
        let missing = self.query.limit - self.entries.len();
        let least = match self.query.only {
            Marks::NONE => 1,
            _ => FILTERED_ROWS_MIN,
        };
        i32::try_from(missing + 1).map_or(ROWS_MAX, |rows| rows.clamp(least, ROWS_MAX))
    }
}

/// Rows in one answer where not all of them are wanted, so that a few that are do not take as many answers.
const FILTERED_ROWS_MIN: i32 = 64;

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
            marks: Marks::OWED,
        };
        let read = |newest_first, limit| {
            let mut page = Page::new(LogQuery {
                newest_first,
                ..LogQuery::after(None, limit)
            });
            let mut rows: Vec<_> = rows.into_iter().map(entry).collect();
            if newest_first {
                rows.reverse();
            }
            rows.into_iter()
                .take_while(|row| page.take(row.clone()))
                .count();
            page.end()
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
