//! Logs and cursors.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::{at, entry, jid, position, stanza, stored, whole_log};
use crate::Store;
use crate::limits::RECENT_ENTRIES;
use crate::log::{Append, LogEntry, LogQuery, LogRange, LogUsage, Marks, Origin, Position, Recent};

pub async fn entries_come_back_in_order_of_position(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    for number in [5, 2, 9, 7] {
        store.append(vec![entry(&juliet, number)]).await.unwrap();
    }
    assert_eq!(whole_log(store, &juliet).await, [2, 5, 7, 9].map(stored));
    let newest = store
        .read_log(&juliet, LogQuery::before(None, 3))
        .await
        .unwrap();
    assert_eq!(newest, [9, 7, 5].map(stored));
    assert_eq!(whole_log(store, &jid("romeo@montague.example")).await, []);
}

pub async fn a_page_lies_strictly_between_its_bounds(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .append((0..10).map(|number| entry(&juliet, number)).collect())
        .await
        .unwrap();
    let read = async |after, before, limit, newest_first| -> Vec<u64> {
        let query = LogQuery {
            after,
            before,
            newest_first,
            ..LogQuery::after(None, limit)
        };
        let page = store.read_log(&juliet, query).await.unwrap();
        page.iter().map(|entry| entry.position.sequence()).collect()
    };
    const NONE: [u64; 0] = [];
    assert_eq!(read(Some(at(3)), Some(at(7)), 10, false).await, [4, 5, 6]);
    assert_eq!(read(Some(at(3)), Some(at(7)), 2, false).await, [4, 5]);
    assert_eq!(read(Some(at(3)), Some(at(7)), 2, true).await, [6, 5]);
    assert_eq!(read(None, Some(at(1)), 10, true).await, [0]);
    assert_eq!(read(Some(at(9)), None, 10, false).await, NONE);
    assert_eq!(read(Some(at(7)), Some(at(3)), 10, false).await, NONE);
    assert_eq!(read(None, None, 0, false).await, NONE);
    let zero = Position::new(0, 0).unwrap();
    assert_eq!(read(None, Some(zero), 10, false).await, NONE);
}

pub async fn a_shared_entry_is_in_both_logs(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    store
        .append(vec![entry(&juliet, 1).and(romeo.clone(), position(4, 8))])
        .await
        .unwrap();
    assert_eq!(whole_log(store, &juliet).await, [stored(1)]);
    let other = LogEntry {
        position: position(4, 8),
        ..stored(1)
    };
    assert_eq!(whole_log(store, &romeo).await, [other]);
}

pub async fn a_taken_position_keeps_its_first_entry(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    let first = entry(&juliet, 1);
    let second = Append {
        stanza: stanza(2),
        ..first.clone()
    }
    .and(romeo.clone(), at(1));
    store.append(vec![first.clone(), second]).await.unwrap();
    store.append(vec![first]).await.unwrap();
    assert_eq!(whole_log(store, &juliet).await, [stored(1)]);
    let usage = LogUsage {
        entries: 1,
        bytes: stanza(1).len() as u64,
    };
    assert_eq!(store.log_usage(&juliet).await, Ok(usage));
    let of_romeo = LogEntry {
        stanza: stanza(2),
        ..stored(1)
    };
    assert_eq!(whole_log(store, &romeo).await, [of_romeo]);
    assert_eq!(store.remove_log(&juliet, LogRange::all()).await, Ok(1));
    assert_eq!(whole_log(store, &juliet).await, []);
}

pub async fn a_late_entry_of_an_old_epoch_sorts_before_the_new(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let of = |epoch, sequence| Append {
        place: place(position(epoch, sequence)),
        ..entry(&juliet, sequence)
    };
    store.append(vec![of(1, 8), of(2, 1)]).await.unwrap();
    store.append(vec![of(1, 9)]).await.unwrap();
    let positions = whole_log(store, &juliet)
        .await
        .into_iter()
        .map(|entry| entry.position);
    let expected = [position(1, 8), position(1, 9), position(2, 1)];
    assert_eq!(positions.collect::<Vec<_>>(), expected);

    fn place(position: Position) -> crate::log::Place {
        crate::log::Place {
            owner: jid("juliet@capulet.example"),
            position,
            marks: Marks::OWED,
        }
    }
}

