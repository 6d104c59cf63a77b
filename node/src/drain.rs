//! Takes the clients of a node that its operator wants empty elsewhere.
//!
//! ```text
//! `admin nodes drain` ─► directory ─► ports close ─► a wave of clients is sent away, and another … until none is left
//! `admin nodes undrain` ─► directory ─► ports open again
//! ```
//!
//! In waves, so that the other nodes are not asked for all logins at once. The node's shards move meanwhile
//! (`cluster/shards.rs`).

use std::sync::Arc;
use std::time::Duration;

use rookery_connection::ConnectionRole;
use rookery_control::{Control, NodeId};

use crate::cluster::is_draining;
use crate::config::ClusterOptions;

/// Follows what the operator wants of this node, for ever.
pub(crate) async fn follow(
    control: Control,
    node: NodeId,
    role: Arc<ConnectionRole>,
    options: ClusterOptions,
) {
    let mut directory = control.watch_directory();
    let wave_ms = Duration::from_millis(options.drain_wave_ms);
    let mut drained = false;
    loop {
        let wanted = is_draining(&directory.borrow_and_update(), node);
        if wanted && !drained {
            tracing::info!(clients = role.connections(), "draining, ports are closed");
            role.close_ports();
        }
        drained = wanted || (drained && !reopened(&role));
        let busy = drained && (!wanted || role.connections() > 0);
        if wanted && busy {
            let left = role.send_away(options.drain_wave_clients as usize);
            tracing::debug!(left, "clients are sent away");
        }
        tokio::select! {
            changed = directory.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wave_ms), if busy => {}
        }
    }
}

fn reopened(role: &ConnectionRole) -> bool {
    match role.open_ports() {
        Ok(()) => {
            tracing::info!("in use again, ports are open");
            true
        }
        Err(error) => {
            tracing::error!(%error, "in use again, but a port cannot be opened");
            false
        }
    }
}
