//! PLAIN (RFC 4616): `authzid NUL authcid NUL password`.

use super::failure::Failure;
use crate::effect::Password;

/// The one message of PLAIN.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Who the client wants to act as; `None` where it does not say.
    pub(super) authzid: Option<String>,
    /// Its name.
    pub(super) username: String,
    /// Its password.
    pub(super) password: Password,
}

impl Message {
    pub(super) fn parse(message: &[u8]) -> Result<Self, Failure> {
        let wrong = Failure::malformed("not a message of PLAIN");
        let text = std::str::from_utf8(message).map_err(|_| wrong)?;
        let mut parts = text.split('\0');
        let (Some(authzid), Some(username), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong);
        };
        if username.is_empty() || password.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            authzid: (!authzid.is_empty()).then(|| authzid.to_owned()),
            username: username.to_owned(),
            password: Password(password.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_parts_are_told_apart() {
        let message = Message::parse(b"\0tim\0tanstaaftanstaaf").unwrap();
        assert_eq!(message.authzid, None);
        assert_eq!(message.username, "tim");
        assert_eq!(message.password, Password("tanstaaftanstaaf".to_owned()));
        let message = Message::parse(b"Ursel\0Kurt\0xipj3plmq").unwrap();
        assert_eq!(message.authzid.as_deref(), Some("Ursel"));
    }

    #[test]
    fn anything_else_is_malformed() {
        let wrong: [&[u8]; 8] = [
            b"",
            b"\0",
            b"\0\0",
            b"\0a\0",
            b"\0\0b",
            b"a\0b",
            b"\0a\0b\0",
            b"\0a\0\xff",
        ];
        for message in wrong {
            assert!(Message::parse(message).is_err(), "{message:?}");
        }
    }
}
