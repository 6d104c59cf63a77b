//! Names: look-alikes and tombstones.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::skeleton;

use super::concurrency::join_all;
use super::{jid, new_account};
use crate::account::{Found, NewAccount};
use crate::name::{Buried, NameChecks, Tombstone};
use crate::{Store, StoreError};

/// When the tombstones of the cases are put.
const AT: Timestamp = Timestamp(500);

pub async fn a_look_alike_is_refused_by_the_name_that_it_looks_like(store: &dyn Store) {
    create(store, "olga@capulet.example").await;
    let with = "olga".into();
    let refused = Err(StoreError::Confusable { with });
    for name in ["0lga@capulet.example", "оlga@capulet.example"] {
        assert_eq!(store.create_account(new_account(name)).await, refused);
        assert!(store.account(&jid(name)).await.unwrap().is_none());
    }
    create(store, "igor@capulet.example").await;
    assert_eq!(like(store, "capulet.example", "olga").await, ["olga"]);
    assert!(delete(store, "olga@capulet.example", None).await);
    assert!(like(store, "capulet.example", "olga").await.is_empty());
    create(store, "0lga@capulet.example").await;
    let taken = store.create_account(new_account("olga@capulet.example"));
    let with = "0lga".into();
    assert_eq!(taken.await, Err(StoreError::Confusable { with }));
}

pub async fn a_look_alike_that_is_forced_stands_in_the_way_of_others(store: &dyn Store) {
    create(store, "olga@capulet.example").await;
    let forced = unchecked("0lga@capulet.example");
    assert_eq!(
        store.create_account(forced.clone()).await,
        Ok(()),
        "it was forced"
    );
    assert_eq!(
        store.create_account(forced).await,
        Err(StoreError::AlreadyExists)
    );
    assert_eq!(
        like(store, "capulet.example", "olga").await,
        ["0lga", "olga"]
    );
    assert!(delete(store, "olga@capulet.example", None).await);
    let with = "0lga".into();
    let refused = store.create_account(new_account("olga@capulet.example"));
    assert_eq!(refused.await, Err(StoreError::Confusable { with }));
    assert!(delete(store, "0lga@capulet.example", None).await);
    create(store, "olga@capulet.example").await;
}

pub async fn hosts_do_not_stand_in_each_others_way(store: &dyn Store) {
    let gone = Some(forever());
    create(store, "olga@capulet.example").await;
    create(store, "0lga@montague.example").await;
    assert!(delete(store, "olga@capulet.example", gone).await);
    create(store, "olga@verona.example").await;
    assert_eq!(like(store, "montague.example", "olga").await, ["0lga"]);
}

pub async fn a_deleted_name_is_gone_for_as_long_as_its_tombstone_says(store: &dyn Store) {
    let name = "olga@capulet.example";
    let until = Some(Timestamp(2_000));
    let tombstone = Tombstone { at: AT, until };
    create(store, name).await;
    assert!(delete(store, name, Some(tombstone)).await);
    assert_eq!(gone(store, name).await, Some(tombstone));
    assert!(!delete(store, name, None).await, "there is no account");
    let refused = Err(StoreError::Gone { until });
    let at = |ms| NewAccount {
        created: Timestamp(ms),
        ..new_account(name)
    };
    assert_eq!(store.create_account(at(1_999)).await, refused);
    assert_eq!(gone(store, name).await, Some(tombstone));
    assert_eq!(store.create_account(at(2_000)).await, Ok(()));
    assert_eq!(gone(store, name).await, None);
    assert!(delete(store, name, None).await);
    assert_eq!(gone(store, name).await, None, "it was used up");
}

pub async fn a_name_that_is_gone_for_ever_is_restored(store: &dyn Store) {
    let name = "olga@capulet.example";
    create(store, name).await;
    assert!(delete(store, name, Some(forever())).await);
    let late = NewAccount {
        created: Timestamp(u64::MAX / 4),
        ..new_account(name)
    };
    let until = None;
    assert_eq!(
        store.create_account(late).await,
        Err(StoreError::Gone { until })
    );
    assert_eq!(store.lift_tombstone(&jid(name)).await, Ok(true));
    assert_eq!(store.lift_tombstone(&jid(name)).await, Ok(false));
    assert_eq!(gone(store, name).await, None);
    create(store, name).await;
}

pub async fn an_account_that_is_forced_lifts_its_tombstone(store: &dyn Store) {
    let name = "olga@capulet.example";
    create(store, name).await;
    assert!(delete(store, name, Some(forever())).await);
    assert_eq!(store.create_account(unchecked(name)).await, Ok(()));
    assert!(listed(store, "capulet.example", 9).await.is_empty());
    assert!(delete(store, name, None).await);
    create(store, name).await;
}

pub async fn a_deletion_without_a_tombstone_frees_the_name(store: &dyn Store) {
    let name = "olga@capulet.example";
    create(store, name).await;
    assert!(delete(store, name, None).await);
    assert!(matches!(store.load(&jid(name)).await, Ok(Found::Nobody)));
    create(store, name).await;
}

