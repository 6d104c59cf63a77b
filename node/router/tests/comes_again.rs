//! What comes to a shard twice, or by two ways, is done when all of it is: XEP-0198 4 over broken links and owners of
//! shards that follow each other.

mod support;

use rookery_router::RouterOptions;
use rookery_session::carrier::{Kept, Origin, SessionId};
use rookery_store::StoreError;
use support::World;
use support::streams::{Balcony, balcony, bodies, say};

fn origin(sequence: u64) -> Origin {
    let session = SessionId {
        node: 9,
        serial: 44,
    };
    Origin { session, sequence }
}

/// A message to romeo.
fn message(text: &str) -> String {
    format!("<message to='romeo@localhost' type='chat'><body>{text}.</body></message>")
}

/// Of Juliet's two messages to romeo, who is away, the second is not in his log yet.
fn half_done() -> Balcony {
    let (mut world, romeo, juliet, id) = balcony();
    world.leave(&romeo);
    juliet.stanzas();
    world.send_as(&juliet, 4, &message("m0"));
    world.appends = Some(vec![]);
    world.send_as(&juliet, 5, &message("m1"));
    (world, romeo, juliet, id)
}

/// Her shard is handed over then, and her node is gone.
fn handed_over() -> Balcony {
    let (mut world, romeo, juliet, id) = half_done();
    world.node_dies(&juliet);
    world.hand_over();
    world.appends = None;
    (world, romeo, juliet, id)
}

#[test]
fn what_a_link_sends_again_is_not_done_before_it_is_as_it_came_first() {
    let (mut world, romeo, juliet, _) = balcony();
    world.leave(&romeo);
    world.appends = Some(vec![]);
    let first = world.send_counted(&juliet, 40);
    let again = world.send_counted(&juliet, 40);
    assert!(!first() && !again(), "it is not in the log");
    world.append_newest();
    assert!(first() && again());
}

#[test]
fn two_stanzas_that_go_on_together_are_both_done_when_they_are() {
    let (mut world, _, juliet, _) = balcony();
    // They come while her account is loaded, and go on in one turn.
    world.restart();
    world.hold_loads = true;
    world.announce_kept(
        &juliet,
        Kept {
            id: "name".to_owned(),
            ..Kept::default()
        },
    );
    let settled = world.arrive_together([origin(4), origin(5)], "juliet@localhost/balcony");
    juliet.set_full(true);
    world.hold_undelivered = true;
    world.hold_loads = false;
    world.release_next();
    assert_eq!(settled.map(|is| is()), [false, false]);
}

/// Two messages come for juliet together with the end of her node: there is one when it is decided what is done with
/// them, and none when they are given. Who tell whether they are done.
fn come_too_late(is_full: bool) -> (World, String, [impl Fn() -> bool; 2]) {
    let (mut world, _, juliet, id) = balcony();
    world.restart();
    world.hold_loads = true;
    let kept = Kept {
        id: id.clone(),
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    let settled = world.arrive_together([origin(4), origin(5)], "juliet@localhost/balcony");
    if is_full {
        world.appends = Some(vec![]);
        world.send_as(&juliet, 0, &message("m0"));
        world.store_fails = Some(StoreError::Full);
    }
    world.node_dies(&juliet);
    world.hold_loads = false;
    world.release_next();
    assert_eq!(settled.each_ref().map(|is| is()), [false, false]);
    (world, id, settled)
}

#[test]
fn what_comes_together_with_the_end_of_a_node_is_not_done_before_the_store_has_it() {
    let (mut world, id, settled) = come_too_late(false);
    world.tick();
    assert_eq!(settled.map(|is| is()), [true, true]);
    world.restart();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(back.stanzas().len(), 2);
}

#[test]
fn it_is_not_done_either_when_the_store_is_full_and_its_client_wants_to_go_on() {
    let (mut world, id, settled) = come_too_late(true);
    let asking = world.asks_to_resume("juliet", &id, 0);
    assert!(asking.answer().is_none(), "hers is not in his log yet");
    assert_eq!(settled.each_ref().map(|is| is()), [false, false]);
    world.store_fails = None;
    world.append_newest();
    assert_eq!(asking.resumed().expect("it is resumed").h, 1);
    assert_eq!(settled.map(|is| is()), [true, true]);
}

#[test]
fn what_a_former_owner_could_not_put_into_the_log_is_not_looked_for_there() {
    let mut world = World::with_options(&["juliet"], RouterOptions::default());
    world.alone = true;
    let juliet = world.online("juliet", "balcony");
    let id = world.enable(&juliet);
    juliet.stanzas();
    world.appends = Some(vec![]);
    let to = "juliet@localhost/balcony";
    assert!(!world.arrive(origin(4), to, "m0."));
    let unacked = juliet.delivered();
    // The next owner is in another process.
    (world.alone, world.appends) = (false, None);
    world.restart();
    let there = world.bind_nowhere("juliet", "balcony");
    let left = unacked[0].clone();
    let kept = Kept {
        id,
        unacked,
        ..Kept::default()
    };
    world.announce_kept(&there, kept);
    assert!(world.arrive(origin(4), to, "m0."), "her session has it");
    world.leaves_behind(&there, left);
    world.leave(&there);
    assert_eq!(bodies(&world.online_with_log("juliet", "door")), ["m0"]);
}

#[test]
fn what_a_node_was_never_given_of_a_stream_that_is_over_there_finds_other_ways() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..4);
    world.node_dies(&juliet);
    let (back, _) = world.resume("juliet", &id, 1).expect("it is resumed");
    // Her shard dies before it could give her the other three; she has got one, and says goodbye.
    world.restart();
    world.announce(&romeo);
    world.announce_kept(&back, Kept::over(2));
    back.stanzas();
    world.leave(&back);
    assert_eq!(
        bodies(&world.online_with_log("juliet", "door")),
        ["n2", "n3"]
    );
}