pub async fn removing_from_one_log_leaves_the_other(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    let shared = (1..4).map(|number| entry(&juliet, number).and(romeo.clone(), at(number)));
    store.append(shared.collect()).await.unwrap();
    assert_eq!(
        store.remove_log(&juliet, LogRange::only(at(2))).await,
        Ok(1)
    );
    assert_eq!(
        store.remove_log(&juliet, LogRange::only(at(2))).await,
        Ok(0)
    );
    assert_eq!(whole_log(store, &juliet).await, [1, 3].map(stored));
    assert_eq!(whole_log(store, &romeo).await, [1, 2, 3].map(stored));
    assert_eq!(store.remove_log(&romeo, LogRange::all()).await, Ok(3));
    assert_eq!(whole_log(store, &juliet).await, [1, 3].map(stored));
    assert_eq!(store.remove_log(&juliet, LogRange::all()).await, Ok(2));
}

pub async fn a_removed_position_is_free_again(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store.append(vec![entry(&juliet, 1)]).await.unwrap();
    assert_eq!(
        store.remove_log(&juliet, LogRange::only(at(1))).await,
        Ok(1)
    );
    let again = Append {
        stanza: stanza(2),
        ..entry(&juliet, 1)
    };
    store.append(vec![again]).await.unwrap();
    let expected = LogEntry {
        stanza: stanza(2),
        ..stored(1)
    };
    assert_eq!(whole_log(store, &juliet).await, [expected]);
}

pub async fn trimming_goes_through_its_position(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .append((1..6).map(|number| entry(&juliet, number)).collect())
        .await
        .unwrap();
    assert_eq!(store.trim_log(&juliet, at(3)).await, Ok(3));
    assert_eq!(whole_log(store, &juliet).await, [4, 5].map(stored));
    assert_eq!(
        store.trim_log(&jid("romeo@montague.example"), at(3)).await,
        Ok(0)
    );
}

pub async fn a_long_range_is_removed_whole(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .append((0..3_000).map(|number| entry(&juliet, number)).collect())
        .await
        .unwrap();
    let range = LogRange {
        from: Some(at(10)),
        ..LogRange::through(at(2_989))
    };
    assert_eq!(store.remove_log(&juliet, range).await, Ok(2_980));
    let left: Vec<LogEntry> = (0..10).chain(2_990..3_000).map(stored).collect();
    assert_eq!(whole_log(store, &juliet).await, left);
}

pub async fn usage_counts_entries_and_bytes(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    assert_eq!(store.log_usage(&juliet).await, Ok(LogUsage::default()));
    let shared = (1..4).map(|number| entry(&juliet, number).and(romeo.clone(), at(number)));
    store.append(shared.collect()).await.unwrap();
    let bytes = stanza(1).len() as u64;
    let three = LogUsage {
        entries: 3,
        bytes: 3 * bytes,
    };
    assert_eq!(store.log_usage(&juliet).await, Ok(three));
    store.trim_log(&juliet, at(1)).await.unwrap();
    assert_eq!(
        store.log_usage(&juliet).await,
        Ok(LogUsage {
            entries: 2,
            bytes: 2 * bytes
        })
    );
    assert_eq!(store.log_usage(&romeo).await, Ok(three));
}

pub async fn the_tail_never_falls_back(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(super::new_account("juliet@capulet.example"))
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
    assert_eq!(tail().await, None);
    store
        .append(vec![entry(&juliet, 7), entry(&juliet, 3)])
        .await
        .unwrap();
    assert_eq!(tail().await, Some(at(7)));
    store
        .remove_log(&juliet, LogRange::only(at(7)))
        .await
        .unwrap();
    assert_eq!(tail().await, Some(at(7)));
    store.append(vec![entry(&juliet, 9)]).await.unwrap();
    store.expire_log(Timestamp(100)).await.unwrap();
    assert_eq!(tail().await, Some(at(9)));
    assert_eq!(store.log_usage(&juliet).await, Ok(LogUsage::default()));
}

pub async fn old_stanzas_expire_from_both_logs(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    let shared = (0..2_500).map(|number| entry(&juliet, number).and(romeo.clone(), at(number)));
    store.append(shared.collect()).await.unwrap();
    assert_eq!(store.expire_log(Timestamp(2_400)).await, Ok(2_400));
    assert_eq!(store.expire_log(Timestamp(2_400)).await, Ok(0));
    let left: Vec<LogEntry> = (2_400..2_500).map(stored).collect();
    assert_eq!(whole_log(store, &juliet).await, left);
    assert_eq!(whole_log(store, &romeo).await, left);
    assert_eq!(store.log_usage(&romeo).await.unwrap().entries, 100);
}

pub async fn expiry_goes_on_behind_a_young_stanza(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .append([1, 50, 2].map(|number| entry(&juliet, number)).to_vec())
        .await
        .unwrap();
    assert_eq!(store.expire_log(Timestamp(10)).await, Ok(2));
    assert_eq!(whole_log(store, &juliet).await, [stored(50)]);
}

