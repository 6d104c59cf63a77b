//! Who may hold a connection: a place for each, counted in all, by address and by prefix, and among those
//! that have not proved who they are.
//!
//! Of the strangers' places one prefix gets so many at most; and when more than half of all are taken, no more than a
//! quarter of those that are free. So each prefix that holds on to its share makes the next one's smaller.
//!
//! ```text
//! 4,000 places   prefixes that take all they may      1     8    25   100
//! 500 a prefix   each has, once shares have settled  500   333   137    38
//!                free for everybody else            3500  1336   575   200
//! ```
//!
//! When none is free, who comes from a prefix without strangers gets the place of the one that has had the most time
//! among those who have the most ([`Strangers`]): networks together, however many they are, lock nobody out.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use rookery_control::networks;

use crate::ConnectionOptions;
use crate::flood::Flooded;
use crate::strangers::Strangers;

/// The places of a process. Every connection that was let in must be given back with
/// [`leave`](Self::leave).
#[derive(Debug)]
pub(crate) struct Admission {
    connections_max: usize,
    per_address_max: u32,
    per_prefix_max: u32,
    handshakes_max: usize,
    handshakes_per_prefix_max: usize,
    connections: usize,
    handshakes: usize,
    /// Connections by address (IPv6: by /64) and by prefix.
    networks: HashMap<IpNet, u32>,
    /// Those of them that have not proved who they are.
    strangers: Strangers,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client's address, also behind a load balancer.
    pub(crate) address: IpAddr,
    /// Whether a trusted load balancer speaks for itself, to see whether the port answers: nobody limits it.
    pub(crate) is_proxy: bool,
}

/// Why a connection is closed as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The process has as many as it may.
    Full,
    /// The address has as many as it may.
    Address,
    /// Its prefix has as many as it may.
    Prefix,
    /// As many as may be are on their way to a login.
    Handshakes,
    /// As many of its prefix as may be are.
    PrefixHandshakes,
    /// The address is banned.
    Banned,
    /// Too many logins from there have failed, on whatever node.
    Guarded,
    /// Too many come from there in too short a time.
    Flooded(Flooded),
}

impl Refusal {
    /// A word for metrics.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Handshakes => "handshakes",
            Self::PrefixHandshakes => "strangers_prefix",
            Self::Prefix => "prefix",
            Self::Banned => "banned",
            Self::Guarded => "guarded",
            Self::Flooded(flooded) => flooded.cause(),
        }
    }
}

impl Admission {
    /// Places as the operator grants them.
    pub(crate) fn new(options: &ConnectionOptions) -> Self {
        Self {
            connections_max: options.connections_max,
            per_address_max: options.connections_per_address_max,
            per_prefix_max: options.connections_per_prefix_max,
            handshakes_max: options.handshakes_max,
            handshakes_per_prefix_max: options.handshakes_per_prefix_max as usize,
            connections: 0,
            handshakes: 0,
            networks: HashMap::new(),
            strangers: Strangers::default(),
        }
    }

    /// Other limits from now on; who is here stays.
    pub(crate) fn set_options(&mut self, options: &ConnectionOptions) {
        self.per_address_max = options.connections_per_address_max;
        self.per_prefix_max = options.connections_per_prefix_max;
        self.handshakes_max = options.handshakes_max;
        self.handshakes_per_prefix_max = options.handshakes_per_prefix_max as usize;
    }

    /// Takes a place, as a stranger; serials only grow. Gives the serial of a stranger that has lost its place by that,
    /// if one has. A load balancer's own connections count in all, but not by where they come from.
    pub(crate) fn enter(&mut self, origin: Origin, serial: u64) -> Result<Option<u64>, Refusal> {
        if self.connections >= self.connections_max {
            return Err(Refusal::Full);
        }
        let is_full = self.handshakes >= self.handshakes_max;
        let mut gave_way = None;
        if !origin.is_proxy {
            let [address, prefix] = networks(origin.address);
            self.judge(address, prefix)?;
            if is_full {
                gave_way = self.strangers.give_way(prefix);
            }
            if gave_way.is_some() {
                self.handshakes -= 1;
            }
        }
        if is_full && gave_way.is_none() {
            return Err(Refusal::Handshakes);
        }
        if !origin.is_proxy {
            let [address, prefix] = networks(origin.address);
            for network in [address, prefix] {
                *self.networks.entry(network).or_default() += 1;
            }
            self.strangers.enter(prefix, serial);
        }
        self.connections += 1;
        self.handshakes += 1;
        Ok(gave_way)
    }

