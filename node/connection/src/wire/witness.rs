//! What a handshake shows only while it lasts: the name the client asked for, and the secret of
//! `tls-exporter` channel binding (RFC 9266).
//!
//! rustls exports keying material from its buffered connections only. The exporter's secret it
//! tells to a key log, though, and what follows from it is one page of RFC 8446 7.5:
//!
//! ```text
//! derived  = HKDF-Expand-Label(exporter_secret, "EXPORTER-Channel-Binding", Hash(""), Hash.length)
//! exported = HKDF-Expand-Label(derived, "exporter", Hash(context = ""), 32)
//! ```

use std::fmt;
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, Mac};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{KeyLog, ServerConfig};
use sha2::{Digest, Sha256, Sha384};

/// Stands beside one handshake, as its key log and its certificate resolver.
pub(super) struct Witness {
    resolver: Arc<dyn ResolvesServerCert>,
    server_name: OnceLock<String>,
    exporter_secret: OnceLock<Box<[u8]>>,
}

impl Witness {
    /// A witness, and the configuration for the one handshake that it is to see. It is dropped when
    /// that is over.
    pub(super) fn of(shared: &ServerConfig) -> (Arc<Self>, Arc<ServerConfig>) {
        let witness = Arc::new(Self {
            resolver: shared.cert_resolver.clone(),
            server_name: OnceLock::new(),
            exporter_secret: OnceLock::new(),
        });
        let mut config = shared.clone();
        config.key_log = witness.clone();
        config.cert_resolver = witness.clone();
        (witness, Arc::new(config))
    }

    /// The host that the client named (SNI).
    pub(super) fn server_name(&self) -> Option<&str> {
        self.server_name.get().map(String::as_str)
    }

    /// The 32 bytes that RFC 9266 binds to; `None` before the handshake ended, and under TLS 1.2,
    /// where they would need the extended master secret to mean anything.
    pub(super) fn channel_binding(&self) -> Option<[u8; 32]> {
        let secret = self.exporter_secret.get()?;
        match secret.len() {
            32 => {
                let empty = Sha256::digest([]);
                let derived = expand(sha256, secret, LABEL, &empty, 32);
                Some(first_32(&expand(sha256, &derived, b"exporter", &empty, 32)))
            }
            48 => {
                let empty = Sha384::digest([]);
                let derived = expand(sha384, secret, LABEL, &empty, 48);
                Some(first_32(&expand(sha384, &derived, b"exporter", &empty, 32)))
            }
            _ => None,
        }
    }
}

impl KeyLog for Witness {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if self.will_log(label) {
            // A connection has one such secret.
            let _ = self.exporter_secret.set(secret.into());
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == "EXPORTER_SECRET"
    }
}

impl ResolvesServerCert for Witness {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // A connection has one ClientHello with a certificate as its answer.
            let _ = self.server_name.set(name.to_owned());
        }
        self.resolver.resolve(hello)
    }
}

/// Never shows the secret.
impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// HKDF-Expand-Label (RFC 8446 7.1) for outputs that fit one block of the hash.
fn expand(hmac: MacOf, secret: &[u8], label: &[u8], context: &[u8], length: u8) -> Vec<u8> {
    let mut info = Vec::with_capacity(4 + PREFIX.len() + label.len() + context.len() + 1);
    info.extend([0, length, (PREFIX.len() + label.len()) as u8]);
    info.extend_from_slice(PREFIX);
    info.extend_from_slice(label);
    info.push(context.len() as u8);
    info.extend_from_slice(context);
    info.push(1);
    let mut block = hmac(secret, &info);
    block.truncate(usize::from(length));
    block
}

type MacOf = fn(&[u8], &[u8]) -> Vec<u8>;

fn sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn sha384(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha384>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn first_32(bytes: &[u8]) -> [u8; 32] {
    bytes[..32].try_into().expect("32 bytes were asked for")
}

const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

const PREFIX: &[u8] = b"tls13 ";
