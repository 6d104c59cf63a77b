//! Export from SQLite. A life is the owner's integer, which is never used again.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;

use super::error::Failure;
use super::view::View;
use super::{account, log, names, roster};
use crate::codec::jid;
use crate::export::{Owned, OwnersPage, StoredDocument};
use crate::log::{LogEntry, LogQuery, Position};
use crate::name::Tombstone;
use crate::roster::Roster;

/// [`owners`](crate::Store::owners), in order of JID by bytes.
pub(super) fn owners(
    view: &View<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<OwnersPage, Failure> {
    // A JID is never empty, so every one sorts behind "".
    let mut select = view.prepare(
        "SELECT jid FROM owner WHERE jid > ?1 UNION SELECT jid FROM tombstone WHERE jid > ?1 ORDER BY jid LIMIT ?2",
    )?;
    let after = after.unwrap_or_default();
    let rows = select.query_map((after, limit + 1), |row| row.get::<_, String>(0))?;
    let mut texts = rows.collect::<Result<Vec<_>, _>>()?;
    let more = texts.len() > limit;
    texts.truncate(limit);
    let owners = texts.iter().map(|text| jid(text));
    let owners = owners.collect::<Result<_, _>>()?;
    let next = texts.pop().filter(|_| more);
    Ok(OwnersPage { owners, next })
}

/// [`export_owner`](crate::Store::export_owner).
pub(super) fn owned(view: &View<'_>, owner: &Jid) -> Result<Option<Owned>, Failure> {
    let jid = owner;
    let Some((owner, tail)) = view.owner_and_tail(jid)? else {
        let tombstone = names::tombstone_of(view, jid)?;
        return Ok(tombstone.map(only_gone));
    };
    let owned = Owned {
        life: owner.to_string(),
        account: account::record(view, owner)?,
        roster: roster::of(view, owner)?,
        cursors: cursors(view, owner)?,
        log_high: log::high(view, owner, &tail)?,
        tombstone: names::tombstone_of(view, jid)?,
    };
    let owns = owned.account.is_some() || owned.log_high.is_some() || !owned.cursors.is_empty();
    let owns = owns || owned.tombstone.is_some();
    let mut document = view.prepare("SELECT 1 FROM document WHERE owner = ?1")?;
    Ok((owns || document.exists([owner])?).then_some(owned))
}

/// A name that is gone, and owns nothing.
fn only_gone(tombstone: Tombstone) -> Owned {
    Owned {
        life: String::new(),
        account: None,
        roster: Roster::default(),
        cursors: Vec::new(),
        log_high: None,
        tombstone: Some(tombstone),
    }
}

fn cursors(view: &View<'_>, owner: i64) -> Result<Vec<(String, Position)>, Failure> {
    let mut select =
        view.prepare("SELECT name, position FROM cursor WHERE owner = ?1 ORDER BY name")?;
    let mut rows = select.query([owner])?;
    let mut cursors = Vec::new();
    while let Some(row) = rows.next()? {
        cursors.push((row.get(0)?, log::unpack(row.get(1)?)?));
    }
    Ok(cursors)
}

/// [`export_documents`](crate::Store::export_documents).
pub(super) struct DocumentsPage {
    pub(super) owner: Jid,
    pub(super) life: String,
    pub(super) after: Option<(String, String)>,
    pub(super) limit: usize,
}

impl DocumentsPage {
    pub(super) fn read(&self, view: &View<'_>) -> Result<Vec<StoredDocument>, Failure> {
        let owner = match view.owner(&self.owner)? {
            Some(owner) if owner.to_string() == self.life => owner,
            _ => return Ok(Vec::new()),
        };
        let (from_all, collection, key) = match &self.after {
            Some((collection, key)) => (false, collection.as_str(), key.as_str()),
            None => (true, "", ""),
        };
        let mut select = view.prepare(
            "SELECT collection, key, value FROM document \
             WHERE owner = ?1 AND (?2 OR (collection, key) > (?3, ?4)) \
             ORDER BY collection, key LIMIT ?5",
        )?;
        let documents =
            select.query_map((owner, from_all, collection, key, self.limit), |row| {
                Ok(StoredDocument {
                    collection: row.get(0)?,
                    key: row.get(1)?,
                    value: Bytes::from(row.get::<_, Vec<u8>>(2)?),
                })
            })?;
        Ok(documents.collect::<Result<_, _>>()?)
    }
}

/// [`export_log`](crate::Store::export_log).
pub(super) fn log(
    view: &View<'_>,
    jid: &Jid,
    life: &str,
    query: LogQuery,
) -> Result<Vec<LogEntry>, Failure> {
    match view.owner_and_tail(jid)? {
        Some((owner, tail)) if owner.to_string() == life => log::page_of(view, owner, &tail, query),
        _ => Ok(Vec::new()),
    }
}
