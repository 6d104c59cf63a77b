//! What one secured stream offers for login, remembered so that a login is judged by what was offered.

use rookery_xmpp::scram::Hash;

use super::channel_binding::{self, ChannelBinding};
use super::failure::{Condition, Failure};
use super::mechanism::Mechanism;
use crate::event::TlsFacts;
use crate::options::SessionOptions;

/// The mechanisms and channel bindings of a stream.
#[derive(Debug)]
pub(crate) struct Offer {
    mechanisms: Vec<Mechanism>,
    bindings: Vec<ChannelBinding>,
}

impl Offer {
    /// What the operator allows and the TLS connection makes possible.
    pub(crate) fn new(options: &SessionOptions, tls: &TlsFacts) -> Self {
        let bindings = if options.channel_binding {
            channel_binding::of(tls)
        } else {
            Vec::new()
        };
        let offered = |mechanism: &Mechanism| {
            let bound = matches!(mechanism, Mechanism::Scram { plus: true, .. });
            allowed(*mechanism, options) && !(bound && bindings.is_empty())
        };
        let mechanisms = Mechanism::ALL.into_iter().filter(offered).collect();
        Self {
            mechanisms,
            bindings,
        }
    }

    /// The mechanisms, the strongest first.
    pub(crate) fn mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        self.mechanisms.iter().copied()
    }

    /// The names of the channel bindings, the strongest first (XEP-0440).
    pub(crate) fn binding_types(&self) -> impl Iterator<Item = &'static str> {
        self.bindings.iter().map(|binding| binding.name)
    }

    /// The mechanism of this name, if it was offered.
    pub(super) fn mechanism(&self, name: &str) -> Result<Mechanism, Failure> {
        let unknown = Failure::new(Condition::InvalidMechanism, "this mechanism is not offered");
        let mechanism = Mechanism::named(name).ok_or(unknown)?;
        if self.mechanisms.contains(&mechanism) {
            return Ok(mechanism);
        }
        Err(match mechanism {
            // It would be offered if the connection had a binding.
            Mechanism::Scram { plus: true, .. } => unknown,
            _ => Failure::new(
                Condition::MechanismTooWeak,
                "this mechanism is not allowed here",
            ),
        })
    }

    /// Whether a client that could bind to the channel would have been shown how.
    pub(super) fn binds(&self) -> bool {
        !self.bindings.is_empty()
            && self
                .mechanisms()
                .any(|m| matches!(m, Mechanism::Scram { plus: true, .. }))
    }

    /// What the client must know of the channel to bind to it this way; `None` for a type that was not offered.
    pub(super) fn binding_data(&self, name: &str) -> Option<&[u8]> {
        self.bindings
            .iter()
            .find(|binding| binding.name == name)
            .map(|b| b.data.as_slice())
    }

    /// XEP-0474 5.1: the offer as text, to be hashed and signed.
    pub(super) fn downgrade_text(&self) -> String {
        let mut mechanisms: Vec<_> = self.mechanisms().map(Mechanism::name).collect();
        mechanisms.sort_unstable();
        let mut text = mechanisms.join("\u{1e}");
        if !self.bindings.is_empty() {
            let mut types: Vec<_> = self.binding_types().collect();
            types.sort_unstable();
            text.push('\u{1f}');
            text.push_str(&types.join("\u{1e}"));
        }
        text
    }
}

fn allowed(mechanism: Mechanism, options: &SessionOptions) -> bool {
    match mechanism {
        Mechanism::Plain => options.plain,
        Mechanism::Scram {
            hash: Hash::Sha1, ..
        } => options.scram_sha_1,
        Mechanism::Scram {
            hash: Hash::Sha256, ..
        } => options.scram_sha_256,
        Mechanism::Scram {
            hash: Hash::Sha512, ..
        } => options.scram_sha_512,
    }
}
