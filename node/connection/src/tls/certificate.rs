//! Reads a host's certificate and key.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::end_point::end_point_hash;
use super::{CertificateFiles, TlsLoadError};

/// What a host shows, and what channels to it are bound to.
#[derive(Debug)]
pub(super) struct HostCertificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) end_point_hash: Option<Vec<u8>>,
}

impl HostCertificate {
    /// Reads both files and makes sure that they belong together.
    pub(super) fn load(
        files: &CertificateFiles,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsLoadError> {
        let chain = read_chain(&files.chain)?;
        let end_point_hash = end_point_hash(&chain[0]);
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|cause| unreadable(&files.key, "private key", cause))?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|cause| match cause {
            RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsLoadError::KeyMismatch {
                    key: files.key.clone(),
                    chain: files.chain.clone(),
                }
            }
            RustlsError::InvalidCertificate(cause) => TlsLoadError::Certificate {
                path: files.chain.clone(),
                cause: RustlsError::InvalidCertificate(cause).to_string(),
            },
            cause => TlsLoadError::Key {
                path: files.key.clone(),
                cause,
            },
        })?;
        Ok(Self {
            key: Arc::new(key),
            end_point_hash,
        })
    }
}

/// The certificates in a file, at least one.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsLoadError> {
    let failed = |cause| unreadable(path, "certificate", cause);
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(failed)?;
    if chain.is_empty() {
        Err(failed(PemError::NoItemsFound))
    } else {
        Ok(chain)
    }
}

fn unreadable(path: &Path, what: &'static str, cause: PemError) -> TlsLoadError {
    let path = path.to_owned();
    match cause {
        PemError::Io(cause) => TlsLoadError::Read { path, cause },
        PemError::NoItemsFound => TlsLoadError::Missing { path, what },
        cause => TlsLoadError::Pem { path, cause },
    }
}
