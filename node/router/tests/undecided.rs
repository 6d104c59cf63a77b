//! A stream whose client may go on by another way soon.

mod support;

use rookery_router::RouterOptions;
use rookery_session::carrier::{AdminQuestion, Answer, Question};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};
use support::client::Asking;
use support::streams::{bodies, say};
use support::{Client, World};

/// Two accounts that see each other; the second has a stream that can be resumed, under this name.
fn balcony() -> (World, Client, Client, String) {
    let mut world = World::with_options(&["romeo", "juliet"], RouterOptions::default());
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    let id = world.enable(&juliet);
    (world, romeo, juliet, id)
}

/// A message of hers waits for the log, and so does a client that wants to go on with her stream.
fn undecided() -> (World, Client, String, Asking) {
    let (mut world, romeo, juliet, id) = balcony();
    world.leave(&romeo);
    juliet.stanzas();
    world.appends = Some(vec![]);
    world.send(&juliet, &message("m1."));
    let asking = world.asks_to_resume("juliet", &id, 1);
    assert!(asking.answer().is_none(), "the message is not in the log");
    (world, juliet, id, asking)
}

fn message(text: &str) -> String {
    format!("<message to='romeo@localhost' type='chat'><body>{text}</body></message>")
}

#[test]
fn what_comes_while_it_is_undecided_is_void_where_the_stream_goes_on() {
    let (mut world, juliet, _, asking) = undecided();
    world.send(&juliet, &message("m2."));
    // What she has got, and her end, are as void: who goes on has said what it has.
    world.acknowledge(&juliet, 2);
    world.leave(&juliet);
    world.append_newest();
    world.appends = None;
    let Some(Answer::Resumed(resumed)) = asking.answer() else {
        panic!("it is resumed")
    };
    assert_eq!((resumed.h, resumed.acked), (1, 1));
    assert_eq!(bodies(&world.online_with_log("romeo", "orchard")), ["m1"]);
}

#[test]
fn what_comes_while_it_is_undecided_counts_where_the_stream_does_not_go_on() {
    let (mut world, juliet, id, asking) = undecided();
    world.send(&juliet, &message("m2."));
    let close = Question::Admin(AdminQuestion::CloseSessions {
        jid: Jid::clone(&juliet.jid),
        error: StreamError::new(StreamCondition::PolicyViolation),
    });
    world.ask(close);
    world.leave(&juliet);
    // The first, and what it decides.
    world.append_newest();
    world.append_newest();
    world.appends = None;
    assert!(matches!(asking.answer(), Some(Answer::NotResumed { .. })));
    assert_eq!(
        bodies(&world.online_with_log("romeo", "orchard")),
        ["m1", "m2"]
    );
    assert_eq!(world.resume("juliet", &id, 1).err(), Some(None));
    // No ghost of hers is left that he could see.
    let romeo = world.online("romeo", "garden");
    assert!(romeo.stanzas().iter().all(|it| !it.contains("juliet")));
}

#[test]
fn of_two_who_want_to_go_on_at_once_the_later_does_and_the_earlier_hears_of_the_conflict() {
    let (mut world, juliet, id, earlier) = undecided();
    let later = world.asks_to_resume("juliet", &id, 1);
    world.append_newest();
    world.appends = None;
    for asking in [&earlier, &later] {
        assert_eq!(asking.resumed().map(|it| (it.h, it.acked)), Some((1, 1)));
    }
    let conflict = |error: Option<String>| error.is_some_and(|it| it.contains("conflict"));
    assert!(conflict(juliet.closed_with()) && conflict(earlier.closed_with()));
    assert_eq!(later.closed_with(), None);
    earlier.stanzas();
    let romeo = world.online("romeo", "garden");
    say(&mut world, &romeo, 0..1);
    assert_eq!(bodies(&earlier.stanzas()), [""; 0]);
    assert_eq!(bodies(&later.stanzas()), ["n0"]);
}

#[test]
fn a_stream_does_not_go_on_while_too_many_of_its_ways_may_still_say_something() {
    let (mut world, _romeo, juliet, id) = balcony();
    let mut ways = vec![juliet];
    for _ in 0..16 {
        let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
        ways.push(back);
    }
    let refused = world.asks_to_resume("juliet", &id, 0);
    assert!(matches!(refused.answer(), Some(Answer::Unavailable)));
    world.leave(&ways[0]);
    let (back, _) = world.resume("juliet", &id, 0).expect("it is resumed");
    back.stanzas();
    // The others are known to be former ones still.
    for way in &ways[1..] {
        world.send(way, &message("void"));
        world.leave(way);
    }
    assert_eq!(back.closed_with(), None);
}

#[test]
fn an_error_that_the_lost_way_did_not_take_does_not_hold_up_who_waits_for_it() {
    let (mut world, _romeo, juliet, id) = balcony();
    juliet.stanzas();
    juliet.set_full(true);
    world.send(
        &juliet,
        "<iq type='get' to='nobody@localhost' id='i1'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    // Her iq is dealt with when she has its error, which her present way does not take.
    let asking = world.asks_to_resume("juliet", &id, 0);
    assert!(asking.answer().is_none(), "the error is not given");
    world.node_dies(&juliet);
    let Some(Answer::Resumed(resumed)) = asking.answer() else {
        panic!("it is resumed")
    };
    assert_eq!(resumed.h, 1);
}
