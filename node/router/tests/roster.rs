//! Rosters as clients manage them (RFC 6121 2).

mod support;

use rookery_router::RouterOptions;
use support::{Client, World};

fn set(world: &mut World, client: &Client, item: &str) -> Vec<String> {
    let query = format!("<query xmlns='jabber:iq:roster'>{item}</query>");
    world.send(client, &format!("<iq type='set' id='set'>{query}</iq>"));
    client.stanzas()
}

fn get(world: &mut World, client: &Client, version: &str) -> String {
    let query = format!("<query xmlns='jabber:iq:roster' ver='{version}'/>");
    world.send(client, &format!("<iq type='get' id='get'>{query}</iq>"));
    client.stanza()
}

#[test]
fn a_contact_is_stored_pushed_and_answered_for() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    let other = world.online("juliet", "chamber");
    let silent = world.bind("juliet", "silent");
    juliet.stanzas();
    let item = "<item jid='nurse@localhost' name='Nurse'><group>Servants</group></item>";
    let came = set(&mut world, &juliet, item);
    assert_eq!(came.len(), 2, "a push and a result: {came:#?}");
    assert!(came[1].contains("type=\"result\""), "{came:#?}");
    assert!(other.stanza().contains("<group>Servants</group>"));
    silent.nothing();
    world.restart();
    let juliet = world.bind("juliet", "balcony");
    let roster = get(&mut world, &juliet, "");
    assert!(
        roster.contains("name=\"Nurse\"") && roster.contains("<group>Servants</group>"),
        "{roster}"
    );
}

#[test]
fn nothing_is_answered_before_it_is_stored() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.hold = true;
    assert!(set(&mut world, &juliet, "<item jid='nurse@localhost'/>").is_empty());
    world.send(
        &juliet,
        "<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    juliet.nothing();
    world.release();
    let came = juliet.stanzas();
    assert_eq!(
        came.len(),
        3,
        "push, result, then the ping that waited: {came:#?}"
    );
    assert!(came[2].contains("id=\"ping\""), "{came:#?}");
}

#[test]
fn a_current_version_is_answered_with_nothing() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    set(&mut world, &juliet, "<item jid='nurse@localhost'/>");
    let full = get(&mut world, &juliet, "");
    let version = full
        .split("ver=\"")
        .nth(1)
        .and_then(|v| v.split('"').next())
        .expect("a version");
    assert!(!get(&mut world, &juliet, version).contains("query"));
    set(&mut world, &juliet, "<item jid='romeo@localhost'/>");
    assert!(get(&mut world, &juliet, version).contains("romeo@localhost"));
}

#[test]
fn removing_a_contact_ends_both_subscriptions() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    let came = set(
        &mut world,
        &juliet,
        "<item jid='romeo@localhost' subscription='remove'/>",
    );
    assert!(
        came.iter().any(|s| s.contains("subscription=\"remove\"")),
        "{came:#?}"
    );
    let came = romeo.stanzas();
    for step in ["unsubscribe", "unsubscribed", "unavailable"] {
        assert!(
            came.iter().any(|s| s.contains(&format!("type=\"{step}\""))),
            "{step}: {came:#?}"
        );
    }
    assert!(
        came.iter().any(|s| s.contains("subscription=\"none\"")),
        "{came:#?}"
    );
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let long = "x".repeat(1100);
    let cases = [
        ("", "bad-request"),
        ("<item/>", "bad-request"),
        (
            "<item jid='a@localhost'/><item jid='b@localhost'/>",
            "bad-request",
        ),
        ("<item jid='@'/>", "jid-malformed"),
        (
            "<item jid='nobody@localhost' subscription='remove'/>",
            "item-not-found",
        ),
        ("<item jid='a@localhost'><group/></item>", "not-acceptable"),
        (
            "<item jid='a@localhost'><group>g</group><group>g</group></item>",
            "bad-request",
        ),
        ("<item jid='juliet@localhost'/>", "not-allowed"),
    ];
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    for (item, condition) in cases {
        let came = set(&mut world, &juliet, item);
        assert!(
            came.len() == 1 && came[0].contains(condition),
            "{item}: {came:#?}"
        );
    }
    let came = set(
        &mut world,
        &juliet,
        &format!("<item jid='a@localhost' name='{long}'/>"),
    );
    assert!(came[0].contains("not-acceptable"), "{came:#?}");
}

#[test]
fn a_roster_has_a_limit() {
    let options = RouterOptions {
        roster_items_max: 2,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["juliet", "romeo"], options);
    let juliet = world.online("juliet", "balcony");
    set(&mut world, &juliet, "<item jid='a@localhost'/>");
    set(&mut world, &juliet, "<item jid='b@localhost'/>");
    assert!(set(&mut world, &juliet, "<item jid='c@localhost'/>")[0].contains("policy-violation"));
    assert_eq!(
        set(&mut world, &juliet, "<item jid='a@localhost' name='A'/>").len(),
        2
    );
    world.send(&juliet, "<presence type='subscribe' to='romeo@localhost'/>");
    assert!(juliet.stanza().contains("policy-violation"));
}

#[test]
fn a_roster_has_a_size() {
    let options = RouterOptions {
        roster_bytes_max: 2_100,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["juliet", "romeo"], options);
    let juliet = world.online("juliet", "balcony");
    let item = |name: &str, bytes: usize| {
        format!(
            "<item jid='{name}@localhost' name='{}'/>",
            "n".repeat(bytes)
        )
    };
    assert_eq!(set(&mut world, &juliet, &item("a", 1_000)).len(), 2);
    assert_eq!(set(&mut world, &juliet, &item("b", 1_000)).len(), 2);
    assert!(set(&mut world, &juliet, &item("c", 1_000))[0].contains("policy-violation"));
    assert!(set(&mut world, &juliet, &item("romeo", 100))[0].contains("policy-violation"));
    assert_eq!(set(&mut world, &juliet, &item("a", 500)).len(), 2);
    world.send(&juliet, "<presence type='subscribe' to='romeo@localhost'/>");
    assert!(juliet.stanza().contains("ask=\"subscribe\""));
}

#[test]
fn a_roster_of_somebody_else_is_not_served() {
    let mut world = World::with(&["juliet", "romeo"]);
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<iq type='get' id='1' to='juliet@localhost'><query xmlns='jabber:iq:roster'/></iq>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
}
