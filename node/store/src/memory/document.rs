//! Documents in memory.

use bytes::Bytes;
use rookery_xmpp::jid::Jid;

use super::State;
use crate::document::Document;

impl State {
    pub(super) fn document(&self, owner: &Jid, collection: &str, key: &str) -> Option<Bytes> {
        self.owners
            .get(owner)?
            .documents
            .get(collection)?
            .get(key)
            .cloned()
    }

    pub(super) fn documents(&self, owner: &Jid, collection: &str) -> Vec<Document> {
        let owner = self.owners.get(owner);
        let Some(documents) = owner.and_then(|owner| owner.documents.get(collection)) else {
            return Vec::new();
        };
        documents
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    pub(super) fn put_document(&mut self, owner: &Jid, collection: &str, key: &str, value: Bytes) {
        let documents = &mut self.owner_mut(owner).documents;
        documents
            .entry(collection.to_owned())
            .or_default()
            .insert(key.to_owned(), value);
    }

    pub(super) fn delete_document(&mut self, owner: &Jid, collection: &str, key: &str) -> bool {
        let owner = self.owners.get_mut(owner);
        let documents = owner.and_then(|owner| owner.documents.get_mut(collection));
        documents.is_some_and(|documents| documents.remove(key).is_some())
    }

    pub(super) fn replace_documents(
        &mut self,
        owner: &Jid,
        collection: &str,
        documents: Vec<Document>,
    ) {
        let whole = documents.into_iter().collect();
        self.owner_mut(owner)
            .documents
            .insert(collection.to_owned(), whole);
    }
}
