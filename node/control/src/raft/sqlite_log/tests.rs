//! The log on a real disk: what comes back, and what is refused.

use std::os::unix::fs::MetadataExt;

use super::*;

fn entry(index: u64, term: u64) -> Entry {
    Entry {
        index,
        term,
        data: vec![7; 32].into(),
        ..Entry::default()
    }
}

fn hard_state(term: u64, commit: u64) -> HardState {
    HardState {
        term,
        vote: 1,
        commit,
        ..HardState::default()
    }
}

fn snapshot(index: u64, term: u64) -> Snapshot {
    let mut snapshot = first_snapshot(&[NodeId::FIRST]);
    snapshot.mut_metadata().index = index;
    snapshot.mut_metadata().term = term;
    snapshot
}

fn open(dir: &Path) -> Result<(SqliteLog, Recovered), StoreError> {
    SqliteLog::open(dir, NodeId::FIRST, &[NodeId::FIRST])
}

/// A database with entries 2 to 5.
fn filled(dir: &Path) -> SqliteLog {
    let (mut log, _) = open(dir).unwrap();
    let entries = (2..=5).map(|index| entry(index, 2)).collect();
    let hard_state = Some(hard_state(2, 5));
    log.write(&[Write {
        number: 1,
        entries,
        hard_state,
        ..Write::default()
    }])
    .unwrap();
    log
}

/// The error that a damaged database is refused with.
fn refused(dir: &Path, damage: &str) -> StoreError {
    drop(filled(dir));
    let connection = Connection::open(dir.join("control.sqlite")).unwrap();
    connection.execute_batch(damage).unwrap();
    drop(connection);
    match open(dir) {
        Err(error) => error,
        Ok(_) => panic!("opened after {damage}"),
    }
}

#[test]
fn a_new_log_begins_with_a_snapshot_of_the_empty_group() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, recovered) = open(dir.path()).unwrap();
    assert_eq!(recovered.start, (1, 1));
    assert_eq!(recovered.hard_state.commit, 1);
    assert_eq!(recovered.snapshot, first_snapshot(&[NodeId::FIRST]));
    assert_eq!(recovered.incarnation, 1);
}

#[test]
fn several_writes_become_durable_together_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path());
    let conflicting = Write {
        number: 2,
        entries: vec![entry(5, 3)],
        ..Write::default()
    };
    let compacting = Write {
        number: 3,
        hard_state: Some(hard_state(3, 5)),
        compact: Some((snapshot(4, 2), (3, 2))),
        ..Write::default()
    };
    log.write(&[conflicting, compacting]).unwrap();
    drop(log);
    let (_log, recovered) = open(dir.path()).unwrap();
    assert_eq!(recovered.start, (3, 2));
    assert_eq!(recovered.entries, [entry(4, 2), entry(5, 3)]);
    assert_eq!(recovered.snapshot.get_metadata().index, 4);
    assert_eq!(recovered.hard_state, hard_state(3, 5));
    assert_eq!(recovered.incarnation, 2);
}

#[test]
fn a_snapshot_from_the_leader_replaces_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path());
    let install = Some(snapshot(9, 4));
    let hard_state = Some(hard_state(4, 9));
    log.write(&[Write {
        number: 2,
        install,
        hard_state,
        ..Write::default()
    }])
    .unwrap();
    drop(log);
    let (_log, recovered) = open(dir.path()).unwrap();
    assert_eq!((recovered.start, recovered.entries.len()), ((9, 4), 0));
}

#[test]
fn only_the_owner_can_read_the_files_and_one_process_open_them() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("control");
    let _log = filled(&below);
    assert_eq!(below.metadata().unwrap().mode() & 0o777, 0o700);
    let files: Vec<_> = std::fs::read_dir(&below)
        .unwrap()
        .map(|file| file.unwrap())
        .collect();
    assert!(files.len() >= 2, "the database and its write-ahead log");
    for file in files {
        assert_eq!(
            file.metadata().unwrap().mode() & 0o777,
            0o600,
            "{:?}",
            file.path()
        );
    }
    assert!(matches!(open(&below), Err(StoreError::InUse)));
}

#[test]
fn another_nodes_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let other = NodeId::new(2).unwrap();
    assert!(matches!(
        SqliteLog::open(dir.path(), other, &[other]),
        Err(StoreError::Foreign(_))
    ));
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let newer = |error: &StoreError| matches!(error, StoreError::Newer { found: 2, known: 1 });
    assert!(newer(&refused(dir.path(), "PRAGMA user_version = 2")));
    assert!(
        newer(&open(dir.path()).err().unwrap()),
        "still refused, not overwritten"
    );
}

#[test]
fn a_damaged_log_is_refused_with_what_is_damaged() {
    for (damage, message) in [
        (
            "UPDATE entry SET bytes = zeroblob(40) WHERE entry_index = 3",
            "entry 3: check sum",
        ),
        (
            "UPDATE snapshot SET bytes = substr(bytes, 1, 9)",
            "snapshot 1: check sum",
        ),
        (
            "DELETE FROM entry WHERE entry_index = 4",
            "entry 5 does not follow 3",
        ),
        (
            "DELETE FROM entry WHERE entry_index = 5",
            "does not reach from snapshot 1 to commit 5",
        ),
        (
            "UPDATE entry SET entry_index = 6 WHERE entry_index = 5",
            "entry 6: check sum",
        ),
        ("DELETE FROM snapshot", "no snapshot"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let error = refused(dir.path(), damage);
        assert!(matches!(error, StoreError::Corrupt(_)), "{damage}: {error}");
        assert!(error.to_string().contains(message), "{damage}: {error}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.sqlite"), vec![b'x'; 8192]).unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_database_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let other = Connection::open(dir.path().join("control.sqlite")).unwrap();
    other
        .execute_batch("CREATE TABLE poems (line TEXT)")
        .unwrap();
    drop(other);
    assert!(matches!(open(dir.path()), Err(StoreError::Foreign(_))));
}

#[test]
fn a_full_disk_takes_nothing_and_the_same_write_succeeds_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path());
    let large = Entry {
        data: vec![7; 200_000].into(),
        ..entry(6, 2)
    };
    let write = [Write {
        number: 2,
        entries: vec![large.clone()],
        ..Write::default()
    }];
    log.limit_pages(20);
    assert!(matches!(log.write(&write), Err(StoreError::Full)));
    log.limit_pages(1_000_000);
    log.write(&write).unwrap();
    drop(log);
    assert_eq!(open(dir.path()).unwrap().1.entries.last(), Some(&large));
}
