//! Sessions that go on without their nodes.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers cannot do ends the test, too"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_link::{LinkOptions, ShardMap};
use rookery_session::Seen;
use rookery_session::carrier::{
    Answer, AskId, Full, Kept, Question, Resumed, Routers, ShardId, ShardInput, Sink, SinkRef,
    ToSession, ToShard,
};

use support::{Mailbox, Pair, bind, jid, options, pair, soon};

#[tokio::test]
async fn a_session_that_goes_on_at_its_shard_is_shown_here_until_that_has_an_owner_and_hears_of_it()
{
    let options = LinkOptions {
        unowned_max_ms: 60,
        ..options()
    };
    let pair = pair(options, 1000).await;
    let session = Mailbox::new(1, 1000);
    let _sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    pair.map.store(Arc::new(ShardMap::of(2, [0; 4])));
    let id = session.session();
    let detached = ToShard::Detached {
        session: id,
        jid: jid("a@example.net/a"),
        receipt: None,
    };
    let Err(Full(detached)) = pair.ways.send(ShardId(0), detached) else {
        panic!("there is nobody to hear it");
    };
    let said = pair.ways.send_when_room(ShardId(0), detached);
    // What has to arrive nowhere is given up.
    let from: SinkRef = Mailbox::new(2, 10);
    let ask = ToShard::Ask {
        from,
        ask: AskId(1),
        question: Question::Credentials {
            account: "a@example.net".parse().unwrap(),
        },
    };
    let given_up = pair.ways.send_when_room(ShardId(0), ask);
    let owner = async {
        given_up.await;
        pair.map.store(Arc::new(ShardMap::of(3, [2; 4])));
    };
    soon("the next owner", async { tokio::join!(said, owner) }).await;
    assert!(matches!(
        pair.shards.next(0).await,
        ShardInput::Session(ToShard::Announce { from, .. }) if from.session() == id
    ));
    assert!(matches!(
        pair.shards.next(0).await,
        ShardInput::Session(ToShard::Detached { session, .. }) if session == id
    ));
}

/// A session goes on with the stream of another one, and its shard has something remembered of it.
async fn resumed(pair: &Pair, session: &Arc<Mailbox>, state: &Bytes) {
    let from: SinkRef = session.clone();
    let ask = ToShard::Ask {
        from,
        ask: AskId(1),
        question: Question::Resume {
            account: "a@example.net".parse().unwrap(),
            id: "name".to_owned(),
            h: 0,
            address: [127, 0, 0, 1].into(),
        },
    };
    assert!(pair.ways.send(ShardId(0), ask).is_ok());
    let ShardInput::Session(ToShard::Ask { from, ask, .. }) = pair.shards.next(0).await else {
        panic!("a question was sent");
    };
    let answer = Answer::Resumed(Resumed {
        jid: jid("a@example.net/a"),
        id: "name".to_owned(),
        max_s: 60,
        h: 0,
        acked: 0,
        seen: Seen::default(),
    });
    assert!(from.send(ToSession::Answer { ask, answer }).is_ok());
    assert!(from.send(ToSession::Remember(state.clone())).is_ok());
    session.next().await;
}

/// A session is over, and its shard has dealt with that.
async fn ends(pair: &Pair, session: &Mailbox) {
    let closed = ToShard::Closed {
        session: session.session(),
        jid: jid("a@example.net/a"),
        receipt: None,
    };
    pair.ways.send_when_room(ShardId(0), closed).await;
    drop(pair.shards.next(0).await);
    let settled = async {
        while pair.ways.kept() > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("it is settled", settled).await;
}

/// The next session of which the shard is told, and what is kept of it.
async fn announced(pair: &Pair) -> (u64, Bytes, Option<Box<Kept>>) {
    match pair.shards.next(0).await {
        ShardInput::Session(ToShard::Announce {
            from, state, kept, ..
        }) => (from.session().serial, state, kept),
        _ => panic!("a session is announced"),
    }
}

#[tokio::test]
async fn of_a_session_that_was_another_one_each_owner_is_told_for_a_while_when_it_is_over() {
    let options = LinkOptions {
        away_max_ms: 3_000,
        ..options()
    };
    let pair = pair(options, 1000).await;
    let (alone, back) = (Mailbox::new(1, 1000), Mailbox::new(2, 1000));
    let (over, present) = (Mailbox::new(3, 1000), Mailbox::new(4, 1000));
    let state = Bytes::from_static(b"<session/>");
    bind(&pair.ways, &pair.shards, &alone, 0).await;
    resumed(&pair, &back, &state).await;
    resumed(&pair, &over, &state).await;
    bind(&pair.ways, &pair.shards, &present, 0).await;
    ends(&pair, &alone).await;
    ends(&pair, &over).await;
    for epoch in 2..4 {
        pair.map.store(Arc::new(ShardMap::of(epoch, [2; 4])));
        let (serial, told, kept) = announced(&pair).await;
        assert_eq!((serial, told), (3, state.clone()));
        assert!(kept.is_some_and(|kept| kept.is_past()));
        assert_eq!(announced(&pair).await.0, 2);
        assert_eq!(announced(&pair).await.0, 4);
    }
    let forgotten = async {
        for epoch in 4.. {
            pair.map.store(Arc::new(ShardMap::of(epoch, [2; 4])));
            let first = announced(&pair).await.0;
            if first == 3 {
                announced(&pair).await;
            }
            announced(&pair).await;
            if first == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon("it is forgotten", forgotten).await;
}
