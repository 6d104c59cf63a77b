//! Accounts in SQLite.

use rookery_xmpp::jid::{Jid, skeleton};
use rookery_xmpp::scram::Credentials;
use rusqlite::{OptionalExtension, Row, Rows};

use super::error::Failure;
use super::view::View;
use super::writer::{Group, Mutation};
use super::{cursor, document, log, names, roster, standing};
use crate::account::{AccountRecord, Found, Loaded, NewAccount};
use crate::codec::{
    corrupt, details_from_json, details_to_json, from_json, jid, millis, timestamp, to_json,
};
use crate::document::ACCOUNT_COLLECTION;
use crate::error::StoreError;
use crate::log::DELIVERED;
use crate::name::Tombstone;

/// [`create_account`](crate::Store::create_account).
pub(super) struct CreateAccount(pub(super) NewAccount);

impl Mutation for CreateAccount {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        if group.account(&self.0.jid)?.is_some() {
            return Err(StoreError::AlreadyExists.into());
        }
        names::check(group, &self.0)?;
        let NewAccount {
            jid,
            credentials,
            created,
            details,
            address,
            checks: _,
            standing,
            inviter,
        } = self.0;
        names::lift(group, &jid)?;
        let credentials = to_json(&credentials)?;
        let details = details_to_json(details, inviter)?;
        if let Some(owner) = group.owner(&jid)? {
            group.forget_owner(&jid, owner)?;
        }
        let owner = group.owner_or_new(&jid)?;
        let local = jid.local().unwrap_or_default();
        let address = address.map(|address| address.to_string());
        group.execute(
            "INSERT INTO account (owner, host, local, created, enabled, address, credentials, details, skeleton) \
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8)",
            (
                owner,
                jid.domain(),
                local,
                millis(created),
                address,
                credentials,
                details,
                skeleton(local),
            ),
        )?;
        standing::put(group, owner, standing)
    }
}

/// [`set_credentials`](crate::Store::set_credentials).
pub(super) struct SetCredentials {
    pub(super) jid: Jid,
    pub(super) credentials: Credentials,
}

impl Mutation for SetCredentials {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.account_or_refuse(&self.jid)?;
        let credentials = to_json(&self.credentials)?;
        let sql = "UPDATE account SET credentials = ?2 WHERE owner = ?1";
        group.execute(sql, (owner, credentials))?;
        Ok(())
    }
}

/// [`set_enabled`](crate::Store::set_enabled).
pub(super) struct SetEnabled {
    pub(super) jid: Jid,
    pub(super) enabled: bool,
}

impl Mutation for SetEnabled {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.account_or_refuse(&self.jid)?;
        group.execute(
            "UPDATE account SET enabled = ?2 WHERE owner = ?1",
            (owner, self.enabled),
        )?;
        Ok(())
    }
}

/// [`delete_account`](crate::Store::delete_account).
pub(super) struct DeleteAccount {
    pub(super) jid: Jid,
    pub(super) tombstone: Option<Tombstone>,
}

impl Mutation for DeleteAccount {
    type Output = bool;

    fn apply(self, group: &mut Group<'_>) -> Result<bool, Failure> {
        let Some(owner) = group.account(&self.jid)? else {
            return Ok(false);
        };
        group.forget_owner(&self.jid, owner)?;
        if let Some(tombstone) = self.tombstone {
            names::forget_ended(group, tombstone.at)?;
            names::put(group, &self.jid, tombstone)?;
        }
        Ok(true)
    }
}

/// [`account`](crate::Store::account).
pub(super) fn account(view: &View<'_>, jid: &Jid) -> Result<Option<AccountRecord>, Failure> {
    match view.owner(jid)? {
        Some(owner) => record(view, owner),
        None => Ok(None),
    }
}

/// [`list_accounts`](crate::Store::list_accounts).
pub(super) fn list(
    view: &View<'_>,
    host: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<AccountRecord>, Failure> {
    // A local part is never empty, so every one sorts behind "".
    let mut select = view.prepare(
        "SELECT jid, created, enabled, address, credentials, details, standing_since, leaves, left_by \
         FROM account JOIN owner ON owner.id = account.owner \
         WHERE host = ?1 AND local > ?2 ORDER BY local LIMIT ?3",
    )?;
    page(select.query((host, after.unwrap_or_default(), limit as i64))?)
}

/// The accounts of these rows.
pub(super) fn page(mut rows: Rows<'_>) -> Result<Vec<AccountRecord>, Failure> {
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(decode(row)?);
    }
    Ok(page)
}

/// [`count_accounts`](crate::Store::count_accounts).
pub(super) fn count(view: &View<'_>, host: &str) -> Result<u64, Failure> {
    let mut count = view.prepare("SELECT count(*) FROM account WHERE host = ?1")?;
    Ok(count.query_row([host], |row| row.get(0))?)
}

/// [`load`](crate::Store::load).
pub(super) fn load(view: &View<'_>, jid: &Jid) -> Result<Found, Failure> {
    let Some((owner, tail)) = view.owner_and_tail(jid)? else {
        return names::left_of(view, jid);
    };
    let Some(record) = record(view, owner)? else {
        return names::left_of(view, jid);
    };
    let delivered = cursor::cursor_of(view, owner, DELIVERED)?;
    let (mut owed, mut recent) = (0, Vec::new());
    if log::usage_of(view, owner, &tail)?.entries > 0 {
        owed = log::owed(view, owner, &tail, delivered)?;
        recent = log::recent(view, owner, &tail)?;
    }
    Ok(Found::Account(Box::new(Loaded {
        record,
        roster: roster::of(view, owner)?,
        log_tail: log::high(view, owner, &tail)?,
        delivered,
        owed,
        recent,
        documents: document::all_of(view, owner, ACCOUNT_COLLECTION)?,
    })))
}

pub(super) fn record(view: &View<'_>, owner: i64) -> Result<Option<AccountRecord>, Failure> {
    let mut select = view.prepare(
        "SELECT jid, created, enabled, address, credentials, details, standing_since, leaves, left_by \
         FROM account JOIN owner ON owner.id = account.owner WHERE account.owner = ?1",
    )?;
    let record = select
        .query_row([owner], |row| Ok(decode(row)))
        .optional()?;
    Ok(record.transpose()?)
}

fn decode(row: &Row<'_>) -> Result<AccountRecord, StoreError> {
    let address: Option<String> = row.get(3)?;
    let address = address
        .map(|shown| shown.parse().map_err(|error| corrupt(&error)))
        .transpose()?;
    let (details, inviter) = details_from_json(text(row.get_ref(5)?.as_str())?)?;
    Ok(AccountRecord {
        jid: jid(text(row.get_ref(0)?.as_str())?)?,
        created: timestamp(row.get(1)?),
        enabled: row.get(2)?,
        standing: standing::decode(row.get(6)?, row.get(7)?, row.get(8)?)?,
        address,
        credentials: from_json(text(row.get_ref(4)?.as_str())?)?,
        details,
        inviter,
    })
}

/// A stored text.
pub(super) fn text<E: std::fmt::Display>(text: Result<&str, E>) -> Result<&str, StoreError> {
    text.map_err(|error| corrupt(&error))
}
