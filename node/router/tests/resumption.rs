//! Streams that are resumed (XEP-0198 5), whatever has died in between.

mod support;

use rookery_router::RouterOptions;
use rookery_session::carrier::{Answer, Kept, Origin, SessionId};
use rookery_store::StoreError;
use support::streams::{bodies, say};
use support::{Client, World};

/// Two accounts that see each other; the second has a stream that can be resumed, under this name. It was sent nothing.
fn balcony(options: RouterOptions) -> (World, Client, Client, String) {
    let mut world = World::with_options(&["romeo", "juliet"], options);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    let id = world.enable(&juliet);
    (world, romeo, juliet, id)
}

/// What her node has kept of a stream of which two stanzas are on their way to the next owner. A third was behind them,
/// and has been dealt with.
fn two_on_their_way(id: &str) -> Kept {
    Kept {
        id: id.to_owned(),
        next_stanza: 40,
        again: 42,
        submitted: 43,
        h: 7,
        ..Kept::default()
    }
}

fn defaults() -> RouterOptions {
    RouterOptions::default()
}

#[test]
fn a_client_whose_node_died_is_given_what_it_has_not_got() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    say(&mut world, &romeo, 0..3);
    world.acknowledge(&juliet, 1);
    world.node_dies(&juliet);
    romeo.nothing();
    say(&mut world, &romeo, 3..5);
    // It comes too late: she was told nothing of it, and says it again.
    world.send(&juliet, "<presence><show>away</show></presence>");
    romeo.nothing();
    let (back, resumed) = world.resume("juliet", &id, 2).expect("it is resumed");
    assert_eq!((resumed.acked, resumed.h), (2, 0));
    assert_eq!(bodies(&back.stanzas()), ["n2", "n3", "n4"]);
    say(&mut world, &romeo, 5..6);
    assert_eq!(back.delivered()[0].number, 6);
    assert_eq!(bodies(&back.stanzas()), ["n5"]);
}

#[test]
fn who_does_not_come_back_in_time_is_unavailable_and_the_log_has_the_rest() {
    let options = RouterOptions {
        resume_s: 2,
        ..defaults()
    };
    let (mut world, romeo, juliet, id) = balcony(options);
    for _ in 0..3 {
        world.send(&juliet, "<message to='romeo@localhost'/>");
    }
    assert_eq!(romeo.stanzas().len(), 3);
    say(&mut world, &romeo, 0..2);
    world.acknowledge(&juliet, 1);
    world.node_dies(&juliet);
    world.tick();
    romeo.nothing();
    world.tick();
    assert!(romeo.stanza().contains("unavailable"));
    let had = world.resume("juliet", &id, 1).err();
    assert_eq!(had, Some(Some(3)), "what she has sent is known");
    assert_eq!(world.resume("romeo", &id, 1).err(), Some(None));
    assert_eq!(bodies(&world.online_with_log("juliet", "door")), ["n1"]);
}

#[test]
fn what_was_acknowledged_is_put_into_the_log_as_soon_as_the_store_takes_it() {
    let options = RouterOptions {
        resume_s: 2,
        ..defaults()
    };
    let (mut world, romeo, juliet, _) = balcony(options);
    say(&mut world, &romeo, 0..2);
    world.acknowledge(&juliet, 1);
    world.node_dies(&juliet);
    world.tick();
    world.store_fails = Some(StoreError::Unavailable("it starts".into()));
    world.tick();
    world.tick();
    // An error would reach nobody if he were gone.
    let told = romeo.stanzas();
    assert!(
        told.iter().all(|it| !it.contains("type=\"error\"")),
        "{told:#?}"
    );
    world.store_fails = None;
    world.tick();
    assert_eq!(bodies(&world.online_with_log("juliet", "door")), ["n1"]);
}

#[test]
fn what_the_node_of_before_still_says_is_void() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    say(&mut world, &romeo, 0..2);
    let had = juliet.delivered();
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    assert!(
        juliet
            .closed_with()
            .is_some_and(|it| it.contains("conflict"))
    );
    assert_eq!(bodies(&back.stanzas()), ["n0", "n1"]);
    world.send(
        &juliet,
        "<message to='romeo@localhost'><body>n9.</body></message>",
    );
    romeo.nothing();
    had.into_iter()
        .for_each(|it| world.leaves_behind(&juliet, it));
    world.leave(&juliet);
    back.nothing();
    romeo.nothing();
    say(&mut world, &romeo, 2..3);
    assert_eq!(bodies(&back.stanzas()), ["n2"]);
}

