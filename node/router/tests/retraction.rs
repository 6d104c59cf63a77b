//! Retractions in the archives of those who wrote and of those who got what is retracted.

mod support;

use rookery_router::{ArchiveDefault, ArchiveOptions};
use rookery_session::carrier::{Origin, SessionId};
use rookery_store::log::Marks;
use rookery_store::{Store, StoreError};
use support::{Client, World, jid};

fn origin(sequence: u64) -> Origin {
    let session = SessionId {
        node: 9,
        serial: 44,
    };
    Origin { session, sequence }
}

fn say(to: &str, id: &str, text: &str) -> String {
    format!("<message to='{to}' type='chat' id='{id}'><body>{text}</body></message>")
}

fn retract(to: &str, of: &str, id: &str) -> String {
    format!(
        "<message to='{to}' type='chat' id='{id}'><retract xmlns='urn:xmpp:message-retract:1' id='{of}'/>\
         <body>/me retracted</body><store xmlns='urn:xmpp:hints'/></message>"
    )
}

/// The stanzas of a log.
fn log(world: &World, name: &str) -> Vec<String> {
    let log = world.log(name);
    let text = |stanza: &[u8]| String::from_utf8_lossy(stanza).into_owned();
    log.iter().map(|entry| text(&entry.stanza)).collect()
}

fn stones(world: &World, name: &str) -> Vec<bool> {
    let log = log(world, name);
    log.iter().map(|it| it.contains("<retracted ")).collect()
}

fn lovers() -> (World, Client, Client) {
    let mut world = World::archiving(&["romeo", "juliet", "paris"]);
    let (romeo, juliet) = (
        world.online("romeo", "orchard"),
        world.online("juliet", "balcony"),
    );
    (world, romeo, juliet)
}

const JULIET: &str = "juliet@localhost";

