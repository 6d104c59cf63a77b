//! Moves what this node knows of logins to the control group, and the group's blocks to the connection role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use rookery_connection::ConnectionRole;
use rookery_control::{Control, GuardList, NodeId};
use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Tells the group of failed logins once a second, where there are any, for ever. What is not answered is told again.
pub(crate) async fn report(control: Control, node: NodeId, connection: Arc<ConnectionRole>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        gauge!("rookery_flood_networks").set(connection.flood_entries() as f64);
        let Some(report) = connection.login_report() else {
            continue;
        };
        let sequence = report.sequence;
        match control.report_logins(node, report).await {
            Ok(()) => {
                counter!("rookery_guard_reports_total").increment(1);
                connection.logins_reported(sequence);
            }
            Err(error) => tracing::debug!(%error, "failed logins not reported, told again"),
        }
    }
}

/// Follows the group's blocks until it is gone.
pub(crate) async fn follow(
    mut lists: watch::Receiver<Arc<GuardList>>,
    connection: Arc<ConnectionRole>,
) {
    loop {
        let list = lists.borrow_and_update().clone();
        publish(&list);
        for block in connection.set_guard_list(list) {
            let ends_in_s = block.until.since(Timestamp::now()).as_secs();
            let (target, failures) = (&block.target, block.failures);
            tracing::info!(%target, failures, ends_in_s, "too many failed logins, blocked");
        }
        if lists.changed().await.is_err() {
            return;
        }
    }
}

fn publish(list: &GuardList) {
    let mut kinds = BTreeMap::from([("account", 0_u32), ("network", 0)]);
    for block in list.iter() {
        *kinds.entry(block.target.kind()).or_default() += 1;
    }
    for (kind, count) in kinds {
        gauge!("rookery_guard_blocks", "kind" => kind).set(f64::from(count));
    }
}

/// Between two looks whether there is something to tell.
const LOOK: Duration = Duration::from_secs(1);
