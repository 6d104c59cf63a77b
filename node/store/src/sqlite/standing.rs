//! How accounts stand, in SQLite: columns of the account, with an index of those that leave and one of those that wait.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::account::page;
use super::error::Failure;
use super::view::View;
use super::writer::{Group, Mutation};
use crate::account::AccountRecord;
use crate::codec::{decode_remover, jid, millis, timestamp};
use crate::error::StoreError;
use crate::standing::{Remover, Standing};

/// [`set_standing`](crate::Store::set_standing).
pub(super) struct SetStanding {
    pub(super) jid: Jid,
    pub(super) standing: Standing,
}

impl Mutation for SetStanding {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.account_or_refuse(&self.jid)?;
        put(group, owner, self.standing)
    }
}

/// Writes how the account of an owner stands.
pub(super) fn put(group: &Group<'_>, owner: i64, standing: Standing) -> Result<(), Failure> {
    group.execute(
        "UPDATE account SET standing_since = ?2, leaves = ?3, left_by = ?4 WHERE owner = ?1",
        (
            owner,
            standing.since().map(millis),
            standing.until().map(millis),
            standing.by().map(Remover::code),
        ),
    )?;
    Ok(())
}

/// The standing of its columns.
pub(super) fn decode(
    since: Option<i64>,
    until: Option<i64>,
    by: Option<i64>,
) -> Result<Standing, StoreError> {
    let by = by.map(decode_remover).transpose()?;
    let (since, until) = (since.map(timestamp), until.map(timestamp));
    Ok(Standing::from_parts(since, until, by))
}

/// [`leaving_due`](crate::Store::leaving_due).
pub(super) fn due(view: &View<'_>, now: Timestamp, limit: usize) -> Result<Vec<Jid>, Failure> {
    let mut select = view.prepare(
        "SELECT jid FROM account INDEXED BY account_leaving JOIN owner ON owner.id = account.owner \
         WHERE leaves <= ?1 ORDER BY leaves LIMIT ?2",
    )?;
    let mut rows = select.query((millis(now), limit as i64))?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        due.push(jid(&text)?);
    }
    Ok(due)
}

/// [`awaiting`](crate::Store::awaiting).
pub(super) fn awaiting(
    view: &View<'_>,
    host: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<AccountRecord>, Failure> {
    let mut select = view.prepare(
        "SELECT jid, created, enabled, address, credentials, details, standing_since, leaves, left_by \
         FROM account INDEXED BY account_awaiting JOIN owner ON owner.id = account.owner \
         WHERE host = ?1 AND local > ?2 AND standing_since IS NOT NULL AND leaves IS NULL \
         ORDER BY local LIMIT ?3",
    )?;
    page(select.query((host, after.unwrap_or_default(), limit as i64))?)
}
