//! Two and three nodes over loopback TCP.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers cannot do ends the test, too"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rookery_link::LinkOptions;
use rookery_session::carrier::{
    Answer, AskId, Delivery, Full, Question, Routers, ShardId, ShardInput, Sink, SinkRef,
    ToSession, ToShard,
};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use support::{
    Mailbox, Pair, SHARDS, bind, jid, message, numbers, options, pair, soon, stanza_of, stanzas,
};

#[tokio::test]
async fn a_question_is_answered_over_the_link() {
    let pair = pair(options(), 10).await;
    let session = Mailbox::new(1, 10);
    let sink = bind(&pair.ways, &pair.shards, &session, 3).await;
    assert_eq!(sink.session(), session.session());
    let error = StreamError::new(StreamCondition::Conflict);
    assert!(sink.send(ToSession::Close(error.clone())).is_ok());
    let closed = session.next().await;
    assert!(matches!(closed, ToSession::Close(told) if told == error));
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_a_link_does_not_break_it() {
    let pair = pair(options(), 10).await;
    let session = Mailbox::new(1, 10);
    let from: SinkRef = session.clone();
    let ask = ToShard::Ask {
        from,
        ask: AskId(1),
        question: Question::Credentials {
            account: "a@example.net".parse().unwrap(),
        },
    };
    assert!(pair.ways.send(ShardId(0), ask).is_ok());
    let ShardInput::Session(ToShard::Ask { from, ask, .. }) = pair.shards.next(0).await else {
        panic!("a question was sent");
    };
    let answer = Answer::Iq(vec![b' '; 2_000_000].into());
    assert!(from.send(ToSession::Answer { ask, answer }).is_ok());
    assert!(matches!(
        session.next().await,
        ToSession::Answer {
            answer: Answer::Unavailable,
            ..
        }
    ));
    // Nor do stanzas, which are refused.
    let id = session.session();
    pair.ways
        .send_when_room(ShardId(0), stanzas(id, 0, 2_000_000))
        .await;
    pair.ways
        .send_when_room(ShardId(0), stanzas(id, 1, 600_000))
        .await;
    assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, 1)));
}

#[tokio::test]
async fn a_removed_node_is_not_spoken_to_any_more_nor_dialled_again() {
    let options = LinkOptions {
        unowned_max_ms: 100,
        ..options()
    };
    let pair = pair(options, 10).await;
    let session = Mailbox::new(1, 100);
    bind(&pair.ways, &pair.shards, &session, 0).await;
    pair.ways.end_links_to(|_| true);
    let gone = async {
        while !pair.router.hall.nodes().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon("the connection ends", gone).await;
    for number in 0..50 {
        let ask = ToShard::Ask {
            from: session.clone(),
            ask: AskId(number),
            question: Question::Credentials {
                account: "a@example.net".parse().unwrap(),
            },
        };
        pair.ways.send_when_room(ShardId(0), ask).await;
        assert!(matches!(
            session.next().await,
            ToSession::Answer {
                answer: Answer::Unavailable,
                ..
            }
        ));
    }
    assert_eq!(pair.cutter.connections(), 1);
}

#[tokio::test]
async fn stanzas_arrive_in_order_and_deliveries_too() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    for number in 0..200 {
        let frame = stanzas(session.session(), number, 100);
        pair.ways.send_when_room(ShardId(0), frame).await;
        assert!(
            sink.send(ToSession::Deliver(message(number, 100).into()))
                .is_ok()
        );
    }
    for number in 0..200 {
        let input = pair.shards.next(0).await;
        assert_eq!(stanza_of(&input), Some((session.session(), number)));
        let ToSession::Deliver(delivered) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&delivered.batch), [number]);
    }
}

#[tokio::test]
async fn a_link_that_is_cut_again_and_again_loses_and_doubles_nothing() {
    let pair = pair(options(), 8).await;
    let session = Mailbox::new(1, 100_000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    const COUNT: u64 = 3000;
    let (ways, id) = (pair.ways.clone(), session.session());
    let send = async {
        for number in 0..COUNT {
            ways.send_when_room(ShardId(0), stanzas(id, number, 700))
                .await;
        }
    };
    let shards = &pair.shards;
    let take = async {
        for number in 0..COUNT {
            let input = shards.next(0).await;
            assert_eq!(stanza_of(&input), Some((id, number)));
            let mut delivery = ToSession::Deliver(message(number, 300).into());
            while let Err(Full(back)) = sink.send(delivery) {
                delivery = back;
                tokio::task::yield_now().await;
            }
            // At moments that have nothing to do with parcels.
            if number % 97 == 13 {
                pair.cutter.cut();
            }
        }
    };
    soon("all stanzas over a broken link", async {
        tokio::join!(send, take)
    })
    .await;
    for number in 0..COUNT {
        let ToSession::Deliver(delivered) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&delivered.batch), [number]);
    }
}

