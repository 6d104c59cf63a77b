//! What an account archives: what it sends and what it gets, once, durable before it is acknowledged.

mod support;

use std::time::Duration;

use rookery_router::{ArchiveDefault, ArchiveOptions};
use rookery_session::carrier::{Origin, SessionId};
use rookery_store::StoreError;
use rookery_store::log::{LogEntry, Marks};
use support::World;

const CHAT: &str =
    "<message to='juliet@localhost' type='chat' id='1'><body>wherefore</body></message>";

fn origin(sequence: u64) -> Origin {
    let session = SessionId {
        node: 9,
        serial: 44,
    };
    Origin { session, sequence }
}

fn marks(log: &[LogEntry]) -> Vec<Marks> {
    log.iter().map(|entry| entry.marks).collect()
}

/// The ids of the archive that a stanza names.
fn ids(stanza: &str) -> Vec<String> {
    let ids = stanza.split("<stanza-id ").skip(1);
    let id = |text: &str| Some(text.split("id=\"").nth(1)?.split('"').next()?.to_owned());
    ids.filter_map(id).collect()
}

#[test]
fn without_a_wish_nothing_is_archived() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.send(&romeo, CHAT);
    assert_eq!(ids(&juliet.stanza()), [""; 0]);
    assert_eq!(world.log("romeo").len() + world.log("juliet").len(), 0);
}

#[test]
fn what_is_sent_and_what_arrives_is_archived_once_each_and_delivered_with_its_id() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let (one, two) = (
        world.online("juliet", "balcony"),
        world.online("juliet", "garden"),
    );
    world.send(&romeo, CHAT);
    world.send(
        &romeo,
        &CHAT.replace("juliet@localhost", "juliet@localhost/garden"),
    );
    assert_eq!(marks(&world.log("romeo")), [Marks::ARCHIVED; 2]);
    assert_eq!(marks(&world.log("juliet")), [Marks::ARCHIVED; 2]);
    let (mut got, both) = (one.stanzas(), two.stanzas());
    got.retain(|stanza| stanza.starts_with("<message"));
    assert_eq!(ids(&got[0]), ids(&both[0]), "one message, one id");
    assert!(got[0].contains("by=\"juliet@localhost\""), "{}", got[0]);
    assert_ne!(ids(&both[0]), ids(&both[1]));
    assert_eq!(ids(&both[1]).len(), 1);
    // Her id is not in what is kept, for it follows from the place.
    let log = world.log("juliet");
    assert!(!String::from_utf8_lossy(&log[0].stanza).contains("stanza-id"));
    romeo.nothing();
}

#[test]
fn a_message_that_waits_is_one_entry_and_stays_when_it_was_given() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.send(&romeo, CHAT);
    assert_eq!(marks(&world.log("juliet")), [Marks::OWED | Marks::ARCHIVED]);
    let came = world.online_with_log("juliet", "balcony");
    let message = came.iter().find(|it| it.contains("wherefore")).unwrap();
    assert_eq!(ids(message).len(), 1);
    assert!(message.contains("urn:xmpp:delay"));
    assert_eq!(world.log("juliet").len(), 1);
    assert_eq!(
        world.delivered("juliet"),
        Some(world.log("juliet")[0].position)
    );
    world.restart();
    let again = world.online_with_log("juliet", "garden");
    assert!(
        !again.iter().any(|it| it.contains("wherefore")),
        "{again:?}"
    );
}

#[test]
fn what_is_not_archived_leaves_the_log_beside_what_is() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.set_archive(ArchiveOptions::default());
    world.send(&romeo, CHAT);
    world.set_archive(ArchiveOptions {
        default: ArchiveDefault::Always,
        ..ArchiveOptions::default()
    });
    world.send(&romeo, CHAT);
    world.set_archive(ArchiveOptions::default());
    world.send(&romeo, CHAT);
    assert_eq!(world.log("juliet").len(), 3);
    let came = world.online_with_log("juliet", "balcony");
    assert_eq!(came.iter().filter(|it| it.contains("wherefore")).count(), 3);
    assert_eq!(marks(&world.log("juliet")), [Marks::OWED | Marks::ARCHIVED]);
    world.restart();
    let again = world.online_with_log("juliet", "garden");
    assert!(!again.iter().any(|it| it.contains("wherefore")));
}

