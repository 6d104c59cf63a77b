//! How somebody becomes a node: `rookery cluster init` and `rookery cluster join`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use rookery_control::{NodeId, NodeRole, TokenHash};
use rookery_proto::control::JoinRequest;
use rookery_proto::control::admission_client::AdmissionClient;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, OsEntropy};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tonic::Status;

use super::authority::{Authority, AuthorityError, new_request};
use super::credentials::HTTP2;
use super::dial::{DialError, dial};
use super::files::{Files, write_private};
use super::identity::{Identity, is_cluster_id, role_name};
use super::token::Token;
use super::version::{self, Spoken};

/// A node that was made; its files are written.
#[derive(Debug)]
pub struct Made {
    /// Who it is.
    pub identity: Identity,
    /// Where members are reached.
    pub peers: Vec<String>,
    /// Where its files lie.
    pub dir: PathBuf,
}

/// Why nobody becomes a node; the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The folder holds a node already.
    #[error("{} is there already: this folder belongs to a node", .0.display())]
    IsNode(PathBuf),
    /// The folder holds what a server has left there.
    #[error(
        "{} is there already: a server has used this folder; a new node needs an empty one (accounts move by `rookery \
         backup` and `rookery restore`)", .0.display()
    )]
    InUse(PathBuf),
    /// The name cannot be part of DNS names.
    #[error("`{0}` cannot be a cluster's name: use up to 40 of a-z, 0-9 and -")]
    Name(String),
    /// Keys and certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The member is not reached, or is somebody else.
    #[error("no member of the cluster at {address}: {cause}")]
    Dial {
        /// Where.
        address: String,
        /// What is wrong.
        cause: DialError,
    },
    /// The member refuses.
    #[error("the cluster refuses: {}", .0.message())]
    Refused(Box<Status>),
    /// The answer makes no sense.
    #[error("the member's answer cannot be used")]
    Answer,
}

/// Makes a cluster with its authority and its first node, which may hold all roles.
pub fn init(data_dir: &Path, name: &str) -> Result<Made, JoinError> {
    let files = unused(data_dir)?;
    // A node that joins has none of its own shards' accounts here; the first one would begin with a stranger's.
    in_use(&[
        &files.key,
        &files.authority,
        &files.founder,
        &data_dir.join("store"),
    ])?;
    let now = Timestamp::now();
    let mut suffix = [0; 4];
    OsEntropy.fill(&mut suffix);
    let cluster = format!("{name}-{:08x}", u32::from_be_bytes(suffix));
    if name.len() > NAME_MAX || !is_cluster_id(&cluster) {
        return Err(JoinError::Name(name.to_owned()));
    }
    let identity = Identity {
        cluster,
        node: NodeId::FIRST,
        roles: NodeRole::ALL.to_vec(),
    };
    let (authority, authority_key) = Authority::make(&identity.cluster, now)?;
    let (key, _) = new_request()?;
    let certificate = authority.certify(&identity, &key, now)?;
    write(&files.authority_key, &authority_key)?;
    write(&files.authority, authority.certificate())?;
    write(&files.founder, "")?;
    write(&files.key, &key.serialize_pem())?;
    // Last: with it the folder is a node's.
    write(&files.certificate, &certificate)?;
    Ok(made(identity, Vec::new(), &files))
}

/// Shows a token to a member and becomes a node.
pub async fn join(data_dir: &Path, token: &Token, address: &str) -> Result<Made, JoinError> {
    let files = unused(data_dir)?;
    let (key, signing_request) = new_request()?;
    let name = role_name(token.cluster(), NodeRole::Control);
    let tls = Arc::new(stranger(token.authority()));
    let channel = dial(token.address(), name, tls).await.map_err(|cause| {
        let address = token.address().to_owned();
        JoinError::Dial { address, cause }
    })?;
    // First the key, so that the token is not used up for nothing.
    write(&files.key, &key.serialize_pem())?;
    let mut request = JoinRequest {
        version: version::newest(),
        secret: token.secret().into(),
        address: address.to_owned(),
        signing_request: signing_request.into(),
    };
    let (mut client, spoken) = (AdmissionClient::new(channel), Spoken::default());
    let mut answer = client.join(request.clone()).await;
    if let Err(refusal) = &answer {
        spoken.heed(refusal);
        // A member that is not upgraded yet has used up nothing.
        if spoken.get() != request.version {
            request.version = spoken.get();
            answer = client.join(request).await;
        }
    }
    let answer = answer.map_err(|status| {
        let _ = fs::remove_file(&files.key);
        JoinError::Refused(Box::new(status))
    })?;
    let answer = answer.into_inner();
    let node = NodeId::new(answer.node).ok_or(JoinError::Answer)?;
    let roles = answer.roles.iter().map(|name| NodeRole::named(name));
    let identity = Identity {
        cluster: token.cluster().to_owned(),
        node,
        roles: roles.collect::<Option<_>>().ok_or(JoinError::Answer)?,
    };
    write(&files.authority, &answer.authority)?;
    write(&files.certificate, &answer.certificate)?;
    Ok(made(identity, answer.peers, &files))
}

