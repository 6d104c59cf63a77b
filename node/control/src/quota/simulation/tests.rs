use super::oracle::ABOVE_MAX;
use super::{NODES_MAX, Plant, RATE, World};

/// About a minute and a half.
const STEPS: u32 = 5_000;

/// How far above rate × length the worst window was.
fn worst(seed: u64, plant: Plant) -> u64 {
    let mut world = World::new(seed, plant);
    for _ in 0..STEPS {
        world.step();
        if world.oracle.worst() > ABOVE_MAX {
            break;
        }
    }
    world.oracle.worst()
}

#[test]
fn no_window_of_any_budget_has_more_than_rate_and_burst() {
    for seed in 0..80 {
        let worst = worst(seed, Plant::None);
        assert!(
            worst <= ABOVE_MAX,
            "seed {seed}: {worst} bytes above, at most {ABOVE_MAX}"
        );
    }
}

/// A budget that nobody can use would be kept as well.
#[test]
fn a_calm_cluster_uses_nearly_all_of_a_budget() {
    let mut world = World::new(3, Plant::None);
    world.elect();
    while world.nodes.len() < NODES_MAX {
        world.join();
    }
    let mut pass = |ms: u64| {
        let until = world.now + ms;
        while world.now < until {
            world.now += 10;
            world.deliver();
            world.measure();
            for at in 0..world.nodes.len() {
                world.read(at);
                world.ask(at);
            }
        }
        world.oracle.read_in_all()
    };
    let before = pass(20_000);
    let read = pass(60_000) - before;
    let granted = 2 * 60 * u64::from(RATE);
    assert!(
        read * 100 >= granted * 85,
        "{read} of {granted} bytes were read"
    );
}

#[test]
fn every_planted_bug_is_found() {
    for plant in [
        Plant::LeaseFromAnswer,
        Plant::FloorNotReduced,
        Plant::HoldsNotTold,
        Plant::LateAnswerUsed,
        Plant::TimeTwice,
        Plant::LeftAndReads,
    ] {
        let found = (0..200).find(|seed| worst(*seed, plant) > ABOVE_MAX);
        assert!(found.is_some(), "{plant:?} is not found");
        println!("{plant:?}: seed {}", found.unwrap_or_default());
    }
}
