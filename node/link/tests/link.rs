//! Two and three nodes over loopback TCP.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers cannot do ends the test, too"
)]

mod support;

use std::sync::Arc;

use rookery_link::{LinkOptions, ShardMap, SharedMap, Ways};
use rookery_session::carrier::{
    Answer, AskId, Delivery, Full, PeerFrame, Peers, Question, Routers, ShardId, ShardInput, Sink,
    SinkRef, ToSession, ToShard,
};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use support::{
    Addresses, Cutter, FakeShards, Mailbox, Place, RouterNode, forwarded, jid, message, numbers,
    options, soon, stanza_of, stanzas, ways,
};

/// Node 1 has sessions, node 2 all shards; a cutter stands between them.
struct Pair {
    ways: Ways,
    shards: Arc<FakeShards>,
    map: SharedMap,
    cutter: Cutter,
    addresses: Addresses,
    _router: RouterNode,
}

const SHARDS: u16 = 4;

async fn pair(options: LinkOptions, capacity: usize) -> Pair {
    let map = ShardMap::all_on(2, SHARDS).shared();
    let shards = FakeShards::new(SHARDS, capacity);
    let place = |node| Place {
        node,
        life: 1,
        options: options.clone(),
        map: map.clone(),
    };
    let router = RouterNode::start(place(2), &shards).await;
    let cutter = Cutter::before(router.address).await;
    let addresses = Addresses::default();
    addresses.set(2, cutter.address);
    let ways = ways(place(1), None, &addresses);
    Pair {
        ways,
        shards,
        map,
        cutter,
        addresses,
        _router: router,
    }
}

/// Binds a session at a shard, as the shard does it: the sink that the shard has for it.
async fn bind(ways: &Ways, shards: &FakeShards, session: &Arc<Mailbox>, shard: u16) -> SinkRef {
    let from: SinkRef = session.clone();
    let ask = ToShard::Ask {
        from,
        ask: AskId(1),
        question: Question::Credentials {
            account: "a@example.net".parse().unwrap(),
        },
    };
    assert!(ways.send(ShardId(shard), ask).is_ok());
    let ShardInput::Session(ToShard::Ask { from, ask, .. }) = shards.next(shard).await else {
        panic!("a question was sent");
    };
    let answer = Answer::Bound(jid("a@example.net/a"));
    assert!(from.send(ToSession::Answer { ask, answer }).is_ok());
    let answer = session.next().await;
    assert!(matches!(
        answer,
        ToSession::Answer {
            ask: AskId(1),
            answer: Answer::Bound(_)
        }
    ));
    from
}

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
async fn stanzas_arrive_in_order_and_deliveries_too() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    for number in 0..200 {
        let frame = stanzas(session.session(), number, 100);
        pair.ways.send_when_room(ShardId(0), frame).await;
        assert!(sink.send(ToSession::Deliver(message(number, 100))).is_ok());
    }
    for number in 0..200 {
        let input = pair.shards.next(0).await;
        assert_eq!(stanza_of(&input), Some((session.session(), number)));
        let ToSession::Deliver(batch) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&batch), [number]);
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
            let mut delivery = ToSession::Deliver(message(number, 300));
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
        let ToSession::Deliver(batch) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&batch), [number]);
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
            assert!(sink.send(ToSession::Deliver(message(number, 500))).is_ok());
        }
        for number in 0..20 {
            let number = 20 * round + number;
            assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, number)));
            let ToSession::Deliver(batch) = session.next().await else {
                panic!("deliveries were sent");
            };
            assert_eq!(numbers(&batch), [number]);
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

#[tokio::test]
async fn what_a_slow_session_does_not_take_comes_back_to_its_shard_in_order() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 5);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    for number in 0..20 {
        assert!(sink.send(ToSession::Deliver(message(number, 10))).is_ok());
    }
    let shard = ShardId::of("a@example.net", SHARDS).0;
    for number in 5..20 {
        let ShardInput::Undelivered {
            session: id,
            jid,
            batch,
        } = pair.shards.next(shard).await
        else {
            panic!("only what was not delivered comes");
        };
        assert_eq!((id, jid.as_str()), (session.session(), "a@example.net/a"));
        assert_eq!(numbers(&batch), [number]);
    }
    // What is sent from now on is taken again.
    for number in 0..5 {
        let ToSession::Deliver(batch) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&batch), [number]);
    }
    assert!(sink.send(ToSession::Deliver(message(20, 10))).is_ok());
    let ToSession::Deliver(batch) = session.next().await else {
        panic!("a delivery was sent");
    };
    assert_eq!(numbers(&batch), [20]);
}

