//! How accounts stand: approval and grace.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::{credentials, jid, new_account};
use crate::account::NewAccount;
use crate::roster::{RosterChange, RosterItem};
use crate::standing::{Remover, Standing};
use crate::{Store, StoreError};

/// When the accounts of the cases leave, or begin to wait.
const SINCE: Timestamp = Timestamp(1_000_000_000_000);

const AWAITING: Standing = Standing::Awaiting { since: SINCE };

pub async fn an_account_stands_as_it_was_created_and_as_it_was_set(store: &dyn Store) {
    let all = [
        Standing::Member,
        AWAITING,
        leaving(10, Remover::Owner),
        leaving(20, Remover::Operator),
    ];
    for (number, standing) in all.into_iter().enumerate() {
        let name = format!("juliet{number}@capulet.example");
        create(store, &name, standing).await;
        assert_eq!(stands(store, &name).await, standing);
    }
    let name = "juliet0@capulet.example";
    for standing in all {
        assert_eq!(store.set_standing(&jid(name), standing).await, Ok(()));
        assert_eq!(stands(store, name).await, standing);
        let listed = store.list_accounts("capulet.example", None, 1).await;
        assert_eq!(listed.unwrap()[0].standing, standing);
        let loaded = store.load(&jid(name)).await.unwrap().account().unwrap();
        assert_eq!(loaded.record.standing, standing);
    }
}

pub async fn a_standing_changes_nothing_else_of_an_account(store: &dyn Store) {
    let name = "juliet@capulet.example";
    create(store, name, Standing::Member).await;
    let change = RosterChange {
        put: vec![RosterItem::new(jid("romeo@montague.example"))],
        remove: Vec::new(),
        version: 7,
    };
    store.update_roster(&jid(name), change).await.unwrap();
    store.set_enabled(&jid(name), false).await.unwrap();
    let before = store.load(&jid(name)).await.unwrap().account().unwrap();
    for standing in [leaving(10, Remover::Owner), Standing::Member] {
        store.set_standing(&jid(name), standing).await.unwrap();
        let after = store.load(&jid(name)).await.unwrap().account().unwrap();
        assert_eq!(after.roster, before.roster);
        assert_eq!(after.record.created, before.record.created);
        assert_eq!(after.record.details, before.record.details);
        assert!(!after.record.enabled, "it was disabled before");
        assert!(!after.record.may_log_in());
    }
    store.set_enabled(&jid(name), true).await.unwrap();
    let standing = leaving(10, Remover::Owner);
    store.set_standing(&jid(name), standing).await.unwrap();
    let keys = credentials("another");
    store.set_credentials(&jid(name), keys).await.unwrap();
    assert_eq!(stands(store, name).await, standing, "a new password");
    let record = store.account(&jid(name)).await.unwrap().unwrap();
    assert!(record.enabled && !record.may_log_in());
}

pub async fn a_standing_needs_an_account(store: &dyn Store) {
    let name = jid("juliet@capulet.example");
    for standing in [Standing::Member, AWAITING, leaving(10, Remover::Owner)] {
        let refused = store.set_standing(&name, standing).await;
        assert_eq!(refused, Err(StoreError::NotFound));
    }
    assert_eq!(due(store, SINCE.0 + 100).await, Vec::<String>::new());
    assert!(waiting(store, "capulet.example", 9).await.is_empty());
}

pub async fn who_has_left_is_due_from_the_end_of_the_grace_on_and_others_are_not(
    store: &dyn Store,
) {
    let day = 86_400_000;
    create(store, "abram@capulet.example", leaving(10, Remover::Owner)).await;
    create(store, "nurse@montague.example", Standing::Member).await;
    create(store, "peter@capulet.example", AWAITING).await;
    create(
        store,
        "tybalt@capulet.example",
        leaving(2 * day, Remover::Owner),
    )
    .await;
    let nurse = jid("nurse@montague.example");
    let standing = leaving(20, Remover::Operator);
    store.set_standing(&nurse, standing).await.unwrap();
    assert_eq!(due(store, SINCE.0 + 9).await, Vec::<String>::new());
    assert_eq!(due(store, SINCE.0 + 10).await, ["abram@capulet.example"]);
    let both = ["abram@capulet.example", "nurse@montague.example"];
    assert_eq!(due(store, SINCE.0 + 20).await, both);
    store.set_standing(&nurse, Standing::Member).await.unwrap();
    let left = ["abram@capulet.example", "tybalt@capulet.example"];
    for _ in 0..2 {
        assert_eq!(
            due(store, SINCE.0 + 9 * day).await,
            left,
            "one was restored"
        );
    }
    let later = leaving(12 * day, Remover::Operator);
    store.set_standing(&nurse, later).await.unwrap();
    assert_eq!(due(store, SINCE.0 + 11 * day).await, left);
    assert_eq!(due(store, SINCE.0 + 12 * day).await.len(), 3);
}

