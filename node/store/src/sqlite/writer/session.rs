//! The writer's connection and the memory that goes with it. Both begin anew after a failure.

use std::rc::Rc;
use std::sync::Arc;

use rusqlite::Connection;

use super::job::Job;
use super::purge::Purge;
use super::sweep::Sweep;
use super::{Group, OwnerCache};
use crate::error::StoreError;
use crate::log::Key;
use crate::sqlite::SqliteOptions;
use crate::sqlite::files::Files;
use crate::sqlite::tail::{Entries, Tail, TailEntry};

/// An open connection that writes, and what is known of the database behind it.
pub(super) struct Session {
    /// Shared only with a copy that is being made.
    conn: Rc<Connection>,
    owners: OwnerCache,
    sweep: Sweep,
    purge: Purge,
    tail: Arc<Tail>,
}

impl Session {
    /// Opens the database, migrates it if need be, and rebuilds the tail from it. Writes nothing to
    /// a database that is up to date, so it succeeds on a full disk.
    pub(super) fn open(
        files: &Files,
        options: &SqliteOptions,
        tail: &Arc<Tail>,
    ) -> Result<Self, StoreError> {
        let conn = files.connect_writer(options)?;
        let purge = Purge::load(&conn)?;
        let (found, last_body) = scan(&conn, &purge)?;
        tail.replace(found);
        let sweep = Sweep::new(last_body, options.index_round_stanzas);
        let (conn, owners) = (Rc::new(conn), OwnerCache::default());
        Ok(Self {
            conn,
            owners,
            sweep,
            purge,
            tail: Arc::clone(tail),
        })
    }

    /// The connection, for a copy of the database.
    pub(super) fn connection(&self) -> &Rc<Connection> {
        &self.conn
    }

    /// Whether there is something to be done while nobody asks for anything.
    pub(super) fn has_chores(&self) -> bool {
        !self.purge.is_empty()
    }

    /// Runs `jobs` in one transaction, with the share of the sweep and of the purge, and takes their
    /// effects over once it is committed. After an error the session must not be used again.
    pub(super) fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        self.transact(|group, sweep, purge, tail| {
            jobs.iter_mut().try_for_each(|job| job.apply(group))?;
            sweep.advance(group, tail)?;
            purge.advance(group)
        })
    }

    /// Writes the whole tail into the index, so that the next start has nothing to read.
    pub(super) fn flush(&mut self) -> rusqlite::Result<()> {
        self.sweep.begin_flush();
        let mut is_over = false;
        while !is_over {
            self.transact(|group, sweep, _, tail| {
                is_over = sweep.flush(group, tail)?;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&mut Group<'_>, &mut Sweep, &mut Purge, &Tail) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut group = Group::new(&self.conn, &mut self.owners, &self.tail);
        work(&mut group, &mut self.sweep, &mut self.purge, &self.tail)?;
        let Group {
            settlement, doomed, ..
        } = group;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.tail.settle(&settlement);
        self.purge.add(doomed);
        Ok(())
    }
}

/// Reads the places of every stanza that may be missing in the index, and the last row's number.
fn scan(conn: &Connection, purge: &Purge) -> Result<(Entries, i64), StoreError> {
    let mut entries = Entries::default();
    let mut select = conn.prepare(
        "SELECT id, length(stanza), received, o1, p1, m1, o2, p2, m2, \
         iif((m1 | m2) & 2, stanza, NULL) FROM body \
         WHERE id >= (SELECT value FROM mark WHERE name = 'low') ORDER BY id",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (body, bytes, received) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let archived: Option<Vec<u8>> = row.get(9)?;
        let key = archived.map_or(0, |stanza| Key::packed_of(&stanza, true));
        for first in [3, 6] {
            let (owner, position) = (row.get(first)?, row.get(first + 1)?);
            let (Some(owner), Some(position)) = (owner, position) else {
                continue;
            };
            let marks = row.get(first + 2)?;
            if !purge.contains(owner) {
                entries.insert(
                    owner,
                    TailEntry {
                        position,
                        body,
                        bytes,
                        marks,
                        received,
                        key,
                    },
                );
            }
        }
    }
    let last = conn.query_row("SELECT ifnull(max(id), 0) FROM body", [], |row| row.get(0))?;
    Ok((entries, last))
}
