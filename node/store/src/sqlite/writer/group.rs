//! A group of mutations in one transaction, and what it will do to the memory beside the database once it is committed.

use rookery_xmpp::jid::Jid;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params};

use super::OwnerCache;
use crate::error::StoreError;
use crate::log::LogUsage;
use crate::sqlite::error::Failure;
use crate::sqlite::files::WIPED_IN_PASSING;
use crate::sqlite::tail::{Settlement, Tail, TailEntry};

/// An open transaction of the writer.
pub(in crate::sqlite) struct Group<'a> {
    conn: &'a Connection,
    owners: &'a mut OwnerCache,
    tail: &'a Tail,
    /// For the tail, behind the commit.
    pub(super) settlement: Settlement,
    /// Owners that were deleted and whose log is to be purged.
    pub(super) doomed: Vec<i64>,
}

impl<'a> Group<'a> {
    pub(super) fn new(conn: &'a Connection, owners: &'a mut OwnerCache, tail: &'a Tail) -> Self {
        Self {
            conn,
            owners,
            tail,
            settlement: Settlement::default(),
            doomed: Vec::new(),
        }
    }

    /// A statement, compiled once.
    pub(in crate::sqlite) fn prepare(
        &self,
        sql: &'static str,
    ) -> rusqlite::Result<CachedStatement<'a>> {
        self.conn.prepare_cached(sql)
    }

    /// Runs a statement and returns how many rows it changed.
    pub(in crate::sqlite) fn execute(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> rusqlite::Result<usize> {
        self.prepare(sql)?.execute(params)
    }

    /// Whether pages that become free from now on are wiped as well.
    pub(in crate::sqlite) fn wipe(&self, wipe: bool) -> rusqlite::Result<()> {
        let mode = if wipe { "ON" } else { WIPED_IN_PASSING };
        self.conn.pragma_update(None, "secure_delete", mode)
    }

    /// The row that the last insert made.
    pub(in crate::sqlite) fn last_row(&self) -> i64 {
        self.conn.last_insert_rowid()
    }

    /// The integer of the owner `jid`, if it owns anything.
    pub(in crate::sqlite) fn owner(&mut self, jid: &Jid) -> rusqlite::Result<Option<i64>> {
        if let Some(owner) = self.owners.get(jid) {
            return Ok(Some(owner));
        }
        let found = self
            .prepare(FIND_OWNER)?
            .query_row([jid.as_str()], |row| row.get(0));
        let found = found.optional()?;
        if let Some(owner) = found {
            self.owners.insert(jid.clone(), owner);
        }
        Ok(found)
    }

    /// The integer of the owner `jid`, who begins to own something if need be.
    pub(in crate::sqlite) fn owner_or_new(&mut self, jid: &Jid) -> rusqlite::Result<i64> {
        if let Some(owner) = self.owner(jid)? {
            return Ok(owner);
        }
        self.execute("INSERT INTO owner (jid) VALUES (?1)", [jid.as_str()])?;
        let owner = self.last_row();
        self.owners.insert(jid.clone(), owner);
        Ok(owner)
    }

    /// The integer of the owner `jid`, if it has an account.
    pub(in crate::sqlite) fn account(&mut self, jid: &Jid) -> rusqlite::Result<Option<i64>> {
        let Some(owner) = self.owner(jid)? else {
            return Ok(None);
        };
        let mut find = self.prepare("SELECT owner FROM account WHERE owner = ?1")?;
        find.query_row([owner], |row| row.get(0)).optional()
    }

    /// The integer of the account `jid`, or the refusal of what needs one.
    pub(in crate::sqlite) fn account_or_refuse(&mut self, jid: &Jid) -> Result<i64, Failure> {
        self.account(jid)?
            .ok_or(Failure::Refused(StoreError::NotFound))
    }

    /// Puts everything of an owner out of reach. What is not large goes at once, the indexed log later, in slices
    /// (`purge`).
    pub(in crate::sqlite) fn forget_owner(
        &mut self,
        jid: &Jid,
        owner: i64,
    ) -> rusqlite::Result<()> {
        for entry in self.take_from_tail(owner, |_| true) {
            self.release(owner, entry.body)?;
        }
        for sql in FORGET_OWNER {
            self.execute(sql, [owner])?;
        }
        self.owners.remove(jid);
        self.doomed.push(owner);
        Ok(())
    }

    /// A stanza has a place in the log of `owner` that is not in the index yet.
    pub(in crate::sqlite) fn appended(&mut self, owner: i64, entry: TailEntry) {
        self.settlement.appended.push((owner, entry));
    }

    /// Removes the owner's entries that are `meant` from the tail, those of this group included, and returns them.
    pub(in crate::sqlite) fn take_from_tail(
        &mut self,
        owner: i64,
        meant: impl Fn(&TailEntry) -> bool,
    ) -> Vec<TailEntry> {
        let Settlement {
            removed, appended, ..
        } = &mut self.settlement;
        let mut taken = self.tail.of(owner);
        taken.retain(&meant);
        taken.retain(|entry| removed.insert((owner, entry.body)));
        appended.retain(|(of, entry)| {
            let stays = *of != owner || !meant(entry);
            if !stays {
                taken.push(*entry);
            }
            stays
        });
        taken.sort_unstable();
        taken
    }

    /// The first of the owner's entries of the tail at a position, if it has one there.
    pub(in crate::sqlite) fn first_in_tail(&self, owner: i64, position: i64) -> Option<TailEntry> {
        let Settlement {
            removed, appended, ..
        } = &self.settlement;
        let mut entries = self.tail.of(owner);
        entries.retain(|entry| !removed.contains(&(owner, entry.body)));
        let of_owner = appended.iter().filter(|(of, _)| *of == owner);
        entries.extend(of_owner.map(|(_, entry)| *entry));
        entries.retain(|entry| entry.position == position);
        entries.into_iter().min()
    }

    /// Removes one entry from the tail, if it is there.
    pub(in crate::sqlite) fn drop_from_tail(&mut self, owner: i64, body: i64) {
        self.settlement
            .appended
            .retain(|(of, entry)| *of != owner || entry.body != body);
        self.settlement.removed.insert((owner, body));
    }

    /// The owner's place in the row `body` is gone: the row goes when that was its last.
    pub(in crate::sqlite) fn release(&self, owner: i64, body: i64) -> rusqlite::Result<()> {
        if self.execute(DELETE_LAST_PLACE, [body, owner])? == 0 {
            self.execute(DELETE_ONE_PLACE, [body, owner])?;
        }
        Ok(())
    }

    /// Books what came into the index of an owner.
    pub(in crate::sqlite) fn count_in(
        &self,
        owner: i64,
        usage: LogUsage,
        high: i64,
    ) -> rusqlite::Result<()> {
        self.execute(
            COUNT_IN,
            (owner, usage.entries as i64, usage.bytes as i64, high),
        )?;
        Ok(())
    }

    /// Books what left the index of an owner. `high` is the highest position that was removed, indexed or not.
    pub(in crate::sqlite) fn count_out(
        &self,
        owner: i64,
        usage: LogUsage,
        high: i64,
    ) -> rusqlite::Result<()> {
        self.execute(
            COUNT_IN,
            (owner, -(usage.entries as i64), -(usage.bytes as i64), high),
        )?;
        Ok(())
    }
}

