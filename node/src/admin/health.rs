//! The gRPC health service: what `/readyz` says, for those who speak gRPC.

use std::time::Duration;

use rookery_proto::admin::{registration_server, server_server, sessions_server, users_server};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::operator::Operator;

/// Tells the health of the node until the runtime ends.
pub(super) async fn follow(reporter: HealthReporter, operator: Operator) {
    let mut turn = tokio::time::interval(TURN);
    loop {
        turn.tick().await;
        let components = operator.components().await;
        let status = match components.iter().all(|component| component.healthy) {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        for service in SERVICES {
            reporter.set_service_status(service, status).await;
        }
    }
}

/// The node as a whole, then each service: they have the same parts behind them.
const SERVICES: [&str; 5] = [
    "",
    users_server::SERVICE_NAME,
    sessions_server::SERVICE_NAME,
    registration_server::SERVICE_NAME,
    server_server::SERVICE_NAME,
];

/// A load balancer asks every few seconds.
const TURN: Duration = Duration::from_millis(500);
