//! The HTTP port for monitoring: `/metrics`, `/healthz`, `/readyz`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::warn;

use crate::metrics::Metrics;
use crate::operator::Operator;

/// The running HTTP port.
pub struct HttpPort {
    addresses: Vec<SocketAddr>,
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    operator: Operator,
}

impl HttpPort {
    /// Binds every address, then serves until the runtime ends.
    pub async fn start(
        addresses: &[SocketAddr],
        metrics: Metrics,
        operator: Operator,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let folded = metrics.clone();
        let routes = Router::new()
            .route("/metrics", get(show_metrics))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(show_readiness))
            .with_state(Shared { metrics, operator });
        let mut bound = Vec::new();
        for &address in addresses {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|cause| (address, cause))?;
            let at = listener.local_addr().map_err(|cause| (address, cause))?;
            let routes = routes.clone();
            tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, routes).await {
                    warn!(%error, "http port ended");
                }
            });
            bound.push(at);
        }
        tokio::spawn(forget_old_samples(folded));
        Ok(Self { addresses: bound })
    }

    /// The bound addresses.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

async fn show_metrics(State(shared): State<Shared>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        shared.metrics.render(),
    )
}

async fn show_readiness(State(shared): State<Shared>) -> impl IntoResponse {
    let components = shared.operator.components().await;
    let ready = components.iter().all(|component| component.healthy);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let lines = components.iter().map(|component| {
        let state = if component.healthy { "ok" } else { "not ready" };
        let detail = match component.detail.as_str() {
            "" => String::new(),
            detail => format!(" ({detail})"),
        };
        format!("{}: {state}{detail}\n", component.name)
    });
    (status, lines.collect::<String>())
}

/// Histograms keep their samples until somebody folds them, whether or not anybody scrapes.
async fn forget_old_samples(metrics: Metrics) {
    let mut turn = tokio::time::interval(UPKEEP);
    loop {
        turn.tick().await;
        metrics.fold();
    }
}

const UPKEEP: Duration = Duration::from_secs(5);
