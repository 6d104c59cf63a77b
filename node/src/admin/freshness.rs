//! Whether what this node knows of the cluster is all there is to know.

use std::time::Duration;

use rookery_control::Unavailable;

use crate::operator::Operator;

/// Why what is read on this node may be old; empty if the control group has just answered it. Then a member has applied
/// all that was decided before. Without an answer only what the node has heard so far can be told, and whoever reads it
/// must know: a state of five minutes ago looks like one of now.
pub(super) async fn stale(operator: &Operator) -> String {
    let read = tokio::time::timeout(PATIENCE, operator.control().read_policy()).await;
    match read {
        Ok(Ok(_)) => String::new(),
        Ok(Err(error)) => told(error),
        Err(_) => told(Unavailable::NoQuorum),
    }
}

fn told(error: Unavailable) -> String {
    format!(
        "{error}: this is what this node knew last, and what happened since is not in it; another node may know more"
    )
}

/// Longer than an election; shorter than the patience of whoever looks after a cluster in trouble.
const PATIENCE: Duration = Duration::from_secs(2);
