//! A stream that goes on is not in the store as one that waits: XEP-0198 5 over the deaths of a node and of the owner
//! of its shard, one after the other.

mod support;

use rookery_router::RouterOptions;
use rookery_session::carrier::{Answer, Kept};
use rookery_store::StoreError;
use support::streams::{balcony, bodies, say, say_counted};

fn full() -> StoreError {
    StoreError::Unavailable("the disk is full".into())
}

#[test]
fn who_has_gone_on_does_not_go_back_to_what_the_store_had() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..2);
    world.node_dies(&juliet);
    let (back, _) = world.resume("juliet", &id, 1).expect("it is resumed");
    let unacked = back.delivered();
    // Her node is not heard of, and she comes by another one.
    world.restart();
    world.announce(&romeo);
    assert_eq!(world.resume("juliet", &id, 1).err(), Some(None));
    // It was only late: it knows how much she has sent.
    let kept = Kept {
        id: id.clone(),
        acked: 1,
        h: 5,
        unacked,
        ..Kept::default()
    };
    world.announce_kept(&back, kept);
    assert!(back.closed_with().is_none());
    let (_, resumed) = world.resume("juliet", &id, 2).expect("it is resumed");
    assert_eq!((resumed.acked, resumed.h), (2, 5));
}

#[test]
fn what_a_node_and_an_owner_have_lost_is_in_the_log_when_the_time_of_the_stream_is_up() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..2);
    world.node_dies(&juliet);
    world.resume("juliet", &id, 1).expect("it is resumed");
    world.restart();
    world.announce(&romeo);
    for _ in 0..=RouterOptions::default().resume_s {
        world.tick();
    }
    let given = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&given), ["n1"]);
}

#[test]
fn a_stream_that_is_given_more_with_each_write_goes_on_behind_the_third() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    world.hold = true;
    let asking = world.asks_to_resume("juliet", &id, 0);
    for write in 1..=3 {
        assert!(asking.resumed().is_none(), "{write}");
        say(&mut world, &romeo, write..write + 1);
        world.release_next();
    }
    let resumed = asking.resumed().expect("it is resumed");
    assert_eq!((resumed.acked, resumed.h), (0, 0));
    // Her way before ends, and the new one has all of it.
    assert!(
        juliet
            .closed_with()
            .is_some_and(|it| it.contains("conflict"))
    );
    assert_eq!(bodies(&asking.stanzas()), ["n0", "n1", "n2", "n3"]);
}

#[test]
fn what_the_way_before_has_and_the_store_has_not_is_not_done_before_the_new_way_has_it() {
    let (mut world, romeo, juliet, id) = balcony();
    world.hold = true;
    say(&mut world, &romeo, 0..1);
    let asking = world.asks_to_resume("juliet", &id, 0);
    let done = [1, 2, 3].map(|write| {
        let is_done = say_counted(&mut world, &romeo, write);
        assert_eq!(
            bodies(&juliet.stanzas()).last(),
            Some(&&*format!("n{write}"))
        );
        assert!(!is_done(), "{write}: what her node has is void soon");
        world.release_next();
        is_done
    });
    assert!(asking.resumed().is_some());
    assert!(done.iter().all(|is_done| !is_done()));
    assert_eq!(bodies(&asking.stanzas()), ["n0", "n1", "n2", "n3"]);
    assert!(done.iter().all(|is_done| is_done()));
}

#[test]
fn what_the_present_way_has_is_done_where_the_stream_does_not_go_on() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    (world.hold, world.store_fails) = (true, Some(full()));
    let asking = world.asks_to_resume("juliet", &id, 0);
    let is_done = say_counted(&mut world, &romeo, 1);
    juliet.stanzas();
    assert!(!is_done());
    world.release();
    assert!(matches!(asking.answer(), Some(Answer::Unavailable)));
    assert!(is_done());
}

#[test]
fn a_stream_that_waits_in_the_store_does_not_go_on_while_the_store_refuses() {
    for (h, left) in [(1, vec!["n1"]), (2, vec![])] {
        let (mut world, romeo, juliet, id) = balcony();
        say(&mut world, &romeo, 0..2);
        world.node_dies(&juliet);
        world.store_fails = Some(full());
        let refused = world.asks_to_resume("juliet", &id, h).answer();
        assert!(matches!(refused, Some(Answer::Unavailable)), "{refused:?}");
        world.store_fails = None;
        let (back, _) = world.resume("juliet", &id, h).expect("it is resumed");
        assert_eq!(bodies(&back.stanzas()), left);
    }
}

