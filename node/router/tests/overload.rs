//! Too much at once: what waits is bounded, what a session does not take finds another way, and
//! nothing is lost in silence.

mod support;

use rookery_router::RouterOptions;
use support::{Client, World};

fn chat(to: &str, body: &str) -> String {
    format!("<message to='{to}' type='chat'><body>{body}</body></message>")
}

fn count(stanzas: &[String], part: &str) -> usize {
    stanzas
        .iter()
        .filter(|stanza| stanza.contains(part))
        .count()
}

fn pair() -> (World, Client, Client) {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    (world, romeo, juliet)
}

/// There is no room for a client's first message. The next owner would be sent its frame once more, for it is not
/// archived yet.
fn has_no_room_once(world: &mut World, from: &Client, to: &str) {
    world.appends = Some(Vec::new());
    world.no_room = true;
    world.send(from, &chat(to, "first"));
    world.no_room = false;
}

fn append_all(world: &mut World) {
    while world.appends.as_ref().is_some_and(|held| !held.is_empty()) {
        world.append_newest();
    }
}

#[test]
fn stanzas_that_wait_for_a_change_are_counted_one_by_one() {
    let options = RouterOptions {
        waiting_stanzas_max: 10,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["romeo", "juliet"], options);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.hold = true;
    world.send(&juliet, "<presence type='subscribe' to='romeo@localhost'/>");
    let hello = chat("juliet@localhost", "x");
    let batch = [hello.as_str(); 8];
    world.send_all(&romeo, &batch);
    romeo.nothing();
    world.send_all(&romeo, &batch);
    let refused = romeo.stanzas();
    assert_eq!(count(&refused, "resource-constraint"), 8, "{refused:#?}");
    world.release();
    assert_eq!(count(&juliet.stanzas(), "<body>x</body>"), 8);
}

#[test]
fn a_client_whose_own_account_is_full_of_work_is_told() {
    let options = RouterOptions {
        waiting_stanzas_max: 4,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["romeo", "juliet"], options);
    let romeo = world.online("romeo", "orchard");
    world.hold = true;
    world.send(&romeo, "<presence type='subscribe' to='juliet@localhost'/>");
    let hello = chat("juliet@localhost", "x");
    world.send_all(&romeo, &[hello.as_str(); 4]);
    romeo.nothing();
    world.send(&romeo, &hello);
    assert!(romeo.stanza().contains("resource-constraint"));
}

#[test]
fn what_follows_a_refused_message_is_refused_until_all_is_done_that_came_with_it() {
    let mut world = World::archiving(&["romeo", "juliet", "nurse"]);
    let romeo = world.online("romeo", "orchard");
    let [juliet, nurse] = ["juliet", "nurse"].map(|name| world.online(name, "balcony"));
    has_no_room_once(&mut world, &romeo, "juliet@localhost");
    world.send(&romeo, &chat("juliet@localhost/balcony", "second"));
    assert_eq!(count(&romeo.stanzas(), "resource-constraint"), 2);
    assert_eq!(count(&juliet.stanzas(), "<body>"), 0);
    world.send(&romeo, &chat("nurse@localhost", "other"));
    assert_eq!(count(&nurse.stanzas(), "other"), 1);
    append_all(&mut world);
    world.send(&romeo, &chat("juliet@localhost", "third"));
    assert_eq!(count(&romeo.stanzas(), "resource-constraint"), 0);
    assert_eq!(count(&juliet.stanzas(), "third"), 1);
}

#[test]
fn what_is_refused_of_a_session_that_is_over_is_answered_at_its_address() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let former = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    has_no_room_once(&mut world, &former, "juliet@localhost");
    world.leave(&former);
    let romeo = world.online("romeo", "orchard");
    // It was on its way when its session ended, and must not arrive before the first.
    world.send(&former, &chat("juliet@localhost", "second"));
    assert_eq!(count(&romeo.stanzas(), "resource-constraint"), 1);
    juliet.nothing();
}

