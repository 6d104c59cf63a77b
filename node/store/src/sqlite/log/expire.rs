//! Removing what is old from all logs, in slices, in order of arrival.

use std::collections::BTreeMap;

use rookery_xmpp::clock::Timestamp;

use crate::codec::millis;
use crate::log::LogUsage;
use crate::sqlite::error::Failure;
use crate::sqlite::writer::{Group, Mutation};

/// A slice of [`expire_log`](crate::Store::expire_log).
pub(in crate::sqlite) struct ExpireSlice {
    pub(in crate::sqlite) older_than: Timestamp,
    /// The last row that a former slice has seen.
    pub(in crate::sqlite) behind: i64,
}

/// What a slice did.
pub(in crate::sqlite) struct Expired {
    /// Stanzas removed.
    pub(in crate::sqlite) stanzas: u64,
    /// Where the next slice begins; none if there is nothing to expect there.
    pub(in crate::sqlite) next: Option<i64>,
}

/// A row of `body`, of which the slice is made.
struct Row {
    id: i64,
    places: [(Option<i64>, Option<i64>); 2],
    is_old: bool,
    bytes: u64,
}

/// What leaves the index of an owner, and the highest position that is removed.
#[derive(Default)]
struct Leaving {
    usage: LogUsage,
    high: i64,
}

impl Mutation for ExpireSlice {
    type Output = Expired;

    fn apply(self, group: &mut Group<'_>) -> Result<Expired, Failure> {
        let rows = rows_behind(group, self.behind, millis(self.older_than))?;
        let old = || rows.iter().filter(|row| row.is_old);
        // In order of the index, so that neighbours are removed together.
        let mut places: Vec<(i64, i64, &Row)> = old().flat_map(places_of).collect();
        places.sort_unstable_by_key(|(owner, position, _)| (*owner, *position));
        let mut leaving: BTreeMap<i64, Leaving> = BTreeMap::new();
        for (owner, position, row) in places {
            let leaving = leaving.entry(owner).or_default();
            leaving.high = leaving.high.max(position);
            remove(group, owner, position, row, &mut leaving.usage)?;
        }
        for (owner, Leaving { usage, high }) in leaving {
            group.count_out(owner, usage, high)?;
        }
        for row in old() {
            group.execute("DELETE FROM body WHERE id = ?1", [row.id])?;
        }
        let stanzas = old().count() as u64;
        let goes_on = stanzas > 0 && rows.len() == SLICE;
        Ok(Expired {
            stanzas,
            next: rows.last().filter(|_| goes_on).map(|row| row.id),
        })
    }
}

/// Removes a place from the index, or from the tail if it is there still.
fn remove(
    group: &mut Group<'_>,
    owner: i64,
    position: i64,
    row: &Row,
    usage: &mut LogUsage,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM idx WHERE owner = ?1 AND pos = ?2 AND body = ?3";
    if group.execute(sql, (owner, position, row.id))? > 0 {
        usage.entries += 1;
        usage.bytes += row.bytes;
    }
    group.drop_from_tail(owner, row.id);
    Ok(())
}

fn places_of(row: &Row) -> impl Iterator<Item = (i64, i64, &Row)> {
    row.places
        .iter()
        .filter_map(move |(owner, position)| Some(((*owner)?, (*position)?, row)))
}

fn rows_behind(group: &Group<'_>, behind: i64, older_than: i64) -> rusqlite::Result<Vec<Row>> {
    let mut select = group.prepare(
        "SELECT id, o1, p1, o2, p2, received < ?2, length(stanza) FROM body \
         WHERE id > ?1 ORDER BY id LIMIT ?3",
    )?;
    let rows = select.query_map((behind, older_than, SLICE), |row| {
        Ok(Row {
            id: row.get(0)?,
            places: [(row.get(1)?, row.get(2)?), (row.get(3)?, row.get(4)?)],
            is_old: row.get(5)?,
            bytes: row.get(6)?,
        })
    })?;
    rows.collect()
}

/// Rows in one commit: some 10 ms. As many in a row that stay end the walk.
const SLICE: usize = 1_000;