pub async fn tombstones_are_listed_by_name_in_pages_and_by_host(store: &dyn Store) {
    for name in ["tybalt", "nurse", "juliet", "abram"] {
        let name = format!("{name}@capulet.example");
        create(store, &name).await;
        assert!(delete(store, &name, Some(forever())).await);
    }
    create(store, "romeo@montague.example").await;
    assert!(delete(store, "romeo@montague.example", Some(forever())).await);
    for limit in [1, 2, 9] {
        let found = listed(store, "capulet.example", limit).await;
        let names: Vec<_> = found.iter().filter_map(|it| it.jid.local()).collect();
        assert_eq!(names, ["abram", "juliet", "nurse", "tybalt"]);
        assert!(found.iter().all(|it| it.tombstone == forever()));
    }
    let restored = jid("nurse@capulet.example");
    assert_eq!(store.lift_tombstone(&restored).await, Ok(true));
    assert_eq!(listed(store, "capulet.example", 9).await.len(), 3);
    assert_eq!(listed(store, "montague.example", 9).await.len(), 1);
    assert!(listed(store, "verona.example", 9).await.is_empty());
}

pub async fn a_tombstone_is_put_only_where_there_is_no_account(store: &dyn Store) {
    let name = "olga@capulet.example";
    create(store, name).await;
    let refused = store.bury(&jid(name), forever()).await;
    assert_eq!(refused, Err(StoreError::AlreadyExists));
    assert!(delete(store, name, Some(forever())).await);
    let until = Some(Timestamp(9_000));
    let another = Tombstone { at: AT, until };
    for _ in 0..2 {
        assert_eq!(store.bury(&jid(name), another).await, Ok(()));
    }
    assert_eq!(gone(store, name).await, Some(another));
    assert_eq!(listed(store, "capulet.example", 9).await.len(), 1);
    let without_local = store.bury(&jid("capulet.example"), another).await;
    assert!(matches!(without_local, Err(StoreError::Invalid(_))));
}

pub async fn tombstones_are_exported(store: &dyn Store) {
    let name = "olga@capulet.example";
    create(store, name).await;
    let owned = store.export_owner(&jid(name)).await.unwrap().unwrap();
    assert_eq!(owned.tombstone, None);
    assert!(delete(store, name, Some(forever())).await);
    let page = store.owners(None, 100).await.unwrap();
    let met = page.owners.iter().filter(|owner| **owner == jid(name));
    assert_eq!(met.count(), 1);
    let owned = store.export_owner(&jid(name)).await.unwrap().unwrap();
    assert_eq!(owned.tombstone, Some(forever()));
    assert!(owned.account.is_none());
    assert_eq!(owned.roster.items, []);
}

pub async fn of_concurrent_look_alikes_one_wins(store: &dyn Store) {
    let names = [
        "olga", "0lga", "о1ga", "оlga", "0l𐓪a", "o1ga", "01ga", "ꓳlga",
    ];
    let names = names.map(|name| format!("{name}@capulet.example"));
    let alike: Vec<_> = names
        .iter()
        .filter(|name| skeleton(jid(name).local().unwrap()) == "olga")
        .collect();
    assert!(alike.len() >= 5, "{alike:?}");
    for _ in 0..5 {
        let tries = alike
            .iter()
            .map(|name| store.create_account(new_account(name)));
        let outcomes = join_all(tries.collect()).await;
        let wins = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(wins, 1, "{outcomes:?}");
        let lost = |it: &&Result<_, _>| matches!(it, Err(StoreError::Confusable { .. }));
        assert_eq!(outcomes.iter().filter(lost).count(), alike.len() - 1);
        for name in &alike {
            delete(store, name, None).await;
        }
    }
}

fn forever() -> Tombstone {
    Tombstone {
        at: AT,
        until: None,
    }
}

fn unchecked(name: &str) -> NewAccount {
    NewAccount {
        checks: NameChecks::NONE,
        ..new_account(name)
    }
}

async fn create(store: &dyn Store, name: &str) {
    let created = store.create_account(new_account(name)).await;
    assert_eq!(created, Ok(()), "{name}");
}

async fn delete(store: &dyn Store, name: &str, tombstone: Option<Tombstone>) -> bool {
    store.delete_account(&jid(name), tombstone).await.unwrap()
}

async fn like(store: &dyn Store, host: &str, name: &str) -> Vec<String> {
    store.names_like(host, &skeleton(name), 10).await.unwrap()
}

async fn gone(store: &dyn Store, name: &str) -> Option<Tombstone> {
    match store.load(&jid(name)).await.unwrap() {
        Found::Gone(tombstone) => Some(tombstone),
        Found::Account(_) | Found::Nobody => None,
    }
}

async fn listed(store: &dyn Store, host: &str, limit: usize) -> Vec<Buried> {
    let mut all: Vec<Buried> = Vec::new();
    loop {
        let after = all.last().and_then(|it| it.jid.local().map(str::to_owned));
        let page = store.tombstones(host, after.as_deref(), limit).await;
        let page = page.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}
