//! Documents in CQL: a partition an owner.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::cql::{Cql, Together};
use super::owner::Incarnation;
use crate::document::Document;
use crate::error::StoreError;

impl Cql {
    /// [`document`](crate::Store::document).
    pub(super) async fn document(
        &self,
        at: &Incarnation,
        collection: &str,
        key: &str,
    ) -> Result<Option<Bytes>, StoreError> {
        let values = (&at.owner, at.number, collection, key);
        let row: Option<(Vec<u8>,)> = self.first(&self.statements.document_read, values).await?;
        Ok(row.map(|(value,)| value.into()))
    }

    /// [`documents`](crate::Store::documents).
    pub(super) async fn documents(
        &self,
        at: &Incarnation,
        collection: &str,
    ) -> Result<Vec<Document>, StoreError> {
        let values = (&at.owner, at.number, collection);
        let statement = &self.statements.document_collection;
        let rows: Vec<(String, Vec<u8>)> = self.rows(statement, values).await?;
        let document = |(key, value): (String, Vec<u8>)| (key, value.into());
        Ok(rows.into_iter().map(document).collect())
    }

    /// [`put_document`](crate::Store::put_document).
    pub(super) async fn put_document(
        &self,
        at: &Incarnation,
        collection: &str,
        key: &str,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let values = (&at.owner, at.number, collection, key, value);
        self.write(&self.statements.document_put, values).await
    }

    /// [`delete_document`](crate::Store::delete_document). Of two calls at the same time both may hear that it was
    /// there.
    pub(super) async fn delete_document(
        &self,
        at: &Incarnation,
        collection: &str,
        key: &str,
    ) -> Result<bool, StoreError> {
        let found = self.document(at, collection, key).await?.is_some();
        let values = (&at.owner, at.number, collection, key);
        self.write(&self.statements.document_delete, values).await?;
        Ok(found)
    }

    /// [`replace_documents`](crate::Store::replace_documents): one change of one partition, which the database takes up
    /// to a size.
    pub(super) async fn replace_documents(
        &self,
        at: &Incarnation,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<(), StoreError> {
        let bytes: usize = documents
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if bytes > TOGETHER_BYTES_MAX {
            return Err(StoreError::Invalid(
                "the collection is too large for one change",
            ));
        }
        let stamp = self.stamps.next();
        let mut together = Together::new();
        let values = (stamp, at.owner.clone(), at.number, collection.to_owned());
        together.add(&self.statements.document_clear_at, values);
        let last_of_each: BTreeMap<String, Bytes> = documents.into_iter().collect();
        for (key, value) in last_of_each {
            let (owner, collection) = (at.owner.clone(), collection.to_owned());
            let values = (owner, at.number, collection, key, value.to_vec(), stamp + 1);
            together.add(&self.statements.document_put_at, values);
        }
        self.write_together(together).await
    }
}

/// Below half a segment of the database's commit log (32 MiB, its default), the most that one change may hold.
const TOGETHER_BYTES_MAX: usize = 12 * 1024 * 1024;
