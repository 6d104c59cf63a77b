//! What waits for other nodes, for the metrics.

use std::collections::BTreeSet;
use std::time::Duration;

use metrics::gauge;
use rookery_link::{Hall, Ways};

/// Tells what waits, for ever.
pub(super) async fn tell(ways: Ways, hall: Hall) {
    let mut told = BTreeSet::new();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        gauge!("rookery_link_frames_kept").set(ways.kept() as f64);
        let mut queues = vec![];
        queues.extend(ways.outboxes().into_iter().map(|it| (it, "shards")));
        queues.extend(hall.outboxes().into_iter().map(|it| (it, "sessions")));
        let now: BTreeSet<_> = queues.iter().map(|((node, _), of)| (*node, *of)).collect();
        // Of a node that is gone nothing waits any more.
        queues.extend(told.difference(&now).map(|(node, of)| ((*node, 0), *of)));
        for ((node, bytes), of) in queues {
            gauge!("rookery_link_queue_bytes", "node" => node.to_string(), "of" => of)
                .set(bytes as f64);
        }
        told = now;
    }
}

/// How old what is told may be: younger than what a monitoring system asks for.
const LOOK: Duration = Duration::from_secs(2);
