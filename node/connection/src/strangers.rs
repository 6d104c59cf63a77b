//! Those that are connected and have not proved who they are, by where they come from; and who of them gives way when
//! there is no place left and somebody comes from where nobody else does.
//!
//! ```text
//! supernet (IPv4 /16, IPv6 /32)      which has the most?
//!   └─ prefix (IPv4 /24, IPv6 /48)       which of its has the most?
//!        └─ connection                       the oldest of those: it has had the most time to log in
//! ```
//!
//! Nobody gives way to a newcomer whose network would then have as many as the other: so no two networks take places
//! from one another in turn, and all places are held only by as many supernets as there are places.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The strangers of a process.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    supernets: Crowds<IpNet>,
    /// The prefixes of each supernet.
    prefixes: HashMap<IpNet, Crowds<IpNet>>,
    /// The connections of each prefix by their serials, in the order in which they came.
    connections: HashMap<IpNet, BTreeSet<u64>>,
}

/// How many there are of each, and which has the most.
#[derive(Debug)]
struct Crowds<K> {
    sizes: HashMap<K, usize>,
    by_size: BTreeSet<(usize, K)>,
}

impl Strangers {
    /// How many of a prefix there are.
    pub(crate) fn of_prefix(&self, prefix: IpNet) -> usize {
        self.connections.get(&prefix).map_or(0, BTreeSet::len)
    }

    /// A connection came; serials only grow.
    pub(crate) fn enter(&mut self, prefix: IpNet, serial: u64) {
        if self.connections.entry(prefix).or_default().insert(serial) {
            let supernet = supernet(prefix);
            self.supernets.change(supernet, |size| size + 1);
            let prefixes = self.prefixes.entry(supernet).or_default();
            prefixes.change(prefix, |size| size + 1);
        }
    }

    /// A connection is a stranger no more. False if it was none.
    pub(crate) fn leave(&mut self, prefix: IpNet, serial: u64) -> bool {
        let Some(there) = self.connections.get_mut(&prefix) else {
            return false;
        };
        if !there.remove(&serial) {
            return false;
        }
        if there.is_empty() {
            self.connections.remove(&prefix);
        }
        let supernet = supernet(prefix);
        self.supernets.change(supernet, |size| size - 1);
        if let Some(prefixes) = self.prefixes.get_mut(&supernet) {
            prefixes.change(prefix, |size| size - 1);
            if prefixes.sizes.is_empty() {
                self.prefixes.remove(&supernet);
            }
        }
        true
    }

    /// Has somebody give way to a newcomer of this prefix: the serial of a connection that is none of these any more.
    pub(crate) fn give_way(&mut self, newcomer: IpNet) -> Option<u64> {
        let prefix = self.crowded_for(newcomer)?;
        let oldest = *self.connections.get(&prefix)?.first()?;
        self.leave(prefix, oldest).then_some(oldest)
    }

    /// The prefix that has to give way.
    fn crowded_for(&self, newcomer: IpNet) -> Option<IpNet> {
        let own = supernet(newcomer);
        let (most, largest) = self.supernets.largest()?;
        if most > self.supernets.size(own) + 1 {
            return Some(self.prefixes.get(&largest)?.largest()?.1);
        }
        // No other supernet has more, but the newcomer's neighbours may.
        let (most, largest) = self.prefixes.get(&own)?.largest()?;
        (most > self.of_prefix(newcomer) + 1).then_some(largest)
    }
}

impl<K: Copy + Ord + Hash> Crowds<K> {
    fn size(&self, of: K) -> usize {
        self.sizes.get(&of).copied().unwrap_or(0)
    }

    fn largest(&self) -> Option<(usize, K)> {
        self.by_size.last().copied()
    }

    fn change(&mut self, of: K, change: impl Fn(usize) -> usize) {
        let before = self.size(of);
        let after = change(before);
        self.by_size.remove(&(before, of));
        if after == 0 {
            self.sizes.remove(&of);
        } else {
            self.sizes.insert(of, after);
            self.by_size.insert((after, of));
        }
    }
}