#[test]
fn a_stream_that_nobody_serves_goes_on_where_the_store_has_nothing_of_it() {
    // A disk that is full has nothing for certain; of a store that does not answer nobody knows.
    for (error, goes_on) in [(StoreError::Full, true), (full(), false)] {
        let (mut world, romeo, juliet, id) = balcony();
        say(&mut world, &romeo, 0..2);
        world.store_fails = Some(error);
        world.node_dies(&juliet);
        let answer = world.asks_to_resume("juliet", &id, 1).answer();
        assert_eq!(
            matches!(answer, Some(Answer::Resumed(_))),
            goes_on,
            "{answer:?}"
        );
    }
}

#[test]
fn a_node_keeps_its_copy_of_a_stream_until_there_is_another_one() {
    // The store takes it in the end, its client comes by another node, or its time is up.
    for end in ["stored", "resumed", "over"] {
        let (mut world, romeo, juliet, id) = balcony();
        say(&mut world, &romeo, 0..2);
        world.store_fails = Some(StoreError::Full);
        let is_done = world.is_sent_away(&juliet);
        world.tick();
        assert!(!is_done(), "{end}: it would be lost with this owner");
        match end {
            "stored" => {
                world.store_fails = None;
                world.tick();
            }
            "resumed" => {
                let asking = world.asks_to_resume("juliet", &id, 1);
                assert!(asking.resumed().is_some() && !is_done());
                assert_eq!(bodies(&asking.stanzas()), ["n1"]);
            }
            _ => {
                for _ in 0..=RouterOptions::default().resume_s {
                    world.tick();
                }
                assert!(!is_done(), "the log does not have it either");
                world.store_fails = None;
                world.tick();
                let given = world.online_with_log("juliet", "door");
                assert_eq!(bodies(&given), ["n0", "n1"]);
            }
        }
        assert!(is_done(), "{end}");
    }
}

#[test]
fn what_a_lost_node_was_not_given_is_done_when_the_store_has_it_or_it_is_given() {
    for (error, resumes) in [
        (StoreError::Full, false),
        (full(), false),
        (StoreError::Full, true),
    ] {
        let (mut world, romeo, juliet, id) = balcony();
        juliet.set_full(true);
        let is_done = say_counted(&mut world, &romeo, 0);
        world.store_fails = Some(error);
        world.node_dies(&juliet);
        world.tick();
        assert!(!is_done(), "this owner alone has it");
        if !resumes {
            world.store_fails = None;
            world.tick();
            assert!(is_done());
        }
        let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
        assert_eq!(bodies(&back.stanzas()), ["n0"]);
        assert!(is_done());
    }
}

#[test]
fn who_resumes_does_not_wait_for_what_it_was_not_given_itself_while_the_store_is_full() {
    let (mut world, _, juliet, id) = balcony();
    juliet.set_full(true);
    say(&mut world, &juliet, 0..1);
    world.store_fails = Some(StoreError::Full);
    world.node_dies(&juliet);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(bodies(&back.stanzas()), ["n0"]);
}

