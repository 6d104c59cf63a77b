//! Many seeds, and a canary.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::SqliteLog;
use super::*;

/// A whole run. Panics name the seed through the caller.
fn run(seed: u64, steps: u32, lying_disk: bool) -> World {
    let mut world = World::new(seed);
    world.lying_disk = lying_disk;
    for _ in 0..60 {
        world.calm_turn();
    }
    world.propose(1, Command::ConfigureRegistration { policy: policy() });
    world.calm_turn();
    for _ in 0..steps {
        world.step(seed);
    }
    world.heal(seed);
    let state = world.states().next().unwrap();
    world.oracle.finish(state);
    world
}

#[test]
fn three_members_agree_whatever_happens_between_them() {
    let (mut commits, mut elections, mut installs) = (0, 0, 0);
    let mut refused = BTreeSet::new();
    for seed in 0..SEEDS {
        let world = catch_unwind(|| run(seed, STEPS, false))
            .unwrap_or_else(|_| panic!("seed {seed} failed"));
        commits += world.oracle.commits();
        elections += world.oracle.leaders() - 1;
        let writes = world.members.values().flat_map(|member| &member.written);
        installs += writes.filter(|write| write.install.is_some()).count();
        refused.extend(world.oracle.refused().iter().copied());
    }
    assert!(
        commits > 10 * SEEDS as usize,
        "{commits} commits are too few to show anything"
    );
    assert!(elections > 10, "{elections} changes of leader");
    assert!(installs > 10, "{installs} members caught up by snapshot");
    assert!(
        refused.contains("no_quorum") && refused.contains("disk"),
        "{refused:?}"
    );
}

#[test]
fn a_seed_repeats_its_run() {
    let digest = |seed| run(seed, STEPS, false).oracle.digest();
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

#[test]
fn a_disk_that_lies_is_found() {
    let found = |seed| {
        let run = AssertUnwindSafe(|| run(seed, STEPS, true));
        catch_unwind(run).is_err()
    };
    assert!(
        (0..SEEDS).any(found),
        "no seed found what a lying disk breaks"
    );
}

#[test]
fn sqlite_holds_what_the_model_of_a_disk_holds() {
    let world = run(5, STEPS, false);
    let voters: Vec<_> = (1..=MEMBERS).filter_map(NodeId::new).collect();
    for (id, member) in &world.members {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeId::new(*id).unwrap();
        let (mut log, _) = SqliteLog::open(dir.path(), node, &voters).unwrap();
        for writes in member.written.chunks(7) {
            log.write(writes).unwrap();
        }
        drop(log);
        let (_log, mut recovered) = SqliteLog::open(dir.path(), node, &voters).unwrap();
        recovered.incarnation = member.disk.stored().incarnation;
        assert_eq!(&recovered, member.disk.stored());
    }
}

const SEEDS: u64 = 25;
const STEPS: u32 = 4_000;
