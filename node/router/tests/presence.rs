//! Presence and subscriptions between accounts, as their clients see them (RFC 6121 3 and 4).

mod support;

use rookery_store::StoreError;
use support::World;

#[test]
fn a_subscription_is_asked_for_allowed_and_seen() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");

    world.send(
        &romeo,
        "<presence type='subscribe' to='juliet@localhost/balcony' id='s1'><status>Hi</status></presence>",
    );
    let push = romeo.stanza();
    assert!(
        push.contains("ask=\"subscribe\"") && push.contains("subscription=\"none\""),
        "{push}"
    );
    let request = juliet.stanza();
    assert!(
        request.contains("from=\"romeo@localhost\"") && request.contains("<status>Hi</status>"),
        "{request}"
    );

    world.send(
        &juliet,
        "<presence type='subscribed' to='romeo@localhost'/>",
    );
    assert!(juliet.stanza().contains("subscription=\"from\""));
    let came = romeo.stanzas();
    assert!(
        came.iter().any(|s| s.contains("type=\"subscribed\"")),
        "{came:#?}"
    );
    assert!(
        came.iter().any(|s| s.contains("subscription=\"to\"")),
        "{came:#?}"
    );
    let seen = came
        .iter()
        .filter(|s| s.contains("from=\"juliet@localhost/balcony\""))
        .count();
    assert!(seen >= 1, "{came:#?}");
}

#[test]
fn a_request_waits_for_somebody_absent_and_comes_once_a_session() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    for _ in 0..3 {
        world.send(&romeo, "<presence type='subscribe' to='juliet@localhost'/>");
    }
    world.restart();
    let came = world.online_with_log("juliet", "balcony");
    assert_eq!(
        came.iter()
            .filter(|s| s.contains("type=\"subscribe\""))
            .count(),
        1,
        "{came:#?}"
    );
}

#[test]
fn presence_goes_to_subscribers_and_to_the_own_sessions_only() {
    let mut world = World::with(&["romeo", "juliet", "tybalt"]);
    let romeo = world.online("romeo", "orchard");
    let second = world.online("romeo", "street");
    let juliet = world.online("juliet", "balcony");
    let tybalt = world.online("tybalt", "square");
    world.befriend(&romeo, &juliet);
    second.stanzas();

    world.send(&romeo, "<presence><show>away</show></presence>");
    assert!(juliet.stanza().contains("<show>away</show>"));
    assert!(second.stanza().contains("<show>away</show>"));
    assert!(romeo.stanza().contains("<show>away</show>"));
    tybalt.nothing();
}

#[test]
fn a_new_session_learns_who_is_there() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    world.send(&juliet, "<presence><show>dnd</show></presence>");
    let came = world.online_with_log("romeo", "street");
    let from = |jid: &str| {
        came.iter()
            .filter(|s| s.contains(&format!("from=\"{jid}\"")))
            .count()
    };
    assert_eq!(from("juliet@localhost/balcony"), 1, "{came:#?}");
    assert_eq!(from("romeo@localhost/orchard"), 1, "{came:#?}");
}

#[test]
fn a_lost_session_becomes_unavailable_for_everybody_who_saw_it() {
    let mut world = World::with(&["romeo", "juliet", "nurse"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    let nurse = world.online("nurse", "hall");
    world.befriend(&romeo, &juliet);
    world.send(&romeo, "<presence to='nurse@localhost'/>");
    assert!(nurse.stanza().contains("from=\"romeo@localhost/orchard\""));
    world.leave(&romeo);
    assert!(juliet.stanza().contains("type=\"unavailable\""));
    assert!(nurse.stanza().contains("type=\"unavailable\""));
}

#[test]
fn a_probe_of_a_stranger_shows_nothing() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let _juliet = world.online("juliet", "balcony");
    world.send(&romeo, "<presence type='probe' to='juliet@localhost'/>");
    assert!(romeo.stanza().contains("forbidden"), "clients do not probe");
    world.send(
        &romeo,
        "<iq type='get' id='1' to='juliet@localhost'><query xmlns='jabber:iq:last'/></iq>",
    );
    assert!(romeo.stanza().contains("forbidden"));
    world.send(
        &romeo,
        "<iq type='get' id='2' to='juliet@localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
}

#[test]
fn a_cancelled_subscription_sees_everybody_leave() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    world.send(
        &juliet,
        "<presence type='unsubscribed' to='romeo@localhost'/>",
    );
    let came = romeo.stanzas();
    assert!(
        came.iter().any(|s| s.contains("type=\"unsubscribed\"")),
        "{came:#?}"
    );
    assert!(
        came.iter().any(|s| s.contains("type=\"unavailable\"")),
        "{came:#?}"
    );
    assert!(
        came.iter().any(|s| s.contains("subscription=\"from\"")),
        "{came:#?}"
    );
    juliet.stanzas();
    world.send(&juliet, "<presence><show>xa</show></presence>");
    romeo.nothing();
}

#[test]
fn a_pre_approved_contact_is_not_asked() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.send(
        &juliet,
        "<presence type='subscribed' to='romeo@localhost'/>",
    );
    assert!(juliet.stanza().contains("approved=\"true\""));
    romeo.nothing();
    world.send(&romeo, "<presence type='subscribe' to='juliet@localhost'/>");
    let came = juliet.stanzas();
    assert!(
        came.iter().all(|s| !s.contains("type=\"subscribe\"")),
        "{came:#?}"
    );
    let came = romeo.stanzas();
    assert!(
        came.iter().any(|s| s.contains("type=\"subscribed\"")),
        "{came:#?}"
    );
}

#[test]
fn a_change_that_is_not_stored_is_not_told() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.store_fails = Some(StoreError::Full);
    world.send(
        &romeo,
        "<presence type='subscribe' to='juliet@localhost' id='s'/>",
    );
    let answer = romeo.stanza();
    assert!(
        answer.contains("resource-constraint") && answer.contains("type=\"wait\""),
        "{answer}"
    );
    juliet.nothing();
    world.store_fails = None;
    world.send(&romeo, "<presence type='subscribe' to='juliet@localhost'/>");
    assert!(juliet.stanza().contains("type=\"subscribe\""));
}

#[test]
fn a_priority_that_is_no_number_is_refused() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.bind("romeo", "orchard");
    world.send(&romeo, "<presence><priority>128</priority></presence>");
    assert!(romeo.stanza().contains("bad-request"));
}