#[tokio::test]
async fn a_connection_that_stands_still_is_replaced_and_what_it_still_carries_changes_nothing() {
    // The accepting side keeps the old connection for as long as it is there.
    let options = LinkOptions {
        keep_alive_ms: 60_000,
        ..options()
    };
    let pair = pair(options, 1000).await;
    let session = Mailbox::new(1, 1000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    let id = session.session();
    for round in 0..3_u64 {
        let connections = pair.cutter.connections();
        pair.cutter.freeze();
        // These are written to the connection that stands still.
        for number in 0..20 {
            let number = 20 * round + number;
            pair.ways
                .send_when_room(ShardId(0), stanzas(id, number, 500))
                .await;
            assert!(
                sink.send(ToSession::Deliver(message(number, 500).into()))
                    .is_ok()
            );
        }
        for number in 0..20 {
            let number = 20 * round + number;
            assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, number)));
            let ToSession::Deliver(delivered) = session.next().await else {
                panic!("deliveries were sent");
            };
            assert_eq!(numbers(&delivered.batch), [number]);
        }
        assert!(pair.cutter.connections() > connections);
        pair.cutter.thaw();
    }
    // Behind whatever the old connections had to say.
    pair.ways
        .send_when_room(ShardId(0), stanzas(id, 60, 1))
        .await;
    assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, 60)));
    assert_eq!((pair.shards.waiting(0), session.waiting()), (0, 0));
}

#[tokio::test]
async fn a_full_shard_stops_its_senders_and_no_others_and_memory_is_bounded() {
    let options = LinkOptions {
        outbox_bytes: 100_000,
        shard_bytes: 20_000,
        ..options()
    };
    let pair = pair(options, 4).await;
    let session = Mailbox::new(1, 10);
    let id = session.session();
    let mut sent = 0;
    while pair.ways.send(ShardId(0), stanzas(id, sent, 1000)).is_ok() {
        sent += 1;
        assert!(sent < 30, "more than the shard's part of the outbox");
        // Whatever the link does meanwhile: the shard takes four.
        tokio::task::yield_now().await;
    }
    // Another shard is not concerned.
    pair.ways
        .send_when_room(ShardId(1), stanzas(id, 0, 1000))
        .await;
    assert_eq!(stanza_of(&pair.shards.next(1).await), Some((id, 0)));
    // What waits arrives in order, and those who wait for room go on.
    let ways = pair.ways.clone();
    let send = async {
        for number in sent..sent + 100 {
            ways.send_when_room(ShardId(0), stanzas(id, number, 1000))
                .await;
        }
    };
    let take = async {
        for number in 0..sent + 100 {
            assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, number)));
            let waits: usize = pair.ways.outboxes().iter().map(|(_, bytes)| bytes).sum();
            assert!(waits <= 100_000, "{waits}");
        }
    };
    soon("what waits", async { tokio::join!(send, take) }).await;
}

/// A session whose way to its shard is full, as long as what it has said first is not dealt with.
async fn full_way() -> (Pair, Arc<Mailbox>, ShardInput) {
    let options = LinkOptions {
        shard_bytes: 20_000,
        ..options()
    };
    let pair = pair(options, 1000).await;
    let session = Mailbox::new(1, 10);
    bind(&pair.ways, &pair.shards, &session, 0).await;
    let large = stanzas(session.session(), 0, 30_000);
    assert!(pair.ways.send(ShardId(0), large).is_ok());
    let not_dealt_with = pair.shards.take(0).await;
    (pair, session, not_dealt_with)
}

#[tokio::test]
async fn what_is_said_at_the_end_of_a_session_goes_though_the_way_is_full() {
    let (pair, session, _not_dealt_with) = full_way().await;
    let id = session.session();
    assert!(pair.ways.send(ShardId(0), stanzas(id, 1, 10)).is_err());
    let left = vec![message(7, 100).into()];
    for word in ToShard::last_words(id, &jid("a@example.net/a"), left) {
        soon("a last word", pair.ways.send_when_room(ShardId(0), word)).await;
    }
    assert!(matches!(
        pair.shards.next(0).await,
        ShardInput::Session(ToShard::Left { session, .. }) if session == id
    ));
    assert!(matches!(
        pair.shards.next(0).await,
        ShardInput::Session(ToShard::Closed { session, .. }) if session == id
    ));
}

