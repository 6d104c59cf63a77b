//! A stream that several owners of its shard, nodes and the store know of, each something else.

mod support;

use rookery_router::RouterOptions;
use rookery_session::carrier::{Delivered, Kept, Origin, Origins, SessionId};
use support::streams::{bodies, say, say_counted};
use support::{Client, World};

/// Two accounts that see each other; the second has a stream that can be resumed, under this name.
fn balcony() -> (World, Client, Client, String) {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    let id = world.enable(&juliet);
    (world, romeo, juliet, id)
}

/// The first message of another shard's session.
fn origin() -> Origin {
    let session = SessionId { node: 9, serial: 9 };
    Origin {
        session,
        sequence: 0,
    }
}

#[test]
fn what_the_node_had_beyond_the_store_is_given_on_when_the_stream_has_gone_on_from_there() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    world.node_dies(&juliet);
    say(&mut world, &romeo, 1..2);
    let beyond = Delivered {
        number: 2,
        origins: Origins::None,
        ..juliet.delivered().remove(0)
    };
    world.restart();
    world.announce(&romeo);
    let (back, _) = world.resume("juliet", &id, 1).expect("it is resumed");
    let between = world.bind_nowhere("juliet", "balcony");
    let unacked = vec![beyond];
    let kept = Kept {
        id,
        unacked,
        ..Kept::default()
    };
    world.announce_kept(&between, kept);
    world.tick();
    let got = back.stanzas();
    assert_eq!(bodies(&got), ["n1", "n0"]);
}

#[test]
fn what_was_given_under_numbers_that_the_node_knows_as_others_is_given_again() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    let first = juliet.delivered().remove(0);
    world.node_dies(&juliet);
    world.restart();
    world.announce(&romeo);
    world.tick();
    say(&mut world, &romeo, 1..2);
    // She had resumed the stream with the former owner, which had given her one more.
    let other = Delivered {
        number: 2,
        origins: Origins::None,
        ..first.clone()
    };
    let kept = Kept {
        id,
        unacked: vec![first, other],
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    juliet.stanzas();
    world.tick();
    assert_eq!(juliet.delivered()[0].number, 3);
    assert_eq!(bodies(&juliet.stanzas()), ["n1"]);
}

#[test]
fn what_has_a_number_that_is_another_ones_is_found_again_by_each_owner_until_it_is_in_the_log() {
    for is_read_first in [false, true] {
        // The former owner's word of it never came, and the next one uses its numbers before it has read the store.
        let (mut world, romeo, back, kept) = clashing();
        // The log does not take what the store has of the stream, and the shard moves on.
        world.restart();
        world.appends = None;
        world.hold = !is_read_first;
        world.announce(&romeo);
        world.announce_kept(&back, kept);
        world.release();
        (0..3).for_each(|_| world.tick());
        assert_eq!(bodies(&back.stanzas()), ["n0", "n1"], "{is_read_first}");
    }
}

#[test]
fn what_is_on_its_way_to_a_stream_from_the_store_is_given_to_the_session_that_a_node_announces() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    let unacked = juliet.delivered();
    world.node_dies(&juliet);
    world.restart();
    // All of it is dealt with in one turn, when the account is read.
    world.hold_loads = true;
    world.tick();
    world.arrive(origin(), "juliet@localhost", "n1.");
    let kept = Kept {
        id,
        unacked,
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    juliet.stanzas();
    world.release();
    assert_eq!(bodies(&juliet.stanzas()), ["n1"]);
}

#[test]
fn what_is_void_is_not_dealt_with_before_the_client_has_heard_so_or_its_node_counts_no_more() {
    for hears in [true, false] {
        let (mut world, _romeo, juliet, id) = balcony();
        let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
        let is_counted = world.send_counted(&juliet, 900);
        assert!(!is_counted(), "the next owner might ask that node");
        match hears {
            true => world.acknowledge(&back, 0),
            false => world.leave(&juliet),
        }
        assert!(is_counted());
    }
}

#[test]
fn one_that_has_still_to_say_its_last_words_does_not_stand_in_the_way_of_the_stream() {
    let (mut world, romeo, juliet, id) = balcony();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.restart();
    world.announce(&romeo);
    world.announce(&juliet);
    let kept = Kept {
        id,
        ..Kept::default()
    };
    world.announce_kept(&back, kept);
    assert_eq!(back.closed_with(), None);
    say(&mut world, &romeo, 0..1);
    assert_eq!(bodies(&back.stanzas()), ["n0"]);
}

