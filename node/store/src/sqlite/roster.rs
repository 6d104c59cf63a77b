//! Rosters in SQLite.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rusqlite::Row;

use super::account::text;
use super::error::Failure;
use super::view::View;
use super::writer::{Group, Mutation};
use crate::codec::{decode_subscription, encode_subscription, from_json, jid, to_json};
use crate::error::StoreError;
use crate::roster::{Roster, RosterChange, RosterItem};

/// [`update_roster`](crate::Store::update_roster).
pub(super) struct UpdateRoster {
    pub(super) jid: Jid,
    pub(super) change: RosterChange,
}

impl Mutation for UpdateRoster {
    type Output = ();

    fn bytes(&self) -> usize {
        let pending = |item: &RosterItem| item.pending_in.as_ref().map_or(0, Bytes::len);
        self.change.put.iter().map(|item| 256 + pending(item)).sum()
    }

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.account_or_refuse(&self.jid)?;
        let RosterChange {
            put,
            remove,
            version,
        } = &self.change;
        let sql = "UPDATE owner SET roster_version = ?2 WHERE id = ?1";
        group.execute(sql, (owner, *version as i64))?;
        for contact in remove {
            let sql = "DELETE FROM roster WHERE owner = ?1 AND jid = ?2";
            group.execute(sql, (owner, contact.as_str()))?;
        }
        put.iter().try_for_each(|item| put_item(group, owner, item))
    }
}

fn put_item(group: &Group<'_>, owner: i64, item: &RosterItem) -> Result<(), Failure> {
    // Texts always have a form in JSON, so this refuses nothing half-way.
    let groups = to_json(&item.groups)?;
    group.execute(
        "INSERT OR REPLACE INTO roster VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            owner,
            item.jid.as_str(),
            &item.name,
            groups,
            encode_subscription(item.subscription),
            item.ask,
            item.pending_in.as_deref(),
            item.approved,
            item.in_roster,
        ),
    )?;
    Ok(())
}

/// [`roster`](crate::Store::roster).
pub(super) fn roster(view: &View<'_>, jid: &Jid) -> Result<Roster, Failure> {
    match view.owner(jid)? {
        Some(owner) => of(view, owner),
        None => Ok(Roster::default()),
    }
}

/// The roster of an owner.
pub(super) fn of(view: &View<'_>, owner: i64) -> Result<Roster, Failure> {
    let mut version = view.prepare("SELECT roster_version FROM owner WHERE id = ?1")?;
    let version: i64 = version.query_row([owner], |row| row.get(0))?;
    let mut select = view.prepare(
        "SELECT jid, name, groups, subscription, ask, pending_in, approved, in_roster \
         FROM roster WHERE owner = ?1 ORDER BY jid",
    )?;
    let mut rows = select.query([owner])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(decode(row)?);
    }
    Ok(Roster {
        version: version as u64,
        items,
    })
}

fn decode(row: &Row<'_>) -> Result<RosterItem, StoreError> {
    let pending_in: Option<Vec<u8>> = row.get(5)?;
    Ok(RosterItem {
        jid: jid(text(row.get_ref(0)?.as_str())?)?,
        name: row.get(1)?,
        groups: from_json(text(row.get_ref(2)?.as_str())?)?,
        subscription: decode_subscription(row.get(3)?)?,
        ask: row.get(4)?,
        pending_in: pending_in.map(Bytes::from),
        approved: row.get(6)?,
        in_roster: row.get(7)?,
    })
}