#[tokio::test]
async fn what_a_session_has_said_ahead_of_its_last_words_goes_though_the_way_is_full() {
    let (pair, session, _not_dealt_with) = full_way().await;
    let id = session.session();
    let mut waits = pair.ways.send_when_room(ShardId(0), stanzas(id, 1, 10));
    let at_once = tokio::time::timeout(Duration::ZERO, &mut waits).await;
    assert!(at_once.is_err(), "its client is not read meanwhile");
    session.ends();
    soon("what was said before", waits).await;
    assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, 1)));
}

#[tokio::test]
async fn what_a_slow_session_does_not_take_comes_back_to_its_shard_in_order() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 5);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    for number in 0..20 {
        assert!(
            sink.send(ToSession::Deliver(message(number, 10).into()))
                .is_ok()
        );
    }
    let shard = ShardId::of("a@example.net", SHARDS).0;
    for number in 5..20 {
        let ShardInput::Undelivered {
            session: id,
            jid,
            delivered,
        } = pair.shards.next(shard).await
        else {
            panic!("only what was not delivered comes");
        };
        assert_eq!((id, jid.as_str()), (session.session(), "a@example.net/a"));
        assert_eq!(numbers(&delivered.batch), [number]);
    }
    // What is sent from now on is taken again.
    for number in 0..5 {
        let ToSession::Deliver(delivered) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&delivered.batch), [number]);
    }
    assert!(
        sink.send(ToSession::Deliver(message(20, 10).into()))
            .is_ok()
    );
    let ToSession::Deliver(delivered) = session.next().await else {
        panic!("a delivery was sent");
    };
    assert_eq!(numbers(&delivered.batch), [20]);
}

#[tokio::test]
async fn a_shard_that_keeps_stanzas_hears_whether_they_were_taken() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    let (first, second) = (
        sink.deliver(message(0, 10).into()),
        sink.deliver(message(1, 10).into()),
    );
    let (Delivery::Pending(first), Delivery::Pending(second)) = (first, second) else {
        panic!("they are on their way");
    };
    assert!(soon("word of the first", first).await);
    assert!(!soon("word of the second", second).await);
    // It was kept, so it does not come back.
    let shard = ShardId::of("a@example.net", SHARDS).0;
    assert_eq!(pair.shards.waiting(shard), 0);
    session.next().await;
    let Delivery::Pending(third) = sink.deliver(message(1, 10).into()) else {
        panic!("it is on its way");
    };
    assert!(soon("word of the third", third).await);
}

#[tokio::test]
async fn a_node_that_stops_reading_fills_no_more_than_the_outbox() {
    let options = LinkOptions {
        sessions_bytes: 50_000,
        ..options()
    };
    let pair = pair(options, 1000).await;
    let session = Mailbox::new(1, 1_000_000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    pair.cutter.close(true);
    pair.cutter.cut();
    let mut taken = 0;
    // The cut shows sooner or later; until then deliveries go through.
    let refused = async {
        while sink
            .send(ToSession::Deliver(message(taken, 1000).into()))
            .is_ok()
        {
            taken += 1;
            tokio::task::yield_now().await;
        }
    };
    soon("a refusal", refused).await;
    let waits: usize = pair.router.hall.outboxes().iter().map(|(_, b)| b).sum();
    assert!(waits <= 50_000, "{waits}");
    pair.cutter.close(false);
    for number in 0..taken {
        let ToSession::Deliver(delivered) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&delivered.batch), [number]);
    }
}

#[tokio::test]
async fn a_session_that_is_gone_when_it_is_bound_is_closed_at_its_shard() {
    let pair = pair(options(), 10).await;
    let session = Mailbox::new(1, 10);
    let ask = ToShard::Ask {
        from: Arc::new(Gone(session.session())),
        ask: AskId(1),
        question: Question::Credentials {
            account: "a@example.net".parse().unwrap(),
        },
    };
    assert!(pair.ways.send(ShardId(0), ask).is_ok());
    let ShardInput::Session(ToShard::Ask { from, ask, .. }) = pair.shards.next(0).await else {
        panic!("a question was sent");
    };
    let answer = Answer::Bound(jid("a@example.net/a"));
    assert!(from.send(ToSession::Answer { ask, answer }).is_ok());
    let shard = ShardId::of("a@example.net", SHARDS).0;
    let closed = pair.shards.next(shard).await;
    assert!(matches!(
        closed,
        ShardInput::Session(ToShard::Closed { session: id, .. }) if id == session.session()
    ));
}

/// A session that takes nothing any more.
struct Gone(rookery_session::carrier::SessionId);

impl Sink for Gone {
    fn session(&self) -> rookery_session::carrier::SessionId {
        self.0
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        Err(Full(frame))
    }
}
