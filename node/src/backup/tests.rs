//! A backup there and back, and every way in which one can be wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use rookery_control::ClusterSecret;
use rookery_proto::backup::LogEntry;
use rookery_store::account::NewAccount;
use rookery_store::inviter::Inviter;
use rookery_store::log::{Append, LogQuery, LogRange, Marks, Origin, Position};
use rookery_store::name::NameChecks;
use rookery_store::roster::{RosterChange, RosterItem, Subscription};
use rookery_store::standing::{Remover, Standing};
use rookery_store::{MemoryStore, SqliteOptions, SqliteStore, Store};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use tempfile::TempDir;
use tokio::sync::mpsc::channel;

use super::*;

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn at(sequence: u64) -> Position {
    Position::new(1, sequence).unwrap()
}

fn origin(sequence: u64) -> Origin {
    let (node, serial) = (u32::MAX, u64::MAX);
    Origin {
        node,
        serial,
        sequence,
    }
}

/// The secret of whoever is backed up.
const SECRET: ClusterSecret = ClusterSecret::new([7; 32]);

/// How the first accounts of the store stand.
const STANDINGS: [Standing; 3] = [
    Standing::Awaiting {
        since: Timestamp(5),
    },
    Standing::Leaving {
        since: Timestamp(6),
        until: Timestamp(7),
        by: Remover::Owner,
    },
    Standing::Leaving {
        since: Timestamp(8),
        until: Timestamp(9),
        by: Remover::Operator,
    },
];

async fn add_account(store: &dyn Store, text: &str) -> Jid {
    let account = NewAccount {
        jid: jid(text),
        credentials: Credentials::derive("secret", b"some salt", 1).unwrap(),
        created: Timestamp(1_000),
        details: [("email".to_owned(), "a@b.example".to_owned())].into(),
        address: Some([192, 0, 2, 1].into()),
        checks: NameChecks::ALL,
        standing: Standing::Member,
        inviter: text.starts_with("account1").then(|| Inviter {
            user: Some(jid("romeo@montague.example")),
            contact: text.len().is_multiple_of(2),
        }),
    };
    store.create_account(account).await.unwrap();
    jid(text)
}

/// A store with something of every kind: more than a page of owners, documents and entries.
async fn filled() -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for number in 0..250 {
        add_account(&*store, &format!("account{number}@capulet.example")).await;
    }
    let juliet = add_account(&*store, "juliet@capulet.example").await;
    store.set_enabled(&juliet, false).await.unwrap();
    for (number, standing) in STANDINGS.into_iter().enumerate() {
        let account = jid(&format!("account{number}@capulet.example"));
        store.set_standing(&account, standing).await.unwrap();
    }
    let romeo = RosterItem {
        name: Some("Romeo".to_owned()),
        groups: vec!["Lovers".to_owned()],
        subscription: Subscription::Both,
        pending_in: Some("<presence/>".into()),
        ..RosterItem::new(jid("romeo@montague.example"))
    };
    let change = RosterChange {
        put: vec![romeo, RosterItem::new(jid("nurse@capulet.example"))],
        remove: Vec::new(),
        version: 5,
    };
    store.update_roster(&juliet, change).await.unwrap();
    store.set_cursor(&juliet, "read", at(7)).await.unwrap();
    for number in 0..40 {
        let value = vec![number; 100].into();
        let key = format!("key{number}");
        store
            .put_document(&juliet, "private", &key, value)
            .await
            .unwrap();
    }
    let stanza = |number| format!("<message id='{number}'/>").into();
    let entry = |number| {
        Append::new(
            juliet.clone(),
            at(number),
            stanza(number),
            Timestamp(number),
        )
        .of((number >= 350).then_some(origin(number)))
        .marked(match number % 3 {
            0 => Marks::ARCHIVED,
            1 => Marks::OWED,
            _ => Marks::OWED | Marks::ARCHIVED,
        })
    };
    store.append((0..700).map(entry).collect()).await.unwrap();
    store
        .remove_log(&juliet, LogRange::only(at(699)))
        .await
        .unwrap();
    let (host, nurse) = (jid("capulet.example"), jid("account3@capulet.example"));
    let high = Position::new(4, 1).unwrap();
    store.raise_log(&nurse, high).await.unwrap();
    store
        .put_document(&host, "motd", "text", "hello".into())
        .await
        .unwrap();
    store
}

