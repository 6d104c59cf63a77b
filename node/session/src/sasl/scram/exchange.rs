//! The server's half of the exchange (RFC 5802 5), over keys that are real or a decoy's.
//!
//! ```text
//! C: n,,n=user,r=fyko+d2l
//! S: r=fyko+d2l3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096
//! C: c=biws,r=fyko+d2l3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=
//! S: v=rmF9pqV8S7suAoZWja4dJRkFsKQ=
//! ```

use rookery_xmpp::entropy::Entropy;
use rookery_xmpp::scram::ScramKeys;
use subtle::ConstantTimeEq as _;

use super::{Binding, ClientFinal, ClientFirst};
use crate::sasl::failure::{Condition, Failure};
use crate::sasl::message::encode;
use crate::sasl::offer::Offer;

/// Waits for the client's last message.
#[derive(Debug)]
pub(crate) struct AwaitFinal {
    keys: ScramKeys,
    /// Both nonces.
    nonce: String,
    /// What `c=` must say.
    binding: Vec<u8>,
    /// The signed text up to the client's last message.
    signed: String,
}

/// What a stream's offer contributes to an exchange, known since the client's first message.
#[derive(Debug)]
pub(crate) struct Channel {
    /// What `c=` must say: the GS2 header and the channel's data.
    binding: Vec<u8>,
    /// The offer as text, to be signed (XEP-0474); `None` where the operator switched it off.
    offered: Option<String>,
}

impl Channel {
    /// Judges what the client says of channel binding by what this stream offers (RFC 5802 6).
    pub(crate) fn of(
        first: &ClientFirst,
        plus: bool,
        offer: &Offer,
        protects: bool,
    ) -> Result<Self, Failure> {
        let mut binding = first.gs2_header.clone().into_bytes();
        match (&first.binding, plus) {
            (Binding::Bound(name), true) => {
                let unknown = Failure::malformed("this channel binding is not offered");
                binding.extend_from_slice(offer.binding_data(name).ok_or(unknown)?);
            }
            (Binding::Bound(_), false) | (_, true) => {
                let text = "the mechanism and the channel binding do not fit";
                return Err(Failure::malformed(text));
            }
            // The client could bind, and somebody told it that we cannot: a downgrade.
            (Binding::NotOffered, false) if offer.binds() => {
                let text = "channel binding is offered here";
                return Err(Failure::new(Condition::NotAuthorized, text));
            }
            (Binding::NotOffered | Binding::Unsupported, false) => {}
        }
        Ok(Self {
            binding,
            offered: protects.then(|| offer.downgrade_text()),
        })
    }
}

/// The server's first message, and what comes after it.
#[derive(Debug)]
pub(crate) struct Challenge {
    /// The message.
    pub(crate) message: String,
    /// Waits for the answer to it.
    pub(crate) next: AwaitFinal,
}

impl Challenge {
    /// Answers a first message.
    pub(crate) fn new(
        first: &ClientFirst,
        channel: Channel,
        keys: ScramKeys,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let nonce = format!("{}{}", first.nonce, entropy.token());
        let mut message = format!("r={nonce},s={},i={}", encode(&keys.salt), keys.iterations);
        if let Some(offered) = channel.offered {
            message.push_str(",h=");
            message.push_str(&encode(&keys.hash.digest(offered.as_bytes())));
        }
        let signed = format!("{},{message}", first.bare);
        Self {
            message,
            next: AwaitFinal {
                keys,
                nonce,
                binding: channel.binding,
                signed,
            },
        }
    }
}

impl AwaitFinal {
    /// Checks the client's last message; the server's last message comes back, which proves us to the client.
    pub(crate) fn verify(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let last = ClientFinal::parse(message)?;
        let same_nonce: bool = last.nonce.as_bytes().ct_eq(self.nonce.as_bytes()).into();
        let same_channel: bool = last.binding.ct_eq(&self.binding).into();
        let signed = format!("{},{}", self.signed, last.without_proof);
        let proven = self.keys.verify_proof(signed.as_bytes(), &last.proof);
        if !(same_nonce && same_channel && proven) {
            return Err(Failure::not_authorized());
        }
        let signature = self.keys.server_signature(signed.as_bytes());
        Ok(format!("v={}", encode(&signature)).into_bytes())
    }
}