fn unused(data_dir: &Path) -> Result<Files, JoinError> {
    let files = Files::of_folder(data_dir);
    for path in [&files.certificate, &files.authority_key, &files.member] {
        if path.exists() {
            return Err(JoinError::IsNode(path.clone()));
        }
    }
    in_use(&[&data_dir.join("control")])?;
    Ok(files)
}

/// Refuses what is there already.
fn in_use(paths: &[&PathBuf]) -> Result<(), JoinError> {
    match paths.iter().find(|path| path.exists()) {
        Some(path) => Err(JoinError::InUse((*path).clone())),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), JoinError> {
    write_private(path, text).map_err(|cause| JoinError::File {
        path: path.to_owned(),
        cause,
    })
}

fn made(identity: Identity, peers: Vec<String>, files: &Files) -> Made {
    Made {
        identity,
        peers,
        dir: files
            .certificate
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default(),
    }
}

/// TLS of somebody who knows of the cluster only its authority's hash.
fn stranger(authority: [u8; 32]) -> ClientConfig {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let verifier = ByHash {
        authority,
        algorithms,
    };
    let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config
}

/// Trusts the authority with this hash, which the other side must show, and whom it has signed.
#[derive(Debug)]
struct ByHash {
    authority: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ByHash {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ours = |shown: &&CertificateDer<'_>| *TokenHash::of(shown).as_bytes() == self.authority;
        let authority = intermediates.iter().find(ours);
        let authority =
            authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// With its suffix it must fit into one label of a DNS name.
const NAME_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::credentials::Credentials;
    use super::*;

    #[test]
    fn a_first_node_has_all_roles_and_files_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let made = init(dir.path(), "nest").unwrap();
        assert!(made.identity.cluster.starts_with("nest-"));
        let files = Files::of_folder(dir.path());
        for path in [&files.key, &files.authority_key] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        // Whichever test is first; the others find it there.
        let _ = aws_lc_rs::default_provider().install_default();
        let credentials = Credentials::load(&files).unwrap();
        assert_eq!(credentials.now().identity, made.identity);
        credentials.reload(&files).unwrap();
        assert!(matches!(
            init(dir.path(), "nest"),
            Err(JoinError::IsNode(_))
        ));
    }

    #[test]
    fn files_of_another_cluster_are_not_taken_over_by_a_reload() {
        let _ = aws_lc_rs::default_provider().install_default();
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        init(one.path(), "one").unwrap();
        init(other.path(), "other").unwrap();
        let (one, other) = (Files::of_folder(one.path()), Files::of_folder(other.path()));
        let credentials = Credentials::load(&one).unwrap();
        assert!(credentials.reload(&other).is_err());
        let mixed = Files {
            key: other.key,
            ..one
        };
        assert!(
            credentials.reload(&mixed).is_err(),
            "a key that is not the certificate's"
        );
    }

    #[test]
    fn a_folder_that_a_server_has_used_is_refused_by_what_is_there() {
        let of = |path: &str| {
            let dir = tempfile::tempdir().unwrap();
            let left = dir.path().join(path);
            fs::create_dir_all(left.parent().unwrap()).unwrap();
            fs::write(&left, "").unwrap();
            match init(dir.path(), "nest") {
                Err(JoinError::IsNode(found) | JoinError::InUse(found)) => assert_eq!(found, left),
                other => panic!("{path}: {other:?}"),
            }
            assert!(unused(dir.path()).is_err() || !["control", "cluster/member"].contains(&path));
        };
        for path in [
            "control",
            "store",
            "cluster/node.key",
            "cluster/ca.pem",
            "cluster/founder",
            "cluster/member",
        ] {
            of(path);
        }
    }

    #[test]
    fn a_name_that_dns_does_not_take_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", "Nest", "a b", &"a".repeat(41)] {
            assert!(
                matches!(init(dir.path(), name), Err(JoinError::Name(_))),
                "{name}"
            );
        }
    }
}
