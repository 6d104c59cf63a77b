//! The secret that all nodes share: by it the salts of names without an account are the same wherever a stranger asks.
//!
//! ```text
//! file of the node ─ proposes ─► control group (the first holds) ─► sessions, and the file for the next start
//! ```

use std::path::PathBuf;
use std::time::Duration;

use rookery_control::{ClusterSecret, Control};

use crate::operation::keep_secret;
use crate::session_settings::SessionSettings;

/// Has this node's sessions use the secret of the cluster, however long it takes to hear of it; until then they use the
/// node's own, which is the cluster's if it was ever told.
pub(crate) async fn agree(
    control: Control,
    sessions: SessionSettings,
    (path, own): (PathBuf, [u8; 32]),
) {
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

/// Until a group that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use rookery_control::{ControlOptions, NodeId, RegistrationPolicy};
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
            agree(control.clone(), sessions.clone(), (path.clone(), own)).await;
            assert_eq!(sessions.shared().load().decoy_secret, [1; 32]);
            assert_eq!(std::fs::read(path).unwrap(), [1; 32]);
        }
        control.stop().await;
    }
}