#[test]
fn the_next_owner_of_the_shard_goes_on_with_what_the_node_has_kept() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    say(&mut world, &romeo, 0..3);
    let unacked = juliet.delivered();
    world.restart();
    world.announce(&romeo);
    let kept = Kept {
        id: id.clone(),
        next_stanza: 40,
        h: 7,
        acked: 1,
        unacked: unacked.into_iter().skip(1).collect(),
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    juliet.stanzas();
    say(&mut world, &romeo, 3..4);
    assert_eq!(juliet.delivered()[0].number, 4);
    let (back, resumed) = world.resume("juliet", &id, 2).expect("it is resumed");
    assert_eq!((resumed.acked, resumed.h), (2, 7));
    assert_eq!(bodies(&back.stanzas()), ["n2", "n3"]);
}

#[test]
fn a_client_is_told_of_what_it_has_sent_when_that_is_dealt_with() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    world.leave(&romeo);
    juliet.stanzas();
    world.appends = Some(vec![]);
    let message = "<message to='romeo@localhost' type='chat'><body>m1.</body></message>";
    world.send(&juliet, message);
    world.node_dies(&juliet);
    let waiting = world.asks_to_resume("juliet", &id, 1);
    assert!(waiting.answer().is_none(), "the message is not in the log");
    world.send(&juliet, message);
    world.append_newest();
    let Some(Answer::Resumed(resumed)) = waiting.answer() else {
        panic!("it is resumed")
    };
    assert_eq!(resumed.h, 1);
    // What her node of before had still to say came too late: she sends it again.
    world.appends = None;
    assert_eq!(bodies(&world.online_with_log("romeo", "orchard")), ["m1"]);
}

#[test]
fn what_is_on_its_way_to_the_next_owner_is_here_before_the_stream_goes_on() {
    let (mut world, _romeo, juliet, id) = balcony(defaults());
    world.restart();
    world.announce_kept(&juliet, two_on_their_way(&id));
    let early = world.asks_to_resume("juliet", &id, 0);
    let message = "<message to='romeo@localhost' type='chat'><body>m1.</body></message>";
    world.send_as(&juliet, 40, message);
    assert!(early.answer().is_none(), "one is missing");
    world.send_as(&juliet, 41, message);
    let answer = early.answer();
    assert!(
        matches!(&answer, Some(Answer::Resumed(resumed)) if resumed.h == 10),
        "{answer:?}"
    );
}

#[test]
fn what_a_node_has_that_is_cut_off_is_waited_for_until_it_comes_or_the_node_is_lost() {
    for comes in [true, false] {
        let (mut world, _romeo, juliet, id) = balcony(defaults());
        world.restart();
        world.announce_kept(&juliet, two_on_their_way(&id));
        juliet.set_cut_off(true);
        (0..8).for_each(|_| world.tick());
        let early = world.asks_to_resume("juliet", &id, 0);
        world.tick();
        juliet.set_cut_off(false);
        world.tick();
        assert!(early.answer().is_none(), "she would say again what is done");
        match comes {
            true => (40..42).for_each(|number| drop(world.send_counted(&juliet, number))),
            false => world.node_dies(&juliet),
        }
        let resumed = early.resumed().expect("it is resumed");
        assert_eq!(resumed.h, if comes { 10 } else { 7 });
    }
}

#[test]
fn the_next_owner_goes_on_with_the_way_by_which_the_stream_was_resumed_last() {
    for before_comes_first in [true, false] {
        let (mut world, romeo, juliet, id) = balcony(defaults());
        let kept = |acked| Kept {
            id: id.clone(),
            acked,
            ..Kept::default()
        };
        let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
        world.restart();
        // Her node of before has not heard that she left it.
        match before_comes_first {
            true => world.announce_kept(&juliet, kept(0)),
            false => world.announce_kept(&back, kept(1)),
        }
        match before_comes_first {
            true => world.announce_kept(&back, kept(1)),
            false => world.announce_kept(&juliet, kept(0)),
        }
        assert!(
            juliet
                .closed_with()
                .is_some_and(|error| error.contains("conflict"))
        );
        assert_eq!(back.closed_with(), None);
        world.announce(&romeo);
        say(&mut world, &romeo, 0..1);
        assert_eq!(back.delivered()[0].number, 2);
    }
}

