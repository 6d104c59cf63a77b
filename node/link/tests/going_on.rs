//! Sessions that go on without their nodes.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers cannot do ends the test, too"
)]

mod support;

use std::sync::Arc;

use rookery_link::{LinkOptions, ShardMap};
use rookery_session::carrier::{
    AskId, Full, Question, Routers, ShardId, ShardInput, Sink, SinkRef, ToShard,
};

use support::{Mailbox, bind, jid, options, pair, soon};

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
