//! Who may know what: nobody learns who is here without being allowed to.

mod support;

use support::World;

#[test]
fn a_request_that_is_taken_back_shows_nothing() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let _juliet = world.online("juliet", "balcony");
    world.send(&romeo, "<presence type='subscribe' to='juliet@localhost'/>");
    world.send(
        &romeo,
        "<presence type='unsubscribe' to='juliet@localhost'/>",
    );
    let came = romeo.stanzas();
    assert!(
        came.iter().all(|stanza| !stanza.contains("balcony")),
        "{came:#?}"
    );
}

#[test]
fn a_request_that_is_refused_shows_nothing() {
    for refusal in [
        "<presence type='unsubscribed' to='romeo@localhost'/>",
        "<iq type='set' id='r'><query xmlns='jabber:iq:roster'>\
         <item jid='romeo@localhost' subscription='remove'/></query></iq>",
    ] {
        let mut world = World::with(&["romeo", "juliet"]);
        let romeo = world.online("romeo", "orchard");
        let juliet = world.online("juliet", "balcony");
        world.send(
            &juliet,
            "<iq type='set' id='a'><query xmlns='jabber:iq:roster'><item jid='romeo@localhost'/></query></iq>",
        );
        world.send(&romeo, "<presence type='subscribe' to='juliet@localhost'/>");
        world.send(&juliet, refusal);
        let came = romeo.stanzas();
        assert!(
            came.iter().any(|stanza| stanza.contains("unsubscribed")),
            "{came:#?}"
        );
        assert!(
            came.iter().all(|stanza| !stanza.contains("balcony")),
            "{came:#?}"
        );
    }
}

#[test]
fn an_account_without_a_vcard_looks_like_no_account() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let mut ask = |name: &str| {
        world.send(
            &romeo,
            &format!(
                "<iq type='get' id='v' to='{name}@localhost'><vCard xmlns='vcard-temp'/></iq>"
            ),
        );
        romeo.stanza().replace(name, "NAME")
    };
    assert_eq!(ask("juliet"), ask("nobody"));
}

#[test]
fn a_request_to_see_nobody_is_ignored() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    world.send(&romeo, "<presence type='subscribe' to='nobody@localhost'/>");
    assert!(romeo.stanza().contains("ask=\"subscribe\""));
}

#[test]
fn nobody_but_the_server_pushes() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    for push in [
        "<query xmlns='jabber:iq:roster'><item jid='evil@localhost' subscription='both'/></query>",
        "<block xmlns='urn:xmpp:blocking'><item jid='nurse@localhost'/></block>",
        "<unblock xmlns='urn:xmpp:blocking'/>",
    ] {
        let to = "juliet@localhost/balcony";
        world.send(
            &romeo,
            &format!("<iq type='set' id='p' to='{to}'>{push}</iq>"),
        );
        juliet.nothing();
        assert!(romeo.stanza().contains("service-unavailable"));
    }
}

#[test]
fn every_stamp_in_another_name_is_taken_out() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    let delay = |from: &str| {
        format!("<delay xmlns='urn:xmpp:delay' from='{from}' stamp='1999-01-01T00:00:00Z'/>")
    };
    for copies in 0..5 {
        let forged = delay("localhost").repeat(copies);
        let own = delay("romeo@localhost/orchard");
        world.send(
            &romeo,
            &format!(
                "<message to='juliet@localhost'>{forged}<body>x</body>{own}{forged}</message>"
            ),
        );
        let came = juliet.stanza();
        assert_eq!(came.matches("urn:xmpp:delay").count(), 1, "{came}");
        assert!(
            came.contains("from=\"romeo@localhost/orchard\" stamp"),
            "{came}"
        );
    }
}

const BLOCK: &str = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>\
                     <item jid='romeo@localhost'/></block></iq>";
const UNBLOCK: &str = "<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'/></iq>";

#[test]
fn what_a_blocked_contact_asked_or_wrote_before_is_not_heard() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    world.send(&romeo, "<presence type='subscribe' to='juliet@localhost'/>");
    world.send(
        &romeo,
        "<message to='juliet@localhost'><body>x</body></message>",
    );
    let juliet = world.bind("juliet", "balcony");
    world.send(&juliet, BLOCK);
    juliet.stanzas();
    world.send(&juliet, "<presence/>");
    let came = juliet.stanzas();
    assert!(
        came.iter().all(|stanza| !stanza.contains("from=\"romeo@")),
        "{came:#?}"
    );
}

#[test]
fn a_blocked_contact_that_unsubscribes_is_off_the_list_of_those_who_see() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    world.send(&juliet, BLOCK);
    juliet.stanzas();
    world.send(
        &romeo,
        "<presence type='unsubscribe' to='juliet@localhost'/>",
    );
    let push = juliet.stanza();
    assert!(push.contains("subscription=\"to\""), "{push}");
    romeo.stanzas();
    world.send(&juliet, UNBLOCK);
    romeo.nothing();
}

#[test]
fn who_is_not_blocked_any_more_is_seen_again() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.befriend(&romeo, &juliet);
    world.send(&juliet, BLOCK);
    world.send(&romeo, "<presence><show>away</show></presence>");
    let came = juliet.stanzas();
    assert!(
        came.iter().all(|stanza| !stanza.contains("away")),
        "{came:#?}"
    );
    world.send(&juliet, UNBLOCK);
    let came = juliet.stanzas();
    assert!(
        came.iter().any(|stanza| stanza.contains("away")),
        "{came:#?}"
    );
}

#[test]
fn who_saw_directed_presence_sees_it_end_when_blocked() {
    let mut world = World::with(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    world.send(&juliet, "<presence to='romeo@localhost/orchard'/>");
    romeo.stanzas();
    world.send(&juliet, BLOCK);
    assert!(romeo.stanza().contains("type=\"unavailable\""));
    world.leave(&juliet);
    romeo.nothing();
}