#[test]
fn only_what_says_something_is_archived() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.online("juliet", "balcony");
    let hints = "xmlns='urn:xmpp:hints'";
    for (content, kind, kept) in [
        ("<body>a</body>", "chat", true),
        ("<body>a</body>", "normal", true),
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", "chat", true),
        (
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "normal",
            true,
        ),
        (
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "normal",
            true,
        ),
        (
            "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
            "chat",
            true,
        ),
        (
            "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>\
             <active xmlns='http://jabber.org/protocol/chatstates'/>",
            "chat",
            true,
        ),
        (
            "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
            "normal",
            false,
        ),
        (
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "chat",
            false,
        ),
        (&format!("<body>a</body><no-store {hints}/>"), "chat", false),
        (
            &format!("<body>a</body><no-permanent-store {hints}/>"),
            "chat",
            false,
        ),
        (&format!("<x xmlns='y'/><store {hints}/>"), "normal", true),
        ("<body>a</body>", "headline", false),
        ("<body>a</body>", "groupchat", false),
        ("", "chat", false),
    ] {
        let before = (world.log("romeo").len(), world.log("juliet").len());
        let to = "juliet@localhost/balcony";
        world.send(
            &romeo,
            &format!("<message to='{to}' type='{kind}'>{content}</message>"),
        );
        let after = (world.log("romeo").len(), world.log("juliet").len());
        let grown = usize::from(kept);
        assert_eq!(
            after,
            (before.0 + grown, before.1 + grown),
            "{kind}: {content}"
        );
    }
}

#[test]
fn a_message_to_oneself_is_archived_once() {
    let mut world = World::archiving(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<message to='romeo@localhost' type='chat'><body>note</body></message>",
    );
    assert_eq!(world.log("romeo").len(), 1);
    assert_eq!(ids(&romeo.stanza()).len(), 1);
}

#[test]
fn forged_ids_of_the_account_are_taken_out_and_others_pass() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    let id = |by| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged-{by}'/>");
    let all = [
        "juliet@localhost",
        "room@muc.localhost",
        "romeo@localhost",
        "juliet@localhost",
    ];
    let all: String = all.map(id).concat();
    world.send(&romeo, &format!(
        "<message to='juliet@localhost' type='chat'><body>a</body>{all}<origin-id xmlns='urn:xmpp:sid:0' id='o'/></message>"
    ));
    let got = juliet.stanza();
    assert_eq!(ids(&got).len(), 2, "{got}");
    assert_eq!(ids(&got)[0], "forged-room@muc.localhost");
    assert!(got.contains("origin-id"));
    // Also where nothing is archived.
    world.set_archive(ArchiveOptions::default());
    world.send(
        &romeo,
        &format!(
            "<message to='juliet@localhost' type='chat'><body>a</body>{}</message>",
            id("juliet@localhost")
        ),
    );
    assert_eq!(ids(&juliet.stanza()), [""; 0]);
}

