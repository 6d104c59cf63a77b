//! Hands the bans to the connection role, version by version.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{counter, gauge};
use rookery_connection::ConnectionRole;
use rookery_control::BanList;
use tokio::sync::watch;

/// Follows the bans until the control group is gone.
pub async fn follow(mut lists: watch::Receiver<Arc<BanList>>, connection: Arc<ConnectionRole>) {
    loop {
        let list = lists.borrow_and_update().clone();
        if list.version() > 0 {
            let closed = connection.set_bans(&list);
            counter!("rookery_bans_closed_total").increment(closed as u64);
            publish(&list);
        }
        if lists.changed().await.is_err() {
            return;
        }
    }
}

fn publish(list: &BanList) {
    let mut kinds = BTreeMap::from([("account", 0_u32), ("domain", 0), ("network", 0)]);
    for ban in list.iter() {
        *kinds.entry(ban.target.kind()).or_default() += 1;
    }
    for (kind, count) in kinds {
        gauge!("rookery_bans", "kind" => kind).set(f64::from(count));
    }
    gauge!("rookery_bans_version").set(list.version() as f64);
}
