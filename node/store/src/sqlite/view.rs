//! One consistent view of the store, for one read.

use rookery_xmpp::jid::Jid;
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::error::Failure;
use super::tail::{Tail, TailEntry};
use super::writer::FIND_OWNER;

/// A reader's connection and the tail. The read transaction begins when an owner is looked up.
pub(super) struct View<'a> {
    conn: &'a Connection,
    tail: &'a Tail,
}

impl<'a> View<'a> {
    pub(super) fn new(conn: &'a Connection, tail: &'a Tail) -> Self {
        Self { conn, tail }
    }

    /// Runs `read` and ends its transaction.
    pub(super) fn run<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let outcome = read(self);
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        outcome
    }

    /// A statement, compiled once.
    pub(super) fn prepare(&self, sql: &'static str) -> rusqlite::Result<CachedStatement<'a>> {
        self.conn.prepare_cached(sql)
    }

    /// The version of the schema.
    pub(super) fn schema_version(&self) -> Result<u32, Failure> {
        Ok(super::schema::version(self.conn)?)
    }

    /// Begins the view, and finds the integer of the owner `jid` in it.
    pub(super) fn owner(&self, jid: &Jid) -> rusqlite::Result<Option<i64>> {
        self.prepare("BEGIN")?.execute([])?;
        self.find(jid)
    }

    /// The same, with a copy of the owner's tail that is at least as old as the view: whatever is
    /// not in the copy any more is in the view's index.
    pub(super) fn owner_and_tail(
        &self,
        jid: &Jid,
    ) -> rusqlite::Result<Option<(i64, Vec<TailEntry>)>> {
        loop {
            let Some(owner) = self.find(jid)? else {
                return Ok(None);
            };
            let tail = self.tail.of(owner);
            if self.owner(jid)? == Some(owner) {
                return Ok(Some((owner, tail)));
            }
            // Deleted in between, and perhaps made again as another.
            self.prepare("ROLLBACK")?.execute([])?;
        }
    }

    fn find(&self, jid: &Jid) -> rusqlite::Result<Option<i64>> {
        self.prepare(FIND_OWNER)?
            .query_row([jid.as_str()], |row| row.get(0))
            .optional()
    }
}
