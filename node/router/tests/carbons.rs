//! XEP-0280: what one session of an account sends and gets, the others get copies of.

mod support;

use rookery_router::{ArchiveDefault, ArchiveOptions};
use rookery_session::carrier::{Origin, SessionId};
use rookery_store::StoreError;
use support::{Client, World};

const ENABLE: &str = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>";
const DISABLE: &str = "<iq type='set' id='c'><disable xmlns='urn:xmpp:carbons:2'/></iq>";
const NO_STANZAS: [String; 0] = [];

/// Binds a session that gets copies and becomes available.
fn with_carbons(world: &mut World, name: &str, resource: &str) -> Client {
    let client = world.online(name, resource);
    enable(world, &client);
    client
}

fn enable(world: &mut World, client: &Client) {
    world.send(client, ENABLE);
    let answer = client.stanza();
    assert!(answer.contains("type=\"result\""), "{answer}");
}

/// The copy that a session got, without its wrapping; the wrapping must be the right one.
fn unwrapped(client: &Client, name: &str, stanza_type: &str) -> String {
    let copy = client.stanza();
    let open = format!(
        "<message from=\"{}\" to=\"{}\"{stanza_type}><{name} xmlns=\"urn:xmpp:carbons:2\">\
        <forwarded xmlns=\"urn:xmpp:forward:0\"><message xmlns=\"jabber:client\" ",
        client.jid.to_bare(),
        client.jid
    );
    let close = format!("</forwarded></{name}></message>");
    let inside = copy
        .strip_prefix(&open)
        .and_then(|rest| rest.strip_suffix(&close));
    format!("<message {}", inside.unwrap_or_else(|| panic!("{copy}")))
}

/// Romeo with two sessions that get copies, and Juliet.
fn lovers() -> (World, Client, Client, Client) {
    let mut world = World::with(&["romeo", "juliet"]);
    let juliet = world.online("juliet", "balcony");
    let home = with_carbons(&mut world, "romeo", "home");
    let garden = with_carbons(&mut world, "romeo", "garden");
    home.stanzas();
    (world, juliet, home, garden)
}

#[test]
fn what_one_session_sends_the_others_get_as_sent() {
    let (mut world, juliet, home, garden) = lovers();
    let message =
        "<message to='juliet@localhost/balcony' type='chat'><body>fair saint</body></message>";
    world.send(&home, message);
    let got = juliet.stanza();
    assert_eq!(unwrapped(&garden, "sent", " type=\"chat\""), got);
    home.nothing();
}

#[test]
fn what_one_session_gets_the_others_get_as_received() {
    let (mut world, juliet, home, garden) = lovers();
    world.send(
        &juliet,
        "<message to='romeo@localhost/home'><body>what man</body></message>",
    );
    let got = home.stanza();
    assert!(got.contains("what man"));
    assert_eq!(unwrapped(&garden, "received", ""), got);
    juliet.nothing();
}

#[test]
fn only_sessions_that_asked_get_copies_and_each_may_ask_again() {
    let mut world = World::with(&["romeo", "juliet"]);
    let juliet = world.online("juliet", "balcony");
    let home = world.online("romeo", "home");
    let garden = world.online("romeo", "garden");
    home.stanzas();
    let message = "<message to='romeo@localhost/home' type='chat'><body>x</body></message>";
    for (requests, copies) in [
        (vec![], 0),
        (vec![ENABLE, ENABLE], 1),
        (vec![DISABLE, DISABLE], 0),
        (vec![ENABLE], 1),
    ] {
        for request in requests {
            world.send(&garden, request);
            let answer = garden.stanza();
            assert!(answer.contains("type=\"result\""), "{answer}");
        }
        world.send(&juliet, message);
        home.stanza();
        assert_eq!(garden.stanzas().len(), copies);
    }
    world.leave(&garden);
    home.stanzas();
    world.send(&juliet, message);
    home.stanza();
}