#[test]
fn a_message_is_not_done_before_it_is_archived() {
    let mut world = World::archiving(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.appends = Some(Vec::new());
    assert!(!world.arrive(origin(1), "juliet@localhost", "one"));
    assert!(juliet.stanza().contains("one"), "delivered at once");
    assert!(
        !world.arrive(origin(1), "juliet@localhost", "one"),
        "a repeat is done with the first"
    );
    juliet.nothing();
    world.append_newest();
    assert!(world.arrive(origin(1), "juliet@localhost", "one"));
    juliet.nothing();
}

#[test]
fn what_the_store_refuses_to_archive_is_asked_again_and_done_only_then() {
    let mut world = World::archiving(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.store_fails = Some(StoreError::Full);
    assert!(!world.arrive(origin(1), "juliet@localhost", "one"));
    assert!(juliet.stanza().contains("one"));
    world.tick();
    assert!(!world.arrive(origin(1), "juliet@localhost", "one"));
    world.store_fails = None;
    world.tick();
    assert!(world.arrive(origin(1), "juliet@localhost", "one"));
    assert_eq!(world.log("juliet").len(), 1);
    juliet.nothing();
}

#[test]
fn what_an_earlier_owner_only_archived_is_delivered_with_the_same_id_and_not_archived_again() {
    let mut world = World::archiving(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.arrive(origin(1), "juliet@localhost", "one");
    let first = ids(&juliet.stanza());
    world.restart();
    world.announce(&juliet);
    // The session would drop it, if it had got it.
    world.arrive(origin(1), "juliet@localhost", "one");
    assert_eq!(ids(&juliet.stanza()), first);
    assert_eq!(world.log("juliet").len(), 1);
    // Nobody is here to take it: it waits, beside the archive.
    world.restart();
    assert!(world.arrive(origin(1), "juliet@localhost", "one"));
    assert_eq!(marks(&world.log("juliet")), [Marks::ARCHIVED, Marks::OWED]);
    let came = world.online_with_log("juliet", "garden");
    let message = came.iter().find(|it| it.contains("one")).unwrap();
    assert_eq!(ids(message), first);
    assert_eq!(marks(&world.log("juliet")), [Marks::ARCHIVED]);
}

#[test]
fn a_session_that_refuses_what_is_archived_gets_it_later_with_its_id() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    juliet.set_full(true);
    world.send(&romeo, CHAT);
    juliet.set_full(false);
    world.tick();
    world.tick();
    let got = juliet.stanza();
    assert!(got.contains("wherefore"));
    let log = world.log("juliet");
    assert_eq!(marks(&log), [Marks::ARCHIVED]);
    assert_eq!(ids(&got), [format!("{:016x}", log[0].position.pack())]);
}

#[test]
fn the_cursor_is_kept_now_and_then_and_before_the_account_is_forgotten() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.send(&romeo, CHAT);
    assert_eq!(world.delivered("juliet"), None);
    for _ in 0..255 {
        world.send(&romeo, CHAT);
    }
    let last = |world: &World| world.log("juliet").last().map(|entry| entry.position);
    assert_eq!(world.delivered("juliet"), last(&world));
    world.send(&romeo, CHAT);
    assert!(world.delivered("juliet") < last(&world));
    world.leave(&juliet);
    for _ in 0..400 {
        world.tick();
    }
    assert_eq!(world.delivered("juliet"), last(&world));
}

#[test]
fn by_default_only_contacts_can_be_meant() {
    let mut world = World::archiving(&["romeo", "juliet", "paris"]);
    world.set_archive(ArchiveOptions {
        default: ArchiveDefault::Roster,
        ..ArchiveOptions::default()
    });
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    let paris = world.online("paris", "house");
    world.befriend(&romeo, &juliet);
    world.send(&romeo, CHAT);
    world.send(&paris, CHAT);
    assert_eq!(world.log("juliet").len(), 1);
    assert_eq!(world.log("paris").len(), 0);
    assert_eq!(world.log("romeo").len(), 1);
}

/// Two accounts whose archives hold so many entries.
fn of_32_entries() -> World {
    let mut world = World::with(&["romeo", "juliet"]);
    world.set_archive(ArchiveOptions {
        default: ArchiveDefault::Always,
        entries_max: 32,
        ..ArchiveOptions::default()
    });
    world
}

#[test]
fn a_full_archive_loses_its_oldest_entries_and_nothing_that_waits() {
    let mut world = of_32_entries();
    let romeo = world.online("romeo", "orchard");
    for number in 0..100 {
        world.send(&romeo, &CHAT.replace("wherefore", &number.to_string()));
    }
    let log = world.log("romeo");
    assert!((32..=34).contains(&log.len()), "{}", log.len());
    assert!(String::from_utf8_lossy(&log.last().unwrap().stanza).contains(">99<"));
    assert_eq!(world.log("juliet").len(), 100, "all of it waits");
    let came = world.online_with_log("juliet", "balcony");
    assert_eq!(came.iter().filter(|it| it.contains("<body>")).count(), 100);
}

#[test]
fn an_archive_is_bounded_in_bytes_as_well() {
    let mut world = World::with(&["romeo", "juliet"]);
    world.set_archive(ArchiveOptions {
        default: ArchiveDefault::Always,
        entries_max: 0,
        bytes_max: 16_000,
        ..ArchiveOptions::default()
    });
    let romeo = world.online("romeo", "orchard");
    world.online("juliet", "balcony");
    for number in 0..100 {
        let text = format!("{number}{}", " ".repeat(1_000));
        world.send(&romeo, &CHAT.replace("wherefore", &text));
    }
    for name in ["romeo", "juliet"] {
        let log = world.log(name);
        let bytes: usize = log.iter().map(|entry| entry.stanza.len()).sum();
        assert!((14_000..=17_000).contains(&bytes), "{name}: {bytes}");
        assert!(String::from_utf8_lossy(&log.last().unwrap().stanza).contains(">99 "));
    }
}

#[test]
fn what_has_left_an_archive_by_its_age_is_no_reason_to_take_more_of_it() {
    let mut world = of_32_entries();
    let romeo = world.online("romeo", "orchard");
    for _ in 0..30 {
        world.send(&romeo, CHAT);
    }
    world.expire(world.now.plus(Duration::from_secs(1)));
    world.tick();
    assert_eq!(world.log("romeo").len(), 0);
    for _ in 0..30 {
        world.send(&romeo, CHAT);
    }
    assert_eq!(world.log("romeo").len(), 30);
}
