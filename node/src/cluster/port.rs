//! The internal port: one gRPC server behind mutual TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::warn;

use rookery_control::NodeId;
use rookery_link::{LinkOptions, server_settings};
use rookery_router::Sparing;

use super::authorization::AuthorizationLayer;
use super::credentials::Credentials;
use super::guests::{Guests, Seated};
use super::identity::Identity;
use super::read_ahead::ReadAhead;
use crate::operation::listen_on;

/// An address of the port that is bound and not served yet.
pub(super) struct Bound(TcpListener);

impl Bound {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(listen_on(address)?))
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Serves until the runtime ends.
    pub(super) fn serve(self, credentials: Credentials, layer: AuthorizationLayer, routes: Routes) {
        let (shaken, incoming) = mpsc::channel(SHAKEN_MAX);
        let door = Door {
            shaken,
            guests: Guests::default(),
            refused: Arc::default(),
        };
        tokio::spawn(accept(self.0, credentials, door));
        let server = server_settings(Server::builder(), &LinkOptions::default())
            .http2_keepalive_interval(Some(ALIVE_EVERY))
            .http2_keepalive_timeout(Some(ALIVE_WITHIN))
            .layer(layer)
            .add_routes(routes);
        tokio::spawn(async move {
            let incoming = ReceiverStream::new(incoming);
            if let Err(error) = server.serve_with_incoming(incoming).await {
                warn!(%error, "cluster port ended");
            }
        });
    }
}

type Shaken = mpsc::Sender<io::Result<Seated<TlsStream<ReadAhead>>>>;

/// What all handshakes share.
#[derive(Clone)]
struct Door {
    shaken: Shaken,
    guests: Guests,
    refused: Arc<Sparing>,
}

/// Accepts connections; each shakes hands in a task of its own, of which there is a bounded number. Beyond it nobody is
/// accepted until one is done, and none takes long.
async fn accept(listener: TcpListener, credentials: Credentials, door: Door) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&credentials.now().server));
                tokio::spawn(shake(acceptor, stream, peer, door.clone(), place));
            }
            Err(error) => {
                warn!(%error, "cluster connection not accepted");
                // Most likely out of file descriptors: those in use must go first.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn shake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    _place: OwnedSemaphorePermit,
) {
    let handshake = async {
        stream.set_nodelay(true)?;
        acceptor.accept(ReadAhead::new(stream)).await
    };
    let stream = match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return door.refuse(peer, &error.to_string()),
        Err(_elapsed) => return door.refuse(peer, "no handshake in time"),
    };
    match door.guests.place(node_of(&stream)) {
        // An error means that the server has ended.
        Some(place) => drop(door.shaken.send(Ok(place.seat(stream))).await),
        None => door.refuse(peer, "too many connections of strangers, or of this node"),
    }
}

impl Door {
    /// Whoever connects again and again writes no line for each time.
    fn refuse(&self, peer: SocketAddr, reason: &str) {
        if let Some(unsaid) = self.refused.says() {
            warn!(%peer, reason, unsaid, "cluster connection refused");
        }
    }
}

/// Whose certificate was verified; `None` for a stranger.
fn node_of(stream: &TlsStream<ReadAhead>) -> Option<NodeId> {
    let certificates = stream.get_ref().1.peer_certificates()?;
    let identity = Identity::of_certificate(certificates.first()?).ok()?;
    Some(identity.node)
}

/// Connections that have shaken hands and wait to be taken over.
const SHAKEN_MAX: usize = 16;

/// All nodes of a large cluster may come at once, and strangers who say nothing beside them; each costs a
/// millisecond of a core.
const HANDSHAKES_MAX: usize = 512;

