//! Two nodes and a way between them that can be cut.

use std::sync::Arc;

use rookery_link::{LinkOptions, ShardMap, SharedMap, Ways};
use rookery_session::carrier::{
    Answer, AskId, Question, Routers, ShardId, ShardInput, SinkRef, ToSession, ToShard,
};

use super::{Addresses, Cutter, FakeShards, Mailbox, Place, RouterNode, jid, ways};

/// Node 1 has sessions, node 2 all shards; a cutter stands between them.
pub(crate) struct Pair {
    pub(crate) ways: Ways,
    pub(crate) shards: Arc<FakeShards>,
    pub(crate) map: SharedMap,
    pub(crate) cutter: Cutter,
    pub(crate) addresses: Addresses,
    pub(crate) router: RouterNode,
}

pub(crate) const SHARDS: u16 = 4;

pub(crate) async fn pair(options: LinkOptions, capacity: usize) -> Pair {
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
        router,
    }
}

/// Binds a session at a shard, as the shard does it: the sink that the shard has for it.
pub(crate) async fn bind(
    ways: &Ways,
    shards: &FakeShards,
    session: &Arc<Mailbox>,
    shard: u16,
) -> SinkRef {
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
