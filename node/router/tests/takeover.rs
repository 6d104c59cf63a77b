//! A shard that gets another owner: its sessions go on, and nothing is done twice.

mod support;

use rookery_session::carrier::{Answer, Origin, Question, SessionId};
use rookery_store::StoreError;
use support::World;

fn origin(sequence: u64) -> Origin {
    let session = SessionId {
        node: 9,
        serial: 44,
    };
    Origin { session, sequence }
}

#[test]
fn the_next_owner_goes_on_with_a_session_and_nobody_is_told() {
    let mut world = World::with(&["romeo", "juliet", "nurse"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    let nurse = world.online("nurse", "door");
    world.send(&juliet, "<presence to='nurse@localhost/door'/>");
    world.send(
        &juliet,
        "<iq type='get' id='b'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
    );
    nurse.stanza();
    juliet.stanzas();
    world.restart();
    for client in [&romeo, &juliet, &nurse] {
        world.announce(client);
    }
    for client in [&romeo, &juliet, &nurse] {
        client.nothing();
        assert_eq!(client.closed_with(), None);
    }
    // It is available with its priority, and asked for pushes of roster and block list.
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>art thou</body></message>",
    );
    assert!(juliet.stanza().contains("art thou"));
    world.send(
        &juliet,
        "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='tybalt@localhost'/></query></iq>",
    );
    let stanzas = juliet.stanzas();
    assert!(
        stanzas.iter().any(|iq| iq.contains("type=\"set\"")),
        "{stanzas:#?}"
    );
    world.send(
        &juliet,
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='paris@localhost'/></block></iq>",
    );
    let stanzas = juliet.stanzas();
    assert!(
        stanzas.iter().any(|iq| iq.contains("paris@localhost")),
        "{stanzas:#?}"
    );
    // Whoever saw it, directly too, sees it go.
    world.leave(&juliet);
    assert!(romeo.stanza().contains("unavailable"));
    assert!(nurse.stanza().contains("unavailable"));
}

#[test]
fn a_session_whose_resource_was_taken_meanwhile_is_closed() {
    let mut world = World::with(&["juliet"]);
    let old = world.online("juliet", "balcony");
    world.restart();
    let new = world.online("juliet", "balcony");
    world.announce(&old);
    let error = old.closed_with().expect("it is closed");
    assert!(error.contains("conflict"), "{error}");
    assert_eq!(new.closed_with(), None);
}

#[test]
fn sessions_whose_account_cannot_be_read_at_once_go_on_when_it_can() {
    let mut world = World::with(&["romeo", "juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.restart();
    world.store_fails = Some(StoreError::Unavailable("it starts".into()));
    world.reads_fail = true;
    world.announce(&juliet);
    world.arrive(origin(0), "juliet@localhost", "early");
    // Who asks hears at once that it cannot be told.
    let asked = Question::Credentials {
        account: support::jid("juliet@localhost"),
    };
    assert!(matches!(world.ask(asked), Some(Answer::Unavailable)));
    world.tick();
    juliet.nothing();
    assert_eq!(juliet.closed_with(), None);
    world.store_fails = None;
    world.tick();
    assert!(juliet.stanza().contains("early"));
    assert_eq!(juliet.closed_with(), None);
}

#[test]
fn sessions_whose_account_cannot_be_read_for_long_end() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.restart();
    world.store_fails = Some(StoreError::Unavailable("it is gone".into()));
    world.reads_fail = true;
    world.announce(&juliet);
    for _ in 0..29 {
        world.tick();
    }
    assert_eq!(juliet.closed_with(), None);
    world.tick();
    world.tick();
    let error = juliet.closed_with().expect("it is closed");
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn a_session_that_is_announced_twice_is_one_session() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.announce(&juliet);
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>once</body></message>",
    );
    assert!(juliet.stanza().contains("once"));
}

#[test]
fn what_arrives_a_second_time_is_dropped() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.arrive(origin(4), "juliet@localhost", "one");
    world.arrive(origin(4), "juliet@localhost", "one");
    world.arrive(origin(6), "juliet@localhost", "two");
    world.arrive(origin(5), "juliet@localhost", "overtaken");
    world.arrive(origin(6), "juliet@localhost", "two");
    assert_eq!(texts(&juliet.stanzas()), ["one", "two", "overtaken"]);
}

