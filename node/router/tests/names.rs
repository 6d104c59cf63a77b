//! Names: who may register which, and what is left of a deleted account.

mod support;

use rookery_control::{NameKind, NameOptions, RegistrationRefused, TombstoneSetting};
use rookery_session::carrier::{AdminAnswer, AdminQuestion, Answer, Question};
use support::{World, jid};

fn create(world: &mut World, name: &str, force: bool) -> AdminAnswer {
    let question = AdminQuestion::CreateAccount {
        account: jid(&format!("{name}@localhost")),
        password: "Calliope".into(),
        force,
    };
    match world.ask(Question::Admin(question)) {
        Some(Answer::Admin(answer)) => answer,
        answer => panic!("{answer:?}"),
    }
}

fn options(tombstones: TombstoneSetting) -> NameOptions {
    NameOptions {
        tombstones,
        ..NameOptions::default()
    }
}

fn delete(world: &mut World, name: &str) {
    let account = jid(&format!("{name}@localhost"));
    let answer = world.ask(Question::Admin(AdminQuestion::DeleteAccount {
        account,
        now: true,
    }));
    assert!(
        matches!(answer, Some(Answer::Admin(AdminAnswer::Done))),
        "{answer:?}"
    );
}

/// What a client hears, by the words that each stanza has.
fn heard(all: &[String], words: &[&str]) -> bool {
    let has = |stanza: &&String| words.iter().all(|word| stanza.contains(word));
    all.iter().any(|stanza| has(&stanza))
}

#[test]
fn a_stranger_does_not_get_a_name_that_looks_like_another_and_is_not_told_which() {
    let mut world = World::with(&["olga"]);
    for name in ["0lga", "оlga"] {
        let answer = world.register(name, "Calliope");
        assert!(answer.contains("not-acceptable"), "{answer}");
        assert!(answer.contains("looks too much like"), "{answer}");
        assert!(!answer.contains("olga@"), "{answer}");
    }
    assert_eq!(world.reserved, 0, "the places were given back");
    assert!(
        world
            .register("igor", "Calliope")
            .contains("type=\"result\"")
    );
    let confusable = false;
    world.set_names(NameOptions {
        confusable,
        ..NameOptions::default()
    });
    assert!(
        world
            .register("0lga", "Calliope")
            .contains("type=\"result\"")
    );
}

#[test]
fn a_reserved_name_is_refused_before_anything_is_derived() {
    let mut world = World::with(&[]);
    world.throttle = Some(RegistrationRefused::Name(NameKind::Reserved));
    let answer = world.register("admin", "Calliope");
    assert!(answer.contains("not-acceptable") && answer.contains("type=\"modify\""));
    assert!(answer.contains("is reserved"), "{answer}");
}

#[test]
fn the_operator_is_held_to_the_rules_unless_he_insists() {
    let mut world = World::with(&["olga"]);
    let refused = create(&mut world, "0lga", false);
    let AdminAnswer::Invalid(why) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("olga") && why.contains("--force"), "{why}");
    assert!(matches!(
        create(&mut world, "0lga", true),
        AdminAnswer::Done
    ));
    world.withheld = Some(("admin".to_owned(), NameKind::Reserved));
    let refused = create(&mut world, "admin", false);
    let AdminAnswer::Invalid(why) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("`admin`") && why.contains("--force"), "{why}");
    assert!(matches!(
        create(&mut world, "admin", true),
        AdminAnswer::Done
    ));
}

#[test]
fn the_name_of_a_deleted_account_is_withheld_and_taken_for_one_that_exists() {
    let mut world = World::with(&["juliet"]);
    world.set_names(options(TombstoneSetting::Days(1)));
    delete(&mut world, "juliet");
    let answer = world.register("juliet", "Calliope");
    assert!(
        answer.contains("conflict") && !answer.contains("gone"),
        "{answer}"
    );
    let AdminAnswer::Invalid(why) = create(&mut world, "juliet", false) else {
        panic!("she is created again")
    };
    assert!(why.contains("gone"), "{why}");
    world.now = world.now.plus(std::time::Duration::from_secs(86_400));
    assert!(
        world
            .register("juliet", "Calliope")
            .contains("type=\"result\"")
    );
}

#[test]
fn who_writes_to_a_deleted_account_or_shows_himself_to_it_is_told_that_it_is_gone() {
    let mut world = World::with(&["juliet", "romeo"]);
    world.set_names(options(TombstoneSetting::Forever));
    let romeo = world.online("romeo", "orchard");
    delete(&mut world, "juliet");
    let (error, from) = ("type=\"error\"", "from=\"juliet@localhost");
    for stanza in [
        "<message to='juliet@localhost' id='m'><body>x</body></message>",
        "<iq to='juliet@localhost' type='get' id='i'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        world.send(&romeo, stanza);
        let came = romeo.stanzas();
        assert!(heard(&came, &["<gone ", error, from]), "{came:#?}");
    }
    world.send(&romeo, "<presence to='juliet@localhost' type='subscribe'/>");
    let came = romeo.stanzas();
    assert!(heard(&came, &["type=\"unsubscribed\"", from]), "{came:#?}");
    world.send(&romeo, "<presence to='juliet@localhost' type='probe'/>");
    world.send(&romeo, "<presence to='juliet@localhost/balcony'/>");
    world.tick();
    let romeo_again = world.online_with_log("romeo", "street");
    assert!(!heard(&romeo_again, &["<gone "]), "{romeo_again:#?}");
    let answer = world.ask(Question::Credentials {
        account: jid("juliet@localhost"),
    });
    assert!(
        matches!(answer, Some(Answer::Credentials(None))),
        "a login learns nothing: {answer:?}"
    );
    world.lift_tombstone("juliet");
    world.send(
        &romeo,
        "<message to='juliet@localhost' id='n'><body>x</body></message>",
    );
    let came = romeo.stanzas();
    assert!(heard(&came, &["service-unavailable"]), "{came:#?}");
}

#[test]
fn a_contact_that_heard_nothing_of_the_deletion_is_unsubscribed_by_its_own_probe() {
    let mut world = World::with(&["juliet", "romeo"]);
    world.set_names(options(TombstoneSetting::Forever));
    let (juliet, romeo) = (
        world.online("juliet", "balcony"),
        world.online("romeo", "orchard"),
    );
    world.befriend(&juliet, &romeo);
    world.leave(&juliet);
    world.leave(&romeo);
    world.bury("juliet");
    world.restart();
    let romeo = world.bind("romeo", "street");
    world.send(
        &romeo,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    world.send(&romeo, "<presence/>");
    let came = romeo.stanzas();
    assert!(
        heard(&came, &["subscription=\"none\"", "juliet@localhost"]),
        "{came:#?}"
    );
}

#[test]
fn without_being_told_senders_hear_what_they_hear_of_every_missing_name() {
    let mut world = World::with(&["juliet", "romeo"]);
    let gone_told = false;
    world.set_names(NameOptions {
        gone_told,
        ..options(TombstoneSetting::Forever)
    });
    let romeo = world.online("romeo", "orchard");
    delete(&mut world, "juliet");
    world.send(
        &romeo,
        "<message to='juliet@localhost' id='m'><body>x</body></message>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
}
