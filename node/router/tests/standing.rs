//! Accounts that are not in use: they leave, and are restored or deleted; or await approval.

mod support;

use std::time::Duration;

use rookery_control::{NameOptions, TombstoneSetting};
use rookery_session::carrier::{AdminAnswer, Answer, Barred, Moderation, Question};
use rookery_store::StoreError;
use rookery_store::standing::{Remover, Standing};
use rookery_xmpp::clock::Timestamp;
use support::{Client, World, jid};

const REMOVE: &str =
    "<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>";

const HOUR_MS: u32 = 3_600_000;

/// The sweeper comes by; nobody has awaited approval for too long.
const SWEEP: Moderation = Moderation::EndDue {
    awaiting_before: Timestamp(0),
};

/// Juliet and Romeo are friends, and both online.
fn friends() -> (World, Client, Client) {
    let mut world = World::with(&["juliet", "romeo"]);
    world.set_grace(HOUR_MS);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.befriend(&romeo, &juliet);
    (world, juliet, romeo)
}

fn later(world: &mut World, ms: u32) {
    world.now = world.now.plus(Duration::from_millis(ms.into()));
}

fn login(world: &mut World, name: &str) -> Answer {
    let account = jid(&format!("{name}@localhost"));
    let answer = world.ask(Question::Credentials { account });
    answer.expect("it is answered")
}

/// What a client heard, by the words that each stanza has.
fn heard(all: &[String], words: &[&str]) -> bool {
    let has = |stanza: &&String| words.iter().all(|word| stanza.contains(word));
    all.iter().any(|stanza| has(&stanza))
}

fn message(text: &str) -> String {
    format!("<message to='juliet@localhost' type='chat' id='{text}'><body>{text}</body></message>")
}

#[test]
fn who_removes_the_own_account_is_offline_for_contacts_and_can_be_restored_with_all_that_was_there()
{
    let (mut world, juliet, romeo) = friends();
    world.send(
        &juliet,
        "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard></iq>",
    );
    world.send(&juliet, REMOVE);
    let came = juliet.stanzas();
    assert!(
        heard(&came, &["id=\"bye\"", "type=\"result\""]),
        "{came:#?}"
    );
    let closed = juliet.closed_with().expect("it is closed");
    assert!(closed.contains("not-authorized"), "{closed}");
    let came = romeo.stanzas();
    assert!(heard(&came, &["type=\"unavailable\""]), "{came:#?}");
    assert!(!heard(&came, &["subscribe"]), "{came:#?}");
    let by = Remover::Owner;
    let (since, until) = (world.now, world.now.plus(Duration::from_secs(3_600)));
    let leaving = Standing::Leaving { since, until, by };
    assert_eq!(world.standing("juliet"), Some(leaving));

    later(&mut world, HOUR_MS - 1);
    let stays = world.moderate("juliet", SWEEP);
    assert!(matches!(stays, AdminAnswer::Invalid(_)), "{stays:?}");
    let done = world.moderate("juliet", Moderation::Restore);
    assert!(matches!(done, AdminAnswer::Done), "{done:?}");
    assert!(matches!(
        login(&mut world, "juliet"),
        Answer::Credentials(Some(_))
    ));
    let juliet = world.online("juliet", "balcony");
    let came = romeo.stanzas();
    assert!(
        heard(&came, &["<presence", "juliet@localhost/balcony"]),
        "{came:#?}"
    );
    world.send(&romeo, &message("again"));
    assert!(juliet.stanza().contains("again"));
    world.send(
        &juliet,
        "<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>",
    );
    assert!(juliet.stanza().contains("<FN>Juliet</FN>"));
}

