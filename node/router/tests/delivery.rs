//! RFC 6121 8.5 as a table: every type of stanza, every form of address, with and without sessions.

mod support;

use support::World;

/// What becomes of a stanza.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Fate {
    /// It comes to the addressed session (or, for a bare address, to every session that takes
    /// messages).
    Delivered,
    /// It waits in the log.
    Kept,
    /// Its sender gets this error.
    Refused(&'static str),
    /// Nobody hears of it.
    Dropped,
}

use Fate::{Delivered, Dropped, Kept, Refused};

const UNAVAILABLE: Fate = Refused("service-unavailable");

/// (stanza, full address of a session, full address of none, bare with sessions, bare without)
const TABLE: &[(&str, Fate, Fate, Fate, Fate)] = &[
    (
        "<message type='normal' TO><body>x</body></message>",
        Delivered,
        Delivered,
        Delivered,
        Kept,
    ),
    (
        "<message TO><body>x</body></message>",
        Delivered,
        Delivered,
        Delivered,
        Kept,
    ),
    (
        "<message type='chat' TO><body>x</body></message>",
        Delivered,
        Delivered,
        Delivered,
        Kept,
    ),
    (
        "<message type='groupchat' TO><body>x</body></message>",
        Delivered,
        UNAVAILABLE,
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    (
        "<message type='headline' TO><body>x</body></message>",
        Delivered,
        Dropped,
        Delivered,
        Dropped,
    ),
    (
        "<message type='error' TO><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        Delivered,
        Dropped,
        Dropped,
        Dropped,
    ),
    ("<presence TO/>", Delivered, Dropped, Delivered, Dropped),
    (
        "<presence type='unavailable' TO/>",
        Delivered,
        Dropped,
        Delivered,
        Dropped,
    ),
    (
        "<iq type='get' id='q' TO><q xmlns='urn:test:unknown'/></iq>",
        Delivered,
        UNAVAILABLE,
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    (
        "<iq type='set' id='q' TO><q xmlns='urn:test:unknown'/></iq>",
        Delivered,
        UNAVAILABLE,
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    (
        "<iq type='result' id='q' TO/>",
        Delivered,
        Dropped,
        Dropped,
        Dropped,
    ),
    (
        "<iq type='error' id='q' TO><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        Delivered,
        Dropped,
        Dropped,
        Dropped,
    ),
];

/// Sends one stanza from romeo to juliet, who has a session `balcony` or none, and sees what
/// becomes of it.
fn fate(stanza: &str, to: &str, present: bool) -> Fate {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = present.then(|| world.online("juliet", "balcony"));
    world.send(&romeo, &stanza.replace("TO", &format!("to='{to}'")));
    let came = juliet.map(|juliet| juliet.stanzas()).unwrap_or_default();
    let answers = romeo.stanzas();
    if let Some(answer) = answers.first() {
        assert!(came.is_empty(), "refused and delivered: {came:?}");
        assert!(answer.contains("type=\"error\""), "{answer}");
        let condition = ["service-unavailable"]
            .into_iter()
            .find(|name| answer.contains(name));
        return Refused(condition.unwrap_or("another error"));
    }
    if !came.is_empty() {
        assert_eq!(came.len(), 1, "{came:?}");
        assert!(
            came[0].contains("from=\"romeo@localhost/orchard\""),
            "{}",
            came[0]
        );
        return Delivered;
    }
    let later = world.online_with_log("juliet", "later");
    if later.iter().any(|stanza| stanza.contains("urn:xmpp:delay")) {
        Kept
    } else {
        Dropped
    }
}

#[test]
fn to_the_full_address_of_a_session() {
    for (stanza, expected, ..) in TABLE {
        assert_eq!(
            fate(stanza, "juliet@localhost/balcony", true),
            *expected,
            "{stanza}"
        );
    }
}

#[test]
fn to_a_full_address_without_a_session() {
    for (stanza, _, expected, ..) in TABLE {
        assert_eq!(
            fate(stanza, "juliet@localhost/chamber", true),
            *expected,
            "{stanza}"
        );
    }
}

#[test]
fn to_the_bare_address_with_a_session() {
    for (stanza, _, _, expected, _) in TABLE {
        assert_eq!(
            fate(stanza, "juliet@localhost", true),
            *expected,
            "{stanza}"
        );
    }
}

#[test]
fn to_the_bare_address_of_somebody_absent() {
    for (stanza, .., expected) in TABLE {
        assert_eq!(
            fate(stanza, "juliet@localhost", false),
            *expected,
            "{stanza}"
        );
    }
}

#[test]
fn to_an_account_that_does_not_exist() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<message to='nobody@localhost' id='m'><body>x</body></message>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
    world.send(
        &romeo,
        "<iq type='get' id='q' to='nobody@localhost'><query xmlns='jabber:iq:version'/></iq>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
    world.send(&romeo, "<presence to='nobody@localhost'/>");
    romeo.nothing();
}

#[test]
fn a_session_with_a_negative_priority_gets_no_messages_for_the_bare_address() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let shy = world.bind("juliet", "shy");
    world.send(&shy, "<presence><priority>-1</priority></presence>");
    shy.stanzas();
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>x</body></message>",
    );
    shy.nothing();
    world.send(
        &romeo,
        "<message to='juliet@localhost/shy' type='chat'><body>y</body></message>",
    );
    assert!(shy.stanza().contains("<body>y</body>"));
    world.send(&shy, "<presence><priority>1</priority></presence>");
    assert!(
        shy.stanzas()
            .iter()
            .any(|stanza| stanza.contains("<body>x</body>")),
        "the log comes now"
    );
}

#[test]
fn an_iq_needs_an_id_a_known_type_and_one_child() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    for stanza in [
        "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='ask' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get' id='2'/>",
        "<iq type='get' id='3'><ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        world.send(&romeo, stanza);
        assert!(romeo.stanza().contains("bad-request"), "{stanza}");
    }
}

#[test]
fn a_malformed_address_is_named() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    for to in ["@localhost", "a b@localhost", "x@", "localhost/", "a@b@c"] {
        world.send(
            &romeo,
            &format!("<message to='{to}'><body>x</body></message>"),
        );
        assert!(romeo.stanza().contains("jid-malformed"), "{to}");
    }
}

#[test]
fn a_remote_domain_is_not_found() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<message to='x@elsewhere.example'><body>x</body></message>",
    );
    assert!(romeo.stanza().contains("remote-server-not-found"));
}

#[test]
fn stanzas_of_one_batch_to_one_session_come_as_one_batch_in_order() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    let stanzas: Vec<String> = (0..20)
        .map(|n| format!("<message to='juliet@localhost/balcony'><body>{n}</body></message>"))
        .collect();
    let stanzas: Vec<&str> = stanzas.iter().map(String::as_str).collect();
    world.send_all(&romeo, &stanzas);
    assert_eq!(juliet.batches(), 1);
    let came = juliet.stanzas();
    for (n, stanza) in came.iter().enumerate() {
        assert!(stanza.contains(&format!("<body>{n}</body>")), "{stanza}");
    }
    assert_eq!(came.len(), 20);
}