#[test]
fn who_gets_a_message_itself_gets_no_copy_of_it() {
    let (mut world, juliet, home, garden) = lovers();
    let absent = world.bind("romeo", "pocket");
    enable(&mut world, &absent);
    let quiet = world.bind("romeo", "tomb");
    world.send(&quiet, "<presence><priority>-1</priority></presence>");
    for client in [&home, &garden, &quiet] {
        client.stanzas();
    }
    enable(&mut world, &quiet);
    // To all that take messages; the others get copies. No such session is as the bare JID.
    for to in ["romeo@localhost", "romeo@localhost/nowhere"] {
        world.send(
            &juliet,
            &format!("<message to='{to}' type='chat'><body>all</body></message>"),
        );
        let got = home.stanza();
        assert!(!got.contains("forwarded"), "{got}");
        assert_eq!(garden.stanza(), got);
        assert_eq!(unwrapped(&absent, "received", " type=\"chat\""), got);
        assert_eq!(unwrapped(&quiet, "received", " type=\"chat\""), got);
    }
}

#[test]
fn a_message_to_the_own_account_is_copied_once_and_never_to_its_sender() {
    let (mut world, _, home, garden) = lovers();
    let third = with_carbons(&mut world, "romeo", "street");
    home.stanzas();
    garden.stanzas();
    world.send(
        &home,
        "<message to='romeo@localhost/garden' type='chat'><body>note</body></message>",
    );
    let got = garden.stanza();
    assert_eq!(unwrapped(&third, "received", " type=\"chat\""), got);
    home.nothing();
    world.send(
        &home,
        "<message to='romeo@localhost' type='chat'><body>note</body></message>",
    );
    for client in [&home, &garden, &third] {
        let got = client.stanza();
        assert!(!got.contains("forwarded"), "{got}");
    }
}

#[test]
fn a_message_that_waits_in_the_log_is_given_and_not_copied() {
    let mut world = World::with(&["romeo", "juliet"]);
    let juliet = world.online("juliet", "balcony");
    let home = world.bind("romeo", "home");
    enable(&mut world, &home);
    world.send(
        &juliet,
        "<message to='romeo@localhost' type='chat'><body>wait</body></message>",
    );
    home.nothing();
    world.send(&home, "<presence/>");
    let stanzas = home.stanzas();
    let given: Vec<_> = stanzas.iter().filter(|it| it.contains("wait")).collect();
    assert_eq!(given.len(), 1, "{stanzas:#?}");
    assert!(!given[0].contains("forwarded") && given[0].contains("<delay"));
}

#[test]
fn a_private_message_is_not_copied_and_comes_with_its_mark() {
    let (mut world, juliet, home, garden) = lovers();
    let other = with_carbons(&mut world, "juliet", "chamber");
    juliet.stanzas();
    let message = "<message to='juliet@localhost/balcony' type='chat'><body>a</body>\
        <private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/></message>";
    world.send(&home, message);
    let got = juliet.stanza();
    assert!(
        got.contains("<private") && got.contains("<no-copy"),
        "{got}"
    );
    garden.nothing();
    other.nothing();
    let hinted = "<message to='juliet@localhost/balcony' type='chat'><body>b</body>\
        <no-copy xmlns='urn:xmpp:hints'/></message>";
    world.send(&home, hinted);
    juliet.stanza();
    garden.nothing();
    other.nothing();
}