#[test]
fn a_stream_without_a_node_is_resumed_with_the_next_owner_of_its_shard() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    say(&mut world, &romeo, 0..3);
    world.acknowledge(&juliet, 1);
    world.node_dies(&juliet);
    world.hand_over();
    world.announce(&romeo);
    say(&mut world, &romeo, 3..4);
    let (back, resumed) = world.resume("juliet", &id, 2).expect("it is resumed");
    assert_eq!((resumed.acked, resumed.h), (2, 0));
    assert_eq!(bodies(&back.stanzas()), ["n2", "n3"]);
    romeo.stanzas();
    // It has gone on, and its client has got what was under way: the owner after that finds nothing.
    world.acknowledge(&back, 4);
    world.restart();
    assert_eq!(world.resume("juliet", &id, 4).err(), Some(None));
}

#[test]
fn a_stream_without_a_node_ends_with_the_next_owner_if_its_client_stays_away() {
    for (is_replaced, ticks) in [(false, 3), (true, 0)] {
        let options = RouterOptions {
            resume_s: 2,
            ..defaults()
        };
        let (mut world, romeo, juliet, id) = balcony(options);
        say(&mut world, &romeo, 0..2);
        world.acknowledge(&juliet, 1);
        world.node_dies(&juliet);
        world.hand_over();
        world.announce(&romeo);
        (0..ticks).for_each(|_| world.tick());
        if !is_replaced {
            assert!(romeo.stanza().contains("unavailable"));
        }
        let back = world.online_with_log("juliet", "balcony");
        assert_eq!(bodies(&back), ["n1"], "replaced: {is_replaced}");
        // Of what was replaced nobody says for certain what it has sent.
        let h = (!is_replaced).then_some(0);
        assert_eq!(world.resume("juliet", &id, 1).err(), Some(h));
        world.restart();
        world.tick();
        assert_eq!(
            world.resume("juliet", &id, 1).err(),
            Some(None),
            "forgotten"
        );
    }
}

#[test]
fn a_stream_without_a_node_outlives_the_death_of_its_shards_owner() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    say(&mut world, &romeo, 0..3);
    world.acknowledge(&juliet, 1);
    world.node_dies(&juliet);
    // These are for her log, for nobody has a second copy.
    say(&mut world, &romeo, 3..5);
    world.restart();
    world.announce(&romeo);
    let (back, resumed) = world.resume("juliet", &id, 2).expect("it is resumed");
    assert_eq!((resumed.acked, resumed.h), (2, 0));
    assert_eq!(bodies(&back.stanzas()), ["n2", "n3", "n4"]);
}

#[test]
fn what_a_stream_had_on_its_way_to_another_node_outlives_its_shards_owner() {
    for node_is_first in [true, false] {
        let (mut world, romeo, _juliet, id) = balcony(defaults());
        say(&mut world, &romeo, 0..4);
        let (back, _) = world.resume("juliet", &id, 1).expect("it is resumed");
        // Her new node was given one of the three, when the owner of her shard died.
        let unacked = back.delivered().into_iter().take(1).collect();
        back.stanzas();
        let kept = Kept {
            id: id.clone(),
            acked: 1,
            unacked,
            ..Kept::default()
        };
        world.restart();
        if !node_is_first {
            world.announce(&romeo);
        }
        world.hold = node_is_first;
        world.announce_kept(&back, kept);
        world.release();
        world.tick();
        assert_eq!(bodies(&back.stanzas()), ["n2", "n3"], "{node_is_first}");
    }
}

#[test]
fn a_node_knows_more_of_a_stream_than_the_store_does() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    say(&mut world, &romeo, 0..2);
    let unacked = juliet.delivered();
    world.node_dies(&juliet);
    world.restart();
    world.announce(&romeo);
    // The document is read, and then her node is there, which was given more.
    world.tick();
    let kept = Kept {
        id,
        next_stanza: 90,
        h: 3,
        unacked,
        ..Kept::default()
    };
    world.announce_kept(&juliet, kept);
    juliet.stanzas();
    say(&mut world, &romeo, 2..3);
    assert_eq!(juliet.delivered()[0].number, 3);
    assert_eq!(bodies(&juliet.stanzas()), ["n2"]);
}

