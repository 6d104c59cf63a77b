//! The HTTP port for monitoring: `/metrics`, `/healthz`, `/readyz`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::metrics::Metrics;
use crate::operation::listen_on;
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
            let listener = listen_on(address).map_err(|cause| (address, cause))?;
            let at = listener.local_addr().map_err(|cause| (address, cause))?;
            tokio::spawn(serve(listener, routes.clone(), HEADER_MAX));
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

/// Lets only so many in at once, for each takes a descriptor that a client of XMPP may need.
async fn serve(listener: TcpListener, routes: Router, header_max: Duration) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((socket, _)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    serve_one(socket, routes, header_max).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection on the http port");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(socket: TcpStream, routes: Router, header_max: Duration) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_max);
    let service = TowerToHyperService::new(routes);
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    // Whatever ends it is the other side's doing, and the end of it.
    let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
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

/// Connections at once; more wait in the kernel.
const CONNECTIONS_MAX: usize = 64;

/// How long a request may take to come, also behind another one.
const HEADER_MAX: Duration = Duration::from_secs(30);

/// How long a connection may last: whoever does not read its answers is cut.
const CONNECTION_MAX: Duration = Duration::from_secs(300);

/// Before the next try to accept after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_request_that_does_not_come_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let routes = Router::new().route("/healthz", get(async || "ok\n"));
        tokio::spawn(serve(listener, routes, Duration::from_millis(100)));
        let mut socket = TcpStream::connect(address).await.expect("accepted");
        socket
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /heal")
            .await
            .expect("sent");
        let mut answer = String::new();
        let ended = socket.read_to_string(&mut answer);
        let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
        assert!(ended.is_ok(), "the connection ends");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
