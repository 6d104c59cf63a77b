//! The client's half of SCRAM (RFC 5802 3, 5), written from the RFC and not from the server's half.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rookery_xmpp::jid::Jid;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::world::{ITERATIONS, SALT};

/// The hash of a mechanism, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashName {
    Sha1,
    Sha256,
    Sha512,
}

impl HashName {
    /// The hash of `SCRAM-…`, with or without `-PLUS`.
    pub(super) fn of(mechanism: &str) -> Option<Self> {
        let name = mechanism.strip_prefix("SCRAM-")?;
        match name.strip_suffix("-PLUS").unwrap_or(name) {
            "SHA-1" => Some(Self::Sha1),
            "SHA-256" => Some(Self::Sha256),
            "SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// H(data)
    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
            let mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.chain_update(data).finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, data),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, data),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, data),
        }
    }

    fn salted(self, password: &str) -> Vec<u8> {
        let mut salted = vec![0; self.digest(b"").len()];
        let password = password.as_bytes();
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, SALT, ITERATIONS, &mut salted),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, SALT, ITERATIONS, &mut salted),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, SALT, ITERATIONS, &mut salted),
        }
        salted
    }

    /// ClientProof over an AuthMessage.
    pub(super) fn proof(self, password: &str, message: &str) -> Vec<u8> {
        let key = self.hmac(&self.salted(password), b"Client Key");
        let signature = self.hmac(&self.digest(&key), message.as_bytes());
        key.iter().zip(&signature).map(|(a, b)| a ^ b).collect()
    }

    /// What the server's last message must say for an AuthMessage.
    pub(super) fn server_final(self, password: &str, message: &str) -> String {
        let key = self.hmac(&self.salted(password), b"Server Key");
        format!("v={}", STANDARD.encode(self.hmac(&key, message.as_bytes())))
    }
}

/// What a client said in its first message, as far as the exchange needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct First<'a> {
    pub(super) gs2_header: &'a str,
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

impl<'a> First<'a> {
    /// Reads `gs2-cbind-flag "," [authzid] "," n=… "," r=…`.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let (flag, rest) = text.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let mut attributes = bare.split(',');
        let name = attributes.next()?.strip_prefix("n=")?;
        Some(Self {
            gs2_header: &text[..flag.len() + authzid.len() + 2],
            bare,
            username: unescape(name),
            nonce: attributes.next()?.strip_prefix("r=")?,
        })
    }

    /// Who it wants to act as, where it says.
    pub(super) fn authzid(&self) -> Option<String> {
        let (_, authzid) = self.gs2_header.split_once(",a=")?;
        Some(unescape(authzid.trim_end_matches(',')))
    }

    /// The channel binding that it names.
    pub(super) fn binding_name(&self) -> Option<&'a str> {
        self.gs2_header.strip_prefix("p=")?.split(',').next()
    }

    /// The account that it claims.
    pub(super) fn account(&self, host: &str) -> Option<Jid> {
        Jid::from_parts(Some(&self.username), host, None).ok()
    }
}

/// RFC 5802 5.1: a name as it stands in a message.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn unescape(name: &str) -> String {
    name.replace("=2C", ",").replace("=3D", "=")
}

/// The nonce in the server's first message.
pub(super) fn nonce_of(challenge: &str) -> Option<&str> {
    challenge.split(',').next()?.strip_prefix("r=")
}

/// base64 as it stands in messages.
pub(super) fn base64(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// What base64 says, if it is base64.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
