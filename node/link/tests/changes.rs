//! Nodes that go away, come back, or are others; shards that move.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers cannot do ends the test, too"
)]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use rookery_link::{LinkOptions, Rights, ShardMap, VERSION, VERSION_OLDEST, Ways};
use rookery_session::carrier::{
    Answer, AskId, PeerFrame, Peers, Question, Routers, SessionId, ShardId, ShardInput, Sink,
    SinkRef, ToSession, ToShard,
};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use support::{
    Addresses, Cutter, FakeShards, Mailbox, Pair, Place, RouterNode, SHARDS, bind, forwarded, jid,
    message, numbers, options, pair, soon, stanza_of, stanzas, ways,
};

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
                ShardInput::Session(ToShard::Detached { session: id, .. }) => return id,
                ShardInput::Session(ToShard::Ask { .. }) | ShardInput::Undelivered { .. } => {}
                _ => panic!("nothing else was said"),
            }
        }
    };
    assert_eq!(soon("a close", closed).await, session.session());
    assert!(sink.send(ToSession::Deliver(message(1, 1).into())).is_err());
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

/// Longer than any test.
fn patient() -> LinkOptions {
    LinkOptions {
        away_max_ms: 600_000,
        ..options()
    }
}

/// The next close that a shard of this pair hears of.
async fn closed(pair: &Pair) -> SessionId {
    let shard = ShardId::of("a@example.net", SHARDS).0;
    match pair.shards.next(shard).await {
        ShardInput::Session(ToShard::Detached { session, .. }) => session,
        _ => panic!("nothing else was said"),
    }
}

