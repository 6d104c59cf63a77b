//! Accounts.

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;

use super::{at, credentials, entry, jid, new_account, shown, stored, whole_log};
use crate::account::{Found, NewAccount};
use crate::document::ACCOUNT_COLLECTION;
use crate::inviter::Inviter;
use crate::log::LogUsage;
use crate::roster::{Roster, RosterChange, RosterItem};
use crate::{Store, StoreError};

pub async fn a_created_account_is_found_as_it_was_given(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    assert!(store.account(&juliet).await.unwrap().is_none());
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let found = store.account(&juliet).await.unwrap().unwrap();
    let NewAccount {
        jid,
        credentials,
        created,
        details,
        address,
        checks: _,
        standing,
        inviter,
    } = new_account("juliet@capulet.example");
    assert_eq!(found.jid, jid);
    assert_eq!(shown(&found.credentials), shown(&credentials));
    assert_eq!((found.created, found.enabled), (created, true));
    assert_eq!((found.standing, found.inviter), (standing, inviter));
    assert_eq!((found.details, found.address), (details, address));
}

pub async fn an_account_keeps_who_invited_it(store: &dyn Store) {
    let invited = |user: Option<&str>, contact| Inviter {
        user: user.map(jid),
        contact,
    };
    let all = [
        (
            "juliet@capulet.example",
            invited(Some("romeo@montague.example"), true),
        ),
        (
            "nurse@capulet.example",
            invited(Some("romeo@montague.example"), false),
        ),
        ("paris@capulet.example", invited(None, false)),
    ];
    for (name, inviter) in &all {
        let account = NewAccount {
            inviter: Some(inviter.clone()),
            ..new_account(name)
        };
        store.create_account(account).await.unwrap();
        let name = jid(name);
        store
            .set_credentials(&name, credentials("another"))
            .await
            .unwrap();
        store.set_enabled(&name, false).await.unwrap();
    }
    let listed = store.list_accounts("capulet.example", None, 10).await;
    for ((name, inviter), listed) in all.iter().zip(listed.unwrap()) {
        let owner = jid(name);
        let loaded = store.load(&owner).await.unwrap().account().unwrap().record;
        let exported = store.export_owner(&owner).await.unwrap().unwrap();
        let exported = exported.account.unwrap();
        for found in [loaded, exported, listed] {
            assert_eq!(found.inviter.as_ref(), Some(inviter), "{name}");
            assert_eq!(found.details, new_account(name).details, "nothing else");
        }
    }
    // Who has the name next was not invited.
    let juliet = jid("juliet@capulet.example");
    store.delete_account(&juliet, None).await.unwrap();
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let found = store.account(&juliet).await.unwrap().unwrap();
    assert_eq!(found.inviter, None);
}

pub async fn a_second_account_of_one_name_is_refused_and_changes_nothing(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let other = NewAccount {
        created: Timestamp(2),
        ..new_account("juliet@capulet.example")
    };
    assert_eq!(
        store.create_account(other).await,
        Err(StoreError::AlreadyExists)
    );
    let found = store.account(&juliet).await.unwrap().unwrap();
    assert_eq!(found.created, new_account("juliet@capulet.example").created);
}

pub async fn new_credentials_replace_the_old(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    store
        .set_credentials(&juliet, credentials("another"))
        .await
        .unwrap();
    let found = store.account(&juliet).await.unwrap().unwrap();
    assert_eq!(shown(&found.credentials), shown(&credentials("another")));
}

pub async fn a_disabled_account_is_enabled_again(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    for enabled in [false, true] {
        store.set_enabled(&juliet, enabled).await.unwrap();
        assert_eq!(
            store.account(&juliet).await.unwrap().unwrap().enabled,
            enabled
        );
    }
}

pub async fn nothing_of_a_deleted_account_is_left(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    fill(store).await;
    assert!(store.delete_account(&juliet, None).await.unwrap());
    assert!(!store.delete_account(&juliet, None).await.unwrap());
    assert!(store.account(&juliet).await.unwrap().is_none());
    assert!(matches!(store.load(&juliet).await, Ok(Found::Nobody)));
    assert_nothing_owned(store).await;
    assert_eq!(whole_log(store, &romeo).await, [stored(1)]);
}