#[test]
fn an_error_is_copied_when_it_answers_what_was_copied() {
    let (mut world, juliet, home, garden) = lovers();
    // Nobody is at this address, and each of the two is told so.
    world.send(
        &home,
        "<message to='nobody@localhost' type='chat' id='m1'><body>a</body></message>",
    );
    let error = home.stanza();
    assert!(error.contains("service-unavailable"), "{error}");
    let copies = garden.stanzas();
    assert_eq!(copies.len(), 2, "{copies:#?}");
    assert!(
        copies[0].contains("<sent") && copies[1].contains(&error[8..]),
        "{copies:#?}"
    );
    // Sent, and copied again as it came.
    let error = "<message to='romeo@localhost/home' type='error' id='ID'><error type='cancel'>\
        <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    world.send(
        &home,
        "<message to='juliet@localhost/balcony' type='chat' id='m2'><body>a</body></message>",
    );
    juliet.stanza();
    garden.stanza();
    world.send(&juliet, &error.replace("ID", "m2"));
    let got = home.stanza();
    assert_eq!(unwrapped(&garden, "received", " type=\"error\""), got);
    world.send(&juliet, &error.replace("ID", "m3"));
    home.stanza();
    garden.nothing();
}

#[test]
fn an_error_that_answers_nothing_of_the_account_is_not_copied() {
    let (mut world, juliet, home, garden) = lovers();
    let says = "<message to='romeo@localhost/home' type='chat' id='ID'><body>a</body></message>";
    let error = "<message to='romeo@localhost/home' type='error' id='ID'><error type='cancel'>\
        <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    world.send(&juliet, &says.replace("ID", "m1"));
    home.stanza();
    garden.stanza();
    // What it answers she has sent herself.
    world.send(&juliet, &error.replace("ID", "m1"));
    home.stanza();
    garden.nothing();
}

#[test]
fn however_much_strangers_send_the_errors_of_what_an_account_has_sent_are_copied() {
    let (mut world, juliet, home, garden) = lovers();
    let says = "<message to='WHOM' type='chat' id='ID'><body>a</body></message>";
    let to_her = says.replace("WHOM", "juliet@localhost/balcony");
    world.send(&home, &to_her.replace("ID", "m1"));
    let to_him = says.replace("WHOM", "romeo@localhost/home");
    for n in 0..64 {
        world.send(&juliet, &to_him.replace("ID", &format!("f{n}")));
    }
    for client in [&juliet, &home, &garden] {
        client.stanzas();
    }
    let error = "<message to='romeo@localhost/home' type='error' id='m1'><error type='cancel'>\
        <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    world.send(&juliet, error);
    let got = home.stanza();
    assert_eq!(unwrapped(&garden, "received", " type=\"error\""), got);
}

#[test]
fn errors_that_a_session_sends_are_copied_too() {
    let (mut world, juliet, home, garden) = lovers();
    world.send(
        &juliet,
        "<message to='romeo@localhost/home' type='chat' id='m1'><body>a</body></message>",
    );
    home.stanza();
    garden.stanza();
    let error = "<message to='juliet@localhost/balcony' type='error' id='m1'><error type='cancel'>\
        <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    world.send(&home, error);
    let got = juliet.stanza();
    assert_eq!(unwrapped(&garden, "sent", " type=\"error\""), got);
}

#[test]
fn what_is_refused_is_not_copied() {
    let (mut world, juliet, home, garden) = lovers();
    world.send(
        &home,
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='juliet@localhost'/></block></iq>",
    );
    home.stanzas();
    garden.stanzas();
    world.send(
        &home,
        "<message to='juliet@localhost' type='chat'><body>a</body></message>",
    );
    assert!(home.stanza().contains("not-acceptable"));
    garden.nothing();
    world.send(
        &juliet,
        "<message to='romeo@localhost/home' type='chat'><body>a</body></message>",
    );
    assert!(juliet.stanza().contains("service-unavailable"));
    home.nothing();
    garden.nothing();
    world.send(
        &home,
        "<message to='localhost' type='chat'><body>a</body></message>",
    );
    assert!(home.stanza().contains("service-unavailable"));
    garden.nothing();
}

/// Whether a stanza itself, not what it wraps, has this sender.
fn is_from(stanza: &str, sender: &str) -> bool {
    let head = stanza.split_once('>').map_or(stanza, |(head, _)| head);
    head.contains(&format!(" from=\"{sender}\""))
}

