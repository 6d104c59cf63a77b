//! Where a registration comes from, as the keys of the windows that count it.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::RegistrationPolicy;
use crate::window::Window;

/// One of the throttle's windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// The exact address.
    Address,
    /// The IPv4 /24.
    Prefix24,
    /// The IPv6 /64.
    Prefix64,
    /// The IPv6 /48.
    Prefix48,
    /// The virtual host.
    Host,
    /// Everything.
    All,
    /// No window: as many accounts await approval as may.
    Awaiting,
    /// No window: the throttle remembers as many registrations as it may, and refuses rather than forget one.
    Overload,
}

impl WindowKind {
    /// A short name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix24 => "prefix_24",
            Self::Prefix64 => "prefix_64",
            Self::Prefix48 => "prefix_48",
            Self::Host => "host",
            Self::All => "all",
            Self::Awaiting => "awaiting",
            Self::Overload => "overload",
        }
    }
}

impl RegistrationPolicy {
    /// The window of this kind, if it is on.
    pub fn window(&self, kind: WindowKind) -> Option<Window> {
        match kind {
            WindowKind::Address => self.per_address.0,
            WindowKind::Prefix24 => self.per_prefix_24.0,
            WindowKind::Prefix64 => self.per_prefix_64.0,
            WindowKind::Prefix48 => self.per_prefix_48.0,
            WindowKind::Host => self.per_host.0,
            WindowKind::All => self.in_all.0,
            WindowKind::Awaiting | WindowKind::Overload => None,
        }
    }

    /// How far back any window looks, in milliseconds.
    pub(super) fn horizon_ms(&self) -> u64 {
        let lengths = self
            .windows()
            .into_iter()
            .filter_map(|(_, setting)| setting.0);
        lengths.map(Window::per_ms).max().unwrap_or(0)
    }
}

/// What a window counts by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Address(IpAddr),
    /// The first address of the prefix.
    Prefix(WindowKind, IpAddr),
    Host(Box<str>),
    All,
}

impl Key {
    /// The window that counts by it.
    pub(super) fn kind(&self) -> WindowKind {
        match self {
            Self::Address(_) => WindowKind::Address,
            Self::Prefix(kind, _) => *kind,
            Self::Host(_) => WindowKind::Host,
            Self::All => WindowKind::All,
        }
    }
}

/// Every key that a registration from this address at this host is counted under, with its window.
pub(super) fn keys(host: &str, address: IpAddr) -> Vec<(WindowKind, Key)> {
    let address = address.to_canonical();
    let mut keys = vec![(WindowKind::Address, Key::Address(address))];
    let mut prefix = |kind, first| keys.push((kind, Key::Prefix(kind, first)));
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            prefix(WindowKind::Prefix24, IpAddr::from([a, b, c, 0]));
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            prefix(
                WindowKind::Prefix64,
                Ipv6Addr::from_bits(bits >> 64 << 64).into(),
            );
            prefix(
                WindowKind::Prefix48,
                Ipv6Addr::from_bits(bits >> 80 << 80).into(),
            );
        }
    }
    keys.push((WindowKind::Host, Key::Host(host.into())));
    keys.push((WindowKind::All, Key::All));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> Vec<String> {
        let keys = keys("h", address.parse().unwrap());
        keys.into_iter()
            .filter_map(|(kind, key)| match key {
                Key::Address(ip) | Key::Prefix(_, ip) => Some(format!("{} {ip}", kind.as_str())),
                Key::Host(_) | Key::All => None,
            })
            .collect()
    }

    #[test]
    fn an_address_counts_for_itself_and_its_prefixes() {
        assert_eq!(
            shown("192.0.2.77"),
            ["address 192.0.2.77", "prefix_24 192.0.2.0"]
        );
        assert_eq!(
            shown("2001:db8:1:2:3:4:5:6"),
            [
                "address 2001:db8:1:2:3:4:5:6",
                "prefix_64 2001:db8:1:2::",
                "prefix_48 2001:db8:1::"
            ]
        );
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(shown("::ffff:192.0.2.77"), shown("192.0.2.77"));
    }
}
