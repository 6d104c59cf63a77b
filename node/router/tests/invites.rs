//! Invitations: who shows a token, and what becomes of it.

mod support;

use rookery_control::{InviteKind, InviteTerms, RegistrationRefused};
use rookery_session::carrier::{AdminQuestion, Answer, Question, ShownToken};
use rookery_xmpp::clock::Timestamp;
use support::{World, jid};

/// What a stranger is answered, who has shown this token.
fn ask(world: &mut World, payload: &str, token: Option<&str>) -> String {
    let iq = format!("<iq type='set' id='r'>{payload}</iq>");
    let question = Question::Register {
        host: "localhost".into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        iq: support::canonical(&iq).into(),
        invite: token.map(|token| ShownToken {
            token: token.into(),
            age_ms: 0,
        }),
    };
    match world.ask(question) {
        Some(Answer::Iq(answer)) => String::from_utf8_lossy(&answer).into_owned(),
        answer => panic!("{answer:?}"),
    }
}

fn register(world: &mut World, name: &str, token: Option<&str>) -> String {
    let payload = format!(
        "<query xmlns='jabber:iq:register'><username>{name}</username><password>Calliope</password></query>"
    );
    ask(world, &payload, token)
}

fn show(world: &mut World, token: &str) -> String {
    let payload = format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>");
    ask(world, &payload, Some(token))
}

fn terms(kind: InviteKind, by: Option<&str>) -> InviteTerms {
    InviteTerms {
        kind,
        host: "localhost".into(),
        by: by.map(str::to_owned),
        name: None,
        expires: Timestamp(u64::MAX),
    }
}

fn good(answer: &str) -> bool {
    answer.contains("type=\"result\"")
}

#[test]
fn whoever_shows_a_good_token_registers_and_others_are_told_what_they_need() {
    let mut world = World::with(&[]);
    world.throttle = Some(RegistrationRefused::InviteNeeded);
    world.invited = Some(terms(InviteKind::Account, None));
    let refused = register(&mut world, "olga", None);
    assert!(
        refused.contains("not-allowed") && refused.contains("needs an invitation"),
        "{refused}"
    );
    for wrong in ["", "guess"] {
        assert!(show(&mut world, wrong).contains("item-not-found"));
        assert!(register(&mut world, "olga", Some(wrong)).contains("item-not-found"));
    }
    let without = ask(&mut world, "<preauth xmlns='urn:xmpp:pars:0'/>", None);
    assert!(without.contains("item-not-found"), "{without}");
    assert!(good(&show(&mut world, "good")));
    assert_eq!(world.reserved, 0, "looking takes nothing");
    assert!(good(&register(&mut world, "olga", Some("good"))));
    assert!(register(&mut world, "olga", Some("good")).contains("conflict"));
    assert_eq!(world.reserved, 0, "committed, and given back");
}

#[test]
fn an_invitation_ends_with_the_account_that_made_it() {
    let mut world = World::with(&["romeo", "mercutio"]);
    for gone in ["tybalt", "mercutio"] {
        let enabled = AdminQuestion::SetEnabled {
            account: jid("mercutio@localhost"),
            enabled: false,
        };
        world.ask(Question::Admin(enabled));
        let by = format!("{gone}@localhost");
        world.invited = Some(terms(InviteKind::Account, Some(&by)));
        assert!(
            show(&mut world, "good").contains("item-not-found"),
            "{gone}"
        );
        assert!(register(&mut world, "juliet", Some("good")).contains("item-not-found"));
        assert_eq!(world.reserved, 0, "given back");
    }
    world.invited = Some(terms(InviteKind::Account, Some("romeo@localhost")));
    assert!(good(&show(&mut world, "good")));
    assert!(good(&register(&mut world, "juliet", Some("good"))));
}
