//! The purge: giving back the space of deleted owners' logs, a slice with every commit.
//!
//! Nothing reaches these entries any more. In one piece a long log would keep every other write waiting.

use rusqlite::Connection;

use super::Group;

/// The deleted owners whose log is not yet.
#[derive(Debug)]
pub(super) struct Purge {
    owners: Vec<i64>,
}

impl Purge {
    /// What a former run left to do.
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let mut select = conn.prepare("SELECT owner FROM doomed")?;
        let owners = select
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(Self { owners })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    pub(super) fn contains(&self, owner: i64) -> bool {
        self.owners.contains(&owner)
    }

    /// More to do, once the deletion is committed.
    pub(super) fn add(&mut self, owners: Vec<i64>) {
        self.owners.extend(owners);
    }

    /// Deletes a slice of the log of one owner.
    pub(super) fn advance(&mut self, group: &Group<'_>) -> rusqlite::Result<()> {
        let Some(&owner) = self.owners.last() else {
            return Ok(());
        };
        let mut select = group.prepare("SELECT pos, body FROM idx WHERE owner = ?1 LIMIT ?2")?;
        let entries = select.query_map((owner, SLICE), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let entries = entries.collect::<Result<Vec<(i64, i64)>, _>>()?;
        for (position, body) in &entries {
            group.execute(
                "DELETE FROM idx WHERE owner = ?1 AND pos = ?2",
                (owner, position),
            )?;
            group.release(owner, *body)?;
        }
        if entries.len() < SLICE {
            group.execute("DELETE FROM doomed WHERE owner = ?1", [owner])?;
            self.owners.pop();
        }
        Ok(())
    }
}

/// Entries in one commit: some 5 ms.
const SLICE: usize = 1_000;