impl<K> Default for Crowds<K> {
    fn default() -> Self {
        Self {
            sizes: HashMap::new(),
            by_size: BTreeSet::new(),
        }
    }
}

/// The network that one provider, or one who rents many prefixes, is likely to have all of.
fn supernet(prefix: IpNet) -> IpNet {
    let wide = match prefix.addr() {
        IpAddr::V4(v4) => Ipv4Net::new(v4, 16).map(|net| IpNet::from(net.trunc())),
        IpAddr::V6(v6) => Ipv6Net::new(v6, 32).map(|net| IpNet::from(net.trunc())),
    };
    // The lengths are within the bounds of their families.
    wide.unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn with(all: &[(&str, &[u64])]) -> Strangers {
        let mut strangers = Strangers::default();
        for (network, serials) in all {
            for serial in *serials {
                strangers.enter(prefix(network), *serial);
            }
        }
        strangers
    }

    #[test]
    fn the_oldest_of_the_largest_prefix_of_the_largest_supernet_gives_way() {
        let mut strangers = with(&[
            ("198.51.1.0/24", &[1, 2, 3]),
            ("203.0.1.0/24", &[4, 5]),
            ("203.0.2.0/24", &[7, 6]),
            ("203.0.3.0/24", &[8]),
        ]);
        let newcomer = prefix("2001:db8::/48");
        assert_eq!(strangers.give_way(newcomer), Some(6), "5 are more than 3");
        assert_eq!(strangers.of_prefix(prefix("203.0.2.0/24")), 1);
        assert_eq!(strangers.give_way(newcomer), Some(4));
        assert_eq!(
            strangers.give_way(newcomer),
            Some(8),
            "the last of three alike"
        );
        assert_eq!(strangers.give_way(newcomer), Some(1));
    }

    #[test]
    fn nobody_gives_way_to_a_network_that_would_have_as_many() {
        let (first, other) = ("192.0.2.0/24", "198.51.100.0/24");
        let mut strangers = with(&[(first, &[1]), (other, &[2])]);
        assert_eq!(strangers.give_way(prefix("203.0.113.0/24")), None);
        assert_eq!(strangers.give_way(prefix(first)), None);
        strangers.enter(prefix(first), 3);
        assert_eq!(strangers.give_way(prefix(other)), None, "one each is even");
        assert_eq!(strangers.give_way(prefix(first)), None);
        assert_eq!(strangers.give_way(prefix("203.0.113.0/24")), Some(1));
        assert_eq!(Strangers::default().give_way(prefix(first)), None);
    }

    #[test]
    fn whoever_rents_ten_thousand_prefixes_of_ipv6_is_one_supernet() {
        let mut strangers = Strangers::default();
        for number in 0..10_000_u32 {
            let network = format!("2001:db8:{number:x}::/48");
            strangers.enter(prefix(&network), number.into());
        }
        for number in 0..100 {
            let gave_way = strangers.give_way(prefix("192.0.2.0/24"));
            assert!(gave_way.is_some(), "{number}");
        }
        assert_eq!(strangers.give_way(prefix("2001:db8:ffff::/48")), None);
    }

    #[test]
    fn who_has_given_way_or_left_is_forgotten() {
        let network = "192.0.2.0/24";
        let mut strangers = with(&[(network, &[1, 2])]);
        assert_eq!(strangers.give_way(prefix("198.51.100.0/24")), Some(1));
        assert!(!strangers.leave(prefix(network), 1));
        assert!(strangers.leave(prefix(network), 2));
        assert!(!strangers.leave(prefix(network), 2));
        assert!(strangers.connections.is_empty() && strangers.prefixes.is_empty());
        assert!(strangers.supernets.sizes.is_empty() && strangers.supernets.by_size.is_empty());
    }
}
