//! Who reaches whoever runs the server, and how.

mod support;

use rookery_control::{EventKind, RegistrationRefused, WindowKind};
use rookery_router::ContactOptions;
use rookery_session::carrier::{Answer, Question};
use support::World;

fn contact() -> ContactOptions {
    ContactOptions {
        abuse: vec!["mailto:abuse@localhost".into()],
        mailbox_jids: vec!["juliet@localhost".into(), "nurse@localhost".into()],
        ..ContactOptions::default()
    }
}

#[test]
fn a_host_says_how_to_reach_whoever_runs_it_and_its_capabilities_follow() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    let info = "<iq type='get' id='1' to='localhost'>\
        <query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    world.send(&romeo, info);
    assert!(!romeo.stanza().contains("serverinfo"));
    world.set_contact(contact());
    world.send(&romeo, info);
    let told = romeo.stanza();
    assert!(
        told.contains("abuse-addresses") && told.contains("mailto:abuse@localhost"),
        "{told}"
    );
    assert!(
        !told.contains("juliet"),
        "nobody sees who reads the mailboxes: {told}"
    );
}

#[test]
fn a_message_to_a_mailbox_or_the_host_reaches_those_who_read_it_and_shows_them_to_nobody() {
    let mut world = World::with(&["romeo", "juliet", "nurse"]);
    world.set_contact(contact());
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    juliet.stanzas();
    for to in ["abuse@localhost", "localhost"] {
        world.send(
            &romeo,
            &format!("<message type='chat' to='{to}'><body>Help!</body></message>"),
        );
        let came = juliet.stanza();
        assert!(came.contains(&format!("from=\"{to}\"")), "{came}");
        assert!(
            came.contains(&format!("romeo@localhost wrote to {to}:")),
            "{came}"
        );
        assert!(came.contains("Help!") && came.contains("ofrom"), "{came}");
        assert_eq!(
            romeo.stanzas(),
            [""; 0],
            "he hears nothing, or of an answer"
        );
    }
    let waited = world.online_with_log("nurse", "chamber");
    let waited: Vec<_> = waited.iter().filter(|it| it.contains("Help!")).collect();
    assert_eq!(waited.len(), 2, "who is away reads it later: {waited:?}");
}

#[test]
fn what_is_no_message_to_somebody_is_not_forwarded() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    juliet.stanzas();
    let body = "<body>Help!</body>";
    world.send(
        &romeo,
        &format!("<message to='abuse@localhost'>{body}</message>"),
    );
    assert!(
        romeo.stanza().contains("service-unavailable"),
        "no mailboxes"
    );
    world.set_contact(contact());
    for (to, more, refused) in [
        ("abuse@localhost", "type='error'", false),
        ("abuse@localhost", "type='headline'", true),
        ("somebody@localhost", "", true),
    ] {
        world.send(
            &romeo,
            &format!("<message to='{to}' {more}>{body}</message>"),
        );
        let told = romeo.stanzas().concat();
        assert_eq!(
            told.contains("service-unavailable"),
            refused,
            "{to} {more}: {told}"
        );
    }
    world.send(
        &romeo,
        "<message to='abuse@localhost'><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
    );
    assert_eq!(romeo.stanzas(), [""; 0]);
    let looped = "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='a@b'/></addresses>";
    world.send(
        &romeo,
        &format!("<message to='abuse@localhost'>{body}{looped}</message>"),
    );
    assert!(romeo.stanza().contains("service-unavailable"));
    assert_eq!(juliet.stanzas(), [""; 0]);
}

#[test]
fn mailboxes_that_name_one_another_or_nobody_make_no_loop() {
    let mut world = World::with(&["romeo"]);
    world.set_contact(ContactOptions {
        mailbox_jids: vec!["abuse@localhost".into(), "gone@localhost".into()],
        ..ContactOptions::default()
    });
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<message to='xmpp@localhost'><body>Help!</body></message>",
    );
    assert_eq!(romeo.stanzas(), [""; 0], "errors end at the mailbox");
}

#[test]
fn a_flood_of_messages_to_a_mailbox_is_slowed() {
    let mut world = World::with(&["romeo", "juliet", "nurse"]);
    world.set_contact(contact());
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    juliet.stanzas();
    for _ in 0..40 {
        world.send(
            &romeo,
            "<message to='abuse@localhost'><body>Spam</body></message>",
        );
    }
    assert_eq!(juliet.stanzas().len(), 12);
    let told = romeo.stanzas();
    assert_eq!(told.len(), 28);
    assert!(told[0].contains("resource-constraint"), "{}", told[0]);
    let nurse = world.online("nurse", "chamber");
    juliet.stanzas();
    world.send(
        &nurse,
        "<message to='abuse@localhost'><body>He writes all the time</body></message>",
    );
    assert!(
        juliet.stanzas().concat().contains("all the time"),
        "who floods keeps nobody else from being heard"
    );
}

#[test]
fn a_report_beside_a_block_is_told_and_what_is_none_blocks_all_the_same() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    let mut block = |report: &str| {
        world.send(
            &juliet,
            &format!(
                "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='tybalt@localhost'>\
                 {report}</item></block></iq>"
            ),
        );
        assert!(juliet.stanzas().concat().contains("type=\"result\""));
        world.noticed().map(|report| report.events)
    };
    let spam = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/>";
    let told = block(spam).expect("it is told");
    assert_eq!(told[0].kind, EventKind::Reported);
    assert_eq!(told[0].detail, "spam by tybalt@localhost");
    assert_eq!(told[0].name.as_deref(), Some("juliet"));
    assert_eq!(block("<report xmlns='urn:xmpp:reporting:1'/>"), None);
    for _ in 0..30 {
        block(spam);
    }
    assert_eq!(block(spam), None, "an account reports so often");
}

#[test]
fn refused_registrations_are_counted_by_cause() {
    let mut world = World::with(&["juliet"]);
    let register = |world: &mut World, fields: &str| {
        let iq = format!(
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>"
        );
        let question = Question::Register {
            host: "localhost".into(),
            address: [192, 0, 2, 1].into(),
            iq: support::canonical(&iq).into(),
            invite: None,
        };
        let answer = world.ask(question);
        assert!(matches!(answer, Some(Answer::Iq(_))), "{answer:?}");
        let report = world.noticed().expect("it is counted");
        let causes = report.refusals.into_iter();
        causes
            .map(|(cause, count)| (cause.as_str(), count))
            .collect::<Vec<_>>()
    };
    let fields =
        |name: &str| format!("<username>{name}</username><password>something long</password>");
    assert_eq!(
        register(&mut world, "<username>a</username>"),
        [("form", 1)]
    );
    assert_eq!(register(&mut world, &fields("a b")), [("form", 1)]);
    assert_eq!(register(&mut world, &fields("juliet")), [("conflict", 1)]);
    assert_eq!(register(&mut world, &fields("ju1iet")), [("confusable", 1)]);
    world.throttle = Some(RegistrationRefused::Throttled {
        window: WindowKind::Host,
        retry_after_ms: 1,
    });
    assert_eq!(register(&mut world, &fields("romeo")), [("host", 1)]);
    world.throttle = Some(support::invites::no_quorum());
    assert_eq!(register(&mut world, &fields("romeo")), [("unavailable", 1)]);
}