/// Writes a backup, as far as `pages` pages.
async fn back_up(store: &Arc<dyn Store>, dir: &Path, pages: usize) -> Result<(), BackupError> {
    let mut writer = Writer::open(dir)?;
    let from = writer.next().map(str::to_owned);
    let mut source = exported(store, from);
    let mut passed = 0;
    writer.begin(Some(Control::default()), Some(SECRET))?;
    while let Some(piece) = source.next().await? {
        for record in &piece.records {
            writer.put(record)?;
        }
        if let Some(next) = piece.page {
            writer.page(next)?;
            passed += 1;
        }
        if passed == pages {
            return Ok(());
        }
    }
    writer.finish(Some(Control::default())).map(drop)
}

fn exported(store: &Arc<dyn Store>, from: Option<String>) -> Source {
    let (pieces, source) = channel(1);
    tokio::spawn(export(Arc::clone(store), from, pieces));
    let secret = Some(SECRET);
    Source::Store {
        pieces: source,
        secret,
    }
}

async fn differences(dir: &Path, store: &Arc<dyn Store>) -> Vec<Difference> {
    let open = || Source::Folder(Box::new(Reader::open(dir).unwrap()));
    let contents = Contents::of(&mut open()).await.unwrap();
    let mut second = exported(store, None);
    compare(contents, &mut open(), &mut second).await.unwrap().0
}

async fn restored(dir: &Path, store: &Arc<dyn Store>) -> Result<Amount, BackupError> {
    let mut reader = Reader::open(dir)?;
    reader.check()?;
    restore(&mut reader, store, |_| {}).await
}

/// A folder, with a finished backup of the filled store in its `backup`.
async fn backup() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    back_up(&filled().await, &dir.path().join("backup"), usize::MAX)
        .await
        .unwrap();
    dir
}

fn sqlite(dir: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(dir, SqliteOptions::default()).unwrap())
}

#[tokio::test]
async fn what_is_restored_is_what_was_there_on_another_backend_too() {
    let dir = backup().await;
    let backup = dir.path().join("backup");
    let store = sqlite(&dir.path().join("store"));
    let amount = restored(&backup, &store).await.unwrap();
    assert_eq!(amount.owners, 252);
    assert_eq!(differences(&backup, &store).await, []);
    assert!(!restore::is_marked(&*store).await.unwrap());
    assert_eq!(restore::highest_epoch(&*store).await, Ok(4));
    let juliet = jid("juliet@capulet.example");
    let loaded = store.load(&juliet).await.unwrap().account().unwrap();
    assert!(!loaded.record.enabled);
    for (number, standing) in STANDINGS.into_iter().enumerate() {
        let account = jid(&format!("account{number}@capulet.example"));
        let restored = store.account(&account).await.unwrap().unwrap();
        assert_eq!(restored.standing, standing);
    }
    assert!(loaded.record.credentials.verify_password("secret"));
    assert_eq!(loaded.roster.version, 5);
    assert_eq!((loaded.log_tail, loaded.owed), (Some(at(699)), 466));
    let newest = loaded.recent[0];
    assert_eq!((newest.position, newest.origin), (at(698), origin(698)));
    let middle = LogQuery {
        before: Some(at(351)),
        ..LogQuery::after(Some(at(348)), 9)
    };
    let entries = store.read_log(&juliet, middle).await.unwrap();
    let origins: Vec<_> = entries.iter().map(|entry| entry.origin).collect();
    assert_eq!(origins, [None, Some(origin(350))]);

    // And back: the same records, whoever wrote them.
    let second = dir.path().join("second");
    back_up(&store, &second, usize::MAX).await.unwrap();
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    restored(&second, &memory).await.unwrap();
    assert_eq!(differences(&backup, &memory).await, []);
}

#[tokio::test]
async fn the_secret_of_names_without_an_account_is_restored_and_one_that_differs_is_found() {
    let dir = backup().await;
    let backup = dir.path().join("backup");
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    assert_eq!(restore::restored_secret(&*store).await, Ok(None));
    restored(&backup, &store).await.unwrap();
    assert_eq!(restore::restored_secret(&*store).await, Ok(Some(SECRET)));
    for other in [None, Some(ClusterSecret::new([8; 32]))] {
        let open = || Source::Folder(Box::new(Reader::open(&backup).unwrap()));
        let contents = Contents::of(&mut open()).await.unwrap();
        let mut second = exported(&store, None);
        if let Source::Store { secret, .. } = &mut second {
            *secret = other;
        }
        let compared = compare(contents, &mut open(), &mut second).await.unwrap();
        assert_eq!(compared.0, [Difference::Secret]);
    }
    let mode = std::fs::metadata(backup.join("manifest.jsonl")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600, "it has a secret");
}