#[test]
fn what_a_session_sent_is_void_when_its_stream_has_gone_on_before_it_was_announced() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    world.node_dies(&juliet);
    world.restart();
    world.announce(&romeo);
    let (_back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    romeo.stanzas();
    // She had resumed it once before, with the former owner, of which the store knows nothing.
    let between = world.bind_nowhere("juliet", "balcony");
    world.announce_kept(
        &between,
        Kept {
            id,
            ..Kept::default()
        },
    );
    assert!(
        between
            .closed_with()
            .is_some_and(|error| error.contains("conflict"))
    );
    world.send(
        &between,
        "<message to='romeo@localhost' type='chat'><body>m1.</body></message>",
    );
    romeo.nothing();
}

#[test]
fn a_stream_whose_node_has_begun_to_give_back_what_is_left_is_over() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    say(&mut world, &romeo, 0..3);
    let mut left = juliet.delivered().into_iter();
    let first = left.next().expect("there are three");
    world.leaves_behind(&juliet, first);
    assert_eq!(world.resume("juliet", &id, 0).err(), Some(Some(0)));
    // The node dies before it has said the rest.
    world.node_dies(&juliet);
    let next = world.online_with_log("juliet", "door");
    assert_eq!(bodies(&next), ["n0", "n1", "n2"]);
}

#[test]
fn what_a_former_node_says_is_void_when_the_stream_is_over_as_well() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    world.leave(&back);
    romeo.stanzas();
    world.send(
        &juliet,
        "<message to='romeo@localhost' type='chat'><body>m1.</body></message>",
    );
    romeo.nothing();
}

#[test]
fn what_a_sessions_node_was_not_given_is_not_done() {
    let (mut world, _romeo, juliet, _) = balcony(defaults());
    juliet.set_full(true);
    let origin = |sequence| Origin {
        session: SessionId { node: 9, serial: 9 },
        sequence,
    };
    assert!(!world.arrive(origin(1), "juliet@localhost", "first"));
    juliet.set_full(false);
    world.tick();
    assert!(juliet.stanza().contains("first"));
    assert!(world.arrive(origin(1), "juliet@localhost", "first"));
}

#[test]
fn who_resumes_before_the_store_has_answered_waits_and_hears_if_it_cannot() {
    let (mut world, _romeo, juliet, id) = balcony(defaults());
    world.node_dies(&juliet);
    world.hand_over();
    world.hold = true;
    let early = world.asks_to_resume("juliet", &id, 0);
    assert!(early.answer().is_none());
    world.release();
    assert!(matches!(early.answer(), Some(Answer::Resumed(_))));
}

#[test]
fn what_is_on_its_way_from_a_node_that_died_is_not_waited_for() {
    let (mut world, _romeo, juliet, id) = balcony(defaults());
    world.restart();
    world.announce_kept(&juliet, two_on_their_way(&id));
    let early = world.asks_to_resume("juliet", &id, 0);
    assert!(early.answer().is_none());
    world.node_dies(&juliet);
    assert!(matches!(early.answer(), Some(Answer::Resumed(resumed)) if resumed.h == 7));
}

#[test]
fn past_the_bound_the_log_takes_over_and_gives_when_there_is_room() {
    let options = RouterOptions {
        resume_stanzas_max: 3,
        ..defaults()
    };
    let (mut world, romeo, juliet, id) = balcony(options);
    world.node_dies(&juliet);
    say(&mut world, &romeo, 0..8);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    let mut came = back.stanzas();
    for _ in 0..12 {
        world.acknowledge(&back, came.len() as u64);
        world.tick();
        came.extend(back.stanzas());
    }
    assert_eq!(
        bodies(&came),
        ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"]
    );
}