#[tokio::test]
async fn a_node_that_is_gone_and_has_no_lease_is_not_waited_for_and_hears_so_when_it_is_back() {
    let pair = pair(patient(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    goes_away(&pair).await;
    pair.router.hall.leases_ended([(1, 1)].into());
    let id = soon("a close", closed(&pair)).await;
    assert_eq!(id, session.session());
    assert!(sink.send(ToSession::Deliver(message(1, 1).into())).is_err());
    // Its own client is told no later than the node hears of it.
    assert_eq!(session.waiting(), 0);
    pair.cutter.close(false);
    assert!(matches!(session.next().await, ToSession::Close(_)));
    let again = Mailbox::new(2, 1000);
    bind(&pair.ways, &pair.shards, &again, 0).await;
}

/// Node 3 with a session at the router of a pair, and what to cut.
async fn neighbour(pair: &Pair, options: LinkOptions) -> (Cutter, Ways, Arc<Mailbox>, SinkRef) {
    let cutter = Cutter::before(pair.router.address).await;
    let addresses = Addresses::default();
    addresses.set(2, cutter.address);
    let place = Place {
        node: 3,
        life: 1,
        options,
        map: pair.map.clone(),
    };
    let ways = ways(place, None, &addresses);
    let session = Mailbox::new(9, 1000);
    let sink = bind(&ways, &pair.shards, &session, 1).await;
    (cutter, ways, session, sink)
}

#[tokio::test]
async fn a_node_that_can_be_reached_is_served_without_a_lease() {
    let pair = pair(patient(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    let (cutter, _ways, other, _sink) = neighbour(&pair, patient()).await;
    pair.router.hall.leases_ended([(1, 1), (3, 1)].into());
    cutter.close(true);
    cutter.cut();
    // The other node's session is the only one that ends.
    let id = soon("a close", closed(&pair)).await;
    assert_eq!(id.serial, other.session().serial);
    assert_eq!(pair.router.hall.nodes(), [1]);
    sink.send(ToSession::Deliver(message(1, 1).into())).unwrap();
    assert!(matches!(session.next().await, ToSession::Deliver(_)));
}

#[tokio::test]
async fn a_node_is_waited_for_while_its_lease_holds_or_only_an_earlier_life_has_none() {
    for held in [None, Some((1, 0))] {
        let pair = pair(patient(), 1000).await;
        let session = Mailbox::new(1, 1000);
        let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
        let (cutter, _ways, other, _sink) = neighbour(&pair, patient()).await;
        // Away for longer than the one that is given up.
        pair.cutter.close(true);
        pair.cutter.cut();
        let first_is_away = async {
            while pair.router.hall.nodes() != [3] {
                tokio::task::yield_now().await;
            }
        };
        soon("the first node is away", first_is_away).await;
        cutter.close(true);
        cutter.cut();
        let ended = held.into_iter().chain([(3, 1)]);
        pair.router.hall.leases_ended(ended.collect());
        let id = soon("a close", closed(&pair)).await;
        assert_eq!(id.serial, other.session().serial);
        sink.send(ToSession::Deliver(message(1, 1).into())).unwrap();
        pair.cutter.close(false);
        assert!(matches!(session.next().await, ToSession::Deliver(_)));
    }
}

/// The way between the nodes is cut, and the accepting side has noticed.
async fn goes_away(pair: &Pair) {
    pair.cutter.close(true);
    pair.cutter.cut();
    let away = async {
        while !pair.router.hall.nodes().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon("the node is away", away).await;
}

#[tokio::test]
async fn a_node_that_may_speak_no_more_is_heard_no_more() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let _sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    pair.router.hall.end_links_of(|node| node == 2);
    assert_eq!(pair.router.hall.nodes(), [1]);
    pair.router.hall.end_links_of(|node| node == 1);
    let shard = ShardId::of("a@example.net", SHARDS).0;
    assert!(matches!(
        pair.shards.next(shard).await,
        ShardInput::Session(ToShard::Detached { .. })
    ));
    assert!(matches!(session.next().await, ToSession::Close(_)));
}

#[tokio::test]
async fn what_an_ended_session_was_to_get_comes_back_while_its_node_is_away() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    let deliver = |number| sink.send(ToSession::Deliver(message(number, 10).into()));
    goes_away(&pair).await;
    deliver(1).unwrap();
    deliver(2).unwrap();
    let error = StreamError::new(StreamCondition::Conflict);
    sink.send(ToSession::Close(error)).unwrap();
    let shard = ShardId::of("a@example.net", SHARDS).0;
    for number in [1, 2] {
        let ShardInput::Undelivered { delivered, .. } = pair.shards.next(shard).await else {
            panic!("only what was not delivered comes");
        };
        assert_eq!(numbers(&delivered.batch), [number]);
    }
    // The session hears of its end and of nothing else once its node is back.
    pair.cutter.close(false);
    assert!(matches!(session.next().await, ToSession::Close(_)));
}

#[tokio::test]
async fn a_node_that_has_started_again_is_told_of_its_sessions_and_of_all_that_was_not_dealt_with()
{
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let sink = bind(&pair.ways, &pair.shards, &session, 0).await;
    let state = Bytes::from_static(b"<session/>");
    assert!(sink.send(ToSession::Remember(state.clone())).is_ok());
    // What is remembered is known here before what comes behind it.
    assert!(sink.send(ToSession::Deliver(message(0, 1).into())).is_ok());
    session.next().await;
    let id = session.session();
    for number in 0..4 {
        pair.ways
            .send_when_room(ShardId(0), stanzas(id, number, 10))
            .await;
    }
    // The first two were dealt with, and the node has said so.
    for number in 0..4 {
        let input = match number < 2 {
            true => pair.shards.next(0).await,
            false => pair.shards.take(0).await,
        };
        assert_eq!(stanza_of(&input), Some((id, number)));
    }
    settled(&pair.ways, 2).await;
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
    let ShardInput::Session(ToShard::Announce {
        from, state: told, ..
    }) = shards.next(0).await
    else {
        panic!("the session is announced first");
    };
    assert_eq!((from.session(), told), (id, state));
    for number in 2..4 {
        assert_eq!(stanza_of(&shards.next(0).await), Some((id, number)));
    }
    // The session goes on: what the new owner says arrives, and what the old one still says does not.
    assert!(sink.send(ToSession::Deliver(message(1, 1).into())).is_ok());
    assert!(from.send(ToSession::Deliver(message(2, 1).into())).is_ok());
    let ToSession::Deliver(delivered) = session.next().await else {
        panic!("a delivery was sent");
    };
    assert_eq!(numbers(&delivered.batch), [2]);
}

#[tokio::test]
async fn what_a_shard_has_not_dealt_with_when_it_moves_goes_to_its_next_owner_and_nothing_else() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    bind(&pair.ways, &pair.shards, &session, 0).await;
    let id = session.session();
    for number in 0..6 {
        pair.ways
            .send_when_room(ShardId(0), stanzas(id, number, 10))
            .await;
    }
    // Every other one is dealt with. The word of it is under way when the map changes.
    for number in 0..6 {
        match number % 2 {
            0 => drop(pair.shards.next(0).await),
            _ => drop(pair.shards.take(0).await),
        }
    }
    let third = FakeShards::new(SHARDS, 1000);
    let map = ShardMap::of(2, [3, 2, 2, 2]);
    let place = Place {
        node: 3,
        life: 1,
        options: options(),
        map: map.clone().shared(),
    };
    let router = RouterNode::start(place, &third).await;
    pair.addresses.set(3, router.address);
    pair.map.store(Arc::new(map));
    let announced = third.next(0).await;
    assert!(matches!(
        announced,
        ShardInput::Session(ToShard::Announce { .. })
    ));
    for number in [1, 3, 5] {
        assert_eq!(stanza_of(&third.next(0).await), Some((id, number)));
    }
    pair.ways
        .send_when_room(ShardId(0), stanzas(id, 6, 10))
        .await;
    assert_eq!(stanza_of(&third.next(0).await), Some((id, 6)));
}

#[tokio::test]
async fn what_a_former_owner_said_to_a_session_does_not_come_back_to_the_next() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    let former = bind(&pair.ways, &pair.shards, &session, 0).await;
    goes_away(&pair).await;
    former
        .send(ToSession::Deliver(message(1, 10).into()))
        .unwrap();
    // The shard was served by others, and is served here again.
    pair.map.store(Arc::new(ShardMap::of(2, [2, 2, 2, 2])));
    pair.ways.map_changed();
    pair.cutter.close(false);
    let ShardInput::Session(ToShard::Announce { from, .. }) = pair.shards.next(0).await else {
        panic!("the session is announced");
    };
    from.send(ToSession::Deliver(message(2, 10).into()))
        .unwrap();
    let ToSession::Deliver(delivered) = session.next().await else {
        panic!("a delivery was sent");
    };
    assert_eq!(numbers(&delivered.batch), [2]);
    // Behind the word that the first was not taken.
    let id = session.session();
    pair.ways
        .send_when_room(ShardId(0), stanzas(id, 7, 10))
        .await;
    assert_eq!(stanza_of(&pair.shards.next(0).await), Some((id, 7)));
    let shard = ShardId::of("a@example.net", SHARDS).0;
    assert_eq!(pair.shards.waiting(shard), 0);
}

#[tokio::test]
async fn the_end_of_a_session_is_told_to_the_next_owner_who_hears_first_that_it_was_there() {
    let pair = pair(options(), 1000).await;
    let session = Mailbox::new(1, 1000);
    bind(&pair.ways, &pair.shards, &session, 0).await;
    let id = session.session();
    let closed = ToShard::Closed {
        session: id,
        jid: jid("a@example.net/a"),
        receipt: None,
    };
    pair.ways.send_when_room(ShardId(0), closed).await;
    drop(session);
    pair.shards.take(0).await;
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
    let first = shards.next(0).await;
    assert!(matches!(
        first,
        ShardInput::Session(ToShard::Announce { from, .. }) if from.session() == id
    ));
    let second = shards.next(0).await;
    assert!(matches!(
        second,
        ShardInput::Session(ToShard::Closed { session, .. }) if session == id
    ));
}

/// Waits until so many frames are kept, of all shards.
async fn settled(ways: &Ways, kept: usize) {
    let wait = async {
        while ways.kept() != kept {
            tokio::task::yield_now().await;
        }
    };
    soon("frames that are settled", wait).await;
}

#[tokio::test]
async fn frames_for_a_shard_that_has_moved_follow_it_in_order() {
    let pair = pair(options(), 100_000).await;
    // The other node does not know the new map yet, and this one has the old one.
    let third = FakeShards::new(SHARDS, 100_000);
    let map = ShardMap::of(2, [3, 2, 2, 2]);
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
    let map = ShardMap::of(1, [1, 0, 1, 1]).shared();
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
    // Nobody waits for what has been away for so long. With an owner they go on.
    let asking = Mailbox::new(1, 10);
    assert!(ways.forward(ShardId(1), forwarded(6, 5)).is_err());
    map.store(Arc::new(ShardMap::all_on(1, SHARDS)));
    assert!(ways.forward(ShardId(1), forwarded(7, 5)).is_ok());
    let ShardInput::Peer(frame) = own.next(1).await else {
        panic!("it was forwarded");
    };
    assert_eq!(numbers(&frame.batch), [7]);
    assert_eq!(asking.waiting(), 0);
}

#[tokio::test]
async fn a_peer_of_the_version_before_is_spoken_to_and_an_older_one_refused() {
    for (version, oldest, understood) in [
        (VERSION_OLDEST, VERSION_OLDEST, true),
        (VERSION + 1, VERSION, true),
        (VERSION + 2, VERSION + 1, false),
    ] {
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
    let admit = Arc::new(|node, _: &tonic::Extensions| (node == 1).then_some(Rights::ALL));
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