#[test]
fn what_is_refused_of_a_session_that_was_replaced_does_not_count_for_its_client_is_not_told() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    has_no_room_once(&mut world, &juliet, "romeo@localhost");
    let other = world.bind("juliet", "balcony");
    let is_settled = world.send_counted(&juliet, 90);
    assert!(!is_settled(), "its client would take it for received");
    append_all(&mut world);
    // The next owner may be sent that again.
    world.send_as(&juliet, 91, &chat("romeo@localhost", "overtaking"));
    assert_eq!(count(&romeo.stanzas(), "overtaking"), 0);
    world.leave(&juliet);
    assert_eq!(count(&other.stanzas(), "resource-constraint"), 2);
    assert!(is_settled(), "its node counts no more");
}

#[test]
fn what_another_session_took_does_not_come_to_it_again() {
    let (mut world, romeo, balcony) = pair();
    let chamber = world.online("juliet", "chamber");
    balcony.stanzas();
    balcony.set_full(true);
    world.send(&romeo, &chat("juliet@localhost", "x"));
    balcony.set_full(false);
    world.tick();
    world.tick();
    assert_eq!(count(&chamber.stanzas(), "<body>x</body>"), 1);
    assert_eq!(count(&balcony.stanzas(), "<body>x</body>"), 0);
}

#[test]
fn what_no_session_took_comes_once_it_can() {
    let (mut world, romeo, balcony) = pair();
    let chamber = world.online("juliet", "chamber");
    balcony.stanzas();
    for session in [&balcony, &chamber] {
        session.set_full(true);
    }
    world.send(&romeo, &chat("juliet@localhost", "x"));
    for session in [&balcony, &chamber] {
        session.set_full(false);
    }
    world.tick();
    let came = [balcony.stanzas(), chamber.stanzas()].concat();
    assert_eq!(count(&came, "<body>x</body>"), 1, "{came:#?}");
}

#[test]
fn what_sessions_refuse_one_long_after_the_other_comes_once_they_can() {
    let (mut world, romeo, balcony) = pair();
    let chamber = world.online("juliet", "chamber");
    balcony.stanzas();
    for session in [&balcony, &chamber] {
        session.set_full(true);
    }
    world.hold_undelivered = true;
    world.send(&romeo, &chat("juliet@localhost", "x"));
    for session in [&balcony, &chamber] {
        session.set_full(false);
    }
    world.release_next();
    // The first reads again, but not what it has refused.
    world.tick();
    world.tick();
    world.send(&romeo, &chat("juliet@localhost", "y"));
    world.release_next();
    world.tick();
    world.tick();
    let came = [balcony.stanzas(), chamber.stanzas()].concat();
    assert_eq!(count(&came, "<body>x</body>"), 1, "{came:#?}");
}

#[test]
fn what_all_sessions_refuse_while_they_are_behind_is_kept_once() {
    let (mut world, romeo, balcony) = pair();
    let chamber = world.online("juliet", "chamber");
    balcony.stanzas();
    for session in [&balcony, &chamber] {
        session.set_full(true);
    }
    world.hold_undelivered = true;
    let bodies = [chat("juliet@localhost", "x"), chat("juliet@localhost", "y")];
    world.send_all(&romeo, &[bodies[0].as_str(), bodies[1].as_str()]);
    for session in [&balcony, &chamber] {
        session.set_full(false);
    }
    world.release();
    world.tick();
    world.tick();
    let came = [balcony.stanzas(), chamber.stanzas()].concat();
    for body in ["x", "y"] {
        assert_eq!(
            count(&came, &format!("<body>{body}</body>")),
            1,
            "{came:#?}"
        );
    }
}

