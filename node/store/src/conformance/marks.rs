//! What entries are for, and pages of some of them.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::{at, entry, jid, position, stored, whole_log};
use crate::Store;
use crate::log::{Append, DELIVERED, LogEntry, LogQuery, LogRange, Marks, Place};

const BOTH: Marks = Marks::from_bits(Marks::OWED.bits() | Marks::ARCHIVED.bits());

pub async fn an_entry_says_what_it_is_for_in_each_of_its_logs(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    let at_romeo = |number| Place {
        owner: romeo.clone(),
        position: position(3, number),
        marks: Marks::ARCHIVED,
    };
    let entries = vec![
        entry(&juliet, 1).and_at(at_romeo(1)),
        entry(&juliet, 2).marked(BOTH).and_at(at_romeo(2)),
        entry(&juliet, 3).marked(Marks::NONE),
    ];
    store.append(entries).await.unwrap();
    let marked = |number, marks| LogEntry {
        marks,
        ..stored(number)
    };
    let expected = [stored(1), marked(2, BOTH), marked(3, Marks::NONE)];
    assert_eq!(whole_log(store, &juliet).await, expected);
    let life = store.export_owner(&juliet).await.unwrap().unwrap().life;
    let exported = store.export_log(&juliet, &life, None, 10).await;
    assert_eq!(exported.unwrap(), expected);
    let theirs = whole_log(store, &romeo).await;
    let marks: Vec<_> = theirs.iter().map(|entry| entry.marks).collect();
    assert_eq!(marks, [Marks::ARCHIVED; 2]);
}

pub async fn a_page_can_be_of_some_marks_only(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let marks = [Marks::OWED, Marks::ARCHIVED, BOTH, Marks::NONE];
    let entries = (0..40).map(|n| entry(&juliet, n).marked(marks[n as usize % 4]));
    store.append(entries.collect()).await.unwrap();
    let read = async |query: LogQuery| numbers(store, &juliet, query).await;
    let first = LogQuery::after(Some(at(4)), 3);
    assert_eq!(read(first.only(Marks::OWED)).await, [6, 8, 10]);
    assert_eq!(read(first.only(Marks::ARCHIVED)).await, [5, 6, 9]);
    assert_eq!(read(first.only(BOTH)).await, [6, 10, 14]);
    assert_eq!(read(first).await, [5, 6, 7]);
    let last = LogQuery::before(Some(at(39)), 3).only(Marks::ARCHIVED);
    assert_eq!(read(last).await, [38, 37, 34]);
}

pub async fn what_is_not_archived_is_removed_and_the_archive_stays(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    let marks = [Marks::OWED, Marks::ARCHIVED, BOTH];
    let of = |n: u64| entry(&juliet, n).marked(marks[n as usize % 3]);
    let entries = (0..3_000).map(|n| of(n).and(romeo.clone(), at(n)));
    store.append(entries.collect()).await.unwrap();
    let range = LogRange {
        from: Some(at(3)),
        ..LogRange::through(at(2_997)).sparing_archived()
    };
    assert_eq!(store.remove_log(&juliet, range).await, Ok(999));
    assert_eq!(store.remove_log(&juliet, range).await, Ok(0));
    let left = numbers(store, &juliet, LogQuery::after(None, 6)).await;
    assert_eq!(left, [0, 1, 2, 4, 5, 7]);
    assert_eq!(store.log_usage(&juliet).await.unwrap().entries, 2_001);
    let end = numbers(store, &juliet, LogQuery::before(None, 3)).await;
    assert_eq!(end, [2_999, 2_998, 2_996]);
    assert_eq!(store.log_usage(&romeo).await.unwrap().entries, 3_000);
}

pub async fn a_page_by_time_holds_what_was_received_then(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    // One each minute, in two epochs.
    let of = |n: u64| received(&juliet, 1 + n / 300, n, n * 60_000);
    store.append((0..600).map(of).collect()).await.unwrap();
    let read = async |query: LogQuery| numbers(store, &juliet, query).await;
    let minutes = |since: u64, until: u64, query: LogQuery| LogQuery {
        since: Some(Timestamp(since * 60_000)),
        until: Some(Timestamp(until * 60_000)),
        ..query
    };
    let all = |limit| LogQuery::after(None, limit);
    let ends: Vec<u64> = (298..=302).collect();
    assert_eq!(read(minutes(298, 302, all(10))).await, ends);
    assert_eq!(read(minutes(298, 302, all(2))).await, [298, 299]);
    let newest = LogQuery::before(None, 2);
    assert_eq!(read(minutes(298, 302, newest)).await, [302, 301]);
    let behind = LogQuery::after(Some(at(299)), 10);
    assert_eq!(read(minutes(298, 302, behind)).await, [300, 301, 302]);
    const NONE: [u64; 0] = [];
    assert_eq!(read(minutes(302, 298, all(10))).await, NONE);
    assert_eq!(read(minutes(700, 800, all(10))).await, NONE);
    assert_eq!(
        read(minutes(597, u64::MAX / 60_000, all(10))).await,
        [597, 598, 599]
    );
    let open = LogQuery {
        until: Some(Timestamp(60_000)),
        ..all(10)
    };
    assert_eq!(read(open).await, [0, 1]);
}

