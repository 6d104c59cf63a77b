//! What a traffic budget belongs to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use rookery_xmpp::jid::{Jid, prepare_domain};
use serde::{Deserialize, Serialize};

/// The kinds of budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaKind {
    /// An account, over all its sessions.
    Account,
    /// A network that clients come from.
    Prefix,
    /// A remote domain.
    Domain,
}

impl QuotaKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Account, Self::Prefix, Self::Domain];

    /// A short name, for metrics and in front of a key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Prefix => "prefix",
            Self::Domain => "domain",
        }
    }
}

/// Whose traffic is counted together. Written as `account:juliet@example.org`, `prefix:192.0.2.0/24` or
/// `domain:example.net`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum QuotaKey {
    /// A bare JID, prepared.
    Account(Box<str>),
    /// The first address of an IPv4 /24 or an IPv6 /64.
    Prefix(IpAddr),
    /// A domain, prepared.
    Domain(Box<str>),
}

/// A text that names no budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no budget: write account:juliet@example.org, prefix:192.0.2.0/24, prefix:2001:db8::/64 or \
     domain:example.net"
)]
pub struct QuotaKeyError(String);

impl QuotaKey {
    /// The budget of an account, also from one of its full JIDs.
    pub fn account(jid: &Jid) -> Self {
        Self::Account(jid.to_bare().as_str().into())
    }

    /// The budget of the network of a client: IPv4 /24, IPv6 /64. A mapped IPv4 address counts as IPv4.
    pub fn prefix(address: IpAddr) -> Self {
        Self::Prefix(match address.to_canonical() {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() >> 8 << 8).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        })
    }

    /// Which kind it is.
    pub fn kind(&self) -> QuotaKind {
        match self {
            Self::Account(_) => QuotaKind::Account,
            Self::Prefix(_) => QuotaKind::Prefix,
            Self::Domain(_) => QuotaKind::Domain,
        }
    }
}

impl fmt::Display for QuotaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) | Self::Domain(name) => {
                write!(f, "{}:{name}", self.kind().as_str())
            }
            Self::Prefix(first @ IpAddr::V4(_)) => write!(f, "prefix:{first}/24"),
            Self::Prefix(first @ IpAddr::V6(_)) => write!(f, "prefix:{first}/64"),
        }
    }
}

/// What an operator writes: names are prepared, any address stands for its network.
impl FromStr for QuotaKey {
    type Err = QuotaKeyError;

    fn from_str(text: &str) -> Result<Self, QuotaKeyError> {
        let wrong = || QuotaKeyError(text.chars().take(64).collect());
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "account" => {
                let jid: Jid = name.parse().map_err(|_| wrong())?;
                jid.local().ok_or_else(wrong)?;
                Ok(Self::account(&jid))
            }
            "prefix" => {
                let address = name.split_once('/').map_or(name, |(address, _)| address);
                let key = Self::prefix(address.parse().map_err(|_| wrong())?);
                let whole = key.to_string();
                let length = whole.rsplit_once('/').map(|(_, length)| length);
                let given = name.split_once('/').map(|(_, length)| length);
                (given.is_none() || given == length)
                    .then_some(key)
                    .ok_or_else(wrong)
            }
            "domain" => {
                let domain = prepare_domain(name).map_err(|_| wrong())?;
                Ok(Self::Domain(domain.into()))
            }
            _ => Err(wrong()),
        }
    }
}

/// What [`Display`](fmt::Display) wrote: names are taken as they are.
impl TryFrom<String> for QuotaKey {
    type Error = QuotaKeyError;

    fn try_from(text: String) -> Result<Self, QuotaKeyError> {
        match text.split_once(':') {
            Some(("account", name)) => Ok(Self::Account(name.into())),
            Some(("domain", name)) => Ok(Self::Domain(name.into())),
            _ => text.parse(),
        }
    }
}

impl From<QuotaKey> for String {
    fn from(key: QuotaKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_it_is_read() {
        for (text, shown) in [
            (
                "account:Juliet@Example.org/balcony",
                "account:juliet@example.org",
            ),
            ("prefix:192.0.2.77", "prefix:192.0.2.0/24"),
            ("prefix:192.0.2.77/24", "prefix:192.0.2.0/24"),
            ("prefix:2001:db8:1:2:3::4", "prefix:2001:db8:1:2::/64"),
            ("domain:Bücher.example", "domain:bücher.example"),
        ] {
            let key: QuotaKey = text.parse().unwrap();
            assert_eq!(key.to_string(), shown);
            assert_eq!(QuotaKey::try_from(shown.to_owned()), Ok(key));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            "account:",
            "account:example.org",
            "prefix:192.0.2.0/16",
            "prefix:x",
            "domain:a b",
            "x:y",
        ] {
            assert!(text.parse::<QuotaKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn neighbours_share_a_prefix_and_a_mapped_address_is_ipv4() {
        let prefix = |text: &str| QuotaKey::prefix(text.parse().unwrap());
        assert_eq!(prefix("192.0.2.1"), prefix("::ffff:192.0.2.255"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.3.1"));
        assert_eq!(prefix("2001:db8::1"), prefix("2001:db8::ffff:1"));
    }
}
