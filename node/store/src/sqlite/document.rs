//! Documents in SQLite.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rusqlite::OptionalExtension;

use super::error::Failure;
use super::view::View;
use super::writer::{Group, Mutation};
use crate::document::Document;

/// [`put_document`](crate::Store::put_document).
pub(super) struct PutDocument {
    pub(super) owner: Jid,
    pub(super) collection: String,
    pub(super) document: Document,
}

impl Mutation for PutDocument {
    type Output = ();

    fn bytes(&self) -> usize {
        self.document.1.len()
    }

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.owner_or_new(&self.owner)?;
        put(group, owner, &self.collection, &self.document)
    }
}

/// [`delete_document`](crate::Store::delete_document).
pub(super) struct DeleteDocument {
    pub(super) owner: Jid,
    pub(super) collection: String,
    pub(super) key: String,
}

impl Mutation for DeleteDocument {
    type Output = bool;

    fn apply(self, group: &mut Group<'_>) -> Result<bool, Failure> {
        let Some(owner) = group.owner(&self.owner)? else {
            return Ok(false);
        };
        let sql = "DELETE FROM document WHERE owner = ?1 AND collection = ?2 AND key = ?3";
        Ok(group.execute(sql, (owner, &self.collection, &self.key))? > 0)
    }
}

/// [`replace_documents`](crate::Store::replace_documents).
pub(super) struct ReplaceDocuments {
    pub(super) owner: Jid,
    pub(super) collection: String,
    pub(super) documents: Vec<Document>,
}

impl Mutation for ReplaceDocuments {
    type Output = ();

    fn bytes(&self) -> usize {
        self.documents
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.owner_or_new(&self.owner)?;
        let sql = "DELETE FROM document WHERE owner = ?1 AND collection = ?2";
        group.execute(sql, (owner, &self.collection))?;
        self.documents
            .iter()
            .try_for_each(|document| put(group, owner, &self.collection, document))
    }
}

fn put(
    group: &Group<'_>,
    owner: i64,
    collection: &str,
    (key, value): &Document,
) -> Result<(), Failure> {
    group.execute(
        "INSERT INTO document VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (owner, collection, key) DO UPDATE SET value = excluded.value",
        (owner, collection, key, &value[..]),
    )?;
    Ok(())
}

/// [`document`](crate::Store::document).
pub(super) fn one(
    view: &View<'_>,
    owner: &Jid,
    collection: &str,
    key: &str,
) -> Result<Option<Bytes>, Failure> {
    let Some(owner) = view.owner(owner)? else {
        return Ok(None);
    };
    let mut select = view
        .prepare("SELECT value FROM document WHERE owner = ?1 AND collection = ?2 AND key = ?3")?;
    let value = select.query_row((owner, collection, key), |row| row.get::<_, Vec<u8>>(0));
    Ok(value.optional()?.map(Bytes::from))
}

/// [`documents`](crate::Store::documents).
pub(super) fn all(
    view: &View<'_>,
    owner: &Jid,
    collection: &str,
) -> Result<Vec<Document>, Failure> {
    match view.owner(owner)? {
        Some(owner) => all_of(view, owner, collection),
        None => Ok(Vec::new()),
    }
}

/// The collection of an owner.
pub(super) fn all_of(
    view: &View<'_>,
    owner: i64,
    collection: &str,
) -> Result<Vec<Document>, Failure> {
    let mut select = view.prepare(
        "SELECT key, value FROM document WHERE owner = ?1 AND collection = ?2 ORDER BY key",
    )?;
    let documents = select.query_map((owner, collection), |row| {
        Ok((row.get(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
    })?;
    Ok(documents.collect::<Result<_, _>>()?)
}
