//! What a client has not got is kept twice, by its node and by the owner of its shard (XEP-0198 5): where that gives
//! the shard up, or has it in the process of the session, the store has the second copy.

mod support;

use rookery_router::RouterOptions;
use rookery_session::carrier::Kept;
use rookery_store::StoreError;
use support::streams::{balcony, bodies, say};
use support::{Client, World};

/// The time of all streams that no node serves is up. What the next session of hers is given.
fn when_the_time_is_up(world: &mut World) -> Vec<String> {
    for _ in 0..=RouterOptions::default().resume_s {
        world.tick();
    }
    world.online_with_log("juliet", "door")
}

/// What her node keeps of this stream, of which she has acknowledged so many.
fn kept(juliet: &Client, id: &str, acked: u64) -> Kept {
    Kept {
        id: id.to_owned(),
        acked,
        unacked: juliet.delivered().split_off(acked as usize),
        ..Kept::default()
    }
}

/// The owner of her shard is lost, and the next one is in the process of her session: the way to it there.
fn is_owned_by_its_process(world: &mut World, romeo: &Client) -> Client {
    world.restart();
    world.alone = true;
    world.announce(romeo);
    world.bind_nowhere("juliet", "balcony")
}

#[test]
fn what_a_client_has_not_got_when_its_shard_moves_outlives_its_node() {
    let (mut world, romeo, juliet, _) = balcony();
    say(&mut world, &romeo, 0..3);
    world.acknowledge(&juliet, 1);
    world.hand_over();
    world.announce(&romeo);
    let given = when_the_time_is_up(&mut world);
    assert_eq!(bodies(&given), ["n1", "n2"]);
}

#[test]
fn what_a_client_gets_after_its_shard_has_moved_does_not_come_again() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..3);
    let kept = kept(&juliet, &id, 0);
    world.hand_over();
    world.announce(&romeo);
    world.announce_kept(&juliet, kept);
    say(&mut world, &romeo, 3..4);
    world.acknowledge(&juliet, 4);
    // Both are lost.
    world.restart();
    world.announce(&romeo);
    let given = when_the_time_is_up(&mut world);
    assert_eq!(bodies(&given), [""; 0]);
}

#[test]
fn what_a_session_has_not_got_and_its_own_process_owns_since_outlives_that() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..3);
    let kept = kept(&juliet, &id, 1);
    let juliet = is_owned_by_its_process(&mut world, &romeo);
    world.store_fails = Some(StoreError::Full);
    world.announce_kept(&juliet, kept);
    world.tick();
    world.store_fails = None;
    world.tick();
    world.restart();
    world.announce(&romeo);
    let given = when_the_time_is_up(&mut world);
    assert_eq!(bodies(&given), ["n1", "n2"]);
}

#[test]
fn what_a_session_has_got_when_the_store_has_it_does_not_come_again() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..3);
    let kept = kept(&juliet, &id, 0);
    let juliet = is_owned_by_its_process(&mut world, &romeo);
    world.announce_kept(&juliet, kept);
    world.hold = true;
    world.tick();
    world.acknowledge(&juliet, 3);
    world.release();
    world.tick();
    world.restart();
    world.announce(&romeo);
    let given = when_the_time_is_up(&mut world);
    assert_eq!(bodies(&given), [""; 0]);
}

#[test]
fn what_a_node_gives_back_of_a_session_whose_shard_has_moved_comes_once() {
    for is_late in [false, true] {
        let (mut world, romeo, juliet, _) = balcony();
        say(&mut world, &romeo, 0..3);
        let unacked = juliet.delivered();
        world.hold = is_late;
        world.hand_over();
        world.announce(&romeo);
        world.announce_kept(&juliet, Kept::over(1));
        for delivered in &unacked[1..] {
            world.leaves_behind(&juliet, delivered.clone());
        }
        world.leave(&juliet);
        world.release();
        let given = when_the_time_is_up(&mut world);
        assert_eq!(bodies(&given), ["n1", "n2"], "late: {is_late}");
    }
}
