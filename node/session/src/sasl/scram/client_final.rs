//! The last message of the client: `channel-binding "," nonce ["," extensions] "," proof` (RFC 5802 7).

use super::client_first::is_extension;
use crate::sasl::failure::Failure;
use crate::sasl::message::decode;

/// A parsed last message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFinal<'a> {
    /// The GS2 header again, and the channel's data.
    pub(crate) binding: Vec<u8>,
    /// The nonce of both.
    pub(crate) nonce: &'a str,
    /// What shows that the client knows the password.
    pub(crate) proof: Vec<u8>,
    /// The message up to the proof, which both sides sign.
    pub(crate) without_proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| WRONG)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(WRONG)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes
            .next()
            .and_then(|a| a.strip_prefix("c="))
            .ok_or(WRONG)?;
        let nonce = attributes
            .next()
            .and_then(|a| a.strip_prefix("r="))
            .ok_or(WRONG)?;
        if !attributes.all(is_extension) {
            return Err(WRONG);
        }
        Ok(Self {
            binding: decode(binding).ok_or(WRONG)?,
            nonce,
            proof: decode(proof).ok_or(WRONG)?,
            without_proof,
        })
    }
}

const WRONG: Failure = Failure::malformed("not a last message of SCRAM");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_not_part_of_what_is_signed() {
        let last = ClientFinal::parse(b"c=biws,r=abc,x=1,p=AAAA").unwrap();
        assert_eq!(last.binding, b"n,,");
        assert_eq!(last.nonce, "abc");
        assert_eq!(last.proof, [0, 0, 0]);
        assert_eq!(last.without_proof, "c=biws,r=abc,x=1");
    }

    #[test]
    fn a_last_message_in_any_other_form_is_malformed() {
        let wrong = [
            "",
            "c=biws",
            "c=biws,r=abc",
            "c=biws,r=abc,p",
            "c=biws,p=AAAA",
            "r=abc,c=biws,p=AAAA",
            "c=biw,r=abc,p=AAAA",
            "c=biws,r=abc,p=AAA",
            "c=biws,r=abc,p=AA A",
            "c=biws,r=abc,x,p=AAAA",
            "c=biws,r=abc,p=AAAA,x=1",
            "c=biws,r=abc,,p=AAAA",
            "x=1,c=biws,r=abc,p=AAAA",
        ];
        for message in wrong {
            assert!(
                ClientFinal::parse(message.as_bytes()).is_err(),
                "{message:?}"
            );
        }
        assert!(ClientFinal::parse(b"c=biws,r=\xff,p=AAAA").is_err());
    }
}