#[test]
fn who_gives_a_shard_up_waits_for_what_clients_without_a_node_have_sent() {
    let (mut world, romeo, juliet, _) = balcony();
    world.leave(&romeo);
    juliet.stanzas();
    world.appends = Some(vec![]);
    world.send(&juliet, &message("m0"));
    world.send(&juliet, &message("m1"));
    assert!(world.may_be_handed_over(), "her node would send it again");
    world.node_dies(&juliet);
    world.append_newest();
    assert!(!world.may_be_handed_over(), "nobody would");
    world.append_newest();
    assert!(world.may_be_handed_over());
}

#[test]
fn who_gives_a_shard_up_leaves_what_is_not_done_to_the_next_owner() {
    for comes_again in [true, false] {
        let (mut world, _, juliet, id) = handed_over();
        let early = world.asks_to_resume("juliet", &id, 0);
        if comes_again {
            world.send_as(&juliet, 5, &message("m1"));
        }
        let resumed = early.resumed().expect("it is resumed");
        assert_eq!(resumed.h, 2);
        let given = world.online_with_log("romeo", "orchard");
        assert_eq!(bodies(&given), ["m0", "m1"]);
    }
}

#[test]
fn what_was_not_done_is_done_when_the_owner_that_has_stored_the_stream_is_lost() {
    for comes_again in [true, false] {
        let (mut world, _, juliet, id) = half_done();
        world.node_dies(&juliet);
        world.restart();
        world.appends = None;
        if comes_again {
            world.send_as(&juliet, 5, &message("m1"));
        }
        let (_, resumed) = world.resume("juliet", &id, 0).expect("it is resumed");
        assert_eq!(resumed.h, 2);
        let given = world.online_with_log("romeo", "orchard");
        assert_eq!(bodies(&given), ["m0", "m1"]);
    }
}

#[test]
fn what_was_done_behind_what_was_not_counts_though_node_and_owner_are_lost() {
    let (mut world, romeo, juliet, id) = balcony();
    world.leave(&romeo);
    juliet.stanzas();
    world.appends = Some(vec![]);
    world.send_as(&juliet, 4, &message("m0"));
    world.send_as(&juliet, 5, &message("m1"));
    world.append_newest();
    world.node_dies(&juliet);
    world.restart();
    world.appends = None;
    let (_, resumed) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(resumed.h, 2, "she would say it again");
    let given = world.online_with_log("romeo", "orchard");
    let mut given = bodies(&given);
    given.sort();
    assert_eq!(given, ["m0", "m1"]);
}

#[test]
fn a_node_shows_a_stream_until_the_store_counts_all_that_its_client_has_sent() {
    let (mut world, _, juliet, id) = half_done();
    let has_left = world.is_sent_away(&juliet);
    world.tick();
    assert!(!has_left(), "it alone would know when that is done");
    world.append_newest();
    assert!(has_left());
    world.restart();
    let (_, resumed) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(resumed.h, 2);
}

#[test]
fn what_two_owners_have_logged_is_looked_for_where_the_second_has_put_it() {
    let mut world = World::archiving(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let id = world.enable(&juliet);
    world.node_dies(&juliet);
    // The append is lost with the owner, and the stream that has the message is in the store.
    world.appends = Some(vec![]);
    world.arrive(origin(4), "juliet@localhost", "one");
    world.hand_over();
    world.appends = None;
    assert!(world.arrive(origin(4), "juliet@localhost", "one"));
    for _ in 0..=RouterOptions::default().resume_s {
        world.tick();
    }
    assert_eq!(world.resume("juliet", &id, 0).err(), Some(None));
    let given = world.online_with_log("juliet", "door");
    assert_eq!(given.iter().filter(|it| it.contains(">one<")).count(), 1);
}