/// The integer of an owner.
pub(in crate::sqlite) const FIND_OWNER: &str = "SELECT id FROM owner WHERE jid = ?1";

const FORGET_OWNER: [&str; 6] = [
    "DELETE FROM account WHERE owner = ?1",
    "DELETE FROM roster WHERE owner = ?1",
    "DELETE FROM document WHERE owner = ?1",
    "DELETE FROM cursor WHERE owner = ?1",
    "DELETE FROM owner WHERE id = ?1",
    "INSERT INTO doomed VALUES (?1)",
];

const DELETE_LAST_PLACE: &str = "DELETE FROM body WHERE id = ?1 \
    AND (o1 IS NULL OR o1 = ?2) AND (o2 IS NULL OR o2 = ?2)";

const DELETE_ONE_PLACE: &str = "UPDATE body SET \
    p1 = iif(o1 = ?2, NULL, p1), o1 = iif(o1 = ?2, NULL, o1), \
    p2 = iif(o2 = ?2, NULL, p2), o2 = iif(o2 = ?2, NULL, o2) \
    WHERE id = ?1 AND (o1 = ?2 OR o2 = ?2)";

const COUNT_IN: &str = "UPDATE owner SET \
    log_entries = log_entries + ?2, log_bytes = log_bytes + ?3, \
    log_high = max(ifnull(log_high, 0), ?4) WHERE id = ?1";
