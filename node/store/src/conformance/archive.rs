//! Entries that are found by what they are called, and others that take their place.

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::{at, entry, jid, position, stored, whole_log};
use crate::Store;
use crate::log::{
    Append, Key, LogEntry, LogQuery, LogRange, LogSearch, LogUsage, Marks, Origin, Place,
};

const ROMEO: &str = "romeo@montague.example";

pub async fn entries_are_found_by_sender_and_id_newest_first(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let of = |n, from, id| called(&juliet, n, from, id);
    let entries = vec![
        of(1, "romeo@montague.example/a", "one"),
        of(2, "romeo@montague.example/b", "two"),
        of(3, "paris@montague.example/b", "one"),
        of(4, "romeo@montague.example/b", "one"),
        of(5, "romeo@montague.example", "one").marked(Marks::OWED),
        of(6, "romeo@montague.example", "on&amp;e"),
    ];
    store.append(entries).await.unwrap();
    let find = async |search| found(store, &juliet, search).await;
    assert_eq!(find(search("one")).await, [4, 1]);
    assert_eq!(find(search("on&e")).await, [6]);
    assert_eq!(find(search("three")).await, [0; 0]);
    let before = LogSearch {
        before: Some(at(4)),
        ..search("one")
    };
    assert_eq!(find(before).await, [1]);
    let newest = LogSearch {
        limit: 1,
        ..search("one")
    };
    assert_eq!(find(newest).await, [4]);
    let lowest = LogSearch {
        before: Some(position(0, 0)),
        ..search("one")
    };
    assert_eq!(find(lowest).await, [0; 0]);
    let nobody = jid("nobody@capulet.example");
    assert_eq!(found(store, &nobody, search("one")).await, [0; 0]);
}

pub async fn a_search_looks_at_so_many_entries_and_no_more(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    // Over several buckets of some backends, and two epochs.
    for part in 0..3 {
        let entries = (part * 1_000..part * 1_000 + 1_000).map(|n| {
            let entry = called(&juliet, n, ROMEO, &format!("n{n}"));
            let place = Place {
                position: position(1 + (n / 1_500) as u32, n),
                ..entry.place.clone()
            };
            Append { place, ..entry }
        });
        store.append(entries.collect()).await.unwrap();
    }
    let reach = async |id: &str, among| {
        let search = LogSearch {
            among,
            ..search(id)
        };
        !found(store, &juliet, search).await.is_empty()
    };
    for (id, age) in [("n2999", 1), ("n2000", 1_000), ("n500", 2_500)] {
        assert!(reach(id, age).await, "{id}");
        assert!(!reach(id, age - 1).await, "{id}");
    }
    store
        .remove_log(&juliet, LogRange::through(position(1, 499)))
        .await
        .unwrap();
    assert!(!reach("n499", usize::MAX).await);
    assert!(reach("n500", usize::MAX).await);
}

pub async fn a_replaced_entry_keeps_its_place_and_nothing_of_what_was_there(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let origin = Origin {
        node: 1,
        serial: 2,
        sequence: 3,
    };
    let entries = [1, 2, 3].map(|n| called(&juliet, n, ROMEO, &format!("n{n}")));
    let of_origin = entries.clone().map(|entry| entry.of(Some(origin)));
    store.append(of_origin.to_vec()).await.unwrap();
    let tombstone = tombstone("n2");
    let replaced = async |number| {
        let done = store.replace_log(&juliet, at(number), tombstone.clone());
        done.await.unwrap()
    };
    assert!(replaced(2).await);
    let mut expected = whole_log(store, &juliet).await;
    assert_eq!(expected[1].stanza, tombstone);
    let stamps = |it: &LogEntry| (it.position, it.received, it.origin, it.marks);
    let second = (at(2), entries[1].received, Some(origin), Marks::ARCHIVED);
    assert_eq!(stamps(&expected[1]), second);
    let others = [expected.remove(0), expected.pop().unwrap()];
    assert_eq!(
        others.map(|it| it.stanza),
        [&entries[0].stanza, &entries[2].stanza]
    );
    let bytes = [&entries[0].stanza, &tombstone, &entries[2].stanza];
    let usage = LogUsage {
        entries: 3,
        bytes: bytes.map(|it| it.len() as u64).iter().sum(),
    };
    assert_eq!(store.log_usage(&juliet).await, Ok(usage));
    assert_eq!(found(store, &juliet, search("n2")).await, [2]);
    // Once more, and of nothing.
    assert!(replaced(2).await);
    assert!(!replaced(4).await);
    assert_eq!(store.log_usage(&juliet).await, Ok(usage));
    let life = store.export_owner(&juliet).await.unwrap().unwrap().life;
    let exported = store.export_log(&juliet, &life, None, 9).await.unwrap();
    assert_eq!(exported, whole_log(store, &juliet).await);
    let newest = store.read_log(&juliet, LogQuery::before(None, 2)).await;
    assert_eq!(newest.unwrap()[1].stanza, tombstone);
}