pub async fn a_cursor_is_kept_by_name(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    assert_eq!(store.cursor(&juliet, "offline").await, Ok(None));
    store.set_cursor(&juliet, "offline", at(5)).await.unwrap();
    store.set_cursor(&juliet, "push", at(6)).await.unwrap();
    store.set_cursor(&juliet, "offline", at(4)).await.unwrap();
    assert_eq!(store.cursor(&juliet, "offline").await, Ok(Some(at(4))));
    assert_eq!(store.cursor(&juliet, "push").await, Ok(Some(at(6))));
    assert_eq!(
        store.cursor(&jid("romeo@montague.example"), "push").await,
        Ok(None)
    );
}

pub async fn an_empty_append_changes_nothing(store: &dyn Store) {
    assert_eq!(store.append(Vec::new()).await, Ok(()));
}

pub async fn an_entry_keeps_its_origin(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    let highest = Origin {
        node: u32::MAX,
        serial: u64::MAX,
        sequence: u64::MAX,
    };
    let shared = entry(&juliet, 1)
        .and(romeo.clone(), at(1))
        .of(Some(highest));
    let entries = vec![shared, entry(&juliet, 2), of_session(&juliet, 3)];
    store.append(entries).await.unwrap();
    let with = |number, origin| LogEntry {
        origin,
        ..stored(number)
    };
    let first = with(1, Some(highest));
    let expected = [first.clone(), stored(2), with(3, Some(origin(3)))];
    assert_eq!(whole_log(store, &juliet).await, expected);
    let newest = store.read_log(&juliet, LogQuery::before(None, 2)).await;
    assert_eq!(newest.unwrap(), [expected[2].clone(), stored(2)]);
    assert_eq!(whole_log(store, &romeo).await, [first]);
    let life = store.export_owner(&juliet).await.unwrap().unwrap().life;
    let exported = store.export_log(&juliet, &life, None, 10).await;
    assert_eq!(exported.unwrap(), expected);
}

pub async fn loading_gives_the_newest_origins(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(super::new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let recent = async || store.load(&juliet).await.unwrap().account().unwrap().recent;
    assert_eq!(recent().await, []);
    let last = RECENT_ENTRIES as u64 + 9;
    let entries = (0..=last).map(|number| of_session(&juliet, number));
    store.append(entries.collect()).await.unwrap();
    let newest: Vec<_> = (10..=last).rev().map(|n| recent_at(at(n), n)).collect();
    assert_eq!(recent().await, newest);
    // Of an epoch that begins, and of one that is over; entries without an origin count.
    let next = Append {
        place: crate::log::Place {
            owner: juliet.clone(),
            position: position(2, 1),
            marks: Marks::OWED,
        },
        ..of_session(&juliet, 500)
    };
    store
        .append(vec![entry(&juliet, last + 1), next])
        .await
        .unwrap();
    let mut expected = vec![recent_at(position(2, 1), 500)];
    expected.extend(newest.iter().take(RECENT_ENTRIES - 2));
    assert_eq!(recent().await, expected);
    store.trim_log(&juliet, at(last - 1)).await.unwrap();
    assert_eq!(recent().await, [expected[0], recent_at(at(last), last)]);
    store.remove_log(&juliet, LogRange::all()).await.unwrap();
    assert_eq!(recent().await, []);
}

pub async fn an_entry_that_found_its_position_taken_leaves_no_origin(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(super::new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let late = |number| entry(&juliet, number).of(Some(origin(100 + number)));
    store.append(vec![of_session(&juliet, 1)]).await.unwrap();
    store
        .append(vec![late(1), of_session(&juliet, 2)])
        .await
        .unwrap();
    store.append(vec![late(2)]).await.unwrap();
    let loaded = store.load(&juliet).await.unwrap().account().unwrap();
    let expected = [2, 1].map(|n| recent_at(at(n), n));
    assert_eq!(loaded.recent, expected);
}

/// The entry `number`, which was the stanza `number` of a session.
fn of_session(owner: &Jid, number: u64) -> Append {
    entry(owner, number).of(Some(origin(number)))
}

/// What is known of [`of_session`] at a position.
fn recent_at(position: Position, number: u64) -> Recent {
    Recent {
        position,
        origin: origin(number),
        marks: Marks::OWED,
    }
}

fn origin(sequence: u64) -> Origin {
    let (node, serial) = (3, 1 << 50);
    Origin {
        node,
        serial,
        sequence,
    }
}
