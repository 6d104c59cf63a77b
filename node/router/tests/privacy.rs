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
