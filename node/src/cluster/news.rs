//! What is new to a node that follows the group.

use std::sync::Arc;

use rookery_control::{
    BanList, Control, Directory, EndedLeases, EventsHead, GuardList, NameRules, NodeId, Policy,
    ShardMap, encode_changes,
};
use rookery_proto::control::{WatchEvent, WatchRequest};
use tokio::sync::watch;

use super::version;

/// All that a node is told of the group, from the versions on that it has.
pub(super) struct News {
    policies: watch::Receiver<Arc<Policy>>,
    directories: watch::Receiver<Arc<Directory>>,
    maps: watch::Receiver<Arc<ShardMap>>,
    lists: watch::Receiver<Arc<BanList>>,
    blocks: watch::Receiver<Arc<GuardList>>,
    names: watch::Receiver<Arc<NameRules>>,
    endings: watch::Receiver<Arc<EndedLeases>>,
    heads: watch::Receiver<EventsHead>,
    /// What the node has, or was told.
    told: WatchRequest,
}

impl News {
    /// The node says which versions it has.
    pub(super) fn since(control: &Control, told: WatchRequest) -> Self {
        Self {
            policies: control.watch(),
            directories: control.watch_directory(),
            maps: control.watch_shards(),
            lists: control.watch_bans(),
            blocks: control.watch_guard(),
            names: control.watch_names(),
            endings: control.watch_ended_leases(),
            heads: control.watch_events(),
            told,
        }
    }

    /// Whether a node was removed from the cluster.
    pub(super) fn has_removed(&self, node: NodeId) -> bool {
        self.directories.borrow().removed.contains(&node)
    }

    /// All that is newer than was told before; `None` if nothing is.
    pub(super) fn event(&mut self) -> Option<WatchEvent> {
        let mut event = WatchEvent::default();
        let told = &mut self.told;
        let policy = self.policies.borrow_and_update().clone();
        if policy.version > told.policy_version {
            told.policy_version = policy.version;
            event.policy = policy.encode().into();
        }
        let directory = self.directories.borrow_and_update().clone();
        if directory.version > told.directory_version {
            told.directory_version = directory.version;
            event.directory = directory.encode().into();
        }
        let map = self.maps.borrow_and_update().clone();
        if map.version() > told.shards_version {
            let changes: Vec<_> = map.since(told.shards_version).collect();
            told.shards_version = map.version();
            event.shards = encode_changes(&changes).into();
        }
        let bans = self.lists.borrow_and_update().clone();
        if bans.version() > told.bans_version {
            event.bans = bans.since(told.bans_version).encode().into();
            told.bans_version = bans.version();
        }
        let guard = self.blocks.borrow_and_update().clone();
        if guard.version() > told.guard_version {
            event.guard = guard.since(told.guard_version).encode().into();
            told.guard_version = guard.version();
        }
        let names = self.names.borrow_and_update().clone();
        if names.version() > told.names_version {
            event.names = names.encode().into();
            told.names_version = names.version();
        }
        let ended = self.endings.borrow_and_update().clone();
        if ended.version > told.ended_leases_version {
            told.ended_leases_version = ended.version;
            event.ended_leases = ended.encode().into();
        }
        let head = *self.heads.borrow_and_update();
        let heard = EventsHead {
            newest: told.events_newest,
            told: told.events_told,
        };
        if head > heard {
            (told.events_newest, told.events_told) = (head.newest, head.told);
            (event.events_newest, event.events_told) = (head.newest, head.told);
        }
        let is_news = event != WatchEvent::default();
        event.version = version::newest();
        is_news.then_some(event)
    }

    /// Completes when something has changed since the last [`event`](Self::event); false when nothing will any more.
    pub(super) async fn changed(&mut self) -> bool {
        let changed = tokio::select! {
            changed = self.policies.changed() => changed,
            changed = self.directories.changed() => changed,
            changed = self.maps.changed() => changed,
            changed = self.lists.changed() => changed,
            changed = self.blocks.changed() => changed,
            changed = self.names.changed() => changed,
            changed = self.endings.changed() => changed,
            changed = self.heads.changed() => changed,
        };
        changed.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use rookery_control::{ControlOptions, RegistrationPolicy, Renewal, ShardPolicy};

    use super::*;

    #[tokio::test]
    async fn a_node_hears_once_of_a_lease_that_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let registration = RegistrationPolicy::default();
        let control = Control::start(
            ControlOptions::default(),
            dir.path(),
            NodeId::FIRST,
            registration,
        );
        let control = control.unwrap();
        let policy = ShardPolicy {
            shards: 4,
            lease_ms: 600_000,
            margin_ms: 500,
            moves_max: 1,
        };
        control.configure_shards(policy).await.unwrap();
        let node = NodeId::new(7).unwrap();
        let renewal = Renewal {
            incarnation: 3,
            routes: false,
            draining: false,
        };
        control.renew_lease(node, renewal).await.unwrap();
        let mut news = News::since(&control, WatchRequest::default());
        let first = news.event().expect("it knows nothing yet");
        assert!(first.ended_leases.is_empty());
        control.leave(node).await.unwrap();
        assert!(news.changed().await);
        let event = news.event().expect("a lease has ended");
        let ended = EndedLeases::decode(&event.ended_leases).unwrap();
        assert_eq!(ended.nodes, [(node, 3)].into());
        assert!(news.event().is_none());
        // Another stream goes on from there.
        let told = WatchRequest {
            ended_leases_version: ended.version,
            ..WatchRequest::default()
        };
        let next = News::since(&control, told).event();
        assert!(next.is_none_or(|event| event.ended_leases.is_empty()));
        control.stop().await;
    }
}