#[test]
fn what_is_kept_of_all_streams_together_is_bounded() {
    let options = RouterOptions {
        resume_bytes_in_all_max: 2_000,
        ..defaults()
    };
    let (mut world, romeo, juliet, _) = balcony(options);
    let romeos = world.enable(&romeo);
    say(&mut world, &romeo, 0..60);
    let came = bodies(&juliet.stanzas()).len();
    assert!((5..40).contains(&came), "{came}");
    // Another stream still gets one, and more when the first has acknowledged.
    let answer = "<message to='romeo@localhost' type='chat'><body>m1.</body></message>";
    world.send(&juliet, answer);
    world.send(&juliet, answer);
    assert_eq!(bodies(&romeo.stanzas()), ["m1"]);
    world.acknowledge(&juliet, came as u64);
    world.acknowledge(&romeo, 1);
    (0..3).for_each(|_| world.tick());
    assert_eq!(bodies(&romeo.stanzas()), ["m1"]);
    assert!(!bodies(&juliet.stanzas()).is_empty());
    world.leave(&juliet);
    world.leave(&romeo);
    assert!(world.resume("romeo", &romeos, 0).is_err());
}

#[test]
fn what_a_full_link_does_not_take_is_given_again_in_its_order() {
    let (mut world, romeo, juliet, _) = balcony(defaults());
    say(&mut world, &romeo, 0..1);
    juliet.set_full(true);
    say(&mut world, &romeo, 1..3);
    world.send(&romeo, "<presence><show>dnd</show></presence>");
    juliet.set_full(false);
    say(&mut world, &romeo, 3..4);
    assert_eq!(bodies(&juliet.stanzas()), ["n0"], "nothing overtakes");
    world.tick();
    let numbers: Vec<_> = juliet.delivered().iter().map(|it| it.number).collect();
    assert_eq!(numbers, [2, 3, 4, 5]);
    assert_eq!(bodies(&juliet.stanzas()), ["n1", "n2", "n3"]);
    assert_eq!(juliet.closed_with(), None);
}

#[test]
fn a_stream_is_nobody_elses_and_not_to_be_guessed() {
    let (mut world, romeo, _, id) = balcony(defaults());
    say(&mut world, &romeo, 0..1);
    assert_eq!(world.resume("romeo", &id, 0).err(), Some(None));
    assert_eq!(world.resume("juliet", "x", 0).err(), Some(None));
    let had = world.resume("juliet", &id, 2).err();
    assert_eq!(had, Some(Some(0)), "more than was sent");
    assert!(world.resume("juliet", &id, 1).is_ok());
}

#[test]
fn a_session_that_is_replaced_leaves_what_it_had_not_got_to_the_next() {
    let (mut world, romeo, juliet, id) = balcony(defaults());
    world.node_dies(&juliet);
    say(&mut world, &romeo, 0..2);
    assert_eq!(
        bodies(&world.online_with_log("juliet", "balcony")),
        ["n0", "n1"]
    );
    assert_eq!(world.resume("juliet", &id, 0).err(), Some(None));
}

#[test]
fn a_client_that_did_not_hear_the_answer_asks_again_or_binds() {
    let (mut world, romeo, _, id) = balcony(defaults());
    say(&mut world, &romeo, 0..2);
    let (back, _) = world.resume("juliet", &id, 1).expect("it is resumed");
    back.stanzas();
    assert!(world.resume_again(&back, &id, 1));
    assert_eq!(back.closed_with(), None);
    assert_eq!(bodies(&back.stanzas()), ["n1"]);
    world.bind_instead(&back, "door");
    say(&mut world, &romeo, 2..3);
    let (again, _) = world.resume("juliet", &id, 1).expect("it waits still");
    assert_eq!(bodies(&again.stanzas()), ["n1", "n2"]);
    assert_eq!(back.closed_with(), None);
}

#[test]
fn a_session_whose_stream_can_be_resumed_hears_why_it_ends() {
    let (mut world, _, juliet, id) = balcony(defaults());
    let remove = "<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    world.send(&juliet, remove);
    assert!(juliet.stanza().contains("id=\"bye\""));
    let error = juliet.closed_with().expect("it is closed");
    assert!(error.contains("not-authorized"), "{error}");
    assert_eq!(world.resume("juliet", &id, 1).err(), Some(None));
}

#[test]
fn a_session_that_is_replaced_hears_of_the_conflict() {
    let (mut world, romeo, juliet, _) = balcony(defaults());
    say(&mut world, &romeo, 0..1);
    world.bind("juliet", "balcony");
    assert_eq!(bodies(&juliet.stanzas()), ["n0"]);
    assert!(
        juliet
            .closed_with()
            .is_some_and(|it| it.contains("conflict"))
    );
}