pub async fn an_account_made_again_begins_empty(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    fill(store).await;
    assert!(store.delete_account(&juliet, None).await.unwrap());
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    assert_nothing_owned(store).await;
    let loaded = store.load(&juliet).await.unwrap().account().unwrap();
    assert_eq!((loaded.log_tail, loaded.owed), (None, 0));
    store.append(vec![entry(&juliet, 2)]).await.unwrap();
    assert_eq!(whole_log(store, &juliet).await, [stored(2)]);
}

pub async fn what_arrives_for_a_deleted_account_does_not_reach_its_successor(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    fill(store).await;
    assert!(store.delete_account(&juliet, None).await.unwrap());
    store.append(vec![entry(&juliet, 7)]).await.unwrap();
    store
        .put_document(&juliet, "vcard", "", Bytes::from_static(b"late"))
        .await
        .unwrap();
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    assert_nothing_owned(store).await;
}

pub async fn accounts_are_listed_by_name_in_pages_and_by_host(store: &dyn Store) {
    for name in ["tybalt", "nurse", "juliet", "abram"] {
        store
            .create_account(new_account(&format!("{name}@capulet.example")))
            .await
            .unwrap();
    }
    store
        .create_account(new_account("romeo@montague.example"))
        .await
        .unwrap();
    let mut after = None;
    let mut names = Vec::new();
    for _ in 0..3 {
        let page = store
            .list_accounts("capulet.example", after.as_deref(), 2)
            .await
            .unwrap();
        let page = page
            .iter()
            .map(|record| record.jid.local().unwrap().to_owned());
        names.extend(page);
        after = names.last().cloned();
    }
    assert_eq!(names, ["abram", "juliet", "nurse", "tybalt"]);
    assert_eq!(store.count_accounts("capulet.example").await, Ok(4));
    assert_eq!(store.count_accounts("montague.example").await, Ok(1));
    assert_eq!(store.count_accounts("verona.example").await, Ok(0));
    assert!(
        store
            .list_accounts("verona.example", None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn loading_gives_everything_at_once(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    assert!(matches!(store.load(&juliet).await, Ok(Found::Nobody)));
    fill(store).await;
    let loaded = store.load(&juliet).await.unwrap().account().unwrap();
    assert_eq!(loaded.record.jid, juliet);
    assert_eq!((loaded.roster.version, loaded.roster.items.len()), (3, 1));
    assert_eq!((loaded.log_tail, loaded.owed), (Some(at(1)), 1));
    assert_eq!(
        loaded.documents,
        [("last".to_owned(), Bytes::from_static(b"42"))]
    );
}

pub async fn a_change_of_no_account_is_refused(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    // Owning something does not make an account.
    store.append(vec![entry(&juliet, 1)]).await.unwrap();
    let refused = Err(StoreError::NotFound);
    assert_eq!(
        store.set_credentials(&juliet, credentials("x")).await,
        refused
    );
    assert_eq!(store.set_enabled(&juliet, false).await, refused);
    assert_eq!(store.delete_account(&juliet, None).await, Ok(false));
    assert!(store.account(&juliet).await.unwrap().is_none());
    assert!(matches!(store.load(&juliet).await, Ok(Found::Nobody)));
    assert_eq!(whole_log(store, &juliet).await, [stored(1)]);
}

/// Gives Juliet an account and one thing of every kind; the stanza she shares with Romeo.
async fn fill(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let put = vec![RosterItem::new(romeo.clone())];
    let change = RosterChange {
        put,
        remove: Vec::new(),
        version: 3,
    };
    store.update_roster(&juliet, change).await.unwrap();
    let value = Bytes::from_static(b"42");
    store
        .put_document(&juliet, ACCOUNT_COLLECTION, "last", value.clone())
        .await
        .unwrap();
    store
        .put_document(&juliet, "vcard", "", value)
        .await
        .unwrap();
    store
        .append(vec![entry(&juliet, 1).and(romeo, at(1))])
        .await
        .unwrap();
    store.set_cursor(&juliet, "read", at(1)).await.unwrap();
}

async fn assert_nothing_owned(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    assert_eq!(store.roster(&juliet).await, Ok(Roster::default()));
    assert_eq!(
        store.documents(&juliet, ACCOUNT_COLLECTION).await,
        Ok(Vec::new())
    );
    assert_eq!(store.document(&juliet, "vcard", "").await, Ok(None));
    assert_eq!(whole_log(store, &juliet).await, []);
    assert_eq!(store.log_usage(&juliet).await, Ok(LogUsage::default()));
    assert_eq!(store.cursor(&juliet, "read").await, Ok(None));
}
