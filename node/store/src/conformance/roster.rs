//! Rosters.

use bytes::Bytes;

use super::{jid, new_account};
use crate::roster::{Roster, RosterChange, RosterItem, Subscription};
use crate::{Store, StoreError};

pub async fn an_unknown_roster_is_empty(store: &dyn Store) {
    assert_eq!(
        store.roster(&jid("juliet@capulet.example")).await,
        Ok(Roster::default())
    );
}

pub async fn an_item_is_found_as_it_was_put(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let subscriptions = [
        Subscription::None,
        Subscription::To,
        Subscription::From,
        Subscription::Both,
    ];
    for subscription in subscriptions {
        let item = RosterItem {
            jid: jid("romeo@montague.example"),
            name: Some("Romeo <3".into()),
            groups: vec!["Friends".into(), String::new(), "Lovers \"♥\"".into()],
            subscription,
            ask: true,
            pending_in: Some(Bytes::from_static(b"<presence type='subscribe'/>")),
            approved: true,
            in_roster: false,
        };
        let change = RosterChange {
            put: vec![item.clone()],
            remove: Vec::new(),
            version: 1,
        };
        store.update_roster(&juliet, change).await.unwrap();
        let roster = Roster {
            version: 1,
            items: vec![item],
        };
        assert_eq!(store.roster(&juliet).await, Ok(roster));
    }
}

pub async fn a_change_removes_then_puts_and_sets_the_version(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let item = |text| RosterItem::new(jid(text));
    let put = vec![item("a@x.example"), item("b@x.example")];
    let change = RosterChange {
        put,
        remove: Vec::new(),
        version: 1,
    };
    store.update_roster(&juliet, change).await.unwrap();
    let renamed = RosterItem {
        name: Some("B".into()),
        ..item("b@x.example")
    };
    let remove = vec![
        jid("a@x.example"),
        jid("b@x.example"),
        jid("unknown@x.example"),
    ];
    let change = RosterChange {
        put: vec![renamed.clone()],
        remove,
        version: 9,
    };
    store.update_roster(&juliet, change).await.unwrap();
    assert_eq!(
        store.roster(&juliet).await,
        Ok(Roster {
            version: 9,
            items: vec![renamed]
        })
    );
}

pub async fn items_are_in_order_of_jid(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let texts = [
        "x.example/r",
        "é@x.example",
        "b@x.example",
        "x.example",
        "a@x.example",
    ];
    let put = texts
        .iter()
        .map(|text| RosterItem::new(jid(text)))
        .collect();
    let change = RosterChange {
        put,
        remove: Vec::new(),
        version: 1,
    };
    store.update_roster(&juliet, change).await.unwrap();
    let mut expected = texts.map(jid);
    expected.sort();
    let items = store.roster(&juliet).await.unwrap().items;
    assert_eq!(
        items.into_iter().map(|item| item.jid).collect::<Vec<_>>(),
        expected
    );
}

pub async fn a_roster_needs_an_account(store: &dyn Store) {
    let change = RosterChange {
        version: 1,
        ..RosterChange::default()
    };
    let outcome = store
        .update_roster(&jid("juliet@capulet.example"), change)
        .await;
    assert_eq!(outcome, Err(StoreError::NotFound));
}