#[test]
fn what_its_sender_retracts_becomes_a_tombstone_in_both_archives() {
    let (mut world, romeo, juliet) = lovers();
    world.send(&romeo, &say(JULIET, "m1", "secret"));
    let before = [world.log("romeo"), world.log("juliet")];
    world.tick();
    // From another client of his, to another of hers.
    let phone = world.online("romeo", "phone");
    world.send(&phone, &retract("juliet@localhost/balcony", "m1", "r1"));
    for (name, before) in ["romeo", "juliet"].into_iter().zip(before) {
        let after = world.log(name);
        assert_eq!(after.len(), 2, "the retraction is archived as well");
        let places = |log: &[rookery_store::log::LogEntry]| {
            let entry = &log[0];
            (entry.position, entry.received, entry.origin, entry.marks)
        };
        assert_eq!(places(&after), places(&before));
        let log = log(&world, name);
        assert_eq!(
            log[0],
            "<message from=\"romeo@localhost/orchard\" to=\"juliet@localhost\" type=\"chat\" id=\"m1\">\
             <retracted xmlns=\"urn:xmpp:message-retract:1\" id=\"r1\" stamp=\"2023-11-14T22:13:21Z\"/></message>"
        );
        assert!(log[1].contains("<retract "), "{}", log[1]);
    }
    let got = juliet.stanzas();
    assert!(
        got.iter().any(|it| it.contains("<retract ")),
        "it is delivered"
    );
    world.send(
        &juliet,
        "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let page = juliet.stanzas();
    assert!(
        page[0].contains("<retracted ") && page[0].contains("<delay "),
        "{}",
        page[0]
    );
    assert!(
        page[0].contains("id=\"0000010000000001\""),
        "its id stays: {}",
        page[0]
    );
    assert!(!page.concat().contains("secret"));
}

#[test]
fn what_others_retract_or_what_is_not_there_stays() {
    let (mut world, romeo, juliet) = lovers();
    let paris = world.online("paris", "house");
    world.send(&romeo, &say(JULIET, "m1", "secret"));
    world.send(&juliet, &say("romeo@localhost", "m2", "secret"));
    let archives = [log(&world, "romeo"), log(&world, "juliet")];
    for (from, retraction) in [
        // Neither who got it nor a third may; nor he himself in another conversation.
        (&juliet, retract("romeo@localhost", "m1", "r1")),
        (&paris, retract(JULIET, "m1", "r2")),
        (&romeo, retract("paris@localhost", "m1", "r3")),
        (&romeo, retract(JULIET, "m2", "r4")),
        (&romeo, retract(JULIET, "m3", "r5")),
        (&romeo, retract(JULIET, "", "r6")),
        (&romeo, retract(JULIET, "m1", "")),
        (
            &romeo,
            retract(JULIET, "m1", "r7").replace("<store", "<no-store"),
        ),
        (
            &romeo,
            retract(JULIET, "m1", "r8").replace("'chat'", "'headline'"),
        ),
        (&romeo, retract(JULIET, "r9", "r9")),
    ] {
        world.send(from, &retraction);
        for (name, archive) in ["romeo", "juliet"].into_iter().zip(&archives) {
            assert_eq!(log(&world, name)[..2], archive[..], "{retraction}");
        }
    }
    assert!(
        romeo.stanzas().len() > 1 && juliet.stanzas().len() > 6,
        "they pass"
    );
    assert!(!stones(&world, "juliet").contains(&true));
}

#[test]
fn a_retraction_stays_whoever_retracts_it_and_so_does_a_tombstone() {
    let (mut world, romeo, _juliet) = lovers();
    world.send(&romeo, &say(JULIET, "m1", "secret"));
    world.send(&romeo, &retract(JULIET, "m1", "r1"));
    let before = log(&world, "juliet");
    world.tick();
    world.send(&romeo, &retract(JULIET, "r1", "r2"));
    world.send(&romeo, &retract(JULIET, "m1", "r3"));
    assert_eq!(log(&world, "juliet")[..2], before);
    assert_eq!(stones(&world, "juliet"), [true, false, false, false]);
}

#[test]
fn of_several_messages_with_one_id_the_newest_of_the_conversation_goes() {
    let (mut world, romeo, _juliet) = lovers();
    world.send(&romeo, &say(JULIET, "1", "a"));
    world.send(&romeo, &say(JULIET, "1", "b"));
    world.send(&romeo, &say("paris@localhost", "1", "c"));
    world.send(&romeo, &retract(JULIET, "1", "r"));
    assert_eq!(stones(&world, "romeo"), [false, true, false, false]);
    assert_eq!(stones(&world, "juliet"), [false, true, false]);
    assert_eq!(stones(&world, "paris"), [false]);
}

#[test]
fn what_went_through_a_room_is_for_clients_to_judge() {
    let (mut world, romeo, _juliet) = lovers();
    let occupant = "<x xmlns='http://jabber.org/protocol/muc#user'/></message>";
    let of_room = |stanza: String| stanza.replace("</message>", occupant);
    world.send(&romeo, &of_room(say(JULIET, "m1", "a")));
    world.send(&romeo, &say(JULIET, "m2", "a"));
    world.send(&romeo, &retract(JULIET, "m1", "r1"));
    world.send(&romeo, &of_room(retract(JULIET, "m2", "r2")));
    assert!(!stones(&world, "juliet").contains(&true));
    assert!(!stones(&world, "romeo").contains(&true));
}

#[test]
fn a_retraction_is_archived_whatever_its_type_and_content() {
    let (mut world, romeo, _juliet) = lovers();
    world.send(&romeo, &say(JULIET, "m1", "a").replace(" type='chat'", ""));
    let bare = format!(
        "<message to='{JULIET}' id='r1'><retract xmlns='urn:xmpp:message-retract:1' id='m1'/></message>"
    );
    world.send(&romeo, &bare);
    for name in ["romeo", "juliet"] {
        assert_eq!(stones(&world, name), [true, false], "{name}");
    }
}

#[test]
fn a_note_to_oneself_can_be_retracted() {
    let (mut world, romeo, _juliet) = lovers();
    world.send(
        &romeo,
        "<message type='chat' id='m1'><body>a</body></message>",
    );
    world.send(&romeo, &retract("romeo@localhost", "m1", "r1"));
    assert_eq!(stones(&world, "romeo"), [true, false]);
}

#[test]
fn a_message_that_waits_is_not_given_once_it_is_retracted() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.send(&romeo, &say(JULIET, "m1", "secret"));
    world.send(&romeo, &say(JULIET, "m2", "other"));
    world.send(&romeo, &retract(JULIET, "m1", "r1"));
    let both = Marks::OWED | Marks::ARCHIVED;
    let marks: Vec<_> = world.log("juliet").iter().map(|it| it.marks).collect();
    assert_eq!(marks, [both; 3]);
    let came = world.online_with_log("juliet", "balcony").concat();
    assert!(
        !came.contains("secret") && !came.contains("<retracted"),
        "{came}"
    );
    assert!(
        came.contains("other") && came.contains("<retract "),
        "{came}"
    );
    assert_eq!(world.log("juliet").len(), 3);
    world.restart();
    let again = world.online_with_log("juliet", "garden").concat();
    assert!(!again.contains("<message"), "{again}");
}