/// Shorter than nodes wait for a connection, so that they find a place that a stranger had.
const HANDSHAKE: Duration = Duration::from_millis(1_500);

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A caller that is gone without a word is forgotten within these two together.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rookery_control::NodeRole;
    use rookery_proto::PROTOCOL;
    use rookery_proto::control::StatusRequest;
    use rookery_proto::control::control_client::ControlClient;
    use rookery_xmpp::clock::Timestamp;
    use rustls::client::ResolvesClientCert;
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, SignatureScheme};
    use tonic::Code;

    use super::super::authority::{Authority, new_request};
    use super::super::book::Book;
    use super::super::credentials::Generation;
    use super::super::dial::dial;
    use super::super::files::{Files, write_private};
    use super::super::identity::node_name;
    use super::super::join::init;
    use super::*;

    #[derive(Debug)]
    struct Nobody;

    impl ResolvesClientCert for Nobody {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }

        fn has_certs(&self) -> bool {
            false
        }
    }

    /// A port of a cluster's first node, without services: who is let through hears that there is none.
    async fn port(dir: &Path) -> (SocketAddr, Identity) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let identity = init(dir, "nest").unwrap().identity;
        let credentials = Credentials::load(&Files::of_folder(dir)).unwrap();
        let bound = Bound::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = bound.address().unwrap();
        let book = Arc::new(Book::new(Vec::new()));
        let layer = AuthorizationLayer::new(identity.cluster.clone(), book);
        bound.serve(credentials, layer, Routes::default());
        (address, identity)
    }

    /// What becomes of a call with these credentials.
    async fn call(address: SocketAddr, node: &Identity, tls: Arc<ClientConfig>) -> Option<Code> {
        let name = node_name(&node.cluster, node.node);
        let channel = dial(&address.to_string(), name, tls).await.ok()?;
        let version = PROTOCOL;
        let answer = ControlClient::new(channel)
            .status(StatusRequest { version })
            .await;
        answer.err().map(|status| status.code())
    }

    /// TLS that believes the cluster of `dir`, with a certificate from elsewhere.
    fn with_certificate(dir: &Path, authority: &Authority, who: &Identity, at: Timestamp) -> Files {
        let (key, _) = new_request().unwrap();
        let ours = Files::of_folder(dir);
        let files = Files {
            certificate: dir.join("other.pem"),
            key: dir.join("other.key"),
            ..ours
        };
        write_private(
            &files.certificate,
            &authority.certify(who, &key, at).unwrap(),
        )
        .unwrap();
        write_private(&files.key, &key.serialize_pem()).unwrap();
        files
    }

    #[tokio::test]
    async fn only_nodes_of_this_cluster_get_through_and_without_a_certificate_nobody_calls() {
        let dir = tempfile::tempdir().unwrap();
        let (address, identity) = port(dir.path()).await;
        let ours = Credentials::load(&Files::of_folder(dir.path()))
            .unwrap()
            .now();
        let through = call(address, &identity, Arc::clone(&ours.client)).await;
        assert_eq!(through, Some(Code::Unimplemented));

        let second = Identity {
            node: NodeId::new(2).unwrap(),
            roles: vec![NodeRole::Router],
            ..identity.clone()
        };
        let now = Timestamp::now();
        let (other, _) = Authority::make(&identity.cluster, now).unwrap();
        let files = with_certificate(dir.path(), &other, &second, now);
        let foreign = Credentials::load(&files).unwrap().now();
        let refused = call(address, &identity, Arc::clone(&foreign.client)).await;
        assert_ne!(
            refused,
            Some(Code::Unimplemented),
            "signed by another authority"
        );

        let mut nobody = ClientConfig::clone(&ours.client);
        nobody.client_auth_cert_resolver = Arc::new(Nobody);
        let refused = call(address, &identity, Arc::new(nobody)).await;
        assert_eq!(refused, Some(Code::Unauthenticated));
    }

    /// A connection of a stranger that says nothing.
    async fn idle(address: SocketAddr, node: &Identity, tls: Arc<ClientConfig>) -> io::Result<u8> {
        use tokio::io::AsyncReadExt;
        let stream = TcpStream::connect(address).await?;
        let name = node_name(&node.cluster, node.node).try_into().unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(tls)
            .connect(name, stream)
            .await?;
        // Whoever has a place hears of the settings first.
        let first = stream.read_u8().await;
        std::mem::forget(stream);
        first
    }

    #[tokio::test]
    async fn strangers_who_stay_are_few_and_keep_no_node_away() {
        let dir = tempfile::tempdir().unwrap();
        let (address, identity) = port(dir.path()).await;
        let ours = Credentials::load(&Files::of_folder(dir.path()))
            .unwrap()
            .now();
        let mut nobody = ClientConfig::clone(&ours.client);
        nobody.client_auth_cert_resolver = Arc::new(Nobody);
        let nobody = Arc::new(nobody);
        let mut taken = 0;
        for _ in 0..200 {
            match idle(address, &identity, Arc::clone(&nobody)).await {
                Ok(_) => taken += 1,
                Err(_) => break,
            }
        }
        assert_eq!(taken, 64);
        let through = call(address, &identity, Arc::clone(&ours.client)).await;
        assert_eq!(through, Some(Code::Unimplemented));
    }

    #[tokio::test]
    async fn a_certificate_whose_time_is_over_and_one_of_another_cluster_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (address, identity) = port(dir.path()).await;
        let files = Files::of_folder(dir.path());
        let key = std::fs::read_to_string(&files.authority_key).unwrap();
        let certificate = std::fs::read_to_string(&files.authority).unwrap();
        let authority = Authority::load(certificate, &key).unwrap();
        let expired = with_certificate(dir.path(), &authority, &identity, Timestamp(1));
        assert!(Credentials::load(&expired).is_err());
        let (old, is_valid) = Generation::read_at_any_time(&expired).unwrap();
        assert!(!is_valid);
        let refused = call(address, &identity, old.client).await;
        assert_ne!(refused, Some(Code::Unimplemented), "its time is over");

        let named = Identity {
            cluster: "elsewhere".into(),
            ..identity.clone()
        };
        let files = with_certificate(dir.path(), &authority, &named, Timestamp::now());
        let tls = Credentials::load(&files).unwrap().now();
        let refused = call(address, &identity, Arc::clone(&tls.client)).await;
        assert_eq!(refused, Some(Code::PermissionDenied));
    }
}