pub async fn what_was_replaced_does_not_come_back(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let first = called(&juliet, 1, ROMEO, "n1");
    // Found its position taken, and is kept all the same by some backends.
    store
        .append(vec![first.clone(), first.clone()])
        .await
        .unwrap();
    let tombstone = tombstone("n1");
    let replaced = store.replace_log(&juliet, at(1), tombstone.clone()).await;
    assert_eq!(replaced, Ok(true));
    store.append(vec![first]).await.unwrap();
    // A later round of a backend may look at positions again.
    let more = (2..50).map(|n| called(&juliet, n, ROMEO, &format!("n{n}")));
    store.append(more.collect()).await.unwrap();
    let log = whole_log(store, &juliet).await;
    assert_eq!((log.len(), &log[0].stanza), (49, &tombstone));
    store
        .remove_log(&juliet, LogRange::only(at(1)))
        .await
        .unwrap();
    assert_eq!(whole_log(store, &juliet).await[0].position, at(2));
    let gone = store.replace_log(&juliet, at(1), tombstone).await;
    assert_eq!(gone, Ok(false));
    assert_eq!(found(store, &juliet, search("n1")).await, [0; 0]);
}

pub async fn replacing_in_one_log_leaves_the_other(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid(ROMEO));
    for number in 1..5 {
        let shared = called(&juliet, number, ROMEO, &format!("n{number}"));
        let shared = shared.and(romeo.clone(), at(number));
        store.append(vec![shared]).await.unwrap();
    }
    let replace = async |owner, number| {
        let done = store.replace_log(owner, at(number), tombstone("x"));
        assert_eq!(done.await, Ok(true));
    };
    replace(&romeo, 2).await;
    replace(&juliet, 3).await;
    replace(&romeo, 3).await;
    let texts = async |owner| {
        let log = whole_log(store, owner).await;
        let is_tombstone = |entry: &LogEntry| entry.stanza == tombstone("x");
        log.iter().map(is_tombstone).collect::<Vec<_>>()
    };
    assert_eq!(texts(&juliet).await, [false, false, true, false]);
    assert_eq!(texts(&romeo).await, [false, true, true, false]);
    store
        .remove_log(&romeo, LogRange::through(at(3)))
        .await
        .unwrap();
    assert_eq!(texts(&juliet).await, [false, false, true, false]);
    assert_eq!(store.expire_log(Timestamp(10)).await, Ok(4));
    assert_eq!(store.log_usage(&juliet).await, Ok(LogUsage::default()));
    assert_eq!(store.log_usage(&romeo).await, Ok(LogUsage::default()));
}

pub async fn an_entry_that_only_waits_can_be_replaced(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .append(vec![entry(&juliet, 1), entry(&juliet, 2)])
        .await
        .unwrap();
    let other = tombstone("n1");
    let replaced = store.replace_log(&juliet, at(1), other.clone()).await;
    assert_eq!(replaced, Ok(true));
    let first = LogEntry {
        stanza: other,
        ..stored(1)
    };
    assert_eq!(whole_log(store, &juliet).await, [first, stored(2)]);
    assert_eq!(found(store, &juliet, search("n1")).await, [0; 0]);
}

/// An archived message, as its sender calls it.
fn called(owner: &Jid, number: u64, from: &str, id: &str) -> Append {
    let stanza = format!("<message from=\"{from}\" id=\"{id}\"><body>{number}</body></message>");
    Append {
        stanza: stanza.into(),
        ..entry(owner, number).marked(Marks::ARCHIVED)
    }
}

/// What takes the place of one of Romeo's messages.
fn tombstone(id: &str) -> Bytes {
    format!("<message from=\"{ROMEO}\" id=\"{id}\"/>").into()
}

/// For all of Romeo's messages of one id.
fn search(id: &str) -> LogSearch {
    LogSearch {
        key: Key::new(ROMEO, id),
        before: None,
        among: usize::MAX,
        limit: 9,
    }
}

/// The sequences of what is found.
async fn found(store: &dyn Store, owner: &Jid, search: LogSearch) -> Vec<u64> {
    let entries = store.find_log(owner, search).await.unwrap();
    let number = |entry: &LogEntry| entry.position.sequence();
    entries.iter().map(number).collect()
}
