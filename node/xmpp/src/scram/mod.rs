//! SCRAM keys (RFC 5802, RFC 7677): the only form in which credentials exist after a password was
//! set.
//!
//! ```text
//! SaltedPassword = PBKDF2(password, salt, iterations)      never kept
//! StoredKey      = H(HMAC(SaltedPassword, "Client Key"))   kept: checks a client's proof
//! ServerKey      = HMAC(SaltedPassword, "Server Key")      kept: proves us to the client
//! ```
//!
//! Passwords are prepared as OpaqueString (RFC 8265 4.2) everywhere. Deriving costs milliseconds by
//! design: movers do it on a thread that may block. Comparisons take the same time whatever they
//! find.

mod hash;
mod text;

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::jid::prepare_opaque;

pub use hash::Hash;

/// The keys of one password for one hash.
///
/// Stores keep the serde form, which is stable: `hash` as `"SHA-1"`, `"SHA-256"` or `"SHA-512"`,
/// `iterations` as a number, `salt`, `stored_key` and `server_key` in base64 with padding (RFC 4648
/// 4).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScramKeys {
    /// The hash that all keys here are made with.
    pub hash: Hash,
    /// The salt, as bytes.
    #[serde(with = "text")]
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2. RFC 7677 4 asks for at least 4,096.
    pub iterations: u32,
    /// H(ClientKey).
    #[serde(with = "text")]
    pub stored_key: Vec<u8>,
    /// The key of the server's signature.
    #[serde(with = "text")]
    pub server_key: Vec<u8>,
}

/// What an account keeps of its password: keys for every hash that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// For SCRAM-SHA-1 and SCRAM-SHA-1-PLUS (RFC 5802).
    pub sha1: ScramKeys,
    /// For SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 7677).
    pub sha256: ScramKeys,
    /// For SCRAM-SHA-512 and SCRAM-SHA-512-PLUS.
    pub sha512: ScramKeys,
}

/// The password is empty, or holds a control or another character that no password may have (RFC
/// 8265 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("password is empty or holds a character that is not allowed")]
pub struct BadPassword;

impl ScramKeys {
    /// Derives keys. Fewer than one iteration counts as one.
    ///
    /// # Errors
    /// [`BadPassword`] when the password cannot be prepared.
    pub fn derive(
        hash: Hash,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, BadPassword> {
        let prepared = prepare_opaque(password).ok_or(BadPassword)?;
        let iterations = iterations.max(1);
        let salted = hash.pbkdf2(prepared.as_bytes(), salt, iterations);
        let client_key = hash.hmac(&salted, b"Client Key");
        Ok(Self {
            hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: hash.digest(&client_key),
            server_key: hash.hmac(&salted, b"Server Key"),
        })
    }

    /// Whether this is the password. A password that cannot be prepared is wrong.
    pub fn verify_password(&self, password: &str) -> bool {
        Self::derive(self.hash, password, &self.salt, self.iterations)
            .is_ok_and(|keys| bool::from(keys.stored_key.ct_eq(&self.stored_key)))
    }

    /// Whether a client's proof over this AuthMessage shows that it knows the password (RFC 5802
    /// 3).
    pub fn verify_proof(&self, auth_message: &[u8], proof: &[u8]) -> bool {
        let signature = self.hash.hmac(&self.stored_key, auth_message);
        if proof.len() != signature.len() {
            return false;
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.hash.digest(&client_key).ct_eq(&self.stored_key).into()
    }

    /// The signature over this AuthMessage that proves the server to the client (RFC 5802 3).
    pub fn server_signature(&self, auth_message: &[u8]) -> Vec<u8> {
        self.hash.hmac(&self.server_key, auth_message)
    }
}

impl Credentials {
    /// Derives the keys for all hashes, with one salt: the hashes keep the keys apart.
    ///
    /// # Errors
    /// [`BadPassword`] when the password cannot be prepared.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Result<Self, BadPassword> {
        Ok(Self {
            sha1: ScramKeys::derive(Hash::Sha1, password, salt, iterations)?,
            sha256: ScramKeys::derive(Hash::Sha256, password, salt, iterations)?,
            sha512: ScramKeys::derive(Hash::Sha512, password, salt, iterations)?,
        })
    }

    /// The keys for this hash.
    pub fn keys(&self, hash: Hash) -> &ScramKeys {
        match hash {
            Hash::Sha1 => &self.sha1,
            Hash::Sha256 => &self.sha256,
            Hash::Sha512 => &self.sha512,
        }
    }

    /// Whether this is the password, for mechanisms that send it. Costs one derivation.
    pub fn verify_password(&self, password: &str) -> bool {
        self.sha256.verify_password(password)
    }

    /// What is shown of an account that nobody may use: its salts and rounds, as ever, and keys that no password fits.
    /// A decoy's would be others, and so tell whoever has asked before that something has happened to the account.
    #[must_use]
    pub fn locked(&self) -> Self {
        let lock = |keys: &ScramKeys| ScramKeys {
            stored_key: keys.hash.hmac(&keys.stored_key, b"locked"),
            server_key: keys.hash.hmac(&keys.server_key, b"locked"),
            ..keys.clone()
        };
        Self {
            sha1: lock(&self.sha1),
            sha256: lock(&self.sha256),
            sha512: lock(&self.sha512),
        }
    }
}

/// Shows the parameters, never the keys.
impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
