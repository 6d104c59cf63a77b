//! Connections to other nodes.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::read_ahead::ReadAhead;

/// Why a node was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address is none; whoever configured it has to solve that.
    #[error("`{0}` is not of the form host:port")]
    Address(String),
    /// It does not answer, or is not whom it should be.
    #[error("{0}")]
    NotReached(String),
}

/// Connects to `address` (host:port), where whoever answers must prove to be `name`.
pub(super) async fn dial(
    address: &str,
    name: String,
    tls: Arc<ClientConfig>,
) -> Result<Channel, DialError> {
    let settings = |endpoint: Endpoint| {
        endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(ALIVE_EVERY)
            .keep_alive_timeout(ALIVE_WITHIN)
            .keep_alive_while_idle(true)
    };
    dial_with(address, name, tls, settings).await
}

/// The same with other settings of the connection.
pub(super) async fn dial_with(
    address: &str,
    name: String,
    tls: Arc<ClientConfig>,
    settings: impl FnOnce(Endpoint) -> Endpoint,
) -> Result<Channel, DialError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| DialError::Address(address.to_owned()))?;
    let endpoint = settings(endpoint);
    let name = ServerName::try_from(name).map_err(|_| DialError::Address(address.to_owned()))?;
    let connector = Connector {
        address: address.to_owned(),
        name,
        tls,
    };
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| DialError::NotReached(deepest(&error)))
}

/// TCP without delay, then TLS.
#[derive(Clone)]
struct Connector {
    address: String,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<ReadAhead>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, name, tls } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let stream = ReadAhead::new(stream);
            let stream = TlsConnector::from(tls).connect(name, stream).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// The first cause: "transport error" helps nobody.
pub(super) fn deepest(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// TCP and TLS together, on a network that works.
const CONNECT: Duration = Duration::from_secs(3);

/// How often a silent connection is asked whether it lives, and how soon it must answer: a member that was stopped is
/// left before callers give up.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
const ALIVE_WITHIN: Duration = Duration::from_secs(3);
