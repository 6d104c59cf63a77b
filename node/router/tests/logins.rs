//! Logins ask for an account's keys: after one read of the store, wherever the account is.

mod support;

use std::sync::Arc;

use rookery_router::RouterOptions;
use rookery_session::carrier::{AdminAnswer, AdminQuestion, Answer, Question};
use rookery_store::StoreError;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::scram::Credentials;
use support::{World, jid};

fn keys_of(name: &str) -> Question {
    Question::Credentials {
        account: jid(&format!("{name}@localhost")),
    }
}

fn keys(answer: Option<Answer>) -> Option<Arc<Credentials>> {
    match answer {
        Some(Answer::Credentials(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_login_waits_for_the_store_wherever_its_account_is() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    world.hold_loads = true;
    let logins = ["juliet", "romeo", "nobody"].map(|name| world.ask_later(keys_of(name)));
    let again = world.ask_later(keys_of("juliet"));
    for login in logins.iter().chain([&again]) {
        assert!(login.answer().is_none());
    }
    // The account itself waits for nothing.
    world.send(
        &juliet,
        "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert!(juliet.stanza().contains("result"));
    world.release();
    let known = logins.map(|login| keys(login.answer()).is_some());
    assert_eq!(known, [true, true, false]);
    assert!(keys(again.answer()).is_some());
}

#[test]
fn a_login_gets_the_keys_that_the_account_has_by_then() {
    let mut world = World::with(&["juliet"]);
    world.online("juliet", "balcony");
    world.hold_loads = true;
    let login = world.ask_later(keys_of("juliet"));
    let set = AdminQuestion::SetPassword {
        account: jid("juliet@localhost"),
        password: "wherefore art thou".to_owned(),
    };
    let answer = world.ask(Question::Admin(set));
    assert!(matches!(answer, Some(Answer::Admin(AdminAnswer::Done))));
    world.release();
    let keys = keys(login.answer()).expect("keys");
    assert!(keys.verify_password("wherefore art thou"));
}

#[test]
fn a_store_that_fails_or_is_slow_keeps_nobody_out_who_is_in_memory() {
    let mut world = World::with(&["juliet"]);
    world.online("juliet", "balcony");
    world.store_fails = Some(StoreError::Busy);
    world.reads_fail = true;
    assert!(keys(world.ask(keys_of("juliet"))).is_some());
    world.store_fails = None;
    world.hold_loads = true;
    let login = world.ask_later(keys_of("juliet"));
    world.tick();
    assert!(keys(login.answer()).is_some());
    world.release();
    assert!(login.answer().is_none(), "it is answered once");
    assert!(keys(world.ask(keys_of("juliet"))).is_some());
}

#[test]
fn an_account_stays_until_its_logins_are_answered() {
    let options = RouterOptions {
        account_idle_s: 0,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["juliet"], options);
    assert!(keys(world.ask(keys_of("juliet"))).is_some());
    world.hold_loads = true;
    let login = world.ask_later(keys_of("juliet"));
    // A tick comes half a second later.
    world.now = Timestamp(world.now.0 - 500);
    world.tick();
    world.release();
    assert!(keys(login.answer()).is_some());
}

#[test]
fn a_login_to_an_account_that_is_deleted_meanwhile_is_answered() {
    let mut world = World::with(&["juliet"]);
    world.online("juliet", "balcony");
    world.hold_loads = true;
    let login = world.ask_later(keys_of("juliet"));
    let delete = AdminQuestion::DeleteAccount {
        account: jid("juliet@localhost"),
        now: true,
    };
    world.ask(Question::Admin(delete));
    assert!(keys(login.answer()).is_none());
}
