//! The secret that all nodes of a cluster share, and nobody else knows.
//!
//! Each node that starts proposes one, its own from before if it has it; the first proposal wins, for ever, and is the
//! answer to all. So what depends on it, such as the salts that a name without an account pretends to have, is the same
//! wherever a stranger asks. A router whose store was restored from a backup brings the secret from there, which takes
//! the place of any other: so names look as they did before.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 32 bytes. Whoever shows it by mistake shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterSecret([u8; 32]);

impl ClusterSecret {
    /// A secret of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. Whoever needs a key for another purpose derives it from them with a name of that purpose.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

/// Not the digits of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret has 64 hexadecimal digits")]
pub struct SecretError;

impl TryFrom<String> for ClusterSecret {
    type Error = SecretError;

    fn try_from(text: String) -> Result<Self, SecretError> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(SecretError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| SecretError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| SecretError)?;
        }
        Ok(Self(bytes))
    }
}

impl From<ClusterSecret> for String {
    fn from(secret: ClusterSecret) -> Self {
        secret.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_its_digits_and_is_never_shown() {
        let secret = ClusterSecret::new(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(ClusterSecret::try_from(String::from(secret)), Ok(secret));
        assert_eq!(format!("{secret:?}"), "ClusterSecret(…)");
        for text in ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(ClusterSecret::try_from(text.to_owned()), Err(SecretError));
        }
    }
}