/// A wrapping that anybody may write.
fn forged(to: &str, name: &str) -> String {
    format!(
        "<message to='{to}' type='chat'><{name} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
        <message xmlns='jabber:client' from='juliet@localhost/balcony' to='romeo@localhost/home' type='chat'>\
        <body>meet me</body></message></forwarded></{name}></message>"
    )
}

#[test]
fn a_strangers_wrapping_comes_in_the_strangers_name_and_so_does_its_copy() {
    let (mut world, _, home, garden) = lovers();
    world.create("tybalt");
    let tybalt = world.online("tybalt", "street");
    for name in ["sent", "received"] {
        world.send(&tybalt, &forged("romeo@localhost/home", name));
        let got = home.stanza();
        assert!(is_from(&got, "tybalt@localhost/street"), "{got}");
        assert_eq!(unwrapped(&garden, "received", " type=\"chat\""), got);
        world.send(&tybalt, &forged("romeo@localhost", name));
        for client in [&home, &garden] {
            let got = client.stanza();
            assert!(is_from(&got, "tybalt@localhost/street"), "{got}");
        }
    }
}

#[test]
fn a_clients_own_wrapping_comes_from_its_full_jid_and_is_no_copy() {
    let (mut world, juliet, home, garden) = lovers();
    for name in ["sent", "received"] {
        world.send(&home, &forged("romeo@localhost/garden", name));
        let got = garden.stanza();
        assert!(is_from(&got, "romeo@localhost/home"), "{got}");
        home.nothing();
        // Towards others it is a message as well, with a true copy for the own sessions.
        world.send(&home, &forged("juliet@localhost/balcony", name));
        let got = juliet.stanza();
        assert!(is_from(&got, "romeo@localhost/home"), "{got}");
        assert_eq!(unwrapped(&garden, "sent", " type=\"chat\""), got);
    }
}

#[test]
fn nobody_else_can_ask_for_copies_of_an_account() {
    let (mut world, juliet, home, garden) = lovers();
    let request =
        "<iq type='set' id='c' to='romeo@localhost'><disable xmlns='urn:xmpp:carbons:2'/></iq>";
    world.send(&juliet, request);
    assert!(juliet.stanza().contains("service-unavailable"));
    world.send(
        &juliet,
        "<message to='romeo@localhost/home' type='chat'><body>a</body></message>",
    );
    home.stanza();
    garden.stanza();
}

#[test]
fn a_copy_that_a_session_does_not_take_is_dropped_and_the_session_lives() {
    let (mut world, juliet, home, garden) = lovers();
    garden.set_full(true);
    for text in ["one", "two"] {
        world.send(
            &juliet,
            &format!(
                "<message to='romeo@localhost/home' type='chat'><body>{text}</body></message>"
            ),
        );
        assert!(home.stanza().contains(text));
    }
    garden.set_full(false);
    world.tick();
    world.tick();
    assert_eq!(garden.stanzas(), NO_STANZAS);
    assert_eq!(garden.closed_with(), None);
    // Nothing of it was kept: the next session finds an empty log.
    assert_eq!(home.stanzas(), NO_STANZAS);
    world.send(
        &juliet,
        "<message to='romeo@localhost/home' type='chat'><body>three</body></message>",
    );
    let got = home.stanza();
    assert_eq!(unwrapped(&garden, "received", " type=\"chat\""), got);
}

#[test]
fn the_next_owner_of_the_shard_goes_on_with_copies() {
    let (mut world, juliet, home, garden) = lovers();
    world.restart();
    for client in [&juliet, &home, &garden] {
        world.announce(client);
    }
    world.send(
        &juliet,
        "<message to='romeo@localhost/home' type='chat'><body>a</body></message>",
    );
    let got = home.stanza();
    assert_eq!(unwrapped(&garden, "received", " type=\"chat\""), got);
    world.send(&garden, DISABLE);
    garden.stanza();
    world.restart();
    for client in [&juliet, &home, &garden] {
        world.announce(client);
    }
    world.send(
        &juliet,
        "<message to='romeo@localhost/home' type='chat'><body>b</body></message>",
    );
    home.stanza();
    garden.nothing();
    world.send(
        &garden,
        "<message to='juliet@localhost' type='chat'><body>c</body></message>",
    );
    juliet.stanza();
    unwrapped(&home, "sent", " type=\"chat\"");
}

