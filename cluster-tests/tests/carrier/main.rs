//! One suite over every carrier: sessions of one node, real shards in the same process or on another node.
//!
//! * `in_process`: the shards' mailboxes.
//! * `over_grpc`: a link over loopback TCP.
//! * `over_grpc_that_breaks`: the same, cut again and again while the suite runs.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers cannot do ends the test, too"
)]

mod client;
#[path = "../../../node/link/tests/support/mod.rs"]
mod support;
mod world;

use std::sync::Arc;

use client::Client;
use rookery_router::RouterOptions;
use rookery_session::carrier::{AdminAnswer, AdminQuestion, Answer, Question, ToSession};
use rookery_xmpp::stream_error::StreamCondition;
use world::{Carrier, World};

/// The suite, once for each carrier.
macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod in_process {
            $(#[test] fn $test() { super::run(super::Carrier::InProcess, super::$test); })*
        }
        mod over_grpc {
            $(#[test] fn $test() { super::run(super::Carrier::Grpc, super::$test); })*
        }
        mod over_grpc_that_breaks {
            $(#[test] fn $test() { super::run(super::Carrier::BreakingGrpc, super::$test); })*
        }
    };
}

suite!(
    stanzas_of_a_session_arrive_in_order,
    a_full_shard_is_waited_for_and_order_stays,
    what_a_slow_session_does_not_take_is_kept_for_it_in_order,
    a_session_that_is_displaced_is_closed,
    a_session_that_ended_is_not_delivered_to,
    questions_of_all_kinds_are_answered,
);

/// Runs a test in an actix system of its own.
fn run(carrier: Carrier, test: impl AsyncFn(World)) {
    actix::System::new().block_on(async {
        test(World::start(carrier, options()).await).await;
    });
}

/// Shards with short queues: no more than that many frames of one test go from shard to shard at once, for those that find
/// no room are bounced, whatever the carrier.
fn options() -> RouterOptions {
    RouterOptions {
        shards: 8,
        scram_iterations: 1,
        shard_queue_max: 110,
        ..RouterOptions::default()
    }
}

async fn stanzas_of_a_session_arrive_in_order(world: World) {
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

async fn a_full_shard_is_waited_for_and_order_stays(world: World) {
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

async fn what_a_slow_session_does_not_take_is_kept_for_it_in_order(world: World) {
    let romeo = Client::online(&world, "romeo", "a", 10_000).await;
    let juliet = Client::online(&world, "juliet", "b", 10).await;
    for number in 0..100 {
        romeo.send_message(&juliet, number).await;
    }
    let numbers = juliet.messages(100).await;
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

async fn a_session_that_is_displaced_is_closed(world: World) {
    let before = Client::online(&world, "romeo", "a", 100).await;
    let after = Client::online(&world, "romeo", "a", 100).await;
    assert_eq!(before.jid, after.jid);
    loop {
        match before.mailbox.next().await {
            ToSession::Close(error) => {
                assert_eq!(error.condition, StreamCondition::Conflict);
                return;
            }
            ToSession::Deliver(_) => {}
            ToSession::Answer { .. } => panic!("nothing was asked"),
        }
    }
}

async fn a_session_that_ended_is_not_delivered_to(world: World) {
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

async fn questions_of_all_kinds_are_answered(world: World) {
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
    assert!(matches!(answer, Answer::Credentials(None)), "{answer:?}");
    let registration = Question::Register {
        host: "localhost".to_owned(),
        address: [127, 0, 0, 1].into(),
        iq: client::canonical(
            "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>",
            None,
        )
        .0,
    };
    let answer = world.ask("romeo", registration).await;
    assert!(
        matches!(answer, Answer::Iq(_) | Answer::Refused(_)),
        "{answer:?}"
    );
    // The world has more than one shard, and each keeps its own.
    assert!(Arc::strong_count(&world.mailbox(1)) > 0);
}