#[test]
fn what_a_session_still_says_is_void_when_its_stream_was_over_as_another_one_at_the_last_owner() {
    let text = "<message to='romeo@localhost'><body>once.</body></message>";
    for has_left in [false, true] {
        let (mut world, romeo, juliet, id) = balcony();
        let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
        world.restart();
        world.announce(&romeo);
        // What she had said by the first way was on its way all the time.
        world.announce(&back);
        world.send_as(&back, 0, text);
        if has_left {
            world.leave(&back);
        }
        let kept = Kept {
            id,
            again: 901,
            ..Kept::default()
        };
        world.announce_kept(&juliet, kept);
        world.send_as(&juliet, 900, text);
        assert!(juliet.closed_with().is_some());
        let came = romeo.stanzas();
        assert_eq!(bodies(&came), ["once"], "{has_left} {came:#?}");
    }
}

#[test]
fn what_is_on_its_way_to_a_session_that_ends_before_the_store_was_read_waits_in_the_log() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    let left = juliet.delivered().remove(0);
    world.node_dies(&juliet);
    world.restart();
    (world.hold, world.hold_loads) = (true, true);
    world.announce(&romeo);
    let kept = Kept {
        id,
        unacked: vec![left.clone()],
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    world.arrive(origin(), "juliet@localhost", "n1.");
    juliet.set_full(true);
    world.leaves_behind(&juliet, left);
    world.leave(&juliet);
    world.release();
    (0..3).for_each(|_| world.tick());
    let got = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&got), ["n0", "n1"]);
}

#[test]
fn what_a_session_still_says_is_void_when_its_stream_was_over_as_another_one_before_the_last_owner_was()
 {
    let text = "<message to='romeo@localhost'><body>once.</body></message>";
    for comes_first in [false, true] {
        let (mut world, romeo, juliet, id) = balcony();
        let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
        world.send_as(&back, 0, text);
        world.leave(&back);
        world.restart();
        world.announce(&romeo);
        // Her first way was cut off all the time, with what she had said there.
        let kept = Kept {
            id,
            again: 901,
            ..Kept::default()
        };
        match comes_first {
            true => world.announce_kept(&juliet, kept),
            false => {
                world.announce_kept(&back, Kept::past());
                world.announce_kept(&juliet, kept);
            }
        }
        world.announce_kept(&back, Kept::past());
        world.send_as(&juliet, 900, text);
        assert!(juliet.closed_with().is_some());
        let came = romeo.stanzas();
        assert_eq!(bodies(&came), ["once"], "{comes_first} {came:#?}");
    }
}

#[test]
fn a_session_that_is_over_and_is_still_told_of_takes_nobodys_place() {
    let (mut world, romeo, _juliet, id) = balcony();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.leave(&back);
    let next = world.online("juliet", "balcony");
    world.restart();
    world.announce(&romeo);
    world.announce_kept(&back, Kept::past());
    world.announce(&next);
    world.announce_kept(&back, Kept::past());
    assert_eq!(next.closed_with(), None);
    say(&mut world, &romeo, 0..1);
    assert_eq!(bodies(&next.stanzas()), ["n0"]);
    assert!(bodies(&back.stanzas()).is_empty());
}

#[test]
fn a_session_whose_stream_is_over_as_another_one_does_not_begin_again_when_its_node_is_back() {
    let text = "<message to='romeo@localhost'><body>once.</body></message>";
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    let unacked = juliet.delivered();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.send_as(&back, 0, text);
    world.leave(&back);
    assert_eq!(bodies(&romeo.stanzas()), ["once"]);
    // Its first way was cut off all the time, with what she had said there.
    let kept = Kept {
        id,
        again: 901,
        unacked,
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    world.send_as(&juliet, 900, text);
    assert!(juliet.closed_with().is_some());
    assert!(bodies(&romeo.stanzas()).is_empty());
    let had = back.stanzas();
    assert_eq!(bodies(&had), ["n0"]);
    assert!(bodies(&world.online_with_log("juliet", "door")).is_empty());
}

#[test]
fn what_a_session_that_is_over_still_says_is_void_when_its_stream_was_over_as_another_one() {
    let text = "<message to='romeo@localhost'><body>once.</body></message>";
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    let unacked = juliet.delivered().remove(0);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.send_as(&back, 0, text);
    world.leave(&back);
    assert_eq!(bodies(&romeo.stanzas()), ["once"]);
    assert_eq!(bodies(&back.stanzas()), ["n0"]);
    // Her first way was cut off all the time, with what she had said there, and waited for her in vain.
    world.announce_kept(&juliet, Kept::over(1));
    say(&mut world, &romeo, 1..2);
    world.send_as(&juliet, 900, text);
    world.leaves_behind(&juliet, unacked);
    world.leave(&juliet);
    assert!(bodies(&romeo.stanzas()).is_empty());
    let given = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&given), ["n1"]);
}

