//! A self-signed certificate for servers that are only measured.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// A key and its certificate (ECDSA P-256, as public servers have).
pub struct SelfSigned(CertifiedKey<KeyPair>);

impl SelfSigned {
    /// Makes one for `name`.
    ///
    /// # Errors
    /// When `name` is not a DNS name.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]);
        Ok(Self(made.context("cannot make a certificate")?))
    }

    /// Writes `cert.pem` and `key.pem` into a folder.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::write(folder.join("cert.pem"), self.0.cert.pem())?;
        std::fs::write(folder.join("key.pem"), self.0.signing_key.serialize_pem())?;
        Ok(())
    }

    /// A TLS server with this certificate.
    ///
    /// # Errors
    /// When rustls refuses the key.
    pub fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let key = PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![self.0.cert.der().clone()], PrivateKeyDer::Pkcs8(key))?;
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