#[test]
fn what_arrives_a_second_time_is_not_done_before_the_first_is() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    // The first is on its way to a session that is cut off.
    juliet.set_full(true);
    world.hold_undelivered = true;
    assert!(!world.arrive(origin(4), "juliet@localhost", "one"));
    assert!(!world.arrive(origin(4), "juliet@localhost", "one"));
    world.release();
    assert!(world.arrive(origin(4), "juliet@localhost", "one"));
}

#[test]
fn what_an_earlier_owner_has_put_into_the_log_is_dropped_when_it_comes_again() {
    let mut world = World::with(&["juliet"]);
    // The owner dies before it hears that the append has come through.
    world.hold = true;
    assert!(!world.arrive(origin(7), "juliet@localhost", "one"));
    world.restart();
    // Of the one before nothing is in the log, and it is no repeat.
    assert!(world.arrive(origin(6), "juliet@localhost", "zero"));
    assert!(world.arrive(origin(7), "juliet@localhost", "one"));
    assert!(world.arrive(origin(8), "juliet@localhost", "two"));
    let stanzas = world.online_with_log("juliet", "balcony");
    assert_eq!(texts(&stanzas), ["one", "zero", "two"]);
}

#[test]
fn it_is_dropped_also_when_a_session_has_got_it_from_the_next_owner() {
    let mut world = World::with(&["juliet"]);
    world.hold = true;
    world.arrive(origin(7), "juliet@localhost", "one");
    world.restart();
    let juliet = world.bind("juliet", "balcony");
    world.send(&juliet, "<presence/>");
    assert_eq!(texts(&juliet.stanzas()), ["one"]);
    assert!(world.arrive(origin(7), "juliet@localhost", "one"));
    juliet.nothing();
}

#[test]
fn a_message_that_a_session_did_not_take_is_in_the_log_with_its_origin() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    juliet.set_full(true);
    world.arrive(origin(4), "juliet@localhost", "one");
    world.restart();
    assert!(world.arrive(origin(4), "juliet@localhost", "one"));
    let stanzas = world.online_with_log("juliet", "balcony");
    assert_eq!(texts(&stanzas), ["one"]);
}

#[test]
fn stanzas_that_a_session_sends_again_are_handled_once() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    let message = "<message to='juliet@localhost' type='chat'><body>once</body></message>";
    world.send(&romeo, message);
    world.send_again(&romeo, &[message, message]);
    assert_eq!(juliet.stanzas().len(), 2);
}

#[test]
fn a_message_that_only_a_closing_session_was_given_waits_for_the_next_one() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let closing = world.online("juliet", "balcony");
    closing.set_full(true);
    world.hold_undelivered = true;
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>wait</body></message>",
    );
    // Another one begins to read before the shard hears that the first did not take it.
    let next = world.online("juliet", "garden");
    world.leave(&closing);
    next.stanzas();
    world.release();
    world.tick();
    let stanzas = next.stanzas();
    assert!(
        stanzas.iter().any(|stanza| stanza.contains("wait")),
        "{stanzas:#?}"
    );
}

/// The bodies of messages; what has none is left out.
fn texts(stanzas: &[String]) -> Vec<&str> {
    let body = |stanza| -> Option<&str> {
        let (_, behind): (&str, _) = str::split_once(stanza, "<body>")?;
        Some(behind.split_once("</body>")?.0)
    };
    stanzas.iter().filter_map(|it| body(it)).collect()
}
