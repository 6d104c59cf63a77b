//! Binding, conflicts, limits, and the end of sessions and accounts.

mod support;

use rookery_router::RouterOptions;
use rookery_router::options::ResourceConflict;
use rookery_session::carrier::{AdminAnswer, AdminQuestion, Answer, Question, ShardId};
use rookery_store::StoreError;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};
use support::invites::no_quorum;
use support::{World, jid};

#[test]
fn a_newcomer_replaces_the_older_session_of_its_resource() {
    let mut world = World::with(&["juliet"]);
    let old = world.online("juliet", "balcony");
    let new = world.bind("juliet", "balcony");
    assert!(
        old.closed_with()
            .is_some_and(|error| error.contains("conflict"))
    );
    world.send(
        &old,
        "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    old.nothing();
    world.send(
        &new,
        "<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert!(new.stanza().contains("result"));
}

#[test]
fn what_a_replaced_session_wrote_to_others_still_goes_out() {
    let mut world = World::with(&["juliet", "romeo"]);
    let romeo = world.online("romeo", "orchard");
    let old = world.online("juliet", "balcony");
    let _new = world.bind("juliet", "balcony");
    world.send_all(
        &old,
        &[
            "<message to='romeo@localhost'><body>the last word</body></message>",
            "<presence to='romeo@localhost'/>",
        ],
    );
    assert!(romeo.stanza().contains("the last word"));
    romeo.nothing();
    world.ask(Question::Admin(AdminQuestion::SetEnabled {
        account: jid("juliet@localhost"),
        enabled: false,
    }));
    world.send(
        &old,
        "<message to='romeo@localhost'><body>too late</body></message>",
    );
    romeo.nothing();
}

#[test]
fn the_conflict_policy_can_refuse_or_rename() {
    for policy in [ResourceConflict::Refuse, ResourceConflict::Rename] {
        let options = RouterOptions {
            resource_conflict: policy,
            ..RouterOptions::default()
        };
        let mut world = World::with_options(&["juliet"], options);
        let old = world.bind("juliet", "balcony");
        let answer = world.bind_answer("juliet", "balcony");
        match (policy, answer) {
            (ResourceConflict::Refuse, Some(Answer::Refused(error))) => {
                assert_eq!(error.condition.as_str(), "conflict");
            }
            (ResourceConflict::Rename, Some(Answer::Bound(jid))) => {
                assert_ne!(jid.resource(), Some("balcony"));
            }
            (_, answer) => panic!("{policy:?}: {answer:?}"),
        }
        assert!(old.closed_with().is_none());
    }
}

#[test]
fn an_account_has_a_limited_number_of_sessions() {
    let options = RouterOptions {
        resources_max: 2,
        ..RouterOptions::default()
    };
    let mut world = World::with_options(&["juliet"], options);
    world.bind("juliet", "one");
    let two = world.bind("juliet", "two");
    let Some(Answer::Refused(error)) = world.bind_answer("juliet", "three") else {
        panic!("a third session was bound");
    };
    assert_eq!(error.condition.as_str(), "resource-constraint");
    world.leave(&two);
    world.bind("juliet", "three");
}

#[test]
fn an_account_that_does_not_exist_has_no_credentials_and_cannot_bind() {
    let mut world = World::with(&[]);
    let account = jid("nobody@localhost");
    let answer = world.ask(Question::Credentials { account });
    assert!(
        matches!(answer, Some(Answer::Credentials(None))),
        "{answer:?}"
    );
    assert!(matches!(
        world.bind_answer("nobody", "x"),
        Some(Answer::Refused(_))
    ));
}

#[test]
fn a_disabled_account_is_closed_and_looks_as_before_but_takes_no_password() {
    let mut world = World::with(&["juliet"]);
    let keys = |world: &mut World| {
        let account = jid("juliet@localhost");
        match world.ask(Question::Credentials { account }) {
            Some(Answer::Credentials(Some(keys))) => keys,
            other => panic!("{other:?}"),
        }
    };
    let before = keys(&mut world);
    let juliet = world.online("juliet", "balcony");
    let account = jid("juliet@localhost");
    let disable = AdminQuestion::SetEnabled {
        account: account.clone(),
        enabled: false,
    };
    let answer = world.ask(Question::Admin(disable));
    assert!(
        matches!(answer, Some(Answer::Admin(AdminAnswer::Done))),
        "{answer:?}"
    );
    assert!(
        juliet
            .closed_with()
            .is_some_and(|error| error.contains("not-authorized"))
    );
    let locked = keys(&mut world);
    assert_eq!(
        (&locked.sha256.salt, locked.sha256.iterations),
        (&before.sha256.salt, before.sha256.iterations),
        "a stranger sees no difference"
    );
    assert_ne!(locked.sha256.stored_key, before.sha256.stored_key);
    let enable = AdminQuestion::SetEnabled {
        account,
        enabled: true,
    };
    world.ask(Question::Admin(enable));
    assert_eq!(keys(&mut world), before);
}

#[test]
fn the_operator_sees_and_closes_sessions() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    let list = AdminQuestion::ListSessions {
        account: None,
        shard: ShardId(0),
    };
    let Some(Answer::Admin(AdminAnswer::Sessions(sessions))) = world.ask(Question::Admin(list))
    else {
        panic!("no list");
    };
    let jids: Vec<&str> = sessions
        .iter()
        .map(|session| session.jid.as_str())
        .collect();
    assert_eq!(
        jids,
        ["juliet@localhost/balcony", "romeo@localhost/orchard"]
    );
    let error = StreamError::new(StreamCondition::PolicyViolation);
    let close = AdminQuestion::CloseSessions {
        jid: jid("juliet@localhost/balcony"),
        error,
    };
    let answer = world.ask(Question::Admin(close));
    assert!(
        matches!(answer, Some(Answer::Admin(AdminAnswer::Closed(1)))),
        "{answer:?}"
    );
    assert!(
        juliet
            .closed_with()
            .is_some_and(|error| error.contains("policy-violation"))
    );
    assert!(romeo.closed_with().is_none());
}

#[test]
fn a_removed_account_is_gone_for_its_contacts_too() {
    let mut world = World::with(&["juliet", "romeo"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    world.befriend(&romeo, &juliet);
    world.set_grace(0);
    world.send(
        &juliet,
        "<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>",
    );
    assert!(
        juliet
            .stanzas()
            .iter()
            .any(|s| s.contains("type=\"result\""))
    );
    assert!(
        juliet
            .closed_with()
            .is_some_and(|error| error.contains("not-authorized"))
    );
    let came = romeo.stanzas();
    for step in ["unavailable", "unsubscribe", "unsubscribed"] {
        assert!(
            came.iter().any(|s| s.contains(&format!("type=\"{step}\""))),
            "{step}: {came:#?}"
        );
    }
    world.tick();
    let answer = world.ask(Question::Credentials {
        account: jid("juliet@localhost"),
    });
    assert!(
        matches!(answer, Some(Answer::Credentials(None))),
        "{answer:?}"
    );
}

#[test]
fn a_registration_takes_a_place_in_the_throttle_only_if_it_succeeds() {
    let mut world = World::with(&["taken"]);
    assert!(
        world
            .register("Bill", "Calliope")
            .contains("type=\"result\"")
    );
    assert_eq!(world.reserved, 0, "committed");
    world.bind("bill", "desk");
    assert!(world.register("taken", "Calliope").contains("conflict"));
    assert!(
        world
            .register("other", "bad\u{85}")
            .contains("not-acceptable")
    );
    assert_eq!(world.reserved, 0, "given back");
    for (name, password) in [("", "x"), ("x", ""), ("a b", "x"), ("a@b", "x")] {
        assert!(
            world.register(name, password).contains("not-acceptable"),
            "{name:?}"
        );
    }
}

#[test]
fn without_a_quorum_nobody_registers() {
    let mut world = World::with(&[]);
    world.throttle = Some(no_quorum());
    let answer = world.register("bill", "Calliope");
    assert!(
        answer.contains("resource-constraint") && answer.contains("type=\"wait\""),
        "{answer}"
    );
    assert!(matches!(
        world.bind_answer("bill", "x"),
        Some(Answer::Refused(_))
    ));
}

#[test]
fn while_the_store_is_out_of_reach_clients_are_told_to_wait_and_the_operator_that_it_is() {
    for error in [StoreError::Busy, StoreError::Unavailable("late".into())] {
        let mut world = World::with(&["juliet"]);
        let juliet = world.online("juliet", "balcony");
        world.store_fails = Some(error);
        let answer = world.register("bill", "Calliope");
        assert_eq!(world.reserved, 0, "given back");
        let change = "<iq type='set' id='c' to='localhost'><query xmlns='jabber:iq:register'>\
                      <username>juliet</username><password>new</password></query></iq>";
        let item = "<iq type='set' id='i'><query xmlns='jabber:iq:roster'>\
                    <item jid='romeo@localhost'/></query></iq>";
        let mut answers = vec![answer];
        for request in [change, item] {
            world.send(&juliet, request);
            answers.push(juliet.stanza());
        }
        for answer in answers {
            assert!(
                answer.contains("resource-constraint") && answer.contains("type=\"wait\""),
                "{answer}"
            );
        }
        let answer = world.ask(Question::Admin(AdminQuestion::CreateAccount {
            account: jid("bill@localhost"),
            password: "Calliope".into(),
            force: true,
        }));
        assert!(matches!(answer, Some(Answer::Unavailable)), "{answer:?}");
    }
}

#[test]
fn a_password_change_needs_the_own_name() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    let change = |name: &str, password: &str| {
        format!(
            "<iq type='set' id='c' to='localhost'><query xmlns='jabber:iq:register'>\
             <username>{name}</username><password>{password}</password></query></iq>"
        )
    };
    world.send(&juliet, &change("romeo", "new"));
    assert!(juliet.stanza().contains("bad-request"));
    world.send(&juliet, &change("juliet", ""));
    assert!(juliet.stanza().contains("not-acceptable"));
    world.send(&juliet, &change("juliet", "new"));
    assert!(juliet.stanza().contains("type=\"result\""));
    let answer = world.ask(Question::Credentials {
        account: jid("juliet@localhost"),
    });
    let Some(Answer::Credentials(Some(keys))) = answer else {
        panic!("{answer:?}")
    };
    assert!(keys.verify_password("new"));
}

#[test]
fn a_registration_whose_place_has_expired_is_undone() {
    let mut world = World::with(&[]);
    world.commits_late = true;
    let answer = world.register("bill", "Calliope");
    assert!(answer.contains("resource-constraint"), "{answer}");
    assert!(
        matches!(world.bind_answer("bill", "x"), Some(Answer::Refused(_))),
        "it is gone"
    );
    world.commits_late = false;
    assert!(
        world
            .register("bill", "Calliope")
            .contains("type=\"result\"")
    );
}

#[test]
fn a_session_that_ends_while_its_account_is_loaded_leaves_no_trace() {
    let mut world = World::with(&["juliet"]);
    world.hold_loads = true;
    let juliet = world.bind_later("juliet", "balcony");
    world.leave(&juliet);
    world.release();
    let list = AdminQuestion::ListSessions {
        account: None,
        shard: ShardId(0),
    };
    let answer = world.ask(Question::Admin(list));
    assert!(
        matches!(&answer, Some(Answer::Admin(AdminAnswer::Sessions(s))) if s.is_empty()),
        "{answer:?}"
    );
}
