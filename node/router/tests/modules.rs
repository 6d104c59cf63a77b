//! The XEP modules through the machine, as clients use them.

mod support;

use support::World;

#[test]
fn the_server_says_what_it_is() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.send(
        &juliet,
        "<iq type='get' id='1' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    );
    let info = juliet.stanza();
    for part in [
        "category=\"server\"",
        "urn:xmpp:ping",
        "urn:xmpp:blocking",
        "jabber:iq:register",
        "urn:xmpp:dataforms:softwareinfo",
    ] {
        assert!(info.contains(part), "{part}: {info}");
    }
    world.send(
        &juliet,
        "<iq type='get' id='2' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info' node='nonsense'/></iq>",
    );
    assert!(juliet.stanza().contains("item-not-found"));
    world.send(
        &juliet,
        "<iq type='get' id='3' to='localhost'><query xmlns='jabber:iq:version'/></iq>",
    );
    assert!(juliet.stanza().contains("<name>Rookery</name>"));
    world.send(
        &juliet,
        "<iq type='get' id='4' to='localhost'><time xmlns='urn:xmpp:time'/></iq>",
    );
    assert!(juliet.stanza().contains("<utc>2023-11-14T22:13:20Z</utc>"));
    world.send(
        &juliet,
        "<iq type='get' id='5' to='localhost'><query xmlns='jabber:iq:last'/></iq>",
    );
    assert!(juliet.stanza().contains("seconds=\"0\""));
}

#[test]
fn the_server_s_capabilities_can_be_asked_for_by_their_hash() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    let feature = world.caps();
    let node = format!(
        "{}#{}",
        feature.attr("node").expect("node"),
        feature.attr("ver").expect("ver")
    );
    world.send(
        &juliet,
        &format!(
            "<iq type='get' id='1' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/></iq>"
        ),
    );
    let info = juliet.stanza();
    assert!(
        info.contains("category=\"server\"") && info.contains(&node),
        "{info}"
    );
}

#[test]
fn private_xml_is_kept_for_its_owner_only() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.send(
        &juliet,
        "<iq type='set' id='1'><query xmlns='jabber:iq:private'><p xmlns='urn:test:p'><a>1</a></p></query></iq>",
    );
    assert!(juliet.stanza().contains("result"));
    world.restart();
    let juliet = world.online("juliet", "balcony");
    world.send(
        &juliet,
        "<iq type='get' id='2'><query xmlns='jabber:iq:private'><p xmlns='urn:test:p'/></query></iq>",
    );
    assert!(juliet.stanza().contains("<a>1</a>"));
    world.send(
        &juliet,
        "<iq type='get' id='3'><query xmlns='jabber:iq:private'><p xmlns='urn:test:other'/></query></iq>",
    );
    assert!(juliet.stanza().contains("<p xmlns=\"urn:test:other\"/>"));
    world.send(
        &romeo,
        "<iq type='get' id='4' to='juliet@localhost'><query xmlns='jabber:iq:private'><p xmlns='urn:test:p'/></query></iq>",
    );
    romeo.stanzas();
    for (payload, condition) in [
        ("", "bad-request"),
        ("<x xmlns='jabber:client'/>", "not-acceptable"),
    ] {
        world.send(
            &juliet,
            &format!(
                "<iq type='set' id='5'><query xmlns='jabber:iq:private'>{payload}</query></iq>"
            ),
        );
        assert!(juliet.stanza().contains(condition), "{payload}");
    }
}

#[test]
fn a_vcard_is_read_by_everybody_and_its_photo_announced() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<iq type='get' id='0' to='juliet@localhost'><vCard xmlns='vcard-temp'/></iq>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
    let card = "<vCard xmlns='vcard-temp'><FN>Juliet</FN>\
                <PHOTO><TYPE>image/png</TYPE><BINVAL>YWJj</BINVAL></PHOTO></vCard>";
    world.send(&juliet, &format!("<iq type='set' id='1'>{card}</iq>"));
    assert!(juliet.stanza().contains("result"));
    world.send(
        &romeo,
        "<iq type='get' id='2' to='juliet@localhost'><vCard xmlns='vcard-temp'/></iq>",
    );
    assert!(romeo.stanza().contains("<FN>Juliet</FN>"));
    world.send(&juliet, "<presence/>");
    assert!(
        juliet
            .stanza()
            .contains("<photo>a9993e364706816aba3e25717850c26c9cd0d89d</photo>")
    );
    world.send(
        &juliet,
        "<presence><x xmlns='vcard-temp:x:update'/></presence>",
    );
    assert!(
        !juliet.stanza().contains("<photo>"),
        "a client that is not ready is left alone"
    );
}

