//! The node's identity in its cluster: there, of one piece, in date, and with the roles that the configuration has.

use std::time::Duration;

use rookery_xmpp::clock::Timestamp;

use super::super::terminal::moment;
use super::finding::Finding;
use crate::cluster::{self, ClusterError, CredentialsError, Heard};
use crate::config::Config;

/// Everything about the identity, as of `now`. A server that is alone has none.
pub(super) fn examine(config: &Config, now: Timestamp) -> Option<Finding> {
    if config.cluster.listen.is_empty() {
        return None;
    }
    match cluster::inspect(config) {
        Err(error) => Some(Finding::error(TOPIC, error.to_string(), fix(&error))),
        Ok((identity, expires)) => of_time(identity.node, expires, now),
    }
}

/// Whether the cluster has as many shards as the configuration and takes this node for its own, if a member tells.
pub(super) async fn shards(config: &Config) -> Option<Finding> {
    let (peers, configured) = (&config.cluster.peers, config.router.shards);
    if config.cluster.listen.is_empty() {
        return None;
    }
    // What is wrong with the files was said already.
    match cluster::shards_of_cluster(config).await.ok()? {
        Heard::Refused => {
            let what = "the cluster refuses this node, as it does one that was removed".to_owned();
            let fix = "`rookery admin nodes list` on a member names the removed ones: such a node empties its data \
                       folder and joins as a new one";
            Some(Finding::error(TOPIC, what, fix))
        }
        Heard::Shards(shards) => {
            let differs = cluster::compare_shards(configured, shards).err()?;
            let fix = format!("set router.shards = {shards} in the configuration of this node");
            Some(Finding::error("shards", differs.to_string(), fix))
        }
        Heard::Nothing if peers.is_empty() => None,
        Heard::Nothing => {
            let what = format!(
                "none of {} answered, so router.shards = {configured} was not compared with the cluster's",
                peers.join(", ")
            );
            let fix = "run `rookery check` again when a node with the control role runs";
            Some(Finding::note("shards", what, fix))
        }
    }
}

fn of_time(node: rookery_control::NodeId, expires: Timestamp, now: Timestamp) -> Option<Finding> {
    let what = format!(
        "the cluster certificate of node {node} expires on {}",
        moment(expires.as_millis())
    );
    let fix = "`rookery cluster renew --config FILE`, then `rookery admin server reload`, while it is good";
    (expires < now.plus(RENEWAL)).then(|| Finding::warning(TOPIC, what, fix))
}

fn fix(error: &ClusterError) -> &'static str {
    match error {
        ClusterError::Credentials(CredentialsError::Unreadable { .. }) => {
            "check the path, and that the server's user may read the file"
        }
        ClusterError::Credentials(CredentialsError::Mismatch(_)) => {
            "certificate, key and authority must be those of one `rookery cluster init` or `join`"
        }
        ClusterError::Role { .. } => {
            "take the role out of server.roles, or join with a token that has it"
        }
        _ => "",
    }
}

const TOPIC: &str = "identity";

/// The runbook has it renewed and alerted on by then.
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);
