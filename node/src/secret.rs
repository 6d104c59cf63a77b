//! The secret that all nodes share: by it the salts of names without an account are the same wherever a stranger asks.
//!
//! ```text
//! file of the node ─ proposes ─► control group (the first holds) ─► sessions, and the file for the next start
//! restored store ── a router, before its first shard ──► control group (takes the place of any other)
//! ```
//!
//! No login is answered before a router serves the account's shard. So a node of a cluster that waits for the first
//! owner of a shard, and asks then, is told a secret that was restored.

use std::path::PathBuf;
use std::time::Duration;

use rookery_control::{ClusterSecret, Control, Unavailable};

use crate::operation::keep_secret;
use crate::session_settings::SessionSettings;

/// Has this node's sessions use the secret that was restored with its store, and [`agree`] on the cluster's meanwhile.
/// A process alone has the group take it over at once, a node of a cluster before it takes a shard.
pub(crate) async fn begin(
    control: &Control,
    sessions: &SessionSettings,
    own: (PathBuf, [u8; 32]),
    (restored, in_cluster): (Option<ClusterSecret>, bool),
) {
    if let Some(secret) = restored {
        sessions.set_decoy_secret(secret.bytes());
        if !in_cluster {
            restore(control, secret).await;
        }
    }
    tokio::spawn(agree(control.clone(), sessions.clone(), own, in_cluster));
}

/// Has this node's sessions use the secret of the cluster, however long it takes to hear of it; until then they use the
/// node's own, which is the cluster's if it was ever told.
async fn agree(
    control: Control,
    sessions: SessionSettings,
    (path, own): (PathBuf, [u8; 32]),
    in_cluster: bool,
) {
    if in_cluster {
        let mut shards = control.watch_shards();
        if shards.wait_for(|map| map.owned() > 0).await.is_err() {
            return;
        }
    }
    let secret = loop {
        match control.secret(ClusterSecret::new(own)).await {
            Ok(secret) => break secret.bytes(),
            Err(error) => tracing::debug!(%error, "secret of the cluster is not known yet"),
        }
        tokio::time::sleep(PAUSE).await;
    };
    if secret == own {
        return;
    }
    sessions.set_decoy_secret(secret);
    let kept = tokio::task::spawn_blocking(move || keep_secret(&path, &secret)).await;
    match kept {
        Ok(Ok(())) => tracing::info!("the secret of the cluster is used from now on"),
        Ok(Err(error)) => tracing::warn!(%error, "secret of the cluster was not kept"),
        Err(error) => tracing::error!(%error, "secret of the cluster was not kept"),
    }
}

/// Has the group take over the secret that was restored with the store. Tries until it has, but for a group that is
/// being upgraded: its routers need not wait for that.
pub(crate) async fn restore(control: &Control, secret: ClusterSecret) {
    while let Err(error) = control.restore_secret(secret).await {
        tracing::warn!(%error, "secret that was restored is not the cluster's yet");
        if matches!(error, Unavailable::Upgrading { .. }) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until a group that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use rookery_control::{ControlOptions, NodeId, RegistrationPolicy, Renewal, ShardPolicy};
    use rookery_router::RouterOptions;
    use rookery_router::environment::Environment;
    use rookery_router::modules::{Registry, all};
    use rookery_xmpp::clock::Timestamp;

    use super::*;
    use crate::config::Config;

    fn sessions(control: &Control, secret: [u8; 32]) -> SessionSettings {
        let (hosts, modules) = (["a.example".to_owned()], Registry::new(all()));
        let options = RouterOptions::default();
        let environment = Environment::new(hosts.clone(), [], options, modules, Timestamp(0));
        let policy = control.policy();
        SessionSettings::new(&Config::default(), &hosts, &environment, secret, &policy)
    }

    #[tokio::test]
    async fn two_nodes_with_secrets_of_their_own_use_one_from_then_on_and_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let (options, policy) = (ControlOptions::default(), RegistrationPolicy::default());
        let control = Control::start(options, dir.path(), NodeId::FIRST, policy).unwrap();
        for own in [[1; 32], [2; 32]] {
            let path = dir.path().join(format!("{}.secret", own[0]));
            keep_secret(&path, &own).unwrap();
            let sessions = sessions(&control, own);
            agree(
                control.clone(),
                sessions.clone(),
                (path.clone(), own),
                false,
            )
            .await;
            assert_eq!(sessions.shared().load().decoy_secret, [1; 32]);
            assert_eq!(std::fs::read(path).unwrap(), [1; 32]);
        }
        control.stop().await;
    }

    #[tokio::test]
    async fn a_node_that_was_here_before_the_first_router_uses_the_secret_that_this_one_restores() {
        let dir = tempfile::tempdir().unwrap();
        let (options, policy) = (ControlOptions::default(), RegistrationPolicy::default());
        let control = Control::start(options, dir.path(), NodeId::FIRST, policy).unwrap();
        let first = ClusterSecret::new([1; 32]);
        assert_eq!(control.secret(first).await, Ok(first));
        let sessions = sessions(&control, [2; 32]);
        let own = (dir.path().join("own.secret"), [2; 32]);
        let agreed = tokio::spawn(agree(control.clone(), sessions.clone(), own, true));
        restore(&control, ClusterSecret::new([3; 32])).await;
        let policy = ShardPolicy {
            shards: 1,
            lease_ms: 1_000,
            margin_ms: 100,
            moves_max: 1,
        };
        control.configure_shards(policy).await.unwrap();
        assert!(!agreed.is_finished(), "no shard has an owner");
        let renewal = Renewal {
            incarnation: 1,
            routes: true,
            draining: false,
        };
        control.renew_lease(NodeId::FIRST, renewal).await.unwrap();
        agreed.await.unwrap();
        assert_eq!(sessions.shared().load().decoy_secret, [3; 32]);
        control.stop().await;
    }
}