#[test]
fn a_stranger_cannot_end_a_session_by_flooding_it() {
    let (mut world, romeo, juliet) = pair();
    juliet.set_full(true);
    for stanza in [
        "<presence to='juliet@localhost/balcony'/>",
        "<message type='headline' to='juliet@localhost/balcony'><body>x</body></message>",
        "<iq type='result' id='x' to='juliet@localhost/balcony'/>",
    ] {
        world.send(&romeo, stanza);
    }
    assert_eq!(juliet.closed_with(), None);
    world.send(
        &romeo,
        "<iq type='get' id='q' to='juliet@localhost/balcony'><q xmlns='urn:test:q'/></iq>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
}

#[test]
fn a_session_that_misses_the_presence_of_a_contact_ends() {
    let (mut world, romeo, juliet) = pair();
    world.befriend(&romeo, &juliet);
    juliet.set_full(true);
    world.send(&romeo, "<presence><show>away</show></presence>");
    assert!(
        juliet
            .closed_with()
            .is_some_and(|error| error.contains("resource-constraint"))
    );
}

#[test]
fn errors_and_headlines_do_not_wait_behind_the_log() {
    let (mut world, romeo, juliet) = pair();
    juliet.set_full(true);
    world.send(&romeo, &chat("juliet@localhost", "kept"));
    juliet.set_full(false);
    for (kind, body) in [
        ("headline", "news"),
        ("groupchat", "room"),
        ("error", "sorry"),
    ] {
        world.send(
            &romeo,
            &format!(
                "<message type='{kind}' to='juliet@localhost/balcony'><body>{body}</body></message>"
            ),
        );
        assert!(juliet.stanza().contains(body), "{kind}");
    }
    romeo.nothing();
}

#[test]
fn a_page_that_was_given_is_not_given_again_when_the_log_cannot_be_trimmed() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.send(&romeo, &chat("juliet@localhost", "x"));
    world.store_fails = Some(rookery_store::StoreError::Full);
    let juliet = world.bind("juliet", "balcony");
    world.send(&juliet, "<presence/>");
    assert_eq!(count(&juliet.stanzas(), "<body>x</body>"), 1);
    world.tick();
    world.store_fails = None;
    world.tick();
    world.tick();
    assert_eq!(count(&juliet.stanzas(), "<body>x</body>"), 0);
    world.send(&romeo, &chat("juliet@localhost", "y"));
    assert_eq!(count(&juliet.stanzas(), "<body>y</body>"), 1);
}

#[test]
fn a_message_that_must_not_be_stored_is_refused_where_nobody_reads() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
}

#[test]
fn large_answers_are_given_one_by_one_and_not_to_a_client_that_takes_none() {
    const ROSTER: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
    let (mut world, romeo, _juliet) = pair();
    let name = "n".repeat(1_000);
    for n in 0..20 {
        world.send(
            &romeo,
            &format!(
                "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>\
                 <item jid='{n}@localhost' name='{name}'/></query></iq>"
            ),
        );
    }
    romeo.stanzas();
    world.send_all(&romeo, &[ROSTER; 3]);
    assert_eq!((romeo.batches(), romeo.stanzas().len()), (3, 3));
    romeo.set_full(true);
    world.send(&romeo, ROSTER);
    romeo.set_full(false);
    world.send(&romeo, ROSTER);
    assert!(romeo.stanza().contains("resource-constraint"));
    world.tick();
    world.tick();
    world.send(&romeo, ROSTER);
    assert!(romeo.stanza().contains("type=\"result\""));
}

#[test]
fn a_presence_has_a_size() {
    let (mut world, romeo, juliet) = pair();
    world.befriend(&romeo, &juliet);
    let status = "x".repeat(10_000);
    world.send(
        &romeo,
        &format!("<presence><status>{status}</status></presence>"),
    );
    assert!(romeo.stanza().contains("policy-violation"));
    juliet.nothing();
}

#[test]
fn presence_that_changes_too_often_is_refused_and_leaving_never() {
    let options = RouterOptions {
        presence_fanout_per_s: 1,
        presence_fanout_burst: 5,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["romeo", "juliet"], options);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    for _ in 0..20 {
        world.send(&romeo, "<presence><show>away</show></presence>");
    }
    let refused = count(&romeo.stanzas(), "resource-constraint");
    assert_eq!(count(&juliet.stanzas(), "away"), 20 - refused);
    assert!((15..20).contains(&refused), "{refused}");
    world.send(&romeo, "<presence type='unavailable'/>");
    assert!(juliet.stanza().contains("unavailable"));
    (0..3).for_each(|_| world.tick());
    world.send(&romeo, "<presence/>");
    assert_eq!(count(&juliet.stanzas(), "romeo@localhost/orchard"), 1);
}
