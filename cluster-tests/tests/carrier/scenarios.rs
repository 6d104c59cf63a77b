//! What must hold whatever carries the frames.

use rookery_session::carrier::{AdminAnswer, AdminQuestion, Answer, Question, ToSession};
use rookery_xmpp::stream_error::StreamCondition;

use crate::client::{self, Client};
use crate::support;
use crate::world::World;

pub(crate) async fn stanzas_of_a_session_arrive_in_order(world: World) {
    let romeo = Client::online(&world, "romeo", "a", 10_000).await;
    let juliet = Client::online(&world, "juliet", "b", 10_000).await;
    let expected: Vec<_> = (0..50).collect();
    for _ in 0..10 {
        for number in 0..50 {
            romeo.send_message(&juliet, number).await;
            juliet.send_message(&romeo, number).await;
        }
        assert_eq!(juliet.messages(50).await, expected);
        assert_eq!(romeo.messages(50).await, expected);
    }
}

pub(crate) async fn a_full_shard_is_waited_for_and_order_stays(world: World) {
    // Within one account nothing goes from shard to shard.
    let names = ["romeo", "juliet", "mercutio", "tybalt"];
    let mut all = Vec::new();
    for name in names {
        let (one, other) = (
            Client::online(&world, name, "a", 10_000).await,
            Client::online(&world, name, "b", 10_000).await,
        );
        all.push(async move {
            for number in 0..1000 {
                one.send_message_to(&other.jid, number).await;
            }
            let numbers = other.messages(1000).await;
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        });
    }
    support::soon("all messages", futures_util::future::join_all(all)).await;
}

pub(crate) async fn what_a_slow_session_does_not_take_is_kept_for_it_in_order(world: World) {
    let romeo = Client::online(&world, "romeo", "a", 10_000).await;
    let juliet = Client::online(&world, "juliet", "b", 10).await;
    for number in 0..100 {
        romeo.send_message(&juliet, number).await;
    }
    let numbers = juliet.messages(100).await;
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

pub(crate) async fn a_session_that_is_displaced_is_closed(world: World) {
    let before = Client::online(&world, "romeo", "a", 100).await;
    let after = Client::online(&world, "romeo", "a", 100).await;
    assert_eq!(before.jid, after.jid);
    loop {
        match before.mailbox.next().await {
            ToSession::Close(error) => {
                assert_eq!(error.condition, StreamCondition::Conflict);
                return;
            }
            ToSession::Deliver(_) | ToSession::Remember(_) | ToSession::WrongPassword => {}
            ToSession::Answer { .. } => panic!("nothing was asked"),
        }
    }
}

pub(crate) async fn a_session_that_ended_is_not_delivered_to(world: World) {
    let romeo = Client::online(&world, "romeo", "a", 1000).await;
    let juliet = Client::online(&world, "juliet", "b", 1000).await;
    romeo.send_message(&juliet, 1).await;
    assert_eq!(juliet.messages(1).await, [1]);
    juliet.close().await;
    // Through the shard of juliet, behind her end.
    let show = AdminQuestion::ShowAccount {
        account: "juliet@localhost".parse().unwrap(),
    };
    let shown = world.ask("juliet", Question::Admin(show)).await;
    let Answer::Admin(AdminAnswer::Account(account)) = shown else {
        panic!("{shown:?}");
    };
    assert!(account.sessions.is_empty());
    romeo.send_message(&juliet, 2).await;
    let again = Client::online(&world, "juliet", "b", 1000).await;
    assert_eq!(again.messages(1).await, [2]);
}

pub(crate) async fn questions_of_all_kinds_are_answered(world: World) {
    let account = || "romeo@localhost".parse().unwrap();
    let credentials = world
        .ask("romeo", Question::Credentials { account: account() })
        .await;
    let Answer::Credentials(Some(keys)) = credentials else {
        panic!("{credentials:?}");
    };
    assert!(keys.sha256.verify_password("secret"));
    let nobody = Question::Credentials {
        account: "nobody@localhost".parse().unwrap(),
    };
    let answer = world.ask("nobody", nobody).await;
    assert!(matches!(answer, Answer::Credentials(None)), "{answer:?}");
    let password = "a new one".to_owned();
    for (question, done) in [
        (
            AdminQuestion::SetPassword {
                account: account(),
                password,
            },
            true,
        ),
        (
            AdminQuestion::DeleteAccount {
                account: "nobody@localhost".parse().unwrap(),
                now: false,
            },
            false,
        ),
        (
            AdminQuestion::SetEnabled {
                account: account(),
                enabled: false,
            },
            true,
        ),
    ] {
        let answer = world.ask("romeo", Question::Admin(question)).await;
        let was_done = matches!(answer, Answer::Admin(AdminAnswer::Done));
        assert_eq!(was_done, done, "{answer:?}");
    }
    let answer = world
        .ask("romeo", Question::Credentials { account: account() })
        .await;
    // It looks as before, and takes no password.
    let Answer::Credentials(Some(credentials)) = &answer else {
        panic!("{answer:?}");
    };
    assert!(!credentials.verify_password("a new one"), "{answer:?}");
    let registration = Question::Register {
        host: "localhost".to_owned(),
        address: [127, 0, 0, 1].into(),
        iq: client::canonical(
            "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>",
            None,
        )
        .0,
        invite: None,
    };
    let answer = world.ask("romeo", registration).await;
    assert!(
        matches!(answer, Answer::Iq(_) | Answer::Refused(_)),
        "{answer:?}"
    );
}
