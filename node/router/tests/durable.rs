//! What sessions are given in the process of their shard, and the process dies.

mod support;

use rookery_router::RouterOptions;
use rookery_session::carrier::{Origin, SessionId};
use support::World;
use support::streams::{bodies, say};

/// A process with two accounts, and what it archives.
fn process(archives: bool) -> World {
    let mut world = match archives {
        true => World::archiving(&["romeo", "juliet"]),
        false => World::with(&["romeo", "juliet"]),
    };
    world.alone = true;
    world
}

/// What the next session of hers is given after the process has died.
fn after_a_crash(world: &mut World) -> Vec<String> {
    world.restart();
    world.alone = true;
    world.online_with_log("juliet", "after")
}

#[test]
fn a_message_to_somebody_who_is_here_is_not_done_before_it_is_durable() {
    let mut world = process(false);
    let juliet = world.online("juliet", "balcony");
    world.appends = Some(vec![]);
    let session = SessionId { node: 9, serial: 9 };
    let sequence = 1;
    let origin = Origin { session, sequence };
    assert!(!world.arrive(origin, "juliet@localhost", "first"));
    assert!(juliet.stanza().contains("first"), "it does not wait");
    assert_eq!(world.log("juliet").len(), 0);
    world.append_newest();
    assert_eq!(world.log("juliet").len(), 1);
}

#[test]
fn what_a_client_has_not_acknowledged_when_the_process_dies_waits_for_the_next() {
    for archives in [false, true] {
        let mut world = process(archives);
        let romeo = world.online("romeo", "orchard");
        let juliet = world.online("juliet", "balcony");
        world.enable(&juliet);
        say(&mut world, &romeo, 0..5);
        world.acknowledge(&juliet, 2);
        (0..3).for_each(|_| world.tick());
        say(&mut world, &romeo, 5..6);
        let given = after_a_crash(&mut world);
        assert_eq!(
            bodies(&given),
            ["n2", "n3", "n4", "n5"],
            "archived: {archives}"
        );
        let has_ids = given.iter().filter(|stanza| stanza.contains("stanza-id"));
        assert_eq!(has_ids.count(), if archives { 4 } else { 0 });
    }
}

#[test]
fn what_a_client_has_got_leaves_the_log_or_is_passed() {
    let mut world = process(false);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.enable(&juliet);
    say(&mut world, &romeo, 0..5);
    assert_eq!(world.log("juliet").len(), 5);
    world.acknowledge(&juliet, 4);
    world.tick();
    assert_eq!(world.log("juliet").len(), 1);
    world.acknowledge(&juliet, 5);
    world.tick();
    assert_eq!(world.log("juliet").len(), 0);
    assert!(bodies(&after_a_crash(&mut world)).is_empty());

    let mut world = process(true);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.enable(&juliet);
    say(&mut world, &romeo, 0..5);
    world.acknowledge(&juliet, 5);
    world.tick();
    assert_eq!(world.log("juliet").len(), 5);
    assert!(bodies(&after_a_crash(&mut world)).is_empty());
}

#[test]
fn a_client_that_acknowledges_nothing_is_taken_to_have_it_after_a_second() {
    let mut world = process(false);
    let romeo = world.online("romeo", "orchard");
    let _juliet = world.online("juliet", "balcony");
    say(&mut world, &romeo, 0..2);
    world.tick();
    say(&mut world, &romeo, 2..4);
    assert_eq!(bodies(&after_a_crash(&mut world)), ["n2", "n3"]);
}

#[test]
fn what_a_session_leaves_behind_is_in_the_log_already() {
    let mut world = process(false);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.enable(&juliet);
    say(&mut world, &romeo, 0..4);
    world.acknowledge(&juliet, 1);
    let left = juliet.delivered();
    for delivered in left.into_iter().filter(|it| it.number > 1) {
        world.leaves_behind(&juliet, delivered);
    }
    world.leave(&juliet);
    say(&mut world, &romeo, 4..5);
    world.tick();
    assert_eq!(world.log("juliet").len(), 4);
    let next = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&next), ["n1", "n2", "n3", "n4"]);
    (0..3).for_each(|_| world.tick());
    assert_eq!(world.log("juliet").len(), 0);
}

#[test]
fn what_came_from_the_log_is_owed_until_it_is_acknowledged() {
    for archives in [false, true] {
        let mut world = process(archives);
        let romeo = world.online("romeo", "orchard");
        say(&mut world, &romeo, 0..3);
        let juliet = world.bind("juliet", "balcony");
        world.enable(&juliet);
        world.send(&juliet, "<presence/>");
        assert_eq!(bodies(&juliet.stanzas()), ["n0", "n1", "n2"]);
        say(&mut world, &romeo, 3..4);
        (0..3).for_each(|_| world.tick());
        // Her own presence counts as well.
        world.acknowledge(&juliet, 2);
        (0..3).for_each(|_| world.tick());
        assert_eq!(bodies(&after_a_crash(&mut world)), ["n1", "n2", "n3"]);
    }
}

#[test]
fn a_client_that_is_behind_gets_everything_once_and_in_order() {
    let mut world = World::with_options(
        &["romeo", "juliet"],
        RouterOptions {
            resume_stanzas_max: 4,
            ..RouterOptions::default()
        },
    );
    world.alone = true;
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.enable(&juliet);
    say(&mut world, &romeo, 0..12);
    assert_eq!(bodies(&juliet.stanzas()), ["n0", "n1", "n2", "n3"]);
    let mut came = Vec::new();
    for acked in [4, 8, 12] {
        world.acknowledge(&juliet, acked);
        (0..3).for_each(|_| world.tick());
        came.extend(juliet.stanzas());
    }
    let wanted: Vec<_> = (4..12).map(|n| format!("n{n}")).collect();
    assert_eq!(bodies(&came), wanted);
    assert_eq!(world.log("juliet").len(), 0);
}

#[test]
fn what_a_stream_has_of_the_log_is_not_given_to_it_again_when_the_process_has_started_again() {
    for archives in [false, true] {
        let mut world = process(archives);
        let romeo = world.online("romeo", "orchard");
        let juliet = world.online("juliet", "balcony");
        let id = world.enable(&juliet);
        say(&mut world, &romeo, 0..3);
        world.acknowledge(&juliet, 1);
        (0..3).for_each(|_| world.tick());
        world.node_dies(&juliet);
        say(&mut world, &romeo, 3..4);
        for _ in 0..2 {
            world.hand_over();
            world.alone = true;
        }
        let romeo = world.online("romeo", "garden");
        say(&mut world, &romeo, 4..5);
        let (back, _) = world.resume("juliet", &id, 1).expect("it is resumed");
        let given = bodies(&back.stanzas()).join(" ");
        assert_eq!(given, "n1 n2 n3 n4", "archived: {archives}");
        world.acknowledge(&back, 5);
        (0..3).for_each(|_| world.tick());
        let waits = world.log("juliet");
        let owed = waits
            .iter()
            .filter(|it| Some(it.position) > world.delivered("juliet"));
        assert_eq!(owed.count(), 0, "archived: {archives}");
        assert!(
            bodies(&after_a_crash(&mut world)).is_empty(),
            "archived: {archives}"
        );
    }
}

#[test]
fn what_is_only_a_state_does_not_touch_the_disk() {
    let mut world = process(false);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    for child in [
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<body>now</body><no-store xmlns='urn:xmpp:hints'/>",
    ] {
        let message = format!("<message to='juliet@localhost' type='chat'>{child}</message>");
        world.send(&romeo, &message);
        juliet.stanza();
    }
    assert_eq!(world.log("juliet").len(), 0);
}
