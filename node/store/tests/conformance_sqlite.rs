//! The embedded store keeps what the trait promises.

use std::sync::Arc;

use rookery_store::log::{Append, Key, LogSearch, Marks, Position};
use rookery_store::{SqliteOptions, SqliteStore, Store};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use tempfile::TempDir;

/// A store as operators have it: what a test appends stays in the tail.
mod as_configured {
    use super::*;

    fn open() -> (Arc<dyn Store>, TempDir) {
        with(SqliteOptions::default())
    }

    rookery_store::conformance!(open());
}

/// A store whose rounds are so short that nearly every commit writes the index.
mod with_short_rounds {
    use super::*;

    fn open() -> (Arc<dyn Store>, TempDir) {
        with(SqliteOptions {
            index_round_stanzas: 2,
            ..SqliteOptions::default()
        })
    }

    rookery_store::conformance!(open());
}

fn with(options: SqliteOptions) -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let store = SqliteStore::open(dir.path(), options).expect("an empty store can be opened");
    (Arc::new(store), dir)
}

/// What was replaced is wiped, also where it filled pages of its own, and is in no copy that is made later.
#[tokio::test]
async fn nothing_of_what_was_replaced_is_left_in_the_files() {
    let juliet = Jid::parse("juliet@capulet.example").expect("a JID");
    let romeo = Jid::parse("romeo@montague.example").expect("a JID");
    for index_round_stanzas in [2, SqliteOptions::default().index_round_stanzas] {
        let (store, dir) = with(SqliteOptions {
            index_round_stanzas,
            ..SqliteOptions::default()
        });
        let at = |n: u64| Position::new(1, n).expect("a position");
        for number in 0..60 {
            let body = format!("secret{number:03}").repeat(if number % 3 == 0 { 9_000 } else { 2 });
            let stanza = format!(
                "<message from=\"r@m.example\" id=\"{number}\"><body>{body}</body></message>"
            );
            let append = Append::new(juliet.clone(), at(number), stanza.into(), Timestamp(1));
            let append = append.marked(Marks::ARCHIVED);
            let append = match number % 2 {
                0 => append.and(romeo.clone(), at(number)),
                _ => append,
            };
            store.append(vec![append]).await.expect("it is appended");
        }
        let tombstone = |number| format!("<message from=\"r@m.example\" id=\"{number}\"/>").into();
        for number in 0..40 {
            let owners = [Some(&juliet), (number % 2 == 0).then_some(&romeo)];
            for owner in owners.into_iter().flatten() {
                let replaced = store.replace_log(owner, at(number), tombstone(number));
                assert_eq!(replaced.await, Ok(true));
            }
        }
        let copy = tempfile::tempdir().expect("a temporary folder can be made");
        let frozen = store.freeze(&copy.path().join("copy")).await;
        let frozen = frozen.expect("a copy is made").expect("a copy is made");
        // What a start finds that nobody has put into the index.
        let search = LogSearch {
            key: Key::new("r@m.example", "50"),
            before: None,
            among: 100,
            limit: 2,
        };
        let found = frozen.find_log(&juliet, search).await.expect("it is read");
        assert_eq!(found.len(), 1);
        drop((frozen, store));
        for folder in [dir.path(), &copy.path().join("copy")] {
            let file = std::fs::read(folder.join("store.db")).expect("the file can be read");
            let left: Vec<_> = file
                .windows(9)
                .filter(|it| it.starts_with(b"secret"))
                .collect();
            for number in 0..60 {
                let text = format!("secret{number:03}");
                assert_eq!(left.contains(&text.as_bytes()), number >= 40, "{text}");
            }
        }
    }
}
