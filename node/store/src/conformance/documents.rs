//! Documents.

use bytes::Bytes;

use super::jid;
use crate::Store;
use crate::document::Document;

pub async fn a_document_is_found_under_its_owner_collection_and_key(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    put(store, "private", "notes", "moon").await;
    assert_eq!(
        store.document(&juliet, "private", "notes").await,
        Ok(Some("moon".into()))
    );
    assert_eq!(store.document(&juliet, "private", "other").await, Ok(None));
    assert_eq!(store.document(&juliet, "other", "notes").await, Ok(None));
    assert_eq!(store.document(&romeo, "private", "notes").await, Ok(None));
}

pub async fn a_second_value_replaces_the_first(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    put(store, "private", "notes", "moon").await;
    put(store, "private", "notes", "").await;
    assert_eq!(
        store.documents(&juliet, "private").await,
        Ok(vec![document("notes", "")])
    );
}

pub async fn a_deleted_document_is_gone_once(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    put(store, "private", "notes", "moon").await;
    assert_eq!(
        store.delete_document(&juliet, "private", "notes").await,
        Ok(true)
    );
    assert_eq!(
        store.delete_document(&juliet, "private", "notes").await,
        Ok(false)
    );
    assert_eq!(store.document(&juliet, "private", "notes").await, Ok(None));
}

pub async fn a_collection_is_in_order_of_key(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    for key in ["ß", "b", "", "a/c", "a"] {
        put(store, "private", key, key).await;
    }
    put(store, "else", "a", "x").await;
    let expected = ["", "a", "a/c", "b", "ß"].map(|key| document(key, key));
    assert_eq!(
        store.documents(&juliet, "private").await,
        Ok(expected.to_vec())
    );
}

pub async fn a_replaced_collection_holds_only_the_new(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    put(store, "blocked", "a", "1").await;
    put(store, "blocked", "b", "1").await;
    put(store, "else", "a", "1").await;
    let new = vec![document("b", "2"), document("c", "2"), document("c", "3")];
    store
        .replace_documents(&juliet, "blocked", new)
        .await
        .unwrap();
    let expected = vec![document("b", "2"), document("c", "3")];
    assert_eq!(store.documents(&juliet, "blocked").await, Ok(expected));
    assert_eq!(
        store.documents(&juliet, "else").await,
        Ok(vec![document("a", "1")])
    );
    store
        .replace_documents(&juliet, "blocked", Vec::new())
        .await
        .unwrap();
    assert_eq!(store.documents(&juliet, "blocked").await, Ok(Vec::new()));
}

pub async fn an_owner_needs_no_account(store: &dyn Store) {
    let room = jid("balcony@rooms.capulet.example");
    let value = Bytes::from_static(b"\x00\xff");
    store
        .put_document(&room, "room", "config", value.clone())
        .await
        .unwrap();
    assert_eq!(
        store.document(&room, "room", "config").await,
        Ok(Some(value.clone()))
    );
    let host = jid("capulet.example");
    store
        .put_document(&host, "host", "motd", value.clone())
        .await
        .unwrap();
    assert_eq!(store.document(&host, "host", "motd").await, Ok(Some(value)));
}

/// Gives Juliet a document.
async fn put(store: &dyn Store, collection: &str, key: &str, value: &str) {
    let juliet = jid("juliet@capulet.example");
    store
        .put_document(&juliet, collection, key, value.to_owned().into())
        .await
        .unwrap();
}

fn document(key: &str, value: &str) -> Document {
    (key.to_owned(), value.to_owned().into())
}
