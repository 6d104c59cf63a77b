use super::*;

const ROOT: u64 = 1;

fn made(path: &str, node: u64) -> Record {
    let path = format!("/disk/{path}");
    Record::MadeFile { path, node }
}

fn written(node: u64, at: u64, data: &[u8]) -> Record {
    let data = data.to_vec();
    Record::Written { node, at, data }
}

fn synced(node: u64, upto: u64) -> Record {
    Record::Synced { node, upto }
}

fn renamed(from: &str, to: &str) -> Record {
    Record::Renamed {
        from: format!("/disk/{from}"),
        to: format!("/disk/{to}"),
    }
}

fn removed(path: &str) -> Record {
    let path = format!("/disk/{path}");
    Record::Removed { path }
}

fn disk(records: &[Record]) -> Disk {
    let mut disk = Disk::empty("/disk", ROOT);
    for record in records {
        disk.apply(record).unwrap();
    }
    disk
}

fn tree(of: &[(&str, &[u8])]) -> Tree {
    of.iter()
        .map(|(path, bytes)| (format!("/disk/{path}"), Some(bytes.to_vec())))
        .collect()
}

#[test]
fn what_was_not_synced_is_gone_and_what_was_is_there() {
    let disk = disk(&[
        made("a", 7),
        written(7, 0, b"first"),
        synced(7, 2),
        synced(ROOT, 3),
        written(7, 0, b"second"),
    ]);
    assert_eq!(disk.after_a_cut(Left::Nothing), tree(&[("a", b"first")]));
    assert_eq!(disk.after_a_cut(Left::All), tree(&[("a", b"second")]));
}

#[test]
fn a_sync_promises_what_was_there_when_it_began() {
    let disk = disk(&[
        made("a", 7),
        synced(ROOT, 1),
        written(7, 0, b"one"),
        written(7, 3, b"two"),
        synced(7, 3),
    ]);
    assert_eq!(disk.after_a_cut(Left::Nothing), tree(&[("a", b"one")]));
}

#[test]
fn a_name_is_durable_with_its_folder_and_not_with_its_file() {
    let mut records = vec![
        made("a", 7),
        written(7, 0, b"x"),
        synced(7, 2),
        renamed("a", "b"),
    ];
    assert_eq!(disk(&records).after_a_cut(Left::Nothing), tree(&[]));
    records.push(synced(ROOT, 3));
    assert_eq!(
        disk(&records).after_a_cut(Left::Nothing),
        tree(&[("a", b"x")])
    );
    records.push(synced(ROOT, 5));
    assert_eq!(
        disk(&records).after_a_cut(Left::Nothing),
        tree(&[("b", b"x")])
    );
    records.push(removed("b"));
    assert_eq!(
        disk(&records).after_a_cut(Left::Nothing),
        tree(&[("b", b"x")])
    );
    records.push(synced(ROOT, 7));
    assert_eq!(disk(&records).after_a_cut(Left::Nothing), tree(&[]));
}

#[test]
fn a_rename_comes_through_as_a_whole_or_not() {
    let disk = disk(&[
        made("a", 7),
        written(7, 0, b"old"),
        synced(7, 2),
        made("b", 8),
        written(8, 0, b"new"),
        synced(8, 5),
        synced(ROOT, 6),
        renamed("b", "a"),
    ]);
    let before = tree(&[("a", b"old"), ("b", b"new")]);
    let after = tree(&[("a", b"new")]);
    let all: Vec<_> = (0..100)
        .map(|seed| disk.after_a_cut(Left::Some(seed)))
        .collect();
    assert!(all.iter().all(|tree| *tree == before || *tree == after));
    assert!(all.contains(&before) && all.contains(&after));
}

#[test]
fn a_number_that_is_given_again_is_another_file() {
    let disk = disk(&[
        made("a", 7),
        written(7, 0, b"one"),
        synced(7, 2),
        synced(ROOT, 3),
        removed("a"),
        made("b", 7),
        written(7, 0, b"two"),
    ]);
    assert_eq!(disk.after_a_cut(Left::Nothing), tree(&[("a", b"one")]));
    assert_eq!(disk.after_a_cut(Left::All), tree(&[("b", b"two")]));
}

#[test]
fn a_write_is_torn_between_sectors_only() {
    let disk = disk(&[
        made("a", 7),
        written(7, 0, &[1; 2_048]),
        synced(7, 2),
        synced(ROOT, 3),
        written(7, 100, &[2; 1_800]),
    ]);
    let mut torn = 0;
    for seed in 0..50 {
        let tree = disk.after_a_cut(Left::Some(seed));
        let bytes = tree["/disk/a"].as_ref().unwrap();
        assert_eq!(bytes.len(), 2_048);
        assert!(bytes[..100].iter().chain(&bytes[1_900..]).all(|b| *b == 1));
        let sectors = [100..512, 512..1_024, 1_024..1_536, 1_536..1_900];
        let whole = sectors.map(|sector| {
            let part = &bytes[sector];
            assert!(part.iter().all(|b| *b == part[0]), "torn within a sector");
            part[0]
        });
        torn += u32::from(whole != [1; 4] && whole != [2; 4]);
    }
    assert!(torn > 5, "{torn} of 50 were torn");
}

#[test]
fn a_beginning_has_nothing_behind_a_moment() {
    let mut records = vec![made("a", 7), synced(ROOT, 1)];
    records.extend((0..40_u8).map(|n| written(7, u64::from(n), &[n + 1])));
    let disk = disk(&records);
    for seed in 0..50 {
        let tree = disk.after_a_cut(Left::Beginning(seed));
        let bytes = tree["/disk/a"].as_ref().unwrap();
        assert!(bytes.iter().enumerate().all(|(at, b)| *b == at as u8 + 1));
    }
}
