//! What can be wrong with certificates; all of it is for the operator to solve.

use std::io;
use std::path::PathBuf;

use rookery_xmpp::jid::JidError;
use rustls::Error as RustlsError;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsLoadError {
    /// Without a certificate nobody can log in.
    #[error("there is no certificate: `[[tls.certificates]]` must name one for each host")]
    NoCertificate,
    /// A host that is no domain name.
    #[error("`{host}` under [[tls.certificates]] is no host: {cause}")]
    Host {
        /// What was written.
        host: String,
        /// What is wrong with it.
        cause: JidError,
    },
    /// Two certificates for one host: it is not known which to show.
    #[error("[[tls.certificates]] names {host} twice")]
    HostTwice {
        /// The host.
        host: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file that is not PEM.
    #[error("{} is not PEM: {cause}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: rustls_pki_types::pem::Error,
    },
    /// A file without what it is for.
    #[error("{} holds no {what}", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// A certificate that cannot be understood.
    #[error("{} holds a certificate that cannot be understood: {cause}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A key that cannot be used.
    #[error("{} holds a key that cannot be used: {cause}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: RustlsError,
    },
    /// A key of another certificate.
    #[error("the key in {} does not fit the certificate in {}", key.display(), chain.display())]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        chain: PathBuf,
    },
    /// The TLS library refuses what it was told.
    #[error("tls cannot be set up: {0}")]
    Setup(RustlsError),
}
