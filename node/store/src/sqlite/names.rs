//! Names in SQLite: skeletons are a column of the accounts, tombstones a table.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::{Jid, SKELETON_VERSION, skeleton};
use rusqlite::{Connection, OptionalExtension, Row};

use super::error::Failure;
use super::view::View;
use super::writer::{Group, Mutation};
use crate::account::{Found, NewAccount};
use crate::codec::{jid, millis, timestamp};
use crate::error::StoreError;
use crate::name::{Buried, Tombstone};

/// Refuses a name as far as its account's checks ask for it.
pub(super) fn check(group: &Group<'_>, account: &NewAccount) -> Result<(), Failure> {
    let NewAccount { jid, checks, .. } = account;
    if checks.tombstones {
        let mut select = group.prepare(FIND_TOMBSTONE)?;
        let found = select.query_row([jid.as_str()], tombstone).optional()?;
        if let Some(tombstone) = found.filter(|it| it.holds(account.created)) {
            let until = tombstone.until;
            return Err(StoreError::Gone { until }.into());
        }
    }
    if checks.look_alikes {
        let skeleton = skeleton(jid.local().unwrap_or_default());
        let mut select = group.prepare(LIKE)?;
        let found = select.query_row((jid.domain(), skeleton, 1), |row| row.get(0));
        if let Some(with) = found.optional()? {
            return Err(StoreError::Confusable { with }.into());
        }
    }
    Ok(())
}

/// Puts a tombstone in place of the one that may be there.
pub(super) fn put(group: &Group<'_>, jid: &Jid, tombstone: Tombstone) -> Result<(), Failure> {
    let Tombstone { at, until } = tombstone;
    group.execute(
        "INSERT OR REPLACE INTO tombstone VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            jid.as_str(),
            jid.domain(),
            jid.local(),
            millis(at),
            until.map(millis),
        ),
    )?;
    Ok(())
}

/// Takes a tombstone away. False if there is none.
pub(super) fn lift(group: &Group<'_>, jid: &Jid) -> Result<bool, Failure> {
    let sql = "DELETE FROM tombstone WHERE jid = ?1";
    Ok(group.execute(sql, [jid.as_str()])? > 0)
}

/// Forgets some of the tombstones that hold no more: with each new one, so that they do not pile up.
pub(super) fn forget_ended(group: &Group<'_>, now: Timestamp) -> Result<(), Failure> {
    group.execute(
        "DELETE FROM tombstone WHERE jid IN (SELECT jid FROM tombstone WHERE until <= ?1 LIMIT ?2)",
        (millis(now), FORGOTTEN_AT_ONCE),
    )?;
    Ok(())
}

/// [`bury`](crate::Store::bury).
pub(super) struct Bury {
    pub(super) jid: Jid,
    pub(super) tombstone: Tombstone,
}

impl Mutation for Bury {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        if group.account(&self.jid)?.is_some() {
            return Err(StoreError::AlreadyExists.into());
        }
        put(group, &self.jid, self.tombstone)
    }
}

/// [`lift_tombstone`](crate::Store::lift_tombstone).
pub(super) struct Lift(pub(super) Jid);

impl Mutation for Lift {
    type Output = bool;

    fn apply(self, group: &mut Group<'_>) -> Result<bool, Failure> {
        lift(group, &self.0)
    }
}

/// What is left of an account that is not there.
pub(super) fn left_of(view: &View<'_>, jid: &Jid) -> Result<Found, Failure> {
    Ok(tombstone_of(view, jid)?.map_or(Found::Nobody, Found::Gone))
}

/// The tombstone of a name.
pub(super) fn tombstone_of(view: &View<'_>, jid: &Jid) -> Result<Option<Tombstone>, Failure> {
    let mut select = view.prepare(FIND_TOMBSTONE)?;
    Ok(select.query_row([jid.as_str()], tombstone).optional()?)
}

/// [`names_like`](crate::Store::names_like).
pub(super) fn like(
    view: &View<'_>,
    host: &str,
    skeleton: &str,
    limit: usize,
) -> Result<Vec<String>, Failure> {
    let mut select = view.prepare(LIKE)?;
    let locals = select.query_map((host, skeleton, limit as i64), |row| row.get(0))?;
    Ok(locals.collect::<Result<_, _>>()?)
}

/// [`tombstones`](crate::Store::tombstones).
pub(super) fn tombstones(
    view: &View<'_>,
    host: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Buried>, Failure> {
    let mut select = view.prepare(
        "SELECT at, until, jid FROM tombstone WHERE host = ?1 AND local > ?2 ORDER BY local LIMIT ?3",
    )?;
    let mut rows = select.query((host, after.unwrap_or_default(), limit as i64))?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(2)?;
        page.push(Buried {
            jid: jid(&text)?,
            tombstone: tombstone(row)?,
        });
    }
    Ok(page)
}

fn tombstone(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let until: Option<i64> = row.get(1)?;
    Ok(Tombstone {
        at: timestamp(row.get(0)?),
        until: until.map(timestamp),
    })
}

/// Gives all accounts the skeletons of this build's tables, if they have those of others or none: a pass over all
/// accounts, some seconds for a million, once behind an upgrade.
pub(super) fn index(conn: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT value FROM mark WHERE name = 'skeletons'";
    let found: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    if found == i64::from(SKELETON_VERSION) {
        return Ok(());
    }
    let transaction =
        rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate)?;
    let mut changed = 0;
    {
        let mut select = conn.prepare("SELECT owner, local FROM account")?;
        let mut update = conn.prepare("UPDATE account SET skeleton = ?2 WHERE owner = ?1")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (owner, local): (i64, String) = (row.get(0)?, row.get(1)?);
            changed += update.execute((owner, skeleton(&local)))?;
        }
    }
    let sql = "UPDATE mark SET value = ?1 WHERE name = 'skeletons'";
    conn.execute(sql, [SKELETON_VERSION])?;
    transaction.commit()?;
    tracing::info!(
        accounts = changed,
        version = SKELETON_VERSION,
        "names indexed by what they look like"
    );
    Ok(())
}

const FIND_TOMBSTONE: &str = "SELECT at, until FROM tombstone WHERE jid = ?1";

const LIKE: &str =
    "SELECT local FROM account WHERE host = ?1 AND skeleton = ?2 ORDER BY local LIMIT ?3";

/// More than one for each that is made, so that a shorter time for new ones empties the table of the old.
const FORGOTTEN_AT_ONCE: i64 = 4;