pub async fn a_page_by_time_bears_clocks_that_differ(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    // The second owner's clock is 40 s behind: its entries look older than the last ones of the first.
    let first = (0..100).map(|n| received(&juliet, 1, n, 1_000_000 + n * 1_000));
    let second = (100..200).map(|n| received(&juliet, 2, n, 960_000 + n * 1_000));
    store.append(first.chain(second).collect()).await.unwrap();
    let query = LogQuery {
        since: Some(Timestamp(1_090_000)),
        until: Some(Timestamp(1_094_000)),
        ..LogQuery::after(None, 100)
    };
    let expected: Vec<u64> = (90..=94).chain(130..=134).collect();
    assert_eq!(numbers(store, &juliet, query).await, expected);
    let newest_first = LogQuery {
        newest_first: true,
        ..query
    };
    let reversed: Vec<u64> = expected.into_iter().rev().collect();
    assert_eq!(numbers(store, &juliet, newest_first).await, reversed);
}

pub async fn a_page_by_time_is_found_in_a_long_log(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    for part in 0..5 {
        let entries = (part * 2_000..(part + 1) * 2_000).map(|n| {
            // Every other bucket of some backends is empty.
            let position = n + 1_024 * (n / 1_024);
            received(&juliet, 1, position, n * 1_000).marked(Marks::ARCHIVED)
        });
        store.append(entries.collect()).await.unwrap();
    }
    for second in [0, 1, 1_023, 1_024, 5_000, 9_998] {
        let query = LogQuery {
            since: Some(Timestamp(second * 1_000)),
            ..LogQuery::after(None, 2).only(Marks::ARCHIVED)
        };
        let page = store.read_log(&juliet, query).await.unwrap();
        let times: Vec<_> = page
            .iter()
            .map(|it| it.received.as_millis() / 1_000)
            .collect();
        assert_eq!(times, [second, second + 1]);
    }
}

pub async fn a_taken_position_keeps_its_marks(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store.append(vec![entry(&juliet, 1)]).await.unwrap();
    let late = entry(&juliet, 1).marked(Marks::ARCHIVED);
    store.append(vec![late.clone()]).await.unwrap();
    let both = vec![entry(&juliet, 2), entry(&juliet, 2).marked(Marks::ARCHIVED)];
    store.append(both).await.unwrap();
    let archived = LogQuery::after(None, 9).only(Marks::ARCHIVED);
    assert_eq!(numbers(store, &juliet, archived).await, [0; 0]);
    assert_eq!(whole_log(store, &juliet).await, [1, 2].map(stored));
}

pub async fn loading_counts_what_is_owed_above_the_cursor(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(super::new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let loaded = async || {
        let loaded = store.load(&juliet).await.unwrap().account().unwrap();
        (loaded.delivered, loaded.owed)
    };
    assert_eq!(loaded().await, (None, 0));
    let marks = [Marks::OWED, Marks::ARCHIVED, BOTH];
    let entries = (0..30).map(|n| entry(&juliet, n).marked(marks[n as usize % 3]));
    store.append(entries.collect()).await.unwrap();
    assert_eq!(loaded().await, (None, 20));
    store.set_cursor(&juliet, DELIVERED, at(14)).await.unwrap();
    assert_eq!(loaded().await, (Some(at(14)), 10));
    store.trim_log(&juliet, at(16)).await.unwrap();
    assert_eq!(loaded().await, (Some(at(14)), 9));
}

/// An entry whose number is its sequence.
fn received(owner: &Jid, epoch: u64, sequence: u64, millis: u64) -> Append {
    let place = Place {
        owner: owner.clone(),
        position: position(epoch as u32, sequence),
        marks: Marks::OWED,
    };
    Append {
        place,
        received: Timestamp(millis),
        ..entry(owner, sequence)
    }
}

/// The sequences of a page.
async fn numbers(store: &dyn Store, owner: &Jid, query: LogQuery) -> Vec<u64> {
    let page = store.read_log(owner, query).await.unwrap();
    page.iter().map(|entry| entry.position.sequence()).collect()
}
