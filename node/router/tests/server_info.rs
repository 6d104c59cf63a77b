//! A host tells of itself (XEP-0485), if its operator wants that.

mod support;

use rookery_router::{ContactOptions, ServerInfoOptions};
use support::{Client, World};

fn published() -> ServerInfoOptions {
    ServerInfoOptions {
        hosts: vec!["LocalHost".into()],
    }
}

/// Asks the host, and gives its answer.
fn ask(world: &mut World, client: &Client, kind: &str, payload: &str) -> String {
    let iq = format!("<iq type='{kind}' id='1' to='localhost'>{payload}</iq>");
    world.send(client, &iq);
    client.stanza()
}

const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
const NODE_INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info' node='serverinfo'/>";
const NODE_ITEMS: &str =
    "<query xmlns='http://jabber.org/protocol/disco#items' node='serverinfo'/>";
const READ: &str =
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='serverinfo'/></pubsub>";

#[test]
fn of_a_host_whose_operator_has_said_nothing_nothing_is_told() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    let elsewhere = ServerInfoOptions {
        hosts: vec!["montague.example".into()],
    };
    for options in [ServerInfoOptions::default(), elsewhere] {
        world.set_server_info(&options);
        for question in [INFO, ITEMS] {
            let told = ask(&mut world, &romeo, "get", question);
            let names = ["serverinfo", "pubsub", "<item"];
            assert!(!names.iter().any(|it| told.contains(it)), "{told}");
        }
        for question in [NODE_INFO, NODE_ITEMS] {
            let told = ask(&mut world, &romeo, "get", question);
            assert!(told.contains("item-not-found"), "{told}");
        }
        let told = ask(&mut world, &romeo, "get", READ);
        assert!(told.contains("service-unavailable"), "{told}");
    }
}

#[test]
fn a_host_that_tells_of_itself_is_found_from_its_disco_and_its_capabilities_follow() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    let before = world.caps();
    world.set_server_info(&published());
    world.set_contact(ContactOptions {
        abuse: vec!["mailto:abuse@localhost".into()],
        ..ContactOptions::default()
    });
    assert_ne!(world.caps(), before);
    let info = ask(&mut world, &romeo, "get", INFO);
    for part in [
        "<identity category=\"server\" type=\"im\"",
        "<identity category=\"pubsub\" type=\"service\"/>",
        "<feature var=\"urn:xmpp:serverinfo:0\"/>",
        "<feature var=\"http://jabber.org/protocol/pubsub#retrieve-items\"/>",
        "<value>xmpp:localhost?;node=serverinfo</value>",
        "mailto:abuse@localhost",
    ] {
        assert!(info.contains(part), "{part}: {info}");
    }
    let forms = info.matches("http://jabber.org/network/serverinfo");
    assert_eq!(forms.count(), 1, "both are in one form: {info}");
    let items = ask(&mut world, &romeo, "get", ITEMS);
    let node = "<item jid=\"localhost\" name=\"Server information\" node=\"serverinfo\"/>";
    assert!(items.contains(node), "{items}");
    let leaf = ask(&mut world, &romeo, "get", NODE_INFO);
    for part in [
        "node=\"serverinfo\"",
        "<identity category=\"pubsub\" type=\"leaf\"/>",
        "pubsub#access_model",
    ] {
        assert!(leaf.contains(part), "{part}: {leaf}");
    }
    let items = ask(&mut world, &romeo, "get", NODE_ITEMS);
    assert!(
        items.contains("<item jid=\"localhost\" name=\"current\"/>"),
        "{items}"
    );
}

#[test]
fn the_node_is_read_by_everybody_and_written_by_nobody() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    world.set_server_info(&published());
    let told = ask(&mut world, &romeo, "get", READ);
    let domain = "<domain name=\"localhost\"><federation/></domain>";
    assert!(told.contains(domain), "{told}");
    let pubsub = "http://jabber.org/protocol/pubsub";
    for (kind, namespace, part, why) in [
        (
            "set",
            "",
            "<publish node='serverinfo'><item id='current'/></publish>",
            "feature=\"publish\"",
        ),
        (
            "set",
            "",
            "<subscribe node='serverinfo' jid='romeo@localhost'/>",
            "feature=\"subscribe\"",
        ),
        (
            "set",
            "",
            "<create node='mine'/>",
            "feature=\"create-nodes\"",
        ),
        ("get", "", "<items node='mine'/>", "item-not-found"),
        (
            "set",
            "#owner",
            "<delete node='serverinfo'/>",
            "feature=\"delete-nodes\"",
        ),
    ] {
        let request = format!("<pubsub xmlns='{pubsub}{namespace}'>{part}</pubsub>");
        let told = ask(&mut world, &romeo, kind, &request);
        assert!(
            told.contains("type=\"error\"") && told.contains(why),
            "{part}: {told}"
        );
    }
}
