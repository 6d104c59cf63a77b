//! The client's side of SCRAM (RFC 5802, RFC 7677), without channel binding.
//!
//! ```text
//! C: n,,n=user,r=cnonce          S: r=cnonce+snonce,s=salt,i=count
//! C: c=biws,r=…,p=proof          S: v=server signature
//! ```
//!
//! PBKDF2 is the one expensive step. Its result depends on password, salt and count only, so it is
//! kept for each account: a client that logs in thousands of times must not measure itself.

use std::cell::RefCell;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::error::ClientError;

/// The hash function of a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hash {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
}

impl Hash {
    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => hmac::<Hmac<Sha1>>(key, data),
            Self::Sha256 => hmac::<Hmac<Sha256>>(key, data),
        }
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    fn salted_password(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let password = password.as_bytes();
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, iterations).into(),
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).into()
            }
        }
    }
}

/// Salted passwords by account and hash; replaced when the server's salt or count changes.
#[derive(Debug, Default)]
pub(crate) struct SaltedPasswords {
    known: RefCell<HashMap<(String, Hash), Salted>>,
}

impl SaltedPasswords {
    fn get(&self, user: &str, password: &str, hash: Hash, salt: &[u8], count: u32) -> Vec<u8> {
        let key = (user.to_owned(), hash);
        if let Some(salted) = self.known.borrow().get(&key)
            && salted.salt == salt
            && salted.iterations == count
        {
            return salted.password.clone();
        }
        let derived = hash.salted_password(password, salt, count);
        let kept = Salted {
            salt: salt.to_vec(),
            iterations: count,
            password: derived.clone(),
        };
        self.known.borrow_mut().insert(key, kept);
        derived
    }
}

#[derive(Debug)]
struct Salted {
    salt: Vec<u8>,
    iterations: u32,
    password: Vec<u8>,
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Scram<'a> {
    hash: Hash,
    user: &'a str,
    password: &'a str,
    nonce: String,
    server_signature: Vec<u8>,
}

impl<'a> Scram<'a> {
    /// Begins an exchange; `nonce` is printable ASCII without a comma.
    pub(crate) fn new(hash: Hash, user: &'a str, password: &'a str, nonce: String) -> Self {
        Self {
            hash,
            user,
            password,
            nonce,
            server_signature: Vec::new(),
        }
    }

    /// The initial response, in base64.
    pub(crate) fn first(&self) -> String {
        STANDARD.encode(format!("{GS2_HEADER}{}", self.first_bare()))
    }

    /// Answers the server's challenge (base64 in, base64 out).
    pub(crate) fn answer(
        &mut self,
        challenge: &[u8],
        passwords: &SaltedPasswords,
    ) -> Result<String, ClientError> {
        let decoded = STANDARD
            .decode(challenge)
            .map_err(|_| ClientError::Scram("bad base64"))?;
        let server_first =
            String::from_utf8(decoded).map_err(|_| ClientError::Scram("challenge is not UTF-8"))?;
        let (nonce, salt, iterations) = parse_server_first(&server_first)?;
        if !nonce.starts_with(&self.nonce) {
            return Err(ClientError::Scram("the server changed the nonce"));
        }
        let salted = passwords.get(self.user, self.password, self.hash, &salt, iterations);
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(GS2_HEADER));
        let message = format!("{},{server_first},{without_proof}", self.first_bare());
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let stored_key = self.hash.digest(&client_key);
        let signature = self.hash.hmac(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        self.server_signature = self.hash.hmac(&server_key, message.as_bytes());
        Ok(STANDARD.encode(format!("{without_proof},p={}", STANDARD.encode(proof))))
    }

    /// Checks that the server knows the account too: the content of `<success/>`.
    pub(crate) fn verify(&self, success: &[u8]) -> Result<(), ClientError> {
        let decoded = STANDARD
            .decode(success)
            .map_err(|_| ClientError::Scram("bad base64"))?;
        let expected = format!("v={}", STANDARD.encode(&self.server_signature));
        if decoded == expected.as_bytes() {
            Ok(())
        } else {
            Err(ClientError::Scram("the server's signature is wrong"))
        }
    }

    fn first_bare(&self) -> String {
        let user = self.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={user},r={}", self.nonce)
    }
}

fn parse_server_first(text: &str) -> Result<(&str, Vec<u8>, u32), ClientError> {
    let mut parts = text.split(',');
    let mut field = |prefix: &str| parts.next().and_then(|part| part.strip_prefix(prefix));
    let (Some(nonce), Some(salt), Some(count)) = (field("r="), field("s="), field("i=")) else {
        return Err(ClientError::Scram("malformed challenge"));
    };
    let salt = STANDARD
        .decode(salt)
        .map_err(|_| ClientError::Scram("malformed salt"))?;
    let count = count
        .parse()
        .map_err(|_| ClientError::Scram("malformed iteration count"))?;
    if count == 0 || count > ITERATIONS_MAX {
        return Err(ClientError::Scram("absurd iteration count"));
    }
    Ok((nonce, salt, count))
}

fn hmac<M: Mac + hmac::digest::KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// No channel binding, no authorization identity.
const GS2_HEADER: &str = "n,,";
/// A server that asks for more would only stall this client.
const ITERATIONS_MAX: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str) -> Vec<u8> {
        STANDARD.encode(text).into_bytes()
    }

    fn decoded(text: String) -> String {
        String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn the_exchange_of_rfc_5802_section_5_comes_out() {
        let passwords = SaltedPasswords::default();
        let nonce = "fyko+d2lbbFgONRv9qkxdawL".to_owned();
        let mut scram = Scram::new(Hash::Sha1, "user", "pencil", nonce);
        assert_eq!(
            decoded(scram.first()),
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
        );
        let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let answer = scram.answer(&encode(challenge), &passwords).unwrap();
        assert_eq!(
            decoded(answer),
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
        );
        assert!(
            scram
                .verify(&encode("v=rmF9pqV8S7suAoZWja4dJRkFsKQ="))
                .is_ok()
        );
        assert!(
            scram
                .verify(&encode("v=AAAApqV8S7suAoZWja4dJRkFsKQ="))
                .is_err()
        );
    }

    #[test]
    fn the_exchange_of_rfc_7677_section_3_comes_out() {
        let passwords = SaltedPasswords::default();
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let mut scram = Scram::new(Hash::Sha256, "user", "pencil", nonce);
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = scram.answer(&encode(challenge), &passwords).unwrap();
        assert!(decoded(answer).ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
        let success = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert!(scram.verify(&encode(success)).is_ok());
    }

    #[test]
    fn a_new_salt_replaces_the_kept_key() {
        let passwords = SaltedPasswords::default();
        let one = passwords.get("a", "p", Hash::Sha256, b"salt1", 10);
        assert_eq!(passwords.get("a", "p", Hash::Sha256, b"salt1", 10), one);
        assert_ne!(passwords.get("a", "p", Hash::Sha256, b"salt2", 10), one);
        assert_eq!(passwords.known.borrow().len(), 1);
    }

    #[test]
    fn a_foreign_nonce_is_refused() {
        let passwords = SaltedPasswords::default();
        let mut scram = Scram::new(Hash::Sha1, "u", "p", "mine".to_owned());
        assert!(
            scram
                .answer(&encode("r=other,s=QUFB,i=10"), &passwords)
                .is_err()
        );
    }
}