#[test]
fn what_a_client_says_counts_when_the_store_does_not_say_that_its_stream_waits() {
    let (mut world, romeo, juliet, id) = balcony();
    world.node_dies(&juliet);
    // Its link was only cut.
    world.store_fails = Some(full());
    let kept = Kept {
        id: id.clone(),
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    let is_settled = world.send_counted(&juliet, 90);
    world.tick();
    assert!(!is_settled());
    romeo.nothing();
    world.store_fails = None;
    world.tick();
    assert_eq!(romeo.stanzas().len(), 1);
    assert!(is_settled());
    world.restart();
    world.announce(&romeo);
    assert_eq!(world.resume("juliet", &id, 0).err(), Some(None));
}

#[test]
fn a_session_that_ends_while_it_is_not_heard_leaves_nothing_held() {
    let (mut world, romeo, juliet, id) = balcony();
    world.node_dies(&juliet);
    world.store_fails = Some(full());
    let kept = Kept {
        id,
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    let is_settled = world.send_counted(&juliet, 90);
    // Another one takes its resource.
    let door = world.bind("juliet", "balcony");
    world.store_fails = None;
    world.tick();
    romeo.stanzas();
    assert!(is_settled());
    world.send(
        &door,
        "<message to='romeo@localhost'><body>m.</body></message>",
    );
    assert_eq!(bodies(&romeo.stanzas()), ["m"]);
}

#[test]
fn what_the_dead_node_of_a_session_had_that_was_replaced_finds_other_ways() {
    // Its node may have given back some of it, and its client may have got some.
    for (gives_back, has_got, left) in [(0, 0, 0..3), (1, 0, 0..3), (0, 1, 1..3), (3, 0, 0..3)] {
        let (mut world, romeo, juliet, _) = balcony();
        say(&mut world, &romeo, 0..3);
        let delivered = juliet.delivered();
        let door = world.online("juliet", "balcony");
        for delivered in delivered.into_iter().take(gives_back) {
            world.leaves_behind(&juliet, delivered);
        }
        world.acknowledge(&juliet, has_got);
        world.node_dies(&juliet);
        // It says nothing twice.
        world.node_dies(&juliet);
        let left: Vec<_> = left.map(|n| format!("n{n}")).collect();
        assert_eq!(bodies(&door.stanzas()), left, "{gives_back} {has_got}");
    }
}

#[test]
fn what_the_dead_node_of_a_session_had_that_was_replaced_is_not_lost_for_what_it_was_not_given() {
    for dies in [true, false] {
        let (mut world, romeo, juliet, _) = balcony();
        say(&mut world, &romeo, 0..2);
        let had = juliet.delivered();
        juliet.set_full(true);
        say(&mut world, &romeo, 2..3);
        let door = world.bind("juliet", "balcony");
        world.send(&door, "<presence/>");
        assert_eq!(bodies(&door.stanzas()), ["n2"]);
        if !dies {
            had.into_iter()
                .for_each(|it| world.leaves_behind(&juliet, it));
        }
        world.node_dies(&juliet);
        assert_eq!(bodies(&door.stanzas()), ["n0", "n1"], "{dies}");
    }
}

#[test]
fn what_a_node_did_not_give_back_of_a_session_that_is_over_was_got() {
    let (mut world, romeo, juliet, _) = balcony();
    say(&mut world, &romeo, 0..3);
    let door = world.online("juliet", "balcony");
    world.leave(&juliet);
    world.node_dies(&juliet);
    assert!(bodies(&door.stanzas()).is_empty());
}

#[test]
fn what_a_node_kept_of_a_session_whose_place_is_taken_finds_other_ways_once() {
    for gives_back in [true, false] {
        let (mut world, romeo, juliet, id) = balcony();
        say(&mut world, &romeo, 0..2);
        let unacked = juliet.delivered();
        world.restart();
        world.announce(&romeo);
        // Her node cannot be reached, and she does not wait for it.
        let door = world.online("juliet", "balcony");
        let kept = Kept {
            id,
            unacked: unacked.clone(),
            ..Kept::default()
        };
        world.announce_kept(&juliet, kept);
        assert!(
            juliet
                .closed_with()
                .is_some_and(|it| it.contains("conflict"))
        );
        if gives_back {
            unacked
                .into_iter()
                .for_each(|it| world.leaves_behind(&juliet, it));
            world.leave(&juliet);
        }
        world.node_dies(&juliet);
        assert_eq!(bodies(&door.stanzas()), ["n0", "n1"], "{gives_back}");
    }
}

#[test]
fn a_stream_that_goes_on_is_read_by_its_client_whatever_a_node_gave_back_before() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..2);
    // Its node has not heard that it is given up.
    let had = juliet.delivered();
    world.node_dies(&juliet);
    had.into_iter()
        .for_each(|it| world.leaves_behind(&juliet, it));
    let (back, _) = world.resume("juliet", &id, 1).expect("it is resumed");
    assert_eq!(bodies(&back.stanzas()), ["n1"]);
    say(&mut world, &romeo, 2..3);
    let mut had = back.delivered();
    assert_eq!(bodies(&back.stanzas()), ["n2"]);
    // What was not given a number was to be in the log.
    had[0].number = 0;
    world.leaves_behind(&back, had.remove(0));
    let (again, _) = world.resume("juliet", &id, 3).expect("it is resumed");
    say(&mut world, &romeo, 3..4);
    world.tick();
    let came = again.stanzas();
    assert_eq!(bodies(&came).last(), Some(&"n3"), "{came:#?}");
}

#[test]
fn what_a_session_gives_back_is_lost_to_nobody_who_was_given_it_too() {
    let (mut world, romeo, juliet, _) = balcony();
    let other = world.online("juliet", "chamber");
    say(&mut world, &romeo, 0..1);
    let (hers, others) = (juliet.delivered(), other.delivered());
    for mut delivered in others {
        delivered.arrival = 0;
        world.leaves_behind(&other, delivered);
    }
    world.tick();
    hers.into_iter()
        .for_each(|it| world.leaves_behind(&juliet, it));
    world.leave(&other);
    world.leave(&juliet);
    for _ in 0..3 {
        world.tick();
    }
    assert_eq!(bodies(&world.online_with_log("juliet", "door")), ["n0"]);
}