    /// Whether the networks of a client may have one more.
    fn judge(&self, address: IpNet, prefix: IpNet) -> Result<(), Refusal> {
        let connections = |network| self.networks.get(&network).copied().unwrap_or_default();
        if connections(address) >= self.per_address_max {
            return Err(Refusal::Address);
        }
        if connections(prefix) >= self.per_prefix_max {
            return Err(Refusal::Prefix);
        }
        match self.strangers.of_prefix(prefix) >= self.share_of_a_prefix() {
            true => Err(Refusal::PrefixHandshakes),
            false => Ok(()),
        }
    }

    /// How many strangers a prefix may have now, if it wants one more.
    fn share_of_a_prefix(&self) -> usize {
        let free = self.handshakes_max.saturating_sub(self.handshakes);
        if free > self.handshakes {
            return self.handshakes_per_prefix_max;
        }
        let share = free / FREE_PER_SHARE;
        self.handshakes_per_prefix_max.min(share.max(1))
    }

    /// A connection proved who it is.
    pub(crate) fn authenticated(&mut self, origin: Origin, serial: u64) {
        let counted = self.is_stranger_no_more(origin, serial);
        self.handshakes -= usize::from(counted);
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, origin: Origin, serial: u64, was_stranger: bool) {
        self.connections -= 1;
        if was_stranger {
            self.authenticated(origin, serial);
        }
        if origin.is_proxy {
            return;
        }
        for network in networks(origin.address) {
            if let Some(connections) = self.networks.get_mut(&network) {
                *connections -= 1;
                if *connections == 0 {
                    self.networks.remove(&network);
                }
            }
        }
    }

    /// Whether it was counted among them until now: one that gave way is not.
    fn is_stranger_no_more(&mut self, origin: Origin, serial: u64) -> bool {
        let [_, prefix] = networks(origin.address);
        origin.is_proxy || self.strangers.leave(prefix, serial)
    }

    /// Places that are taken.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }
}