#[tokio::test]
async fn a_shard_that_keeps_stanzas_hears_whether_they_were_taken() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    let (first, second) = (sink.deliver(message(0, 10)), sink.deliver(message(1, 10)));
    let (Delivery::Pending(first), Delivery::Pending(second)) = (first, second) else {
        panic!("they are on their way");
    };
    assert!(soon("word of the first", first).await);
    assert!(!soon("word of the second", second).await);
    // It was kept, so it does not come back.
    let shard = ShardId::of("a@example.net", SHARDS).0;
    assert_eq!(pair.shards.waiting(shard), 0);
    session.next().await;
    let Delivery::Pending(third) = sink.deliver(message(1, 10)) else {
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
        while sink.send(ToSession::Deliver(message(taken, 1000))).is_ok() {
            taken += 1;
            tokio::task::yield_now().await;
        }
    };
    soon("a refusal", refused).await;
    let waits: usize = pair._router.hall.outboxes().iter().map(|(_, b)| b).sum();
    assert!(waits <= 50_000, "{waits}");
    pair.cutter.close(false);
    for number in 0..taken {
        let ToSession::Deliver(batch) = session.next().await else {
            panic!("deliveries were sent");
        };
        assert_eq!(numbers(&batch), [number]);
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

#[tokio::test]
async fn a_node_that_stays_away_is_given_up_on_both_sides() {
    let options = LinkOptions {
        away_max_ms: 150,
        ..options()
    };
    let pair = pair(options, 1000).await;
    let (session, asking) = (Mailbox::new(1, 1000), Mailbox::new(2, 1000));
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    pair.cutter.close(true);
    pair.cutter.cut();
    let from: SinkRef = asking.clone();
    let ask = ToShard::Ask {
        from,
        ask: AskId(9),
        question: Question::Credentials {
            account: "a@example.net".parse().unwrap(),
        },
    };
    pair.ways.send_when_room(ShardId(0), ask).await;
    // Whoever asked hears that there is no answer, whoever is bound there that it is over.
    assert!(matches!(
        asking.next().await,
        ToSession::Answer {
            ask: AskId(9),
            answer: Answer::Unavailable
        }
    ));
    assert!(matches!(session.next().await, ToSession::Close(_)));
    // The shard hears that the session is over, behind what could not be delivered to it.
    let shard = ShardId::of("a@example.net", SHARDS).0;
    let closed = async {
        loop {
            match pair.shards.next(shard).await {
                ShardInput::Session(ToShard::Closed { session: id, .. }) => return id,
                ShardInput::Session(ToShard::Ask { .. }) | ShardInput::Undelivered { .. } => {}
                _ => panic!("nothing else was said"),
            }
        }
    };
    assert_eq!(soon("a close", closed).await, session.session());
    assert!(sink.send(ToSession::Deliver(message(1, 1))).is_err());
    // Both begin anew when it is back.
    pair.cutter.close(false);
    let again = Mailbox::new(3, 1000);
    let bound = async {
        loop {
            let from: SinkRef = again.clone();
            let ask = ToShard::Ask {
                from,
                ask: AskId(1),
                question: Question::Credentials {
                    account: "a@example.net".parse().unwrap(),
                },
            };
            pair.ways.send_when_room(ShardId(2), ask).await;
            // Refused at once while the node is away.
            if pair.shards.waiting(2) > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the node is back", bound).await;
}

#[tokio::test]
async fn a_node_that_has_started_again_has_forgotten_its_sessions() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    bind(&pair.ways, &pair.shards, &session, 0).await;
    let place = Place {
        node: 2,
        life: 2,
        options: options(),
        map: pair.map.clone(),
    };
    let shards = FakeShards::new(SHARDS, 1000);
    let next = RouterNode::start(place, &shards).await;
    pair.cutter.lead_to(next.address);
    pair.cutter.cut();
    assert!(matches!(session.next().await, ToSession::Close(_)));
    let again = Mailbox::new(2, 1000);
    bind(&pair.ways, &shards, &again, 0).await;
}

#[tokio::test]
async fn frames_for_a_shard_that_has_moved_follow_it_in_order() {
    let pair = pair(options(), 100_000).await;
    // The other node does not know the new map yet, and this one has the old one.
    let third = FakeShards::new(SHARDS, 100_000);
    let map = ShardMap {
        version: 2,
        owners: vec![3, 2, 2, 2],
    };
    let place = Place {
        node: 3,
        life: 1,
        options: options(),
        map: map.clone().shared(),
    };
    let router = RouterNode::start(place, &third).await;
    pair.addresses.set(3, router.address);
    let id = Mailbox::new(1, 10).session();
    for number in 0..300 {
        pair.ways
            .send_when_room(ShardId(0), stanzas(id, number, 50))
            .await;
        if number == 100 {
            // Some are still under way.
            pair.map.store(Arc::new(map.clone()));
        }
    }
    let mut expected = 0;
    while pair.shards.waiting(0) > 0 {
        assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, expected)));
        expected += 1;
    }
    for number in expected..300 {
        assert_eq!(stanza_of(&third.next(0).await), Some((id, number)));
    }
}