#[test]
fn nothing_is_stored_for_an_account_that_leaves_and_its_senders_are_told() {
    let (mut world, juliet, romeo) = friends();
    world.send(&juliet, REMOVE);
    romeo.stanzas();
    for stanza in [
        message("lost"),
        "<message to='juliet@localhost/balcony' type='chat'><body>x</body></message>".to_owned(),
        "<iq to='juliet@localhost' type='get' id='i'><vCard xmlns='vcard-temp'/></iq>".to_owned(),
    ] {
        world.send(&romeo, &stanza);
        let came = romeo.stanza();
        assert!(came.contains("service-unavailable"), "{came}");
    }
    world.send(
        &romeo,
        "<message to='juliet@localhost' type='headline'><body>x</body></message>",
    );
    world.send(&romeo, "<presence to='juliet@localhost' type='probe'/>");
    let came = romeo.stanzas();
    assert!(!heard(&came, &["unsubscribed"]), "{came:#?}");
    assert_eq!(world.log("juliet").len(), 0);
    world.moderate("juliet", Moderation::Restore);
    let came = world.online_with_log("juliet", "balcony");
    assert!(!heard(&came, &["<body>"]), "{came:#?}");
}

#[test]
fn a_login_is_told_why_only_with_the_right_password() {
    let (mut world, juliet, _) = friends();
    world.send(&juliet, REMOVE);
    let answer = login(&mut world, "juliet");
    let Answer::Barred(keys, Barred::Leaves) = answer else {
        panic!("{answer:?}")
    };
    assert!(keys.verify_password("secret"), "the salt stays what it was");
    let refused = world.bind_answer("juliet", "balcony");
    assert!(matches!(refused, Some(Answer::Refused(_))), "{refused:?}");
    let since = world.now;
    world.set_standing("romeo", Standing::Awaiting { since });
    world.restart();
    let answer = login(&mut world, "romeo");
    assert!(
        matches!(answer, Answer::Barred(_, Barred::AwaitsApproval)),
        "{answer:?}"
    );
}

#[test]
fn a_name_is_not_free_while_its_account_leaves() {
    let (mut world, juliet, _) = friends();
    world.send(&juliet, REMOVE);
    for force in [false, true] {
        let question = rookery_session::carrier::AdminQuestion::CreateAccount {
            account: jid("juliet@localhost"),
            password: "Calliope".into(),
            force,
        };
        let answer = world.ask(Question::Admin(question));
        assert!(
            matches!(answer, Some(Answer::Admin(AdminAnswer::AlreadyExists))),
            "{answer:?}"
        );
    }
}

#[test]
fn at_the_end_of_its_grace_contacts_are_unsubscribed_and_the_name_becomes_a_tombstone() {
    let (mut world, juliet, romeo) = friends();
    world.set_names(NameOptions {
        tombstones: TombstoneSetting::Forever,
        ..NameOptions::default()
    });
    world.send(&juliet, REMOVE);
    romeo.stanzas();
    later(&mut world, HOUR_MS);
    let done = world.moderate("juliet", SWEEP);
    assert!(matches!(done, AdminAnswer::Done), "{done:?}");
    let came = romeo.stanzas();
    for step in ["type=\"unsubscribe\"", "type=\"unsubscribed\""] {
        assert!(heard(&came, &[step]), "{step}: {came:#?}");
    }
    assert_eq!(world.standing("juliet"), None);
    world.send(&romeo, &message("late"));
    assert!(romeo.stanza().contains("<gone "));
    assert!(matches!(
        login(&mut world, "juliet"),
        Answer::Credentials(None)
    ));
    let again = world.moderate("juliet", SWEEP);
    assert!(matches!(again, AdminAnswer::NotFound), "{again:?}");
}

