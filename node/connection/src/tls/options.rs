//! What an operator may set for TLS.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

rookery_xmpp::options! {
    /// Encryption of the clients' streams. The files are read again at each reload.
    pub struct TlsOptions {
        /// One certificate for each host, as `[[tls.certificates]]` with `host`, `chain` (PEM, the
        /// host's own certificate first, then the intermediate ones) and `key` (PEM). The first is
        /// shown to clients that name no host, or one that is not here.
        pub certificates: Vec<CertificateFiles> = Vec::new(), "";
        /// Whether clients without TLS 1.3 are served, by TLS 1.2 with forward secrecy only.
        pub tls12: bool = true, "";
    }
}

/// Where the certificate of a host and its key lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The virtual host.
    pub host: String,
    /// PEM: the host's own certificate, then those that lead to an authority that clients know.
    pub chain: PathBuf,
    /// PEM: the private key, in PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}
