//! Export.

use std::collections::BTreeSet;

use rookery_xmpp::jid::Jid;

use super::{at, entry, jid, new_account, position, shown, stored};
use crate::Store;
use crate::export::StoredDocument;
use crate::log::{LogEntry, LogRange};
use crate::roster::{RosterChange, RosterItem};

pub async fn every_owner_is_met_once_whatever_the_page(store: &dyn Store) {
    let mut expected = BTreeSet::new();
    for number in 0..20 {
        let text = format!("account{number}@capulet.example");
        store.create_account(new_account(&text)).await.unwrap();
        expected.insert(jid(&text));
    }
    // Without accounts, and each with something else, or with all of it.
    for number in 0..5 {
        let owner = jid(&format!("room{number}.capulet.example"));
        let all = number == 4;
        if number == 0 || all {
            store
                .put_document(&owner, "room", "subject", "balcony".into())
                .await
                .unwrap();
        }
        if number == 1 || all {
            store.set_cursor(&owner, "read", at(3)).await.unwrap();
        }
        if number == 2 || all {
            store.append(vec![entry(&owner, 1)]).await.unwrap();
        }
        if number == 3 || all {
            store.raise_log(&owner, at(9)).await.unwrap();
        }
        expected.insert(owner);
    }
    for limit in [1, 7, 1_000] {
        let met = walk(store, limit).await;
        let mut once = BTreeSet::new();
        assert!(
            met.iter().all(|owner| once.insert(owner.clone())),
            "{met:?}"
        );
        assert_eq!(once, expected, "pages of {limit}");
    }
}

pub async fn all_that_an_owner_owns_is_exported(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let account = new_account("juliet@capulet.example");
    store.create_account(account.clone()).await.unwrap();
    store.set_enabled(&juliet, false).await.unwrap();
    let put = ["b@x.example", "a@x.example"].map(|text| RosterItem::new(jid(text)));
    let change = RosterChange {
        put: put.into(),
        remove: Vec::new(),
        version: 7,
    };
    store.update_roster(&juliet, change).await.unwrap();
    store.set_cursor(&juliet, "read", at(1)).await.unwrap();
    store.set_cursor(&juliet, "archive", at(2)).await.unwrap();
    store
        .append((1..=3).map(|number| entry(&juliet, number)).collect())
        .await
        .unwrap();
    store
        .remove_log(&juliet, LogRange::only(at(3)))
        .await
        .unwrap();

    let owned = store.export_owner(&juliet).await.unwrap().unwrap();
    let record = owned.account.unwrap();
    assert_eq!((record.jid, record.enabled), (juliet.clone(), false));
    assert_eq!(
        (record.created, record.details),
        (account.created, account.details)
    );
    assert_eq!(record.address, account.address);
    assert_eq!(shown(&record.credentials), shown(&account.credentials));
    assert_eq!(owned.roster, store.roster(&juliet).await.unwrap());
    assert_eq!(owned.roster.version, 7);
    let cursors = [("archive".to_owned(), at(2)), ("read".to_owned(), at(1))];
    assert_eq!(owned.cursors, cursors);
    assert_eq!(owned.log_high, Some(at(3)), "also of an entry that is gone");
    let log = store.export_log(&juliet, &owned.life, None, 10).await;
    assert_eq!(log.unwrap(), [1, 2].map(stored));
}

pub async fn long_collections_and_logs_are_exported_in_pages(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let document = |collection: &str, key: String| StoredDocument {
        collection: collection.to_owned(),
        value: format!("{collection} {key}").into(),
        key,
    };
    let mut documents = vec![document("", String::new()), document("a", String::new())];
    documents.extend((0..5).map(|number| document("b", format!("key{number}"))));
    documents.push(document("c", "é".to_owned()));
    for it in documents.iter().rev() {
        store
            .put_document(&juliet, &it.collection, &it.key, it.value.clone())
            .await
            .unwrap();
    }
    store
        .append((0..9).map(|number| entry(&juliet, number)).collect())
        .await
        .unwrap();
    let life = store.export_owner(&juliet).await.unwrap().unwrap().life;
    for limit in [1, 3, 100] {
        let log = whole_log(store, &juliet, &life, limit).await;
        assert_eq!(log, (0..9).map(stored).collect::<Vec<_>>());
        assert_eq!(
            whole_documents(store, &juliet, &life, limit).await,
            documents
        );
    }
}