#[tokio::test]
async fn frames_for_a_shard_without_an_owner_wait_and_then_come_back() {
    let own = FakeShards::new(SHARDS, 1000);
    let map = ShardMap {
        version: 1,
        owners: vec![1, 0, 1, 1],
    }
    .shared();
    let options = LinkOptions {
        unowned_max_ms: 120,
        shard_bytes: 2000,
        ..options()
    };
    let place = Place {
        node: 1,
        life: 1,
        options,
        map: map.clone(),
    };
    let ways = ways(place, Some(own.clone()), &Addresses::default());
    let mut kept = 0;
    while ways.forward(ShardId(1), forwarded(kept, 500)).is_ok() {
        kept += 1;
        assert!(kept < 5, "more than the shard's part");
    }
    let back = ShardId::of("a@example.net", SHARDS).0;
    for number in 0..kept {
        let ShardInput::Refused(PeerFrame { batch, .. }) = own.next(back).await else {
            panic!("it comes back");
        };
        assert_eq!(numbers(&batch), [number]);
    }
    // With an owner they go on.
    let asking = Mailbox::new(1, 10);
    assert!(ways.forward(ShardId(1), forwarded(7, 5)).is_ok());
    map.store(Arc::new(ShardMap::all_on(1, SHARDS)));
    let ShardInput::Peer(frame) = own.next(1).await else {
        panic!("it was forwarded");
    };
    assert_eq!(numbers(&frame.batch), [7]);
    assert_eq!(asking.waiting(), 0);
}

#[tokio::test]
async fn a_peer_of_the_version_before_is_spoken_to_and_an_older_one_refused() {
    for (version, oldest, understood) in [(1, 1, true), (3, 2, true), (4, 3, false)] {
        let map = ShardMap::all_on(2, SHARDS).shared();
        let shards = FakeShards::new(SHARDS, 10);
        let place = |node, options| Place {
            node,
            life: 1,
            options,
            map: map.clone(),
        };
        let router = RouterNode::start(place(2, options()), &shards).await;
        let addresses = Addresses::default();
        addresses.set(2, router.address);
        let other = LinkOptions {
            version,
            version_oldest: oldest,
            away_max_ms: 100,
            ..options()
        };
        let ways = ways(place(1, other), None, &addresses);
        let session = Mailbox::new(1, 10);
        if understood {
            bind(&ways, &shards, &session, 0).await;
            continue;
        }
        is_refused(&ways, 2).await;
        assert_eq!(shards.waiting(0), 0);
    }
}

#[tokio::test]
async fn an_address_that_leads_to_another_node_gives_no_link() {
    let options = LinkOptions {
        away_max_ms: 100,
        ..options()
    };
    let pair = pair(options, 10).await;
    pair.addresses.set(5, pair.cutter.address);
    pair.map.store(Arc::new(ShardMap::all_on(5, SHARDS)));
    is_refused(&pair.ways, 5).await;
    assert_eq!(pair.shards.waiting(0), 0);
}

#[tokio::test]
async fn a_node_that_is_not_admitted_gets_no_link() {
    let map = ShardMap::all_on(2, SHARDS).shared();
    let place = |node| Place {
        node,
        life: 1,
        options: LinkOptions {
            away_max_ms: 100,
            ..options()
        },
        map: map.clone(),
    };
    let shards = FakeShards::new(SHARDS, 10);
    let admit = Arc::new(|node, _: &tonic::Extensions| node == 1);
    let router = RouterNode::start_with(place(2), &shards, admit).await;
    let addresses = Addresses::default();
    addresses.set(2, router.address);
    is_refused(&ways(place(3), None, &addresses), 2).await;
    assert_eq!(shards.waiting(0), 0);
    let session = Mailbox::new(1, 10);
    bind(&ways(place(1), None, &addresses), &shards, &session, 0).await;
}

/// Nothing gets to a node, which is given up in time.
async fn is_refused(ways: &Ways, node: u32) {
    let session = Mailbox::new(1, 10);
    let from: SinkRef = session.clone();
    let ask = ToShard::Ask {
        from,
        ask: AskId(1),
        question: Question::Credentials {
            account: "a@example.net".parse().unwrap(),
        },
    };
    ways.send_when_room(ShardId(0), ask).await;
    let answer = session.next().await;
    assert!(
        matches!(
            answer,
            ToSession::Answer {
                answer: Answer::Unavailable,
                ..
            }
        ),
        "node {node} answered"
    );
}
