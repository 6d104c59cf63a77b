//! Moves what this node's shards have noticed to the control group.

use std::sync::Arc;
use std::time::Duration;

use rookery_control::{Control, NodeId};
use rookery_router::environment::Environment;
use rookery_xmpp::clock::Timestamp;
use tokio::time::MissedTickBehavior;

/// Tells the group of refused registrations and of events once a second, where there are any, for ever. What is not
/// answered is told again.
pub(crate) async fn report(control: Control, node: NodeId, environment: Arc<Environment>) {
    let incarnation = Timestamp::now().as_millis();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(report) = environment.noticed.report(incarnation) else {
            continue;
        };
        let sequence = report.sequence;
        match control.report_router(node, report).await {
            Ok(()) => environment.noticed.reported(sequence),
            Err(error) => tracing::debug!(%error, "events not reported, told again"),
        }
    }
}

/// Between two looks whether there is something to tell.
const LOOK: Duration = Duration::from_secs(1);
