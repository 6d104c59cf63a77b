//! What a node shows to others, and whom it believes: read from files, and read again at each reload.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics::gauge;
use rookery_control::TokenHash;
use rookery_xmpp::clock::Timestamp;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::Files;
use super::identity::{Identity, IdentityError, node_name};

/// The credentials in force; clones are replaced together.
#[derive(Clone)]
pub(super) struct Credentials(Arc<ArcSwap<Generation>>);

/// One reading of the files.
pub(super) struct Generation {
    /// Who the node is.
    pub(super) identity: Identity,
    /// For those who connect to this node.
    pub(super) server: Arc<ServerConfig>,
    /// For connections of this node.
    pub(super) client: Arc<ClientConfig>,
    /// SHA-256 of the authority's certificate.
    pub(super) authority: [u8; 32],
    /// When the certificate is good no more.
    pub(super) expires: Timestamp,
}

/// Why the credentials cannot be used; the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error(
        "cannot read {}: {cause}\n    `rookery cluster init` or `rookery cluster join` makes it, or \
         [cluster] names another", path.display()
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system or the parser said.
        cause: io::Error,
    },
    /// The certificate names no node.
    #[error("{} cannot be a node's certificate: {cause}", path.display())]
    Identity {
        /// The certificate.
        path: PathBuf,
        /// What is wrong.
        cause: IdentityError,
    },
    /// The certificate's time is over, or has not come.
    #[error(
        "{} is not valid now: set the clock if it is wrong; a node whose certificate has expired cannot renew it, \
         remove the node and join as a new one", .0.display()
    )]
    Time(PathBuf),
    /// The files do not fit together.
    #[error("the cluster certificate, its key and its authority do not work together: {0}")]
    Mismatch(String),
    /// Certificates of another node or cluster, at a reload.
    #[error(
        "the files are those of {found}, and this is {running}: restart to become another node"
    )]
    OtherNode {
        /// Who the files say it is.
        found: Identity,
        /// Who it is.
        running: Identity,
    },
}

impl Credentials {
    /// Reads the files.
    pub(super) fn load(files: &Files) -> Result<Self, CredentialsError> {
        let generation = Generation::read(files)?;
        generation.told();
        Ok(Self(Arc::new(ArcSwap::from_pointee(generation))))
    }

    /// What is in force now.
    pub(super) fn now(&self) -> Arc<Generation> {
        self.0.load_full()
    }

    /// Reads the files again. Connections that are open stay as they are.
    pub(super) fn reload(&self, files: &Files) -> Result<(), CredentialsError> {
        let fresh = Generation::read(files)?;
        let running = self.now();
        let (new, old) = (&fresh.identity, &running.identity);
        if (&new.cluster, new.node) != (&old.cluster, old.node) {
            return Err(CredentialsError::OtherNode {
                found: new.clone(),
                running: old.clone(),
            });
        }
        fresh.told();
        self.0.store(Arc::new(fresh));
        Ok(())
    }
}

impl Generation {
    /// Reads and checks the files.
    pub(super) fn read(files: &Files) -> Result<Self, CredentialsError> {
        let (generation, is_valid) = Self::read_at_any_time(files)?;
        match is_valid {
            true => Ok(generation),
            false => Err(CredentialsError::Time(files.certificate.clone())),
        }
    }

    /// Reads the files, and says whether the certificate is valid now.
    pub(super) fn read_at_any_time(files: &Files) -> Result<(Self, bool), CredentialsError> {
        let mut chain = certificates(&files.certificate)?;
        let authorities = certificates(&files.authority)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| unreadable(&files.key, &error))?;
        let own = chain.first().ok_or_else(|| empty(&files.certificate))?;
        let authority = authorities.first().ok_or_else(|| empty(&files.authority))?;
        let identity = Identity::of_certificate(own).map_err(|cause| {
            let path = files.certificate.clone();
            CredentialsError::Identity { path, cause }
        })?;
        let (is_valid, expires) = validity(own);
        let hash = *TokenHash::of(authority).as_bytes();
        let mut roots = RootCertStore::empty();
        for root in &authorities {
            roots.add(root.clone()).map_err(mismatch)?;
        }
        // Who joins knows the authority by its hash only, and must be shown it.
        let missing = authorities
            .iter()
            .filter(|root| !chain.contains(root))
            .cloned();
        let missing: Vec<_> = missing.collect();
        chain.extend(missing);
        let roots = Arc::new(roots);
        let generation = Self {
            identity,
            server: Arc::new(server(&chain, key.clone_key(), Arc::clone(&roots))?),
            client: Arc::new(client(&chain, key, roots)?),
            authority: hash,
            expires,
        };
        Ok((generation, is_valid))
    }

    /// Tells Prometheus how long it is good.
    fn told(&self) {
        let seconds = self.expires.as_millis() / 1_000;
        gauge!("rookery_cluster_certificate_expires_seconds").set(seconds as f64);
    }
}

/// Whoever shows a certificate shows one of ours; whoever shows none gets no further than the call to join.
fn server(
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
) -> Result<ServerConfig, CredentialsError> {
    let verifier = WebPkiClientVerifier::builder(roots)
        .allow_unauthenticated()
        .build();
    let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_client_cert_verifier(verifier.map_err(mismatch)?)
        .with_single_cert(chain.to_vec(), key)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // A resumed session would outlive the certificate that began it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
) -> Result<ClientConfig, CredentialsError> {
    let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.to_vec(), key)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Refuses a certificate that other nodes would not take: another authority's, or one without the names of its node.
pub(super) fn check_issued(files: &Files, identity: &Identity) -> Result<(), CredentialsError> {
    let chain = certificates(&files.certificate)?;
    let (own, others) = chain
        .split_first()
        .ok_or_else(|| empty(&files.certificate))?;
    let mut roots = RootCertStore::empty();
    for root in certificates(&files.authority)? {
        roots.add(root).map_err(mismatch)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let name = node_name(&identity.cluster, identity.node);
    let name = ServerName::try_from(name).map_err(mismatch)?;
    let verifier = verifier.map_err(mismatch)?;
    let verified = verifier.verify_server_cert(own, others, &name, &[], UnixTime::now());
    verified.map(drop).map_err(mismatch)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| unreadable(path, &error))
}

/// Whether a certificate is valid now, and until when. One that cannot be read never was.
fn validity(certificate: &[u8]) -> (bool, Timestamp) {
    let now = i64::try_from(Timestamp::now().as_millis() / 1_000).unwrap_or(i64::MAX);
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return (false, Timestamp(0));
    };
    let validity = certificate.validity();
    let (from, until) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let seconds = u64::try_from(until).unwrap_or(0);
    let expires = Timestamp(seconds.saturating_mul(1_000));
    ((from..=until).contains(&now), expires)
}

fn unreadable(path: &Path, error: &rustls_pki_types::pem::Error) -> CredentialsError {
    let cause = match error {
        rustls_pki_types::pem::Error::Io(cause) => io::Error::new(cause.kind(), cause.to_string()),
        other => io::Error::other(other.to_string()),
    };
    let path = path.to_owned();
    CredentialsError::Unreadable { path, cause }
}

fn empty(path: &Path) -> CredentialsError {
    let cause = io::Error::other("it holds no certificate");
    let path = path.to_owned();
    CredentialsError::Unreadable { path, cause }
}

fn mismatch(error: impl std::fmt::Display) -> CredentialsError {
    CredentialsError::Mismatch(error.to_string())
}

/// What both sides speak inside TLS.
pub(super) const HTTP2: &[u8] = b"h2";