#[test]
fn what_the_node_gives_back_of_a_stream_that_the_store_has_as_it_was_before_waits_in_the_log() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    world.node_dies(&juliet);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    let left = back.delivered().remove(0);
    // She has not said that she has got it, and the session is over when the next owner has read the store.
    world.restart();
    world.announce(&romeo);
    world.announce(&back);
    world.leaves_behind(&back, left);
    world.leave(&back);
    (0..3).for_each(|_| world.tick());
    let got = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&got), ["n0"]);
}

#[test]
fn what_only_the_store_has_of_a_stream_that_is_over_at_its_node_waits_in_the_log() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    let left = juliet.delivered().remove(0);
    juliet.set_full(true);
    say(&mut world, &romeo, 1..2);
    world.node_dies(&juliet);
    world.restart();
    world.announce(&romeo);
    // Only the link to her node was cut, and she has closed her stream there.
    world.announce_kept(&juliet, Kept::over(0));
    assert_eq!(world.resume("juliet", &id, 0).err(), Some(None));
    world.leaves_behind(&juliet, left);
    world.leave(&juliet);
    (0..3).for_each(|_| world.tick());
    let got = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&got), ["n0", "n1"]);
}

#[test]
fn what_a_client_had_sent_counts_where_its_stream_is_over_at_its_node_and_has_gone_on_in_the_store()
{
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    world.node_dies(&juliet);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.restart();
    world.announce(&romeo);
    world.announce_kept(&back, Kept::over(1));
    world.send_as(
        &back,
        0,
        "<message to='romeo@localhost'><body>last.</body></message>",
    );
    world.leave(&back);
    assert_eq!(bodies(&romeo.stanzas()), ["last"]);
}

#[test]
fn what_a_session_still_says_is_void_when_its_stream_has_no_place_as_another_one() {
    let text = "<message to='romeo@localhost'><body>once.</body></message>";
    let (mut world, romeo, juliet, id) = balcony();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.restart();
    world.announce(&romeo);
    // One that she had before is over, and nobody has heard of that.
    let before = world.bind_nowhere("juliet", "balcony");
    world.announce(&before);
    world.announce(&juliet);
    let kept = Kept {
        id,
        again: 1,
        ..Kept::default()
    };
    world.announce_kept(&back, kept);
    assert!(back.closed_with().is_some());
    world.send_as(&back, 0, text);
    world.send_as(&juliet, 900, text);
    let came = romeo.stanzas();
    assert_eq!(bodies(&came), ["once"], "{came:#?}");
}

#[test]
fn what_clashes_stays_in_the_store_until_it_is_in_the_log_whatever_becomes_of_the_stream() {
    for then in ["detached", "resumed", "resumed with all", "over"] {
        let (mut world, romeo, back, kept) = clashing();
        match then {
            "detached" => world.node_dies(&back),
            "resumed" => drop(world.asks_to_resume("juliet", &kept.id, 0)),
            "resumed with all" => drop(world.asks_to_resume("juliet", &kept.id, 2)),
            _ => {
                world.node_dies(&back);
                (0..=RouterOptions::default().resume_s).for_each(|_| world.tick());
            }
        }
        // Only what came last comes into the log, and the shard moves on.
        if then == "over" {
            world.append_newest();
        }
        world.restart();
        world.appends = None;
        world.announce(&romeo);
        (0..=RouterOptions::default().resume_s).for_each(|_| world.tick());
        let got = world.online_with_log("juliet", "door");
        let got: Vec<_> = ["n0", "n1"]
            .into_iter()
            .filter(|n| bodies(&got).contains(n))
            .collect();
        assert_eq!(got, ["n0", "n1"], "{then}");
    }
}

