//! Messages for the absent: kept, bounded, given back in order.

mod support;

use rookery_router::RouterOptions;
use rookery_store::StoreError;
use support::{Client, World};

fn write(world: &mut World, from: &Client, count: usize) {
    let stanzas: Vec<String> = (0..count)
        .map(|n| {
            format!(
                "<message to='juliet@localhost' type='chat' id='m{n}'><body>{n}</body></message>"
            )
        })
        .collect();
    let stanzas: Vec<&str> = stanzas.iter().map(String::as_str).collect();
    world.send_all(from, &stanzas);
}

fn bodies(stanzas: &[String]) -> Vec<usize> {
    let body = |stanza: &String| {
        stanza
            .split("<body>")
            .nth(1)?
            .split('<')
            .next()?
            .parse()
            .ok()
    };
    stanzas.iter().filter_map(body).collect()
}

#[test]
fn messages_wait_in_order_with_their_time_and_come_once() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    write(&mut world, &romeo, 250);
    world.restart();
    let came = world.online_with_log("juliet", "balcony");
    assert_eq!(bodies(&came), (0..250).collect::<Vec<_>>());
    let stamped = came.iter().filter(|s| {
        s.contains("<delay xmlns=\"urn:xmpp:delay\" from=\"localhost\" stamp=\"2023-11-14T22:13:20")
    });
    assert_eq!(stamped.count(), 250, "{}", came[1]);
    assert!(bodies(&world.online_with_log("juliet", "chamber")).is_empty());
}

#[test]
fn a_full_mailbox_says_so() {
    let options = RouterOptions {
        offline_messages_max: 3,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["romeo", "juliet"], options);
    let romeo = world.online("romeo", "orchard");
    write(&mut world, &romeo, 5);
    let refused = romeo.stanzas();
    assert_eq!(refused.len(), 2, "{refused:#?}");
    assert!(refused[0].contains("id=\"m3\"") && refused[0].contains("service-unavailable"));
}

#[test]
fn a_full_disk_is_told_to_the_sender_and_recovers() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.store_fails = Some(StoreError::Full);
    write(&mut world, &romeo, 2);
    let refused = romeo.stanzas();
    assert_eq!(refused.len(), 2, "{refused:#?}");
    assert!(refused[0].contains("resource-constraint") && refused[0].contains("type=\"wait\""));
    world.store_fails = None;
    write(&mut world, &romeo, 1);
    romeo.nothing();
    assert_eq!(bodies(&world.online_with_log("juliet", "balcony")), [0]);
}

#[test]
fn what_came_through_without_an_answer_does_not_leave_a_later_message_behind() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.answers_lost = true;
    write(&mut world, &romeo, 100);
    assert_eq!(romeo.stanzas().len(), 100);
    world.answers_lost = false;
    write(&mut world, &romeo, 1);
    romeo.nothing();
    let came = bodies(&world.online_with_log("juliet", "balcony"));
    assert_eq!(came, (0..100).chain([0]).collect::<Vec<_>>());
}

#[test]
fn what_is_to_be_stored_nowhere_and_chat_states_are_not_kept() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let active = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
    let id = "<origin-id xmlns='urn:xmpp:sid:0' id='1'/><thread>t</thread>";
    for content in [
        "<body>secret</body><no-store xmlns='urn:xmpp:hints'/>",
        active,
        &format!("{active}{id}"),
    ] {
        world.send(
            &romeo,
            &format!("<message to='juliet@localhost' type='chat'>{content}</message>"),
        );
    }
    // Its sender hears of what had something to say.
    assert_eq!(romeo.stanzas().len(), 1);
    let wanted = [
        format!("<body>kept</body>{active}"),
        format!("<encrypted xmlns='eu.siacs.conversations.axolotl'/>{active}"),
        format!("<reactions xmlns='urn:xmpp:reactions:0' id='1'/>{active}"),
    ];
    for content in &wanted {
        world.send(
            &romeo,
            &format!("<message to='juliet@localhost' type='chat'>{content}</message>"),
        );
    }
    let came = world.online_with_log("juliet", "balcony");
    let messages: Vec<_> = came.iter().filter(|s| s.starts_with("<message")).collect();
    assert_eq!(messages.len(), wanted.len(), "{came:#?}");
    assert!(messages[0].contains("kept"));
}

#[test]
fn what_must_not_be_stored_for_good_waits_for_its_reader_and_is_gone_then() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let hint = "<no-permanent-store xmlns='urn:xmpp:hints'/>";
    world.send(
        &romeo,
        &format!("<message to='juliet@localhost' type='chat'><body>0</body>{hint}</message>"),
    );
    romeo.nothing();
    assert_eq!(world.log("romeo").len(), 0);
    assert_eq!(bodies(&world.online_with_log("juliet", "balcony")), [0]);
    world.tick();
    world.tick();
    assert_eq!(world.log("juliet").len(), 0);
    assert_eq!(bodies(&world.online_with_log("juliet", "garden")), [0; 0]);
}

#[test]
fn a_session_that_is_full_gets_the_rest_from_the_log_in_order() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    juliet.set_full(true);
    write(&mut world, &romeo, 5);
    juliet.set_full(false);
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>5</body></message>",
    );
    juliet.nothing();
    world.tick();
    world.tick();
    assert_eq!(bodies(&juliet.stanzas()), [0, 1, 2, 3, 4, 5]);
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>6</body></message>",
    );
    assert_eq!(bodies(&juliet.stanzas()), [6]);
    romeo.nothing();
}

#[test]
fn what_is_stored_is_not_delivered_before_what_is_older() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.hold = true;
    write(&mut world, &romeo, 2);
    let juliet = world.bind("juliet", "balcony");
    world.send(&juliet, "<presence/>");
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>2</body></message>",
    );
    world.release();
    assert_eq!(bodies(&juliet.stanzas()), [0, 1, 2]);
}

#[test]
fn what_overtakes_an_older_message_on_its_way_into_the_log_waits_for_it() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.appends = Some(Vec::new());
    write(&mut world, &romeo, 1);
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='chat'><body>1</body></message>",
    );
    let juliet = world.online("juliet", "balcony");
    world.append_newest();
    juliet.nothing();
    world.append_newest();
    assert_eq!(bodies(&juliet.stanzas()), [0, 1]);
}