#[test]
fn a_blocked_contact_sees_nobody_and_reaches_nobody() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.befriend(&juliet, &romeo);
    world.send(
        &juliet,
        "<iq type='get' id='1'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
    );
    assert!(
        juliet
            .stanza()
            .contains("<blocklist xmlns=\"urn:xmpp:blocking\"/>")
    );
    world.send(
        &juliet,
        "<iq type='set' id='2'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>",
    );
    let came = juliet.stanzas();
    assert!(
        came.iter().any(|s| s.contains("<block ")),
        "a push: {came:#?}"
    );
    assert!(romeo.stanza().contains("type=\"unavailable\""));
    world.send(
        &romeo,
        "<message to='juliet@localhost'><body>x</body></message>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
    world.send(
        &romeo,
        "<iq type='get' id='3' to='juliet@localhost/balcony'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
    world.send(&romeo, "<presence to='juliet@localhost'/>");
    romeo.nothing();
    juliet.nothing();
    world.send(
        &juliet,
        "<message to='romeo@localhost'><body>y</body></message>",
    );
    let refused = juliet.stanza();
    assert!(
        refused.contains("not-acceptable") && refused.contains("urn:xmpp:blocking:errors"),
        "{refused}"
    );
    world.send(&juliet, "<presence><show>chat</show></presence>");
    romeo.nothing();
}

#[test]
fn a_block_list_is_durable_and_can_be_emptied() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.befriend(&juliet, &romeo);
    world.send(
        &juliet,
        "<iq type='set' id='2'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>",
    );
    world.restart();
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.send(
        &romeo,
        "<message to='juliet@localhost'><body>x</body></message>",
    );
    assert!(
        romeo.stanza().contains("service-unavailable"),
        "the list is durable"
    );
    world.send(
        &juliet,
        "<iq type='set' id='4'><unblock xmlns='urn:xmpp:blocking'/></iq>",
    );
    assert!(romeo.stanza().contains("from=\"juliet@localhost/balcony\""));
    world.send(
        &romeo,
        "<message to='juliet@localhost'><body>z</body></message>",
    );
    assert!(
        juliet
            .stanzas()
            .iter()
            .any(|s| s.contains("<body>z</body>"))
    );
}

#[test]
fn last_activity_knows_when_somebody_left_and_what_they_said() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.befriend(&juliet, &romeo);
    world.send(
        &juliet,
        "<presence type='unavailable'><status>Heading home</status></presence>",
    );
    world.leave(&juliet);
    for _ in 0..90 {
        world.tick();
    }
    romeo.stanzas();
    world.send(
        &romeo,
        "<iq type='get' id='1' to='juliet@localhost'><query xmlns='jabber:iq:last'/></iq>",
    );
    let answer = romeo.stanza();
    assert!(
        answer.contains("seconds=\"90\"") && answer.contains("Heading home"),
        "{answer}"
    );
}

#[test]
fn an_unknown_namespace_is_service_unavailable() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    for to in ["", "to='localhost'", "to='juliet@localhost'"] {
        world.send(
            &juliet,
            &format!("<iq type='get' id='1' {to}><q xmlns='urn:test:unknown'/></iq>"),
        );
        assert!(juliet.stanza().contains("service-unavailable"), "{to}");
    }
}

#[test]
fn private_xml_is_limited_in_number_size_and_name() {
    let options = rookery_router::RouterOptions {
        private_documents_max: 2,
        document_bytes_max: 100,
        ..Default::default()
    };
    let mut world = World::with_options(&["juliet"], options);
    let juliet = world.online("juliet", "balcony");
    let mut set = |ns: &str, text: &str| {
        world.send(
            &juliet,
            &format!("<iq type='set' id='1'><query xmlns='jabber:iq:private'><p xmlns='{ns}'>{text}</p></query></iq>"),
        );
        juliet.stanza()
    };
    for ns in ["urn:a", "urn:b", "urn:a"] {
        assert!(set(ns, "").contains("result"), "{ns}");
    }
    assert!(set("urn:c", "").contains("policy-violation"));
    assert!(set("urn:a", &"x".repeat(100)).contains("policy-violation"));
    assert!(set(&"n".repeat(2000), "").contains("not-acceptable"));
}
