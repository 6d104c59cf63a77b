//! What stands for an invitation's token wherever the token itself must not be.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The first half of the SHA-256 of a token: 128 bits, as many as the token has. It names the invitation for operators,
/// in the log and in snapshots; nobody comes from it to the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId([u8; 16]);

/// A text that is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of an invitation is 32 hexadecimal digits")]
pub struct InviteIdError;

impl InviteId {
    /// The id of the invitation with this token.
    pub fn of(token: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InviteId {
    type Err = InviteIdError;

    fn from_str(text: &str) -> Result<Self, InviteIdError> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InviteIdError);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InviteIdError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl Serialize for InviteId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InviteId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_shows_no_token() {
        let id = InviteId::of("abcdefghijklmnopqrstuvwxyz");
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.len(), 32);
        assert!(!format!("{id:?}").contains("abcdefghij"));
        for wrong in ["", "+2345678901234567890123456789012", &text[1..], "ä"] {
            assert_eq!(wrong.parse::<InviteId>(), Err(InviteIdError), "{wrong}");
        }
    }
}
