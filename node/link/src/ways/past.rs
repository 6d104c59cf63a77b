//! Sessions of this node that are over and were others before.
//!
//! ```text
//! client goes on as another session, says again what it had said by the first ──► that one is over, its shard moves
//!      └─ the first one's node was cut off, is back, and tells the next owner of it
//! ```
//!
//! Nobody else can tell that owner that this was said again. It holds as long as a node may be away and keep what its
//! sessions have said.

use std::collections::VecDeque;
use std::time::Duration;

use rookery_session::carrier::ShardId;

use crate::wire::Announced;

/// They, the last one last.
#[derive(Default)]
pub(super) struct Past(VecDeque<One>);

struct One {
    shard: ShardId,
    announced: Announced,
    until: Duration,
}

impl Past {
    /// This one is over, and its shard has heard that.
    pub(super) fn push(&mut self, shard: ShardId, announced: Announced, until: Duration) {
        if self.0.len() >= PAST_MAX {
            self.0.pop_front();
        }
        self.0.push_back(One {
            shard,
            announced,
            until,
        });
    }

    /// Those whose time is up are forgotten.
    pub(super) fn forget(&mut self, now: Duration) {
        while self.0.front().is_some_and(|one| one.until <= now) {
            self.0.pop_front();
        }
    }

    /// Whether any was bound at a shard.
    pub(super) fn any_at(&self, shard: ShardId) -> bool {
        self.0.iter().any(|one| one.shard == shard)
    }

    /// What the next owner of a shard is told of them.
    pub(super) fn announce(&self, shard: ShardId) -> impl Iterator<Item = Announced> {
        let there = self.0.iter().filter(move |one| one.shard == shard);
        there.map(|one| one.announced.clone())
    }
}

/// How many are known: more than clients can come back to a node and leave it again within that time.
const PAST_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use bytes::Bytes;
    use rookery_session::carrier::SessionId;

    use super::*;

    fn one(serial: u64) -> Announced {
        Announced {
            session: SessionId { node: 1, serial },
            round: 0,
            jid: Arc::new("romeo@localhost/a".parse().expect("a JID")),
            address: Ipv4Addr::LOCALHOST.into(),
            state: Bytes::new(),
            kept: None,
        }
    }

    #[test]
    fn those_are_announced_whose_time_is_not_up_and_they_are_not_too_many() {
        let (shard, other) = (ShardId(1), ShardId(2));
        let mut past = Past::default();
        past.push(other, one(0), Duration::from_secs(1));
        for serial in 1..=PAST_MAX as u64 {
            past.push(shard, one(serial), Duration::from_secs(2));
        }
        assert!(!past.any_at(other) && past.any_at(shard));
        assert_eq!(past.announce(shard).count(), PAST_MAX);
        past.forget(Duration::from_secs(1));
        assert!(past.any_at(shard));
        past.forget(Duration::from_secs(2));
        assert!(!past.any_at(shard));
    }
}