#[test]
fn what_the_store_has_of_a_stream_stays_when_what_clashed_with_it_is_in_the_log() {
    let (mut world, romeo, back, kept) = clashing();
    let has_left = world.is_sent_away(&back);
    assert!(!has_left());
    world.append_newest();
    world.append_newest();
    world.tick();
    assert!(has_left());
    world.restart();
    world.appends = None;
    world.announce(&romeo);
    let (again, _) = world.resume("juliet", &kept.id, 0).expect("it is resumed");
    let got = again.stanzas();
    let mut got = bodies(&got);
    got.sort_unstable();
    assert_eq!(got, ["n0", "n1", "n2", "n3"]);
}

/// Juliet is served as this session, whose node has this, while the store has two others under the same numbers, which
/// are on their way into the log.
fn clashing() -> (World, Client, Client, Kept) {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..2);
    world.node_dies(&juliet);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    back.stanzas();
    world.restart();
    (world.hold, world.appends) = (true, Some(Vec::new()));
    world.announce(&romeo);
    let mut kept = Kept {
        id,
        ..Kept::default()
    };
    world.announce_kept(&back, kept.clone());
    say(&mut world, &romeo, 2..4);
    kept.unacked = back.delivered();
    assert_eq!(bodies(&back.stanzas()), ["n2", "n3"]);
    world.release();
    (world, romeo, back, kept)
}

#[test]
fn what_a_node_still_has_of_a_session_counts_for_its_stream_though_that_is_read_later() {
    let text = "<message to='romeo@localhost'><body>once.</body></message>";
    let (mut world, romeo, juliet, id) = balcony();
    world.leave(&romeo);
    world.hold = true;
    world.send(&juliet, text);
    // Her node sends its clients away, and the shard moves before this is dealt with.
    world.node_dies(&juliet);
    world.hand_over();
    world.hold = true;
    world.send_again(&juliet, &[text]);
    world.release();
    let (_, resumed) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(resumed.h, 1, "she does not say it again");
    assert_eq!(world.log("romeo").len(), 1);
}

#[test]
fn what_a_former_node_was_not_given_is_not_done_before_the_present_one_was() {
    let (mut world, romeo, juliet, id) = balcony();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.restart();
    world.announce(&romeo);
    let kept = Kept {
        id,
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept.clone());
    juliet.set_full(true);
    let is_said = say_counted(&mut world, &romeo, 0);
    back.set_full(true);
    world.announce_kept(&back, kept);
    assert!(!is_said());
    back.set_full(false);
    world.tick();
    assert_eq!(bodies(&back.stanzas()), ["n0"]);
    assert!(is_said());
}

#[test]
fn what_a_node_shows_of_a_stream_that_has_gone_on_without_it_stays_there_until_it_is_in_the_log() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    world.node_dies(&juliet);
    let beyond = Delivered {
        number: 2,
        origins: Origins::None,
        ..juliet.delivered().remove(0)
    };
    world.restart();
    world.announce(&romeo);
    world.resume("juliet", &id, 1).expect("it is resumed");
    world.appends = Some(Vec::new());
    let between = world.bind_nowhere("juliet", "balcony");
    let kept = Kept {
        id,
        unacked: vec![beyond],
        ..Kept::default()
    };
    world.announce_kept(&between, kept);
    let has_left = world.is_sent_away(&between);
    assert!(!has_left());
    world.append_newest();
    assert!(has_left());
}

#[test]
fn what_a_former_node_was_given_and_the_present_one_was_not_stays_there_until_it_is_in_the_log() {
    let (mut world, romeo, juliet, id) = balcony();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.restart();
    world.announce(&romeo);
    let mut kept = Kept {
        id,
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept.clone());
    say(&mut world, &romeo, 0..1);
    let other = Delivered {
        origins: Origins::None,
        ..juliet.delivered().remove(0)
    };
    kept.unacked.push(other);
    world.appends = Some(Vec::new());
    world.announce_kept(&back, kept);
    let has_left = world.is_sent_away(&juliet);
    assert!(!has_left());
    world.append_newest();
    assert!(has_left());
}