pub async fn all_who_are_due_are_found_in_steps(store: &dyn Store) {
    for number in 0..40_u64 {
        let name = format!("guest{number:02}@capulet.example");
        create(store, &name, leaving(number, Remover::Owner)).await;
    }
    let mut deleted = Vec::new();
    loop {
        let some = store.leaving_due(Timestamp(SINCE.0 + 30), 7).await.unwrap();
        assert!(some.len() <= 7);
        if some.is_empty() {
            break;
        }
        for jid in some {
            assert_eq!(store.delete_account(&jid, None).await, Ok(true));
            deleted.push(jid);
        }
    }
    deleted.sort();
    assert_eq!(deleted.len(), 31);
    assert_eq!(deleted[0], jid("guest00@capulet.example"));
    assert_eq!(deleted[30], jid("guest30@capulet.example"));
}

pub async fn who_awaits_approval_is_listed_by_name_in_pages_and_by_host(store: &dyn Store) {
    for name in ["tybalt", "nurse", "juliet", "abram"] {
        create(store, &format!("{name}@capulet.example"), AWAITING).await;
    }
    create(store, "romeo@montague.example", AWAITING).await;
    create(store, "peter@capulet.example", Standing::Member).await;
    create(store, "gregory@capulet.example", leaving(9, Remover::Owner)).await;
    for limit in [1, 2, 9] {
        let found = waiting(store, "capulet.example", limit).await;
        assert_eq!(found, ["abram", "juliet", "nurse", "tybalt"]);
    }
    let approved = jid("nurse@capulet.example");
    store
        .set_standing(&approved, Standing::Member)
        .await
        .unwrap();
    let found = waiting(store, "capulet.example", 9).await;
    assert_eq!(found, ["abram", "juliet", "tybalt"]);
    let found = waiting(store, "montague.example", 9).await;
    assert_eq!(found, ["romeo"]);
    assert!(waiting(store, "verona.example", 9).await.is_empty());
}

pub async fn what_is_deleted_neither_leaves_nor_waits(store: &dyn Store) {
    let names = ["abram@capulet.example", "nurse@capulet.example"];
    for _ in 0..2 {
        create(store, names[0], AWAITING).await;
        create(store, names[1], leaving(5, Remover::Owner)).await;
        for name in names {
            assert_eq!(store.delete_account(&jid(name), None).await, Ok(true));
        }
        assert_eq!(due(store, SINCE.0 + 100).await, Vec::<String>::new());
        assert!(waiting(store, "capulet.example", 9).await.is_empty());
    }
    for name in names {
        create(store, name, Standing::Member).await;
        assert_eq!(stands(store, name).await, Standing::Member);
    }
    assert_eq!(due(store, SINCE.0 + 100).await, Vec::<String>::new());
    assert!(waiting(store, "capulet.example", 9).await.is_empty());
}

pub async fn a_standing_is_exported(store: &dyn Store) {
    let name = "juliet@capulet.example";
    create(store, name, Standing::Member).await;
    for standing in [
        AWAITING,
        leaving(10, Remover::Owner),
        leaving(10, Remover::Operator),
        Standing::Member,
    ] {
        store.set_standing(&jid(name), standing).await.unwrap();
        let owned = store.export_owner(&jid(name)).await.unwrap().unwrap();
        assert_eq!(owned.account.unwrap().standing, standing);
    }
}

fn leaving(ms: u64, by: Remover) -> Standing {
    Standing::Leaving {
        since: SINCE,
        until: Timestamp(SINCE.0 + ms),
        by,
    }
}

async fn create(store: &dyn Store, name: &str, standing: Standing) {
    let account = NewAccount {
        standing,
        ..new_account(name)
    };
    assert_eq!(store.create_account(account).await, Ok(()), "{name}");
}

async fn stands(store: &dyn Store, name: &str) -> Standing {
    store.account(&jid(name)).await.unwrap().unwrap().standing
}

async fn due(store: &dyn Store, now: u64) -> Vec<String> {
    let due = store.leaving_due(Timestamp(now), 100).await.unwrap();
    let mut due: Vec<String> = due.iter().map(Jid::to_string).collect();
    due.sort();
    due
}

async fn waiting(store: &dyn Store, host: &str, limit: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let after = all.last().cloned();
        let page = store.awaiting(host, after.as_deref(), limit).await;
        let page = page.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        let locals = page.iter().filter_map(|record| record.jid.local());
        all.extend(locals.map(str::to_owned));
    }
}
