//! Whether this node's configuration has as many shards as the cluster.
//!
//! The group takes the number once, from the first router, for by it every node finds the shard of an account. A node
//! with another number would ask the wrong shard for accounts, and some shards never. So a node with clients or
//! accounts does not start with it:
//!
//! ```text
//! start ─► how many has the cluster? ─ another number ─► exit code 78
//!              └ nobody answers, or no router has come yet ─► serve ─ the first map has another number ─► stop, 78
//! ```

use std::sync::Arc;
use std::time::Duration;

use rookery_control::{Control, Link, Unavailable};

use super::book::Book;
use super::credentials::{Credentials, CredentialsError};
use super::files::Files;
use super::link::GrpcLink;
use super::version;
use crate::config::{Config, Role};

/// The number of shards that is configured is not the cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "router.shards is {configured}, but the cluster has {cluster} shards, which is fixed when it is made: set it to \
     {cluster}, or back up and restore into a new cluster"
)]
pub struct ShardCountDiffers {
    /// What the configuration says.
    pub configured: u16,
    /// What the control group has.
    pub cluster: u16,
}

/// Compares the two; 0 stands for a cluster that has no shards yet, or does not say how many.
///
/// # Errors
/// They differ.
pub(crate) fn compare(configured: u16, cluster: u16) -> Result<(), ShardCountDiffers> {
    match cluster {
        0 => Ok(()),
        same if same == configured => Ok(()),
        cluster => Err(ShardCountDiffers {
            configured,
            cluster,
        }),
    }
}

/// Whether a node of these roles looks for the shards of accounts all the time: its clients' or its own.
pub(super) fn matters(config: &Config) -> bool {
    config.server.has(Role::Router) || config.server.has(Role::Connection)
}

/// Asks the group before the node takes part. Where nobody answers in time the first map is the judge.
///
/// # Errors
/// The numbers differ, and the node needs them to be the same.
pub(super) async fn check_start(
    config: &Config,
    control: &Control,
) -> Result<(), ShardCountDiffers> {
    if !matters(config) {
        return Ok(());
    }
    let told = async {
        loop {
            let status = control.status().await.ok()?;
            // A member that has just started knows no more than its last snapshot.
            if status.shards > 0 || (status.leader.is_some() && status.applied >= status.commit) {
                return Some(status.shards);
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let told = tokio::time::timeout(ANSWERED_WITHIN, told).await;
    compare(config.router.shards, told.ok().flatten().unwrap_or(0))
}

/// What a cluster says to one of its nodes that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It has so many shards; 0 before the first router.
    Shards(u16),
    /// It refuses this node, as it does one that was removed.
    Refused,
    /// No member has answered in some seconds.
    Nothing,
}

/// How many shards the cluster has, by the first member that says so.
///
/// # Errors
/// This node's files do not let it ask.
pub async fn shards_of_cluster(config: &Config) -> Result<Heard, CredentialsError> {
    version::hold_back(config.cluster.protocol_max);
    let files = Files::configured(&config.cluster, &config.server.data_dir);
    let credentials = Credentials::load(&files)?;
    let mut members = config.cluster.peers.clone();
    if config.server.has(Role::Control) {
        members.push(config.cluster.address.clone());
    }
    let link = GrpcLink::new(Arc::new(Book::new(members)), credentials, String::new());
    let asked = async {
        loop {
            match link.status().await {
                Ok(status) if status.shards > 0 || status.leader.is_some() => {
                    return Heard::Shards(status.shards);
                }
                Err(Unavailable::Refused) => return Heard::Refused,
                _ => tokio::time::sleep(AGAIN).await,
            }
        }
    };
    let heard = tokio::time::timeout(ANSWERED_WITHIN, asked).await;
    Ok(heard.unwrap_or(Heard::Nothing))
}

/// For how long a member may be looked for: somebody waits, or a node that could serve.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Before a member is asked again.
const AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_of_shards_is_refused_by_both_numbers_and_an_unknown_one_is_not() {
        assert_eq!(compare(8, 8), Ok(()));
        assert_eq!(compare(8, 0), Ok(()));
        let told = compare(8, 1024).map_err(|error| error.to_string());
        let told = told.expect_err("they differ");
        assert!(told.contains("router.shards is 8"), "{told}");
        assert!(told.contains("has 1024 shards"), "{told}");
    }
}
