//! The listeners: a place for each connection, TLS, and an end for who is slow.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rookery_connection::TlsHosts;
use rookery_control::Control;
use rookery_router::environment::Environment;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::answer::{Peer, Shared, routes};
use super::options::WebOptions;
use crate::admin::Shards;
use crate::operation::listen_on;

/// The running pages. They are served until the runtime ends.
pub struct WebPort {
    addresses: Vec<SocketAddr>,
}

/// Why the pages are not served; for the operator to solve.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the public pages: {cause}")]
pub struct WebError {
    /// Which address.
    pub address: SocketAddr,
    /// What the system said.
    pub cause: io::Error,
}

/// What each listener works with.
#[derive(Clone)]
struct Service {
    shared: Arc<Shared>,
    routes: Router,
    /// Asked anew for each connection: certificates are replaced while running.
    tls: Option<Arc<TlsHosts>>,
    places: Arc<Semaphore>,
}

impl WebPort {
    /// Binds every address, then serves.
    pub async fn start(
        options: &WebOptions,
        asked: (Control, Shards),
        environment: Arc<Environment>,
        tls: Arc<TlsHosts>,
    ) -> Result<Self, WebError> {
        let shared = Shared::new(options.clone(), asked, environment);
        let service = Service {
            routes: routes(shared.clone()),
            shared,
            tls: options.tls.then_some(tls),
            places: Arc::new(Semaphore::new(options.connections_max as usize)),
        };
        let mut addresses = Vec::new();
        for &address in &options.listen {
            let listener = listen_on(address).map_err(|cause| WebError { address, cause })?;
            addresses.push(listener.local_addr().unwrap_or(address));
            tokio::spawn(service.clone().serve(listener));
        }
        Ok(Self { addresses })
    }

    /// The bound addresses.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Service {
    async fn serve(self, listener: TcpListener) {
        while let Ok(place) = self.places.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((socket, peer)) if self.shared.enters(peer.ip()) => {
                    let service = self.clone();
                    tokio::spawn(async move {
                        let one = service.serve_one(socket, peer.ip());
                        // Whoever is slower is cut, wherever it is.
                        let _ = tokio::time::timeout(CONNECTION_MAX, one).await;
                        service.shared.left(peer.ip());
                        drop(place);
                    });
                }
                Ok(_too_many) => {}
                Err(error) => {
                    warn!(%error, "cannot accept a connection on the port of the public pages");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve_one(&self, socket: TcpStream, peer: IpAddr) {
        let Some(tls) = &self.tls else {
            return self.answer(socket, peer).await;
        };
        let handshake = TlsAcceptor::from(tls.web_config()).accept(socket);
        if let Ok(Ok(stream)) = tokio::time::timeout(HEADER_MAX, handshake).await {
            self.answer(stream, peer).await;
        }
    }

    async fn answer(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: IpAddr,
    ) {
        let mut builder = Builder::new(TokioExecutor::new()).http1_only();
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_MAX)
            .max_buf_size(REQUEST_BYTES_MAX);
        let routes = self.routes.clone().layer(Extension(Peer(peer)));
        let service = TowerToHyperService::new(routes);
        // Whatever ends it is the other side's doing, and the end of it.
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

/// How long a handshake, and a request, may take to come.
const HEADER_MAX: Duration = Duration::from_secs(10);

/// How long a connection may last, whatever it does.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// The longest request that is read.
const REQUEST_BYTES_MAX: usize = 16_384;

/// Before the next try to accept after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
