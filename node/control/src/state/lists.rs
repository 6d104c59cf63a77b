//! From which networks accounts are never made, always, or only.
//!
//! ```text
//! address ─► in `block`? ─yes─► refused, and nothing else is asked
//!              │no
//!              ▼
//!            in `allow`? ─yes─► let through: no window counts it
//!              │no
//!              ▼
//!            `allow_only`? ─yes─► refused          no ─► the windows decide
//! ```
//!
//! Who is let through neither needs a place in a window nor takes one: a school that is trusted cannot use up what the
//! host has for strangers, nor be shut out because they did.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::BanTarget;

/// The networks, without host bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationLists {
    /// Whose registrations no window counts; [`NETWORKS_MAX`](Self::NETWORKS_MAX) at most.
    pub allow: BTreeSet<IpNet>,
    /// Who makes no accounts; as many at most. It wins over `allow`.
    pub block: BTreeSet<IpNet>,
    /// Whether only those in `allow` make accounts.
    pub allow_only: bool,
}

/// What the lists say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is blocked.
    Blocked,
    /// Only listed ones may, and it is not.
    NotAllowed,
    /// It is let through.
    Allowed,
    /// Nothing: the windows decide.
    Unlisted,
}

/// What an administrator changes in the lists. Removals come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChange {
    /// Allowed from now on.
    pub allow: Vec<IpNet>,
    /// Allowed no more.
    pub disallow: Vec<IpNet>,
    /// Blocked from now on.
    pub block: Vec<IpNet>,
    /// Blocked no more.
    pub unblock: Vec<IpNet>,
    /// Whether only allowed ones may register; as it is without it.
    pub allow_only: Option<bool>,
}

impl RegistrationLists {
    /// Networks in each list: each attempt is held against all of them, and every node has them.
    pub const NETWORKS_MAX: usize = 1_000;

    /// What the lists say of an address. A mapped IPv4 address is its IPv4 address.
    pub fn judge(&self, address: IpAddr) -> Listing {
        let address = address.to_canonical();
        let has = |list: &BTreeSet<IpNet>| list.iter().any(|network| network.contains(&address));
        if has(&self.block) {
            Listing::Blocked
        } else if has(&self.allow) {
            Listing::Allowed
        } else if self.allow_only {
            Listing::NotAllowed
        } else {
            Listing::Unlisted
        }
    }

    /// The lists after a change, with how many networks were added or removed. `None` if one would be too long.
    pub(super) fn changed(&self, change: &ListChange) -> Option<(Self, u64)> {
        let mut next = self.clone();
        let mut changed = 0;
        let mut apply = |list: &mut BTreeSet<IpNet>, add: &[IpNet], remove: &[IpNet]| {
            let removed = remove
                .iter()
                .filter(|network| list.remove(&network.trunc()));
            changed += removed.count() as u64;
            let added = add.iter().filter(|network| list.insert(network.trunc()));
            changed += added.count() as u64;
        };
        apply(&mut next.allow, &change.allow, &change.disallow);
        apply(&mut next.block, &change.block, &change.unblock);
        if let Some(allow_only) = change.allow_only {
            changed += u64::from(allow_only != next.allow_only);
            next.allow_only = allow_only;
        }
        let longest = next.allow.len().max(next.block.len());
        (longest <= Self::NETWORKS_MAX).then_some((next, changed))
    }
}

/// A text that is no network. The operator's mistake, worded for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no network: write an address such as 192.0.2.7, or a network such as 192.0.2.0/24"
)]
pub struct NetworkError(String);

/// A network as an operator writes it: an address stands for itself, host bits are cut off, mapped IPv4 is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(pub IpNet);

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let text = text.trim();
        // Of a text that is no network, what else could be banned by it says nothing here.
        match BanTarget::network(text) {
            Some(network) => Ok(Self(network)),
            None => Err(NetworkError(text.chars().take(64).collect())),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        BanTarget::Network(self.0).fmt(f)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        let network = |text: &&str| text.parse::<Network>().unwrap().0;
        texts.iter().map(network).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_wins_over_what_is_allowed_and_who_is_on_no_list_is_for_the_windows() {
        let mut lists = RegistrationLists {
            allow: nets(&["192.0.2.0/24", "2001:db8::/32"])
                .into_iter()
                .collect(),
            block: nets(&["192.0.2.128/25"]).into_iter().collect(),
            allow_only: false,
        };
        assert_eq!(lists.judge(ip("192.0.2.1")), Listing::Allowed);
        assert_eq!(lists.judge(ip("::ffff:192.0.2.1")), Listing::Allowed);
        assert_eq!(lists.judge(ip("192.0.2.200")), Listing::Blocked);
        assert_eq!(lists.judge(ip("2001:db8:7::1")), Listing::Allowed);
        assert_eq!(lists.judge(ip("198.51.100.1")), Listing::Unlisted);
        lists.allow_only = true;
        assert_eq!(lists.judge(ip("198.51.100.1")), Listing::NotAllowed);
        assert_eq!(lists.judge(ip("192.0.2.200")), Listing::Blocked);
    }

    #[test]
    fn a_change_says_what_it_changed_and_is_all_or_nothing() {
        let change = ListChange {
            allow: nets(&["192.0.2.7", "192.0.2.7/32"]),
            block: nets(&["198.51.100.9/24"]),
            unblock: nets(&["203.0.113.0/24"]),
            allow_only: Some(true),
            ..ListChange::default()
        };
        let (lists, changed) = RegistrationLists::default().changed(&change).unwrap();
        assert_eq!(
            changed, 3,
            "one address twice, one network that was not there"
        );
        assert!(lists.block.contains(&"198.51.100.0/24".parse().unwrap()));
        assert_eq!(lists.changed(&change).unwrap().1, 0);
        let net = |n: usize| Network(format!("10.{}.{}.0/24", n / 256, n % 256).parse().unwrap()).0;
        let many = |n: usize| ListChange {
            block: (0..n).map(net).collect(),
            ..ListChange::default()
        };
        let full = RegistrationLists::NETWORKS_MAX;
        assert!(RegistrationLists::default().changed(&many(full)).is_some());
        assert!(
            RegistrationLists::default()
                .changed(&many(full + 1))
                .is_none()
        );
    }

    #[test]
    fn a_network_is_written_as_it_is_read() {
        for (text, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1::7/48", "2001:db8:1::/48"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for text in ["", "example.org", "192.0.2.0/33", "192.0.2", "a@b"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
