//! Limits.

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;

use super::{at, entry, jid, new_account, whole_log};
use crate::limits::{
    APPENDS_MAX, DOCUMENT_BYTES_MAX, NAME_BYTES_MAX, PAGE_ENTRIES_MAX, STANZA_BYTES_MAX,
};
use crate::log::{Append, LogQuery};
use crate::roster::RosterChange;
use crate::{Store, StoreError};

pub async fn an_owner_with_a_resource_is_refused(store: &dyn Store) {
    let full = jid("juliet@capulet.example/balcony");
    assert_invalid(store.create_account(new_account(full.as_str())).await);
    assert_invalid(store.put_document(&full, "a", "b", Bytes::new()).await);
    assert_invalid(store.replace_documents(&full, "a", Vec::new()).await);
    assert_invalid(store.append(vec![entry(&full, 1)]).await);
    let second = entry(&jid("romeo@montague.example"), 1).and(full.clone(), at(1));
    assert_invalid(store.append(vec![second]).await);
    assert_invalid(store.set_cursor(&full, "a", at(1)).await);
    assert!(store.account(&full).await.unwrap().is_none());
}

pub async fn an_account_without_a_local_part_is_refused(store: &dyn Store) {
    assert_invalid(store.create_account(new_account("capulet.example")).await);
}

pub async fn a_stanza_at_the_limit_is_stored_and_one_beyond_is_refused(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let of = |bytes| {
        Append::new(
            juliet.clone(),
            at(1),
            vec![b'x'; bytes].into(),
            Timestamp(1),
        )
    };
    assert_invalid(
        store
            .append(vec![entry(&juliet, 2), of(STANZA_BYTES_MAX + 1)])
            .await,
    );
    assert_eq!(whole_log(store, &juliet).await, []);
    store.append(vec![of(STANZA_BYTES_MAX)]).await.unwrap();
    assert_eq!(
        whole_log(store, &juliet).await[0].stanza.len(),
        STANZA_BYTES_MAX
    );
}

pub async fn a_document_at_the_limit_is_stored_and_one_beyond_is_refused(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let of = |bytes| Bytes::from(vec![b'x'; bytes]);
    assert_invalid(
        store
            .put_document(&juliet, "a", "b", of(DOCUMENT_BYTES_MAX + 1))
            .await,
    );
    let documents = vec![("b".to_owned(), of(DOCUMENT_BYTES_MAX + 1))];
    assert_invalid(store.replace_documents(&juliet, "a", documents).await);
    store
        .put_document(&juliet, "a", "b", of(DOCUMENT_BYTES_MAX))
        .await
        .unwrap();
    let found = store.document(&juliet, "a", "b").await.unwrap().unwrap();
    assert_eq!(found.len(), DOCUMENT_BYTES_MAX);
}

pub async fn a_name_beyond_the_limit_is_refused(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    assert_invalid(store.put_document(&juliet, &long, "b", Bytes::new()).await);
    assert_invalid(store.put_document(&juliet, "a", &long, Bytes::new()).await);
    assert_invalid(store.replace_documents(&juliet, &long, Vec::new()).await);
    assert_invalid(store.set_cursor(&juliet, &long, at(1)).await);
    let longest = "n".repeat(NAME_BYTES_MAX);
    store
        .put_document(&juliet, &longest, &longest, Bytes::new())
        .await
        .unwrap();
    assert_eq!(
        store.document(&juliet, &longest, &longest).await,
        Ok(Some(Bytes::new()))
    );
}

pub async fn too_many_entries_in_one_call_are_refused(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let entries = |count| {
        (0..count as u64)
            .map(|number| entry(&juliet, number))
            .collect()
    };
    assert_invalid(store.append(entries(APPENDS_MAX + 1)).await);
    store.append(entries(APPENDS_MAX)).await.unwrap();
    assert_eq!(
        store.log_usage(&juliet).await.unwrap().entries,
        APPENDS_MAX as u64
    );
}

pub async fn an_entry_twice_in_one_log_is_refused(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    assert_invalid(
        store
            .append(vec![entry(&juliet, 1).and(juliet.clone(), at(2))])
            .await,
    );
}

pub async fn a_page_is_never_longer_than_the_limit(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let count = PAGE_ENTRIES_MAX as u64 + 10;
    store
        .append((0..count).map(|number| entry(&juliet, number)).collect())
        .await
        .unwrap();
    for query in [
        LogQuery::after(None, usize::MAX),
        LogQuery::before(None, usize::MAX),
    ] {
        assert_eq!(
            store.read_log(&juliet, query).await.unwrap().len(),
            PAGE_ENTRIES_MAX
        );
    }
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let list = store
        .list_accounts("capulet.example", None, usize::MAX)
        .await
        .unwrap();
    assert_eq!(list.len(), 1);
}

pub async fn a_roster_version_beyond_63_bits_is_refused(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let of = |version| RosterChange {
        version,
        ..RosterChange::default()
    };
    assert_invalid(store.update_roster(&juliet, of(1 << 63)).await);
    store
        .update_roster(&juliet, of((1 << 63) - 1))
        .await
        .unwrap();
    assert_eq!(store.roster(&juliet).await.unwrap().version, (1 << 63) - 1);
}

fn assert_invalid(outcome: Result<(), StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::Invalid(_))),
        "{outcome:?}"
    );
}