#[test]
fn message_and_retraction_in_one_frame_and_appends_in_any_order() {
    let (mut world, romeo, _juliet) = lovers();
    let (message, retraction) = (say(JULIET, "m1", "secret"), retract(JULIET, "m1", "r1"));
    world.send_all(&romeo, &[&message, &retraction]);
    assert_eq!(stones(&world, "romeo"), [true, false]);
    assert_eq!(stones(&world, "juliet"), [true, false]);
    // The store takes the retraction first.
    world.appends = Some(Vec::new());
    world.send(&romeo, &say(JULIET, "m2", "secret"));
    world.send(&romeo, &retract(JULIET, "m2", "r2"));
    let held = world.appends.as_ref().map_or(0, Vec::len);
    for _ in 0..held {
        world.append_newest();
    }
    assert_eq!(stones(&world, "romeo"), [true, false, true, false]);
    assert_eq!(stones(&world, "juliet"), [true, false, true, false]);
}

#[test]
fn what_is_too_old_stays_and_the_reach_is_an_option() {
    let (mut world, romeo, _juliet) = lovers();
    world.set_archive(ArchiveOptions {
        default: ArchiveDefault::Always,
        retract_entries_max: 3,
        ..ArchiveOptions::default()
    });
    for number in 0..4 {
        world.send(&romeo, &say(JULIET, &format!("m{number}"), "a"));
    }
    world.send(&romeo, &retract(JULIET, "m0", "r1"));
    assert!(!stones(&world, "juliet").contains(&true));
    world.send(&romeo, &retract(JULIET, "m2", "r2"));
    assert_eq!(stones(&world, "juliet").iter().position(|it| *it), Some(2));
}

#[test]
fn a_store_that_fails_is_asked_again_and_too_many_retractions_are_refused() {
    let (mut world, romeo, juliet) = lovers();
    world.send(&romeo, &say(JULIET, "m1", "secret"));
    world.appends = Some(Vec::new());
    world.send(&romeo, &retract(JULIET, "m1", "r1"));
    world.append_newest();
    world.store_fails = Some(StoreError::Full);
    world.append_newest();
    world.store_fails = None;
    world.appends = None;
    world.tick();
    world.tick();
    assert_eq!(stones(&world, "juliet"), [true, false]);
    assert_eq!(stones(&world, "romeo"), [true, false]);
    juliet.stanzas();
    romeo.stanzas();
    world.store_fails = Some(StoreError::Full);
    for _ in 0..64 {
        world.send(&romeo, &retract(JULIET, "m1", "r2"));
    }
    romeo.nothing();
    world.send(&romeo, &retract(JULIET, "m1", "r3"));
    assert!(romeo.stanza().contains("resource-constraint"));
    world.send(&romeo, &say(JULIET, "m2", "other"));
    romeo.nothing();
    world.store_fails = None;
    for _ in 0..70 {
        world.tick();
    }
    juliet.stanzas();
    world.send(&romeo, &say(JULIET, "m3", "secret"));
    world.send(&romeo, &retract(JULIET, "m3", "r4"));
    let stones = stones(&world, "juliet");
    assert!(stones[stones.len() - 2], "all before it were carried out");
}

#[test]
fn who_floods_an_account_with_retractions_takes_no_room_from_others() {
    let names = ["romeo", "juliet", "paris", "tybalt", "eve", "nurse"];
    let mut world = World::archiving(&names);
    let clients = names.map(|name| world.online(name, "home"));
    let [romeo, juliet, strangers @ ..] = &clients;
    world.store_fails = Some(StoreError::Full);
    let flood = |world: &mut World, from: &Client| {
        (0..64).for_each(|_| world.send(from, &retract(JULIET, "m1", "r1")));
    };
    flood(&mut world, &strangers[0]);
    world.send(&strangers[0], &retract(JULIET, "m1", "r1"));
    let refused = strangers[0].stanza();
    assert!(refused.contains("resource-constraint"), "{refused}");
    world.send(romeo, &retract(JULIET, "m1", "r2"));
    romeo.nothing();
    // All together have their bound, but not the account itself.
    strangers[1..].iter().for_each(|it| flood(&mut world, it));
    world.send(romeo, &retract(JULIET, "m1", "r3"));
    assert!(romeo.stanza().contains("resource-constraint"));
    juliet.stanzas();
    world.send(juliet, &retract("romeo@localhost", "m2", "r4"));
    juliet.nothing();
}

