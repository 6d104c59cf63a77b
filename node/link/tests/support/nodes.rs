use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use rookery_link::{
    Admit, Dial, DialError, Hall, HallConfig, LinkOptions, Rights, SharedMap, Ways, WaysConfig,
    client_settings, server_settings,
};
use rookery_session::carrier::ShardsRef;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

use super::FakeShards;

/// Times that let a test end.
pub(crate) fn options() -> LinkOptions {
    LinkOptions {
        backoff_ms: 2,
        backoff_max_ms: 20,
        ..LinkOptions::default()
    }
}

/// Where each node is.
#[derive(Clone, Default)]
pub(crate) struct Addresses(Arc<Mutex<HashMap<u32, SocketAddr>>>);

impl Addresses {
    pub(crate) fn set(&self, node: u32, address: SocketAddr) {
        self.0.lock().unwrap().insert(node, address);
    }
}

impl Dial for Addresses {
    fn dial(
        &self,
        node: u32,
    ) -> Pin<Box<dyn Future<Output = Result<Channel, DialError>> + Send + '_>> {
        let address = self.0.lock().unwrap().get(&node).copied();
        Box::pin(async move {
            let address = address.ok_or_else(|| DialError("no address".to_owned()))?;
            let endpoint = Endpoint::from_shared(format!("http://{address}"))
                .map_err(|error| DialError(error.to_string()))?;
            let options = LinkOptions {
                keep_alive_ms: 100,
                keep_alive_timeout_ms: 100,
                ..LinkOptions::default()
            };
            let endpoint = client_settings(endpoint, &options);
            let connected = endpoint.connect().await;
            connected.map_err(|error| DialError(error.to_string()))
        })
    }
}

/// What a node is told of itself.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) node: u32,
    pub(crate) life: u64,
    pub(crate) options: LinkOptions,
    pub(crate) map: SharedMap,
}

/// Admits all.
pub(crate) fn all() -> Admit {
    Arc::new(|_, _| Some(Rights::ALL))
}

/// A node with shards.
pub(crate) struct RouterNode {
    pub(crate) hall: Hall,
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

impl RouterNode {
    pub(crate) async fn start(place: Place, shards: &Arc<FakeShards>) -> Self {
        Self::start_with(place, shards, all()).await
    }

    pub(crate) async fn start_with(place: Place, shards: &Arc<FakeShards>, admit: Admit) -> Self {
        let hall = Hall::start(HallConfig {
            node: place.node,
            life: place.life,
            options: place.options.clone(),
            map: place.map,
            shards: shards.clone(),
            admit,
            runtime: Handle::current(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = server_settings(Server::builder(), &place.options);
        let server = server.add_service(hall.service());
        let incoming = TcpListenerStream::new(listener);
        let server = tokio::spawn(async move {
            let _ = server.serve_with_incoming(incoming).await;
        });
        Self {
            hall,
            address,
            server,
        }
    }
}

impl Drop for RouterNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The ways of a node, which may hold shards itself.
pub(crate) fn ways(place: Place, local: Option<ShardsRef>, dial: &Addresses) -> Ways {
    Ways::start(WaysConfig {
        node: place.node,
        life: place.life,
        options: place.options,
        map: place.map,
        local,
        dial: Arc::new(dial.clone()),
        runtime: Handle::current(),
    })
}