/// Of so many free places one may be a prefix's, when few are free.
const FREE_PER_SHARE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The places, and who has them. Whoever loses one is closed at once.
    struct Door {
        admission: Admission,
        here: HashMap<IpNet, Vec<(Origin, u64)>>,
        prefixes: Vec<IpNet>,
        gave_way: Vec<IpNet>,
    }

    impl Door {
        fn new(options: &ConnectionOptions) -> Self {
            Self {
                admission: Admission::new(options),
                here: HashMap::new(),
                prefixes: Vec::new(),
                gave_way: Vec::new(),
            }
        }

        fn enter(&mut self, origin: Origin) -> Result<(), Refusal> {
            let serial = self.prefixes.len() as u64;
            let gave_way = self.admission.enter(origin, serial)?;
            let [_, prefix] = networks(origin.address);
            self.prefixes.push(prefix);
            self.here.entry(prefix).or_default().push((origin, serial));
            if let Some(gone) = gave_way {
                let prefix = self.prefixes[gone as usize];
                let (origin, serial) = self.take(prefix, |(_, serial)| *serial == gone);
                self.admission.leave(origin, serial, true);
                self.gave_way.push(prefix);
            }
            Ok(())
        }

        /// The latest that is so.
        fn find(&self, prefix: IpNet, is: impl Fn(&(Origin, u64)) -> bool) -> usize {
            let latest = self.here[&prefix].iter().rposition(is);
            latest.expect("somebody came from there")
        }

        fn take(&mut self, prefix: IpNet, is: impl Fn(&(Origin, u64)) -> bool) -> (Origin, u64) {
            let at = self.find(prefix, is);
            let here = self.here.get_mut(&prefix).expect("it was found there");
            here.remove(at)
        }

        fn authenticated(&mut self, origin: Origin) {
            let [_, prefix] = networks(origin.address);
            let at = self.find(prefix, |(from, _)| *from == origin);
            let (_, serial) = self.here[&prefix][at];
            self.admission.authenticated(origin, serial);
        }

        fn leave(&mut self, origin: Origin, was_stranger: bool) {
            let [_, prefix] = networks(origin.address);
            let (_, serial) = self.take(prefix, |(from, _)| *from == origin);
            self.admission.leave(origin, serial, was_stranger);
        }

        fn held(&self, prefix: IpNet) -> usize {
            self.here.get(&prefix).map_or(0, Vec::len)
        }
    }

    fn admission(connections: usize, address: u32, handshakes: usize) -> Door {
        Door::new(&ConnectionOptions {
            connections_max: connections,
            connections_per_address_max: address,
            handshakes_max: handshakes,
            ..ConnectionOptions::default()
        })
    }

    fn at(text: &str) -> Origin {
        Origin {
            address: text.parse().expect("an address"),
            is_proxy: false,
        }
    }

    #[test]
    fn an_address_has_its_own_limit_and_others_are_not_touched_by_it() {
        let mut admission = admission(10, 2, 10);
        assert_eq!(admission.enter(at("192.0.2.1")), Ok(()));
        assert_eq!(admission.enter(at("::ffff:192.0.2.1")), Ok(()));
        assert_eq!(admission.enter(at("192.0.2.1")), Err(Refusal::Address));
        assert_eq!(admission.enter(at("192.0.2.2")), Ok(()));
        admission.leave(at("192.0.2.1"), true);
        assert_eq!(admission.enter(at("192.0.2.1")), Ok(()));
    }

    #[test]
    fn a_household_with_ipv6_is_one_address() {
        let mut admission = admission(10, 1, 10);
        assert_eq!(admission.enter(at("2001:db8::1")), Ok(()));
        assert_eq!(admission.enter(at("2001:db8::2")), Err(Refusal::Address));
        assert_eq!(admission.enter(at("2001:db8:0:1::2")), Ok(()));
    }

    #[test]
    fn a_prefix_has_its_own_limit_and_a_proxy_has_none() {
        let mut admission = Door::new(&ConnectionOptions {
            connections_per_address_max: 2,
            connections_per_prefix_max: 3,
            ..ConnectionOptions::default()
        });
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            assert_eq!(admission.enter(at(address)), Ok(()));
        }
        assert_eq!(admission.enter(at("192.0.2.4")), Err(Refusal::Prefix));
        assert_eq!(admission.enter(at("192.0.3.4")), Ok(()));
        let proxy = Origin {
            is_proxy: true,
            ..at("192.0.2.4")
        };
        assert_eq!(admission.enter(proxy), Ok(()));
        admission.leave(proxy, true);
        assert_eq!(admission.enter(at("192.0.2.4")), Err(Refusal::Prefix));
        admission.leave(at("192.0.2.1"), true);
        assert_eq!(admission.enter(at("192.0.2.4")), Ok(()));
        for net in 0..3 {
            let address = format!("2001:db8:0:{net}::1");
            assert_eq!(admission.enter(at(&address)), Ok(()));
        }
        assert_eq!(admission.enter(at("2001:db8:0:9::1")), Err(Refusal::Prefix));
        admission
            .admission
            .set_options(&ConnectionOptions::default());
        assert_eq!(admission.enter(at("192.0.2.9")), Ok(()));
    }

    #[test]
    fn strangers_cannot_take_the_places_of_users() {
        let mut admission = admission(3, 10, 1);
        assert_eq!(admission.enter(at("192.0.2.1")), Ok(()));
        assert_eq!(
            admission.enter(at("198.51.100.2")),
            Err(Refusal::Handshakes)
        );
        admission.authenticated(at("192.0.2.1"));
        assert_eq!(admission.enter(at("192.0.2.2")), Ok(()));
        admission.authenticated(at("192.0.2.2"));
        assert_eq!(admission.enter(at("192.0.2.3")), Ok(()));
        admission.leave(at("192.0.2.3"), true);
        admission.leave(at("192.0.2.2"), false);
        assert_eq!(admission.admission.connections(), 1);
    }

    #[test]
    fn the_strangers_of_one_prefix_leave_places_to_those_of_others() {
        let mut admission = Door::new(&ConnectionOptions {
            handshakes_max: 16,
            handshakes_per_prefix_max: 2,
            ..ConnectionOptions::default()
        });
        assert_eq!(admission.enter(at("2001:db8:0:1::1")), Ok(()));
        assert_eq!(admission.enter(at("2001:db8:0:2::1")), Ok(()));
        let refused = Err(Refusal::PrefixHandshakes);
        assert_eq!(admission.enter(at("2001:db8:0:3::1")), refused);
        assert_eq!(admission.enter(at("2001:db8:1::1")), Ok(()));
        admission.authenticated(at("2001:db8:0:1::1"));
        assert_eq!(admission.enter(at("2001:db8:0:3::1")), Ok(()));
        assert_eq!(admission.enter(at("2001:db8:0:4::1")), refused);
        admission.leave(at("2001:db8:0:1::1"), false);
        assert_eq!(
            admission.enter(at("2001:db8:0:4::1")),
            refused,
            "who has left was no stranger any more"
        );
        admission.leave(at("2001:db8:0:2::1"), true);
        assert_eq!(admission.enter(at("2001:db8:0:4::1")), Ok(()));
    }

    /// An address of a prefix; each prefix has addresses enough for the limit of one address not to matter.
    fn of_prefix(prefix: u32, host: u32) -> Origin {
        Origin {
            address: std::net::Ipv4Addr::from(0x0a00_0000 + (prefix << 8) + host % 250).into(),
            is_proxy: false,
        }
    }

    /// As many as can be of that prefix, and who they are.
    fn fill(admission: &mut Door, prefix: u32) -> u32 {
        (0..)
            .take_while(|host| admission.enter(of_prefix(prefix, *host)).is_ok())
            .count() as u32
    }

    #[test]
    fn some_prefixes_that_take_all_they_may_leave_room_for_everybody_else() {
        // How many prefixes, what they leave when they come one after the other, and once they have come again.
        for (prefixes, at_first, settled) in [
            (1, 3_500, 3_500),
            (8, 819, 1_336),
            (25, 19, 575),
            (100, 0, 200),
        ] {
            let mut door = Door::new(&ConnectionOptions::default());
            for prefix in 0..prefixes {
                fill(&mut door, prefix);
            }
            let free = |door: &Door| 4_000 - door.admission.handshakes;
            assert_eq!(free(&door), at_first, "{prefixes}");
            // Their time to log in is over, for one connection of each after the other, and all come again.
            for host in 0..500 {
                for prefix in 0..prefixes {
                    let [_, network] = networks(of_prefix(prefix, 0).address);
                    if door.held(network) > 0 {
                        let (origin, serial) = door.take(network, |_| true);
                        door.admission.leave(origin, serial, true);
                    }
                    for host in [2 * host, 2 * host + 1] {
                        // Most are refused.
                        let _ = door.enter(of_prefix(prefix, host));
                    }
                }
            }
            let off = free(&door).abs_diff(settled);
            assert!(off <= prefixes as usize, "{prefixes}: {off} off");
            assert!(fill(&mut door, 5_000) > 0, "somebody else comes in");
        }
    }

    #[test]
    fn when_no_place_is_free_who_comes_from_elsewhere_gets_one_of_those_who_have_the_most() {
        let mut door = Door::new(&ConnectionOptions::default());
        for prefix in 0..100 {
            fill(&mut door, prefix);
        }
        assert_eq!(door.admission.handshakes, 4_000);
        door.gave_way.clear();
        for other in 0..50 {
            let origin = at(&format!("203.0.{other}.1"));
            assert_eq!(door.enter(origin), Ok(()), "{other}");
            assert_eq!(door.enter(origin), Err(Refusal::PrefixHandshakes));
        }
        assert_eq!(
            (door.admission.handshakes, door.gave_way.len()),
            (4_000, 50)
        );
        let most = *door.gave_way.last().expect("somebody has");
        for prefix in &door.gave_way {
            let held = door.held(*prefix);
            assert!(
                (450..500).contains(&held),
                "{prefix} has {held}, as only the first had"
            );
        }
        let (origin, serial) = door.take(most, |_| true);
        door.admission.authenticated(origin, serial);
        assert_eq!(
            door.admission.handshakes, 3_999,
            "one that stays is counted once"
        );
    }

    #[test]
    fn a_place_is_not_taken_from_networks_that_have_no_more_of_them() {
        let mut door = Door::new(&ConnectionOptions {
            handshakes_max: 2,
            ..ConnectionOptions::default()
        });
        assert_eq!(door.enter(at("192.0.2.1")), Ok(()));
        assert_eq!(door.enter(at("198.51.100.1")), Ok(()));
        assert_eq!(door.enter(at("203.0.113.1")), Err(Refusal::Handshakes));
        let proxy = Origin {
            is_proxy: true,
            ..at("203.0.113.1")
        };
        assert_eq!(door.enter(proxy), Err(Refusal::Handshakes));
    }

    #[test]
    fn nothing_is_kept_of_an_address_that_left() {
        let mut admission = admission(10, 10, 10);
        admission.enter(at("192.0.2.1")).expect("a place");
        admission.leave(at("192.0.2.1"), true);
        assert!(admission.admission.networks.is_empty());
        assert_eq!(admission.admission.handshakes, 0);
    }

    #[test]
    fn a_full_process_refuses_everybody() {
        let mut admission = admission(1, 10, 10);
        admission.enter(at("192.0.2.1")).expect("a place");
        admission.authenticated(at("192.0.2.1"));
        assert_eq!(admission.enter(at("192.0.2.2")), Err(Refusal::Full));
    }
}