#[tokio::test]
async fn a_backup_of_an_earlier_build_has_no_secret_and_is_restored_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let begin = r#"{"format":"rookery-backup","version":1,"id":"00","begun_ms":5,"control":null}"#;
    std::fs::write(dir.path().join("manifest.jsonl"), format!("{begin}\n")).unwrap();
    let source: Arc<dyn Store> = Arc::new(MemoryStore::new());
    add_account(&*source, "juliet@capulet.example").await;
    // It goes on behind its first line.
    back_up(&source, dir.path(), usize::MAX).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    restored(dir.path(), &store).await.unwrap();
    assert_eq!(restore::restored_secret(&*store).await, Ok(None));
    assert_eq!(differences(dir.path(), &store).await, []);
}

#[test]
fn an_entry_that_was_written_without_origin_and_marks_is_owed() {
    // As it was encoded then: position 5, received at 7, "<m/>".
    let old = [0x08, 5, 0x10, 7, 0x1a, 4, b'<', b'm', b'/', b'>'];
    let entry = LogEntry::decode(old.as_slice()).unwrap();
    let append = record::append(&jid("juliet@capulet.example"), entry).unwrap();
    assert_eq!((append.origin, append.received), (None, Timestamp(7)));
    assert_eq!(append.place.marks, Marks::OWED);
    assert_eq!(&append.stanza[..], b"<m/>");
}

#[tokio::test]
async fn differences_are_told_by_owner() {
    let dir = backup().await;
    let backup = dir.path().join("backup");
    let store = filled().await;
    let (juliet, gone) = (
        jid("juliet@capulet.example"),
        jid("account7@capulet.example"),
    );
    store.set_cursor(&juliet, "read", at(8)).await.unwrap();
    store.delete_account(&gone, None).await.unwrap();
    add_account(&*store, "nurse@capulet.example").await;
    let expected = [
        Difference::Differs(juliet.to_string()),
        Difference::Missing(gone.to_string()),
        Difference::Extra("nurse@capulet.example".to_owned()),
    ];
    assert_eq!(differences(&backup, &store).await, expected);
}

#[tokio::test]
async fn an_interrupted_backup_is_refused_until_it_has_gone_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled().await;
    // Nothing of the first page fills a chunk, so it begins anew; what it left is in nobody's way.
    back_up(&store, dir.path(), 1).await.unwrap();
    assert!(matches!(
        Reader::open(dir.path()),
        Err(BackupError::Unfinished(_))
    ));
    back_up(&store, dir.path(), usize::MAX).await.unwrap();
    assert_eq!(differences(dir.path(), &store).await, []);
    let again = back_up(&store, dir.path(), usize::MAX).await;
    assert!(matches!(again, Err(BackupError::Finished(_))), "{again:?}");
}

#[tokio::test]
async fn a_backup_goes_on_behind_its_last_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for number in 0..120 {
        let owner = add_account(&*store, &format!("account{number:03}@x.example")).await;
        let value = vec![0; 512 * 1024].into();
        store
            .put_document(&owner, "big", "one", value)
            .await
            .unwrap();
    }
    back_up(&store, dir.path(), 1).await.unwrap();
    assert!(dir.path().join("chunk-000001").exists());
    // A crash within the next chunk and the next line.
    std::fs::write(dir.path().join("chunk-000002.part"), "half").unwrap();
    let manifest = dir.path().join("manifest.jsonl");
    let mut text = std::fs::read_to_string(&manifest).unwrap();
    text.push_str("{\"chunk\":2,\"le");
    std::fs::write(&manifest, text).unwrap();
    let writer = Writer::open(dir.path()).unwrap();
    assert_eq!(writer.amount().owners, 100);
    drop(writer);
    back_up(&store, dir.path(), usize::MAX).await.unwrap();
    assert_eq!(differences(dir.path(), &store).await, []);
    assert_eq!(Reader::open(dir.path()).unwrap().end().owners, 120);
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_found() {
    let dir = backup().await;
    let backup = dir.path().join("backup");
    for name in ["chunk-000001", "manifest.jsonl"] {
        let file = backup.join(name);
        let whole = std::fs::read(&file).unwrap();
        for step in 0..40 {
            let mut bytes = whole.clone();
            let place = step * (bytes.len() - 1) / 39;
            bytes[place] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
            let checked = Reader::open(&backup).and_then(|mut reader| reader.check());
            assert!(checked.is_err(), "byte {place} of {name}");
        }
        std::fs::write(&file, whole).unwrap();
    }
    Reader::open(&backup).unwrap().check().unwrap();
}

