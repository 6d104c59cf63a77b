//! Registrations that a moderator has to approve.

mod support;

use rookery_control::{RegistrationRefused, WindowKind};
use rookery_session::carrier::{AdminAnswer, Answer, Barred, Moderation, Question};
use rookery_store::standing::Standing;
use support::{World, jid};

fn world() -> World {
    let mut world = World::with(&[]);
    world.approval = true;
    world
}

fn ask(world: &mut World, kind: &str, fields: &str) -> String {
    let iq =
        format!("<iq type='{kind}' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>");
    let question = Question::Register {
        host: "localhost".into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        iq: support::canonical(&iq).into(),
        invite: None,
    };
    match world.ask(question) {
        Some(Answer::Iq(answer)) => String::from_utf8_lossy(&answer).into_owned(),
        answer => panic!("{answer:?}"),
    }
}

fn register(world: &mut World, name: &str) -> String {
    let fields = format!("<username>{name}</username><password>Calliope</password>");
    ask(world, "set", &fields)
}

fn login(world: &mut World, name: &str) -> Answer {
    let account = jid(&format!("{name}@localhost"));
    let answer = world.ask(Question::Credentials { account });
    answer.expect("it is answered")
}

#[test]
fn a_registration_that_needs_approval_says_so_before_it_is_made_and_is_answered_like_any_other() {
    let mut world = world();
    let form = ask(&mut world, "get", "");
    assert!(form.contains("a moderator has approved"), "{form}");
    let answer = register(&mut world, "juliet");
    assert!(
        answer.contains("type=\"result\"") && !answer.contains("<query"),
        "{answer}"
    );
    assert_eq!(world.reserved, 0, "its place is kept");
    let since = world.now;
    assert_eq!(world.standing("juliet"), Some(Standing::Awaiting { since }));
    world.approval = false;
    let form = ask(&mut world, "get", "");
    assert!(!form.contains("moderator"), "{form}");
    register(&mut world, "romeo");
    assert_eq!(world.standing("romeo"), Some(Standing::Member));
    assert_eq!(world.standing("juliet"), Some(Standing::Awaiting { since }));
}

#[test]
fn nobody_logs_in_before_the_approval_and_everybody_after_it() {
    let mut world = world();
    register(&mut world, "juliet");
    let Answer::Barred(keys, Barred::AwaitsApproval) = login(&mut world, "juliet") else {
        panic!("it is not barred")
    };
    assert!(keys.verify_password("Calliope"));
    assert!(matches!(
        world.bind_answer("juliet", "balcony"),
        Some(Answer::Refused(_))
    ));
    let done = world.moderate("juliet", Moderation::Approve);
    assert!(matches!(done, AdminAnswer::Done), "{done:?}");
    assert!(matches!(
        login(&mut world, "juliet"),
        Answer::Credentials(Some(_))
    ));
    world.online("juliet", "balcony");
}

#[test]
fn the_name_of_who_waits_is_taken_and_is_free_when_it_was_denied() {
    let mut world = world();
    register(&mut world, "juliet");
    assert!(register(&mut world, "juliet").contains("conflict"));
    let answer = register(&mut world, "ju1iet");
    assert!(answer.contains("looks too much like"), "{answer}");
    world.moderate("juliet", Moderation::Deny { tombstone: false });
    assert!(register(&mut world, "juliet").contains("result"));
    world.moderate("juliet", Moderation::Deny { tombstone: true });
    assert!(register(&mut world, "juliet").contains("conflict"));
}

#[test]
fn an_operator_who_deletes_who_waits_denies_it() {
    let mut world = world();
    register(&mut world, "juliet");
    let done = world.delete("juliet", false);
    assert!(matches!(done, AdminAnswer::Done), "{done:?}");
    assert_eq!(world.standing("juliet"), None);
}

#[test]
fn who_finds_the_queue_full_hears_to_come_back() {
    let mut world = world();
    world.throttle = Some(RegistrationRefused::Throttled {
        window: WindowKind::Awaiting,
        retry_after_ms: 3_600_000,
    });
    let answer = register(&mut world, "juliet");
    assert!(
        answer.contains("resource-constraint") && answer.contains("type=\"wait\""),
        "{answer}"
    );
    assert!(answer.contains("await approval"), "{answer}");
    assert_eq!(world.standing("juliet"), None);
}