#[test]
fn a_retraction_that_is_refused_retracts_nothing() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.send(&romeo, &say(JULIET, "m1", "secret"));
    world.appends = Some(Vec::new());
    world.send(&romeo, &retract(JULIET, "m1", "r1"));
    // Hers is refused, which he is told; his own comes through.
    world.store_fails = Some(StoreError::Full);
    world.append_newest();
    world.store_fails = None;
    world.append_newest();
    assert!(romeo.stanza().contains("type=\"error\""));
    world.appends = None;
    world.tick();
    assert_eq!(stones(&world, "juliet"), [false]);
    assert_eq!(stones(&world, "romeo"), [true, false]);
}

#[test]
fn a_retraction_is_not_done_before_the_message_is_gone() {
    let mut world = World::archiving(&["juliet"]);
    assert!(world.arrive(origin(1), JULIET, "secret"));
    let retraction = retract(JULIET, "secret", "r");
    world.hold = true;
    // Its append is answered, then the search; a repeat is done with the first.
    for _ in 0..3 {
        assert!(!world.arrive_stanza(origin(2), JULIET, &retraction));
        world.release_next();
    }
    world.release();
    assert_eq!(stones(&world, "juliet"), [true, false]);
    assert!(world.arrive_stanza(origin(2), JULIET, &retraction));
    assert_eq!(world.log("juliet").len(), 2);
}

#[test]
fn the_next_owner_carries_out_what_the_former_one_has_only_archived() {
    let retraction = retract(JULIET, "secret", "r");
    for is_online in [true, false] {
        let mut world = World::archiving(&["juliet"]);
        let juliet = is_online.then(|| world.online("juliet", "balcony"));
        world.arrive(origin(1), JULIET, "secret");
        // It dies between the append of the retraction and what follows from it.
        world.appends = Some(Vec::new());
        world.arrive_stanza(origin(2), JULIET, &retraction);
        let held = world.appends.take().expect("appends are held");
        for (_, append) in held {
            let appended = rookery_router::shard::ask_store(&*world.store, append);
            let appended = futures_util::FutureExt::now_or_never(appended);
            appended.expect("memory is quick").expect("it is taken");
        }
        assert_eq!(stones(&world, "juliet"), [false, false]);
        world.restart();
        if let Some(juliet) = &juliet {
            world.announce(juliet);
        }
        world.arrive_stanza(origin(2), JULIET, &retraction);
        assert!(stones(&world, "juliet")[0], "{is_online}");
    }
}

#[test]
fn who_is_asked_says_that_retractions_are_followed() {
    let (mut world, romeo, _juliet) = lovers();
    for to in ["romeo@localhost", "localhost"] {
        world.send(
            &romeo,
            &format!(
                "<iq type='get' id='d' to='{to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
            ),
        );
        let features = romeo.stanza();
        for feature in [
            "urn:xmpp:message-retract:1",
            "urn:xmpp:message-retract:1#tombstone",
        ] {
            assert!(
                features.contains(&format!("var=\"{feature}\"")),
                "{to}: {features}"
            );
        }
    }
}

#[test]
fn nothing_of_it_is_in_what_a_copy_of_the_store_holds() {
    let (mut world, romeo, _juliet) = lovers();
    world.send(&romeo, &say(JULIET, "m1", "secret"));
    world.send(&romeo, &retract(JULIET, "m1", "r1"));
    for name in ["romeo", "juliet"] {
        let owner = jid(&format!("{name}@localhost"));
        let exported = async {
            let life = world
                .store
                .export_owner(&owner)
                .await?
                .expect("it owns a log")
                .life;
            world.store.export_log(&owner, &life, None, 10).await
        };
        let exported = futures_util::FutureExt::now_or_never(exported).expect("memory is quick");
        let exported = exported.expect("it is exported");
        assert_eq!(exported.len(), 2);
        let holds = |stanza: &[u8]| String::from_utf8_lossy(stanza).contains("secret");
        assert!(!exported.iter().any(|entry| holds(&entry.stanza)));
    }
}
