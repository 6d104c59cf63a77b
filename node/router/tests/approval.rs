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

fn login(world: &mut World, name: &str) -> Answer {
    let account = jid(&format!("{name}@localhost"));
    let answer = world.ask(Question::Credentials { account });
    answer.expect("it is answered")
}

#[test]
fn a_registration_that_needs_approval_says_so_before_it_is_made_and_is_answered_like_any_other() {
    let mut world = world();
    let form = world.registration("get", "");
    assert!(form.contains("a moderator has approved"), "{form}");
    let answer = world.register("juliet", "Calliope");
    assert!(
        answer.contains("type=\"result\"") && !answer.contains("<query"),
        "{answer}"
    );
    assert_eq!(world.reserved, 0, "its place is kept");
    let since = world.now;
    assert_eq!(world.standing("juliet"), Some(Standing::Awaiting { since }));
    world.approval = false;
    let form = world.registration("get", "");
    assert!(!form.contains("moderator"), "{form}");
    world.register("romeo", "Calliope");
    assert_eq!(world.standing("romeo"), Some(Standing::Member));
    assert_eq!(world.standing("juliet"), Some(Standing::Awaiting { since }));
}

#[test]
fn nobody_logs_in_before_the_approval_and_everybody_after_it() {
    let mut world = world();
    world.register("juliet", "Calliope");
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
    world.register("juliet", "Calliope");
    assert!(world.register("juliet", "Calliope").contains("conflict"));
    let answer = world.register("ju1iet", "Calliope");
    assert!(answer.contains("looks too much like"), "{answer}");
    world.moderate("juliet", Moderation::Deny { tombstone: false });
    assert!(world.register("juliet", "Calliope").contains("result"));
    world.moderate("juliet", Moderation::Deny { tombstone: true });
    assert!(world.register("juliet", "Calliope").contains("conflict"));
}

#[test]
fn an_operator_who_deletes_who_waits_denies_it() {
    let mut world = world();
    world.register("juliet", "Calliope");
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
    let answer = world.register("juliet", "Calliope");
    assert!(
        answer.contains("resource-constraint") && answer.contains("type=\"wait\""),
        "{answer}"
    );
    assert!(answer.contains("await approval"), "{answer}");
    assert_eq!(world.standing("juliet"), None);
}
