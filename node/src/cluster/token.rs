//! The token with which a node joins: a text that an operator carries from one machine to another.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rookery_control::TokenHash;

/// A token. Whoever has it can join, so it is never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The cluster's id.
    cluster: String,
    /// SHA-256 of the authority's certificate: tells the cluster from somebody in its place.
    authority: [u8; 32],
    nonce: [u8; 32],
    seal: [u8; 32],
    /// The member that made it, `host:port`.
    address: String,
}

/// The text is no token; its bearer's to solve.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no token: `rookery cluster token` on a running member makes one")]
pub struct TokenError;

impl Token {
    /// A token of these parts.
    pub(super) fn new(
        cluster: String,
        authority: [u8; 32],
        nonce: [u8; 32],
        seal: [u8; 32],
        address: String,
    ) -> Self {
        Self {
            cluster,
            authority,
            nonce,
            seal,
            address,
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (authority, rest) = bytes.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (seal, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (cluster, address) = rest.split_at_checked(usize::from(*length))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Self::new(
            text(cluster)?,
            *authority,
            *nonce,
            *seal,
            text(address)?,
        ))
    }

    /// The cluster's id.
    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// SHA-256 of the authority's certificate.
    pub(super) fn authority(&self) -> [u8; 32] {
        self.authority
    }

    /// Where to join, `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What is shown to the member.
    pub(super) fn secret(&self) -> Vec<u8> {
        [self.nonce, self.seal].concat()
    }
}

/// Takes a secret apart: what was drawn, and what makes it ours.
pub(super) fn split_secret(secret: &[u8]) -> Option<(&[u8; 32], &[u8; 32])> {
    let (nonce, rest) = secret.split_first_chunk()?;
    Some((nonce, rest.try_into().ok()?))
}

/// Compares without telling by its time how much is right.
pub(super) fn is_sealed(seal: &[u8; 32], expected: &[u8; 32]) -> bool {
    TokenHash::of(seal) == TokenHash::of(expected)
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = u8::try_from(self.cluster.len()).map_err(|_| fmt::Error)?;
        let bytes = [
            &self.authority[..],
            &self.nonce,
            &self.seal,
            &[length],
            self.cluster.as_bytes(),
            self.address.as_bytes(),
        ];
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.concat()))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(TokenError)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError)?;
        Self::read(&bytes).ok_or(TokenError)
    }
}

/// Shows scanners for leaked secrets what it is.
const PREFIX: &str = "rookery-join-1-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_nonsense_is_none() {
        let token = Token::new("nest".into(), [1; 32], [2; 32], [3; 32], "a:1".into());
        let text = token.to_string();
        let read: Token = text.parse().unwrap();
        assert!(read == token);
        let secret = read.secret();
        assert_eq!(split_secret(&secret), Some((&[2; 32], &[3; 32])));
        assert_eq!(split_secret(&secret[1..]), None);
        for text in ["", "rookery-join-1-", "rookery-join-1-AAAA", &text[1..]] {
            assert!(text.parse::<Token>() == Err(TokenError), "{text}");
        }
    }
}