#[test]
fn what_comes_with_the_end_of_a_session_and_does_not_get_through_is_kept() {
    let (mut world, romeo, juliet, id) = balcony();
    let kept = Kept {
        id,
        ..Kept::default()
    };
    world.restart();
    world.announce(&romeo);
    // Her account is read for so long that all comes at once, and her link is full.
    world.hold_loads = true;
    world.announce_kept(&juliet, kept);
    say(&mut world, &romeo, 0..3);
    world.leave(&juliet);
    juliet.set_full(true);
    world.release();
    assert_eq!(
        bodies(&world.online_with_log("juliet", "door")),
        ["n0", "n1", "n2"]
    );
}

#[test]
fn what_was_kept_once_and_given_again_is_not_lost_with_who_was_given_it() {
    let (mut world, romeo, juliet, _) = balcony();
    say(&mut world, &romeo, 0..1);
    let left = juliet.delivered().remove(0);
    world.node_dies(&juliet);
    // Its node was only late, and gives that back before the next owner has read of her stream.
    world.restart();
    world.hold = true;
    world.leaves_behind(&juliet, left);
    world.announce(&romeo);
    world.release();
    for _ in 0..=RouterOptions::default().resume_s {
        world.tick();
    }
    let given = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&given), ["n0"]);
}

#[test]
fn a_node_shows_what_it_has_of_a_stream_to_each_owner_until_the_store_has_it() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..2);
    let unacked = juliet.delivered();
    juliet.stanzas();
    juliet.set_full(true);
    let is_said = say_counted(&mut world, &romeo, 2);
    world.store_fails = Some(StoreError::Full);
    let has_left = world.is_sent_away(&juliet);
    world.tick();
    assert!(!has_left() && !is_said());
    // The shard moves, and leaves nothing to its next owner.
    world.restart();
    world.announce(&romeo);
    let kept = Kept {
        id: id.clone(),
        unacked,
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    let has_left = world.is_sent_away(&juliet);
    assert!(!has_left());
    world.store_fails = None;
    world.tick();
    assert!(has_left());
    world.restart();
    world.announce(&romeo);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(bodies(&back.stanzas()), ["n0", "n1"]);
}

#[test]
fn a_node_shows_what_it_has_of_a_stream_until_that_has_found_other_ways() {
    for error in [StoreError::Full, full()] {
        let (mut world, romeo, juliet, _) = balcony();
        say(&mut world, &romeo, 0..2);
        world.store_fails = Some(error);
        let has_left = world.is_sent_away(&juliet);
        for _ in 0..=RouterOptions::default().resume_s {
            world.tick();
        }
        assert!(!has_left());
        world.store_fails = None;
        world.tick();
        assert!(has_left());
        let given = world.online_with_log("juliet", "door");
        assert_eq!(bodies(&given), ["n0", "n1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_node_has_left_is_written_again_for_the_next_owner_if_the_store_refuses_it() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..2);
    world.store_fails = Some(StoreError::Full);
    world.node_dies(&juliet);
    assert!(!world.leaves_to_next(u32::MAX).await);
    assert!(world.leaves_to_next(3).await);
    world.restart();
    world.announce(&romeo);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(bodies(&back.stanzas()), ["n0", "n1"]);
}

#[test]
fn what_a_client_has_got_does_not_come_again_when_the_store_forgets_its_stream_at_the_second_try() {
    let (mut world, romeo, juliet, id) = balcony();
    say(&mut world, &romeo, 0..1);
    world.node_dies(&juliet);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert_eq!(bodies(&back.stanzas()), ["n0"]);
    world.store_fails = Some(full());
    world.acknowledge(&back, 1);
    world.store_fails = None;
    world.tick();
    world.leave(&back);
    world.restart();
    world.announce(&romeo);
    for _ in 0..=RouterOptions::default().resume_s {
        world.tick();
    }
    let given = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&given), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_node_had_and_the_log_does_not_take_is_left_to_the_next_owner() {
    let (mut world, romeo, juliet, _) = balcony();
    say(&mut world, &romeo, 0..2);
    world.store_fails = Some(StoreError::Full);
    world.node_dies(&juliet);
    for _ in 0..=RouterOptions::default().resume_s {
        world.tick();
    }
    assert!(!world.leaves_to_next(u32::MAX).await);
    assert!(world.leaves_to_next(3).await);
    world.restart();
    world.announce(&romeo);
    let given = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&given), ["n0", "n1"]);
}