#[tokio::test]
async fn a_backup_that_was_cut_short_is_told_from_one_that_is_whole() {
    let dir = backup().await;
    let backup = dir.path().join("backup");
    let chunk = backup.join("chunk-000001");
    let whole = std::fs::read(&chunk).unwrap();
    for length in [0, 5, 12, 14, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&chunk, &whole[..length]).unwrap();
        let checked = Reader::open(&backup).and_then(|mut reader| reader.check());
        assert!(
            matches!(checked, Err(BackupError::Damaged { .. })),
            "{length}: {checked:?}"
        );
    }
    std::fs::remove_file(&chunk).unwrap();
    let checked = Reader::open(&backup).and_then(|mut reader| reader.check());
    assert!(
        matches!(&checked, Err(BackupError::Missing(path)) if *path == chunk),
        "{checked:?}"
    );
    std::fs::write(&chunk, &whole).unwrap();

    let manifest = backup.join("manifest.jsonl");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(&manifest, lines[..2].concat()).unwrap();
    assert!(matches!(
        Reader::open(&backup),
        Err(BackupError::Unfinished(_))
    ));
    std::fs::write(&manifest, [lines[0], lines[2]].concat()).unwrap();
    assert!(matches!(
        Reader::open(&backup),
        Err(BackupError::Damaged { .. })
    ));
    assert!(matches!(
        Reader::open(dir.path()),
        Err(BackupError::None(_))
    ));
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let dir = backup().await;
    let backup = dir.path().join("backup");
    let manifest = backup.join("manifest.jsonl");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"version\":1", "\"version\":2")).unwrap();
    let refused = Reader::open(&backup).unwrap_err().to_string();
    assert!(
        refused.contains("version 2") && refused.contains("newer rookery"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_store_that_is_not_empty_is_left_alone() {
    let dir = backup().await;
    let store = sqlite(&dir.path().join("store"));
    add_account(&*store, "nurse@capulet.example").await;
    let refused = restored(&dir.path().join("backup"), &store).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("nurse@capulet.example"), "{refused}");
    assert_eq!(store.count_accounts("capulet.example").await, Ok(1));
    // Of a deleted account nothing is left.
    store
        .delete_account(&jid("nurse@capulet.example"), None)
        .await
        .unwrap();
    restored(&dir.path().join("backup"), &store).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_restore_goes_on_with_the_same_backup_only() {
    let dir = backup().await;
    let backup = dir.path().join("backup");
    let other = tempfile::tempdir().unwrap();
    back_up(&filled().await, other.path(), usize::MAX)
        .await
        .unwrap();
    let store = sqlite(&dir.path().join("store"));
    let mut reader = Reader::open(&backup).unwrap();
    // A crash some owners later.
    let interrupted = async {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut stop = Some(stop);
        let progress = |_| drop(stop.take());
        tokio::select! {
            biased;
            _ = stopped => {}
            outcome = restore(&mut reader, &store, progress) => drop(outcome),
        }
    };
    interrupted.await;
    assert!(restore::is_marked(&*store).await.unwrap());
    let refused = restored(other.path(), &store).await;
    assert!(
        matches!(refused, Err(BackupError::OtherRestore)),
        "{refused:?}"
    );
    restored(&backup, &store).await.unwrap();
    assert_eq!(differences(&backup, &store).await, []);
}

#[tokio::test]
async fn a_folder_with_other_files_is_not_written_into() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "years").unwrap();
    assert!(matches!(
        Writer::open(dir.path()),
        Err(BackupError::NotEmpty(_))
    ));
}

#[tokio::test]
async fn a_store_that_a_router_uses_or_has_just_used_is_not_restored_into() {
    let folder = backup().await;
    let dir = folder.path().join("backup");
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    in_use::announce(&*store, 7, Timestamp::now())
        .await
        .unwrap();
    let refused = restored(&dir, &store).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the router of node 7 uses this store"),
        "{refused}"
    );
    assert!(
        !restore::is_marked(&*store).await.unwrap(),
        "routers may start"
    );
    in_use::withdraw(&*store, 7).await.unwrap();
    let long_ago = Timestamp(Timestamp::now().as_millis() - 61_000);
    in_use::announce(&*store, 8, long_ago).await.unwrap();
    restored(&dir, &store).await.unwrap();
}