#[test]
fn contacts_are_told_before_the_roster_is_gone_and_again_after_a_crash() {
    let (mut world, juliet, romeo) = friends();
    world.send(&juliet, REMOVE);
    romeo.stanzas();
    later(&mut world, HOUR_MS);
    // The deletion does not come through: the machine dies behind the words to contacts.
    world.store_fails = Some(StoreError::Unavailable("it died".into()));
    let answer = world.ask(Question::Admin(
        rookery_session::carrier::AdminQuestion::Moderate {
            account: jid("juliet@localhost"),
            step: SWEEP,
        },
    ));
    assert!(matches!(answer, Some(Answer::Unavailable)), "{answer:?}");
    world.store_fails = None;
    assert!(world.standing("juliet").is_some_and(Standing::is_leaving));
    world.restart();
    let done = world.moderate("juliet", SWEEP);
    assert!(matches!(done, AdminAnswer::Done), "{done:?}");
    assert_eq!(world.standing("juliet"), None);
    let romeo = world.bind("romeo", "street");
    world.send(
        &romeo,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    let came = romeo.stanzas();
    assert!(heard(&came, &["subscription=\"none\""]), "{came:#?}");
}

#[test]
fn an_operator_deletes_with_grace_or_at_once() {
    let (mut world, juliet, romeo) = friends();
    let answer = world.delete("juliet", false);
    let until = world.now.plus(Duration::from_secs(3_600));
    assert!(
        matches!(answer, AdminAnswer::Leaving(at) if at == until),
        "{answer:?}"
    );
    assert!(juliet.closed_with().is_some());
    later(&mut world, 5);
    let answer = world.delete("juliet", false);
    assert!(
        matches!(answer, AdminAnswer::Leaving(at) if at == until),
        "asking again makes it stay no longer: {answer:?}"
    );
    romeo.stanzas();
    let answer = world.delete("juliet", true);
    assert!(matches!(answer, AdminAnswer::Done), "{answer:?}");
    assert_eq!(world.standing("juliet"), None);
    assert!(heard(&romeo.stanzas(), &["type=\"unsubscribed\""]));
    let answer = world.delete("juliet", true);
    assert!(matches!(answer, AdminAnswer::NotFound), "{answer:?}");
}

#[test]
fn without_a_grace_an_account_is_gone_at_once_and_its_owner_is_answered() {
    let (mut world, juliet, romeo) = friends();
    world.set_grace(0);
    world.send(&juliet, REMOVE);
    assert!(heard(&juliet.stanzas(), &["type=\"result\""]));
    let came = romeo.stanzas();
    world.tick();
    assert_eq!(
        world.standing("juliet"),
        None,
        "romeo's client has read all"
    );
    for step in ["unavailable", "unsubscribe", "unsubscribed"] {
        let step = format!("type=\"{step}\"");
        assert!(heard(&came, &[&step]), "{step}: {came:#?}");
    }
}

#[test]
fn who_unsubscribes_from_an_account_that_leaves_stays_so_when_it_is_restored() {
    let (mut world, juliet, romeo) = friends();
    world.send(&juliet, REMOVE);
    world.send(
        &romeo,
        "<presence to='juliet@localhost' type='unsubscribe'/>",
    );
    world.moderate("juliet", Moderation::Restore);
    let juliet = world.bind("juliet", "balcony");
    world.send(
        &juliet,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    let came = juliet.stanzas();
    assert!(
        heard(&came, &["romeo@localhost", "subscription=\"to\""]),
        "{came:#?}"
    );
}

#[test]
fn an_account_that_was_disabled_is_disabled_when_it_is_restored() {
    let (mut world, _, _) = friends();
    let disable = rookery_session::carrier::AdminQuestion::SetEnabled {
        account: jid("juliet@localhost"),
        enabled: false,
    };
    world.ask(Question::Admin(disable));
    world.delete("juliet", false);
    let is_locked = |world: &mut World| match login(world, "juliet") {
        Answer::Credentials(Some(keys)) => !keys.verify_password("secret"),
        other => panic!("{other:?}"),
    };
    assert!(
        is_locked(&mut world),
        "a disabled account tells nobody that it leaves"
    );
    world.moderate("juliet", Moderation::Restore);
    assert!(is_locked(&mut world));
}

#[test]
fn a_removal_that_the_store_refuses_changes_nothing() {
    let (mut world, juliet, _) = friends();
    world.store_fails = Some(StoreError::Full);
    world.send(&juliet, REMOVE);
    let came = juliet.stanza();
    assert!(came.contains("resource-constraint"), "{came}");
    assert_eq!(juliet.closed_with(), None);
    assert_eq!(world.standing("juliet"), Some(Standing::Member));
}

#[test]
fn to_strangers_an_account_that_awaits_approval_is_none() {
    let mut world = World::with(&["juliet", "romeo"]);
    let since = world.now;
    world.set_standing("juliet", Standing::Awaiting { since });
    let romeo = world.online("romeo", "orchard");
    world.send(&romeo, &message("early"));
    assert!(romeo.stanza().contains("service-unavailable"));
    world.send(&romeo, "<presence to='juliet@localhost' type='subscribe'/>");
    romeo.stanzas();
    world.send(
        &romeo,
        "<iq to='juliet@localhost' type='get' id='i'><vCard xmlns='vcard-temp'/></iq>",
    );
    assert!(romeo.stanza().contains("service-unavailable"));
    world.moderate("juliet", Moderation::Approve);
    let came = world.online_with_log("juliet", "balcony");
    assert!(!heard(&came, &["romeo@localhost"]), "{came:#?}");
    let answer = world.moderate("juliet", Moderation::Approve);
    assert!(matches!(answer, AdminAnswer::Invalid(_)), "{answer:?}");
}

#[test]
fn a_registration_that_is_denied_or_forgotten_leaves_its_name_free_unless_it_is_withheld() {
    let mut world = World::with(&[]);
    let since = world.now;
    for (step, tombstone) in [
        (Moderation::Deny { tombstone: false }, false),
        (Moderation::Deny { tombstone: true }, true),
        (
            Moderation::EndDue {
                awaiting_before: Timestamp(since.0 + 1),
            },
            false,
        ),
    ] {
        world.create("juliet");
        world.set_standing("juliet", Standing::Awaiting { since });
        let early = Moderation::EndDue {
            awaiting_before: since,
        };
        let stays = world.moderate("juliet", early);
        assert!(matches!(stays, AdminAnswer::Invalid(_)), "{stays:?}");
        let done = world.moderate("juliet", step);
        assert!(matches!(done, AdminAnswer::Done), "{done:?}");
        assert_eq!(world.standing("juliet"), None);
        if tombstone {
            world.lift_tombstone("juliet");
        }
    }
}

#[test]
fn nothing_is_done_about_an_account_that_is_in_use() {
    let mut world = World::with(&["juliet"]);
    for step in [
        Moderation::Restore,
        Moderation::Approve,
        Moderation::Deny { tombstone: true },
        Moderation::EndDue {
            awaiting_before: Timestamp(u64::MAX),
        },
    ] {
        let answer = world.moderate("juliet", step);
        assert!(matches!(answer, AdminAnswer::Invalid(_)), "{answer:?}");
        assert_eq!(world.standing("juliet"), Some(Standing::Member));
    }
}

#[test]
fn a_contact_whose_client_reads_nothing_holds_up_no_deletion_for_long() {
    let (mut world, juliet, romeo) = friends();
    world.set_grace(0);
    world.send(&juliet, REMOVE);
    world.tick();
    assert!(
        world.standing("juliet").is_some_and(Standing::is_leaving),
        "it is not deleted before its contacts were told"
    );
    let again = world.moderate("juliet", Moderation::Restore);
    let AdminAnswer::Invalid(why) = again else {
        panic!("{again:?}")
    };
    assert!(why.contains("being deleted"), "{why}");
    for _ in 0..5 {
        world.tick();
    }
    assert_eq!(world.standing("juliet"), None);
    assert!(heard(&romeo.stanzas(), &["type=\"unsubscribed\""]));
}
