//! A node that is empty until it starts again: for a restart that its clients and shards do not wait for.
//!
//! ```text
//! `admin server drain` ─► a mark in the data folder ─► DrainNode ─► it is empty ─► it is stopped
//! it starts ─► the mark is there ─► DrainNode, taken back ─► the mark is removed
//! ```
//!
//! What the operator has drained by `admin nodes drain` has no mark, and stays drained.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rookery_control::{Control, NodeId, NodesRefused};

use super::files::write_private;
use super::shards::is_draining;
use super::start::Cluster;

/// Why a node is not emptied; the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The mark cannot be written, so that the node would stay empty when it starts again.
    #[error("the data folder cannot be written: {0}")]
    Mark(#[from] std::io::Error),
    /// The control group refuses, or is out of reach.
    #[error(transparent)]
    Group(#[from] NodesRefused),
}

impl Cluster {
    /// Has the cluster empty this node until it starts again. Durable when it returns, and only begun.
    ///
    /// # Errors
    /// If the group refuses, or the node could not find it out when it starts.
    pub async fn rest(&self, control: &Control) -> Result<(), RestError> {
        let node = self.node();
        if self.is_draining(control) {
            return Ok(());
        }
        let mark = self.files().resting.clone();
        write_private(&mark, "")?;
        let drained = control.drain_node(node, true).await;
        // What may have been heard all the same is taken back at the next start.
        if let Err(NodesRefused::Unavailable(_)) = &drained {
            return Ok(drained?);
        }
        if drained.is_err() {
            fs::remove_file(&mark)?;
        }
        Ok(drained?)
    }

    /// Whether the operator wants this node empty, as it knows.
    pub fn is_draining(&self, control: &Control) -> bool {
        is_draining(&control.directory(), self.node())
    }

    /// How many shards this node serves, as the control group knows.
    pub fn shards_owned(&self, control: &Control) -> usize {
        let (map, node) = (control.shards(), self.node());
        let owned = map.since(0);
        owned
            .filter(|change| change.placement.owner == Some(node))
            .count()
    }
}

/// Has the cluster use a node again that was empty until it starts. Tries until the group has heard it.
pub(super) async fn end(control: &Control, node: NodeId, mark: &Path) {
    if !mark.exists() {
        return;
    }
    while let Err(error) = control.drain_node(node, false).await {
        tracing::warn!(%error, "the cluster does not use this node again yet");
        tokio::time::sleep(AGAIN).await;
    }
    match fs::remove_file(mark) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::error!(%error, mark = %mark.display(), "a mark cannot be removed");
        }
        _ => tracing::info!("in use again"),
    }
}

/// Before the group is told again.
const AGAIN: Duration = Duration::from_secs(1);