pub async fn who_owns_nothing_is_not_exported(store: &dyn Store) {
    let (juliet, room) = (jid("juliet@capulet.example"), jid("room.capulet.example"));
    assert!(store.export_owner(&juliet).await.unwrap().is_none());
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    assert!(store.delete_account(&juliet, None).await.unwrap());
    assert!(store.export_owner(&juliet).await.unwrap().is_none());
    store
        .put_document(&room, "room", "subject", "balcony".into())
        .await
        .unwrap();
    assert!(store.export_owner(&room).await.unwrap().is_some());
    store
        .delete_document(&room, "room", "subject")
        .await
        .unwrap();
    assert!(store.export_owner(&room).await.unwrap().is_none());
}

pub async fn pages_of_a_life_that_is_over_are_empty(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let fill = async || {
        store
            .create_account(new_account("juliet@capulet.example"))
            .await
            .unwrap();
        store.append(vec![entry(&juliet, 1)]).await.unwrap();
        store
            .put_document(&juliet, "a", "b", "c".into())
            .await
            .unwrap();
        store.export_owner(&juliet).await.unwrap().unwrap().life
    };
    let former = fill().await;
    assert!(store.delete_account(&juliet, None).await.unwrap());
    let present = fill().await;
    assert_ne!(former, present);
    for (life, count) in [(&former, 0), (&present, 1)] {
        assert_eq!(whole_log(store, &juliet, life, 10).await.len(), count);
        assert_eq!(whole_documents(store, &juliet, life, 10).await.len(), count);
    }
}

pub async fn a_raised_log_never_falls_back(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let tail = async || {
        store
            .load(&juliet)
            .await
            .unwrap()
            .account()
            .unwrap()
            .log_tail
    };
    for (raised, expected) in [(position(2, 5), position(2, 5)), (at(8), position(2, 5))] {
        store.raise_log(&juliet, raised).await.unwrap();
        assert_eq!(tail().await, Some(expected));
    }
    store.append(vec![entry(&juliet, 1)]).await.unwrap();
    assert_eq!(tail().await, Some(position(2, 5)));
    let loaded = store.load(&juliet).await.unwrap().account().unwrap();
    assert_eq!(loaded.owed, 1, "a height is no entry");
}

pub async fn a_frozen_store_does_not_change(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    store.append(vec![entry(&juliet, 1)]).await.unwrap();
    let dir = std::env::temp_dir().join(format!("rookery-{}", uuid::Uuid::new_v4()));
    if let Some(frozen) = store.freeze(&dir).await.unwrap() {
        store.append(vec![entry(&juliet, 2)]).await.unwrap();
        let owned = frozen.export_owner(&juliet).await.unwrap().unwrap();
        assert_eq!(
            whole_log(&*frozen, &juliet, &owned.life, 10).await,
            [stored(1)]
        );
        assert!(frozen.freeze(&dir).await.is_err(), "there is a copy");
        drop(frozen);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

async fn walk(store: &dyn Store, limit: usize) -> Vec<Jid> {
    let (mut met, mut next) = (Vec::new(), None);
    loop {
        let page = store.owners(next.as_deref(), limit).await.unwrap();
        met.extend(page.owners);
        next = page.next;
        if next.is_none() {
            return met;
        }
    }
}

async fn whole_log(store: &dyn Store, owner: &Jid, life: &str, limit: usize) -> Vec<LogEntry> {
    let mut log: Vec<LogEntry> = Vec::new();
    loop {
        let after = log.last().map(|last| last.position);
        let page = store.export_log(owner, life, after, limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

async fn whole_documents(
    store: &dyn Store,
    owner: &Jid,
    life: &str,
    limit: usize,
) -> Vec<StoredDocument> {
    let mut documents: Vec<StoredDocument> = Vec::new();
    loop {
        let last = documents.last();
        let after = last.map(|last| (last.collection.as_str(), last.key.as_str()));
        let page = store.export_documents(owner, life, after, limit).await;
        let page = page.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return documents;
        }
        documents.extend(page);
    }
}