#[test]
fn what_arrives_a_second_time_is_copied_once() {
    let (mut world, _, home, garden) = lovers();
    let session = SessionId {
        node: 9,
        serial: 44,
    };
    for sequence in [4, 4, 5] {
        world.arrive(Origin { session, sequence }, "romeo@localhost/home", "a");
    }
    assert_eq!((home.stanzas().len(), garden.stanzas().len()), (2, 2));
}

/// What an account's own archive calls a message.
fn archive_id(stanza: &str, by: &str) -> Vec<String> {
    let open = format!("<stanza-id xmlns=\"urn:xmpp:sid:0\" by=\"{by}\" id=\"");
    let ids = stanza.split(&open).skip(1);
    let id = |rest: &str| rest.split('"').next().map(str::to_owned);
    ids.filter_map(id).collect()
}

#[test]
fn a_copy_of_what_was_sent_has_its_id_in_the_senders_archive_and_the_message_has_not() {
    let (mut world, juliet, home, garden) = lovers();
    let archiving = |default| ArchiveOptions {
        default,
        ..ArchiveOptions::default()
    };
    world.set_archive(archiving(ArchiveDefault::Always));
    let forged = |by| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>");
    let message = format!(
        "<message to='juliet@localhost/balcony' type='chat'><body>a</body>{}{}</message>",
        forged("romeo@localhost").repeat(2),
        forged("ROMEO@localhost/home")
    );
    world.send(&home, &message);
    let got = juliet.stanza();
    assert_eq!(archive_id(&got, "romeo@localhost"), NO_STANZAS);
    assert_eq!(archive_id(&got, "juliet@localhost").len(), 1);
    assert!(!got.contains("forged"), "{got}");
    let copy = garden.stanza();
    let position = world.log("romeo")[0].position;
    let id = format!("{:016x}", position.pack());
    assert_eq!(archive_id(&copy, "romeo@localhost"), [id.as_str()]);
    assert_eq!(archive_id(&copy, "juliet@localhost"), NO_STANZAS);
    assert!(!copy.contains("forged"), "{copy}");
    // As a cursor it is behind this message and before the next.
    world.send(&home, &message);
    let next = archive_id(&garden.stanza(), "romeo@localhost");
    let query = format!(
        "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>\
         <set xmlns='http://jabber.org/protocol/rsm'><after>{id}</after></set></query></iq>"
    );
    world.send(&garden, &query);
    let page = garden.stanzas();
    assert_eq!(page.len(), 2);
    assert!(
        page[0].contains(&format!("id=\"{}\"", next[0])),
        "{}",
        page[0]
    );
    // Without an archive there is no id.
    world.set_archive(archiving(ArchiveDefault::Never));
    world.send(&home, &message);
    assert!(!garden.stanza().contains("stanza-id"));
}

#[test]
fn what_the_archive_refuses_is_not_sent_and_not_copied() {
    let (mut world, juliet, home, garden) = lovers();
    world.set_archive(ArchiveOptions {
        default: ArchiveDefault::Always,
        ..ArchiveOptions::default()
    });
    world.store_fails = Some(StoreError::Full);
    let retract = "<message to='juliet@localhost/balcony' type='chat' id='r'>\
        <retract xmlns='urn:xmpp:message-retract:1' id='m'/></message>";
    for _ in 0..64 {
        world.send(&home, retract);
        juliet.stanza();
        garden.stanza();
    }
    world.send(&home, retract);
    assert!(home.stanza().contains("resource-constraint"));
    juliet.nothing();
    garden.nothing();
}
