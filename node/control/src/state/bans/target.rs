//! Who is banned.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rookery_xmpp::jid::{Jid, prepare_domain};
use serde::{Deserialize, Serialize};

/// Whom a ban concerns. Written as `192.0.2.0/24`, `juliet@example.org` or `example.net`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BanTarget {
    /// Clients from these addresses; no host bit is set.
    Network(IpNet),
    /// An account, by its bare JID, prepared.
    Account(Box<str>),
    /// All accounts of a domain, prepared.
    Domain(Box<str>),
}

/// A text that names nobody who could be banned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanTargetError {
    /// It has none of the forms.
    #[error(
        "\"{0}\" cannot be banned: write an address, a network such as 192.0.2.0/24, an account such as \
         juliet@example.org, or a domain"
    )]
    Form(String),
    /// It has but digits and dots, and is no address.
    #[error("\"{0}\" is no address and no network: write one such as 192.0.2.7 or 192.0.2.0/24")]
    Address(String),
    /// One session cannot be banned.
    #[error(
        "\"{given}\" names one session: ban its account, {account}, or close it with `sessions close`"
    )]
    Session {
        /// What was written.
        given: String,
        /// The account's bare JID.
        account: String,
    },
    /// A ban of it would lock out half of the world.
    #[error("{0} is too wide: at least /8 (IPv4) or /16 (IPv6)")]
    Wide(IpNet),
}

impl BanTarget {
    /// The network that a text names: an address stands for itself, host bits are cut off, mapped IPv4 is IPv4.
    pub(in crate::state) fn network(text: &str) -> Option<IpNet> {
        network(text)
    }

    /// A word for its kind, for metrics and lists.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Network(_) => "network",
            Self::Account(_) => "account",
            Self::Domain(_) => "domain",
        }
    }
}

impl fmt::Display for BanTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)
            }
            Self::Network(network) => network.fmt(f),
            Self::Account(name) | Self::Domain(name) => f.write_str(name),
        }
    }
}

/// What an operator writes. Host bits are cut off, mapped IPv4 addresses are IPv4, names are prepared.
impl FromStr for BanTarget {
    type Err = BanTargetError;

    fn from_str(text: &str) -> Result<Self, BanTargetError> {
        if let Some(network) = network(text) {
            let least = if network.addr().is_ipv4() { 8 } else { 16 };
            return match network.prefix_len() < least {
                true => Err(BanTargetError::Wide(network)),
                false => Ok(Self::Network(network)),
            };
        }
        let shown = || text.chars().take(64).collect();
        let wrong = || BanTargetError::Form(shown());
        if !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_digit() || "./:".contains(c))
        {
            return Err(BanTargetError::Address(shown()));
        }
        if text.contains('@') {
            let jid: Jid = text.parse().map_err(|_| wrong())?;
            jid.local().ok_or_else(wrong)?;
            if !jid.is_bare() {
                let (given, account) = (shown(), jid.bare_str().to_owned());
                return Err(BanTargetError::Session { given, account });
            }
            return Ok(Self::Account(jid.bare_str().into()));
        }
        let domain = prepare_domain(text).map_err(|_| wrong())?;
        Ok(Self::Domain(domain.into()))
    }
}

/// What [`Display`](fmt::Display) wrote: names are taken as they are.
impl TryFrom<String> for BanTarget {
    type Error = BanTargetError;

    fn try_from(text: String) -> Result<Self, BanTargetError> {
        Ok(match network(&text) {
            Some(network) => Self::Network(network),
            None if text.contains('@') => Self::Account(text.into()),
            None => Self::Domain(text.into()),
        })
    }
}

impl From<BanTarget> for String {
    fn from(target: BanTarget) -> Self {
        target.to_string()
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(match network.trunc() {
        IpNet::V6(v6) => of_mapped(v6).map_or(IpNet::V6(v6), IpNet::V4),
        v4 @ IpNet::V4(_) => v4,
    })
}

fn of_mapped(network: Ipv6Net) -> Option<Ipv4Net> {
    let address: Ipv6Addr = network.addr();
    let length = network.prefix_len().checked_sub(96)?;
    Ipv4Net::new(address.to_ipv4_mapped()?, length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_it_is_read() {
        for (text, shown, kind) in [
            ("192.0.2.77/24", "192.0.2.0/24", "network"),
            ("192.0.2.77", "192.0.2.77", "network"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24", "network"),
            ("2001:db8::7/48", "2001:db8::/48", "network"),
            ("Juliet@Example.org", "juliet@example.org", "account"),
            ("Bücher.example", "bücher.example", "domain"),
        ] {
            let target: BanTarget = text.parse().unwrap();
            assert_eq!((target.to_string().as_str(), target.kind()), (shown, kind));
            assert_eq!(BanTarget::try_from(shown.to_owned()), Ok(target));
        }
    }

    #[test]
    fn what_is_nobody_or_too_many_is_refused() {
        for text in ["", "a b", "@example.org", "2001:db8::/129"] {
            let parsed = text.parse::<BanTarget>();
            assert!(matches!(parsed, Err(BanTargetError::Form(_))), "{text}");
        }
        for text in ["192.0.2.0/33", "300.1.1.1", "192.0.2", "1::2::3", "7"] {
            let parsed = text.parse::<BanTarget>();
            assert!(matches!(parsed, Err(BanTargetError::Address(_))), "{text}");
        }
        let session = "Juliet@Example.org/balcony".parse::<BanTarget>();
        let told = session.unwrap_err().to_string();
        assert!(told.contains("its account, juliet@example.org"), "{told}");
        for text in ["0.0.0.0/0", "10.0.0.0/7", "2000::/3", "::ffff:0.0.0.0/96"] {
            let parsed = text.parse::<BanTarget>();
            assert!(matches!(parsed, Err(BanTargetError::Wide(_))), "{text}");
        }
    }
}
