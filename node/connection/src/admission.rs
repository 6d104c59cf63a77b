//! Who may hold a connection: a place for each, counted in all, by address and by prefix, and among those
//! that have not proved who they are.
//!
//! Of the strangers' places one prefix gets so many at most; and when more than half of all are taken, no more than a
//! quarter of those that are free. So each prefix that holds on to its share makes the next one's smaller, and there
//! is always room for one that has none: some networks together lock nobody out.
//!
//! ```text
//! 4,000 places   prefixes that take all they may      1     8    25   100
//! 500 a prefix   each has, once shares have settled  500   333   137    38
//!                free for everybody else            3500  1336   575   200
//! ```

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use rookery_control::networks;

use crate::ConnectionOptions;
use crate::flood::Flooded;

/// The places of a process. Every connection that was let in must be given back with
/// [`leave`](Self::leave).
#[derive(Debug)]
pub(crate) struct Admission {
    connections_max: usize,
    per_address_max: u32,
    per_prefix_max: u32,
    handshakes_max: usize,
    handshakes_per_prefix_max: u32,
    connections: usize,
    handshakes: usize,
    /// By address (IPv6: by /64) and by prefix.
    networks: HashMap<IpNet, Here>,
}

/// The connections of one network.
#[derive(Clone, Copy, Debug, Default)]
struct Here {
    connections: u32,
    /// Those of them that have not proved who they are.
    strangers: u32,
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
            handshakes_per_prefix_max: options.handshakes_per_prefix_max,
            connections: 0,
            handshakes: 0,
            networks: HashMap::new(),
        }
    }

    /// Other limits from now on; who is here stays.
    pub(crate) fn set_options(&mut self, options: &ConnectionOptions) {
        self.per_address_max = options.connections_per_address_max;
        self.per_prefix_max = options.connections_per_prefix_max;
        self.handshakes_max = options.handshakes_max;
        self.handshakes_per_prefix_max = options.handshakes_per_prefix_max;
    }

    /// Takes a place, as a stranger. A load balancer's own connections count in all, but not by where they come from.
    pub(crate) fn enter(&mut self, origin: Origin) -> Result<(), Refusal> {
        if self.connections >= self.connections_max {
            return Err(Refusal::Full);
        }
        if self.handshakes >= self.handshakes_max {
            return Err(Refusal::Handshakes);
        }
        if !origin.is_proxy {
            let [address, prefix] = networks(origin.address);
            let here = |network| self.networks.get(network).copied().unwrap_or_default();
            if here(&address).connections >= self.per_address_max {
                return Err(Refusal::Address);
            }
            if here(&prefix).connections >= self.per_prefix_max {
                return Err(Refusal::Prefix);
            }
            if here(&prefix).strangers >= self.share_of_a_prefix() {
                return Err(Refusal::PrefixHandshakes);
            }
            for network in [address, prefix] {
                let here = self.networks.entry(network).or_default();
                here.connections += 1;
                here.strangers += 1;
            }
        }
        self.connections += 1;
        self.handshakes += 1;
        Ok(())
    }

    /// How many strangers a prefix may have now, if it wants one more.
    fn share_of_a_prefix(&self) -> u32 {
        let free = self.handshakes_max.saturating_sub(self.handshakes);
        if free > self.handshakes {
            return self.handshakes_per_prefix_max;
        }
        let share = u32::try_from(free / FREE_PER_SHARE).unwrap_or(u32::MAX);
        self.handshakes_per_prefix_max.min(share.max(1))
    }

    /// A connection proved who it is.
    pub(crate) fn authenticated(&mut self, origin: Origin) {
        self.handshakes -= 1;
        self.of_origin(origin, |here| here.strangers -= 1);
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, origin: Origin, was_stranger: bool) {
        self.connections -= 1;
        self.handshakes -= usize::from(was_stranger);
        self.of_origin(origin, |here| {
            here.connections -= 1;
            here.strangers -= u32::from(was_stranger);
        });
    }

    /// Changes what is counted of a client's networks; what is empty is forgotten.
    fn of_origin(&mut self, origin: Origin, change: impl Fn(&mut Here)) {
        if origin.is_proxy {
            return;
        }
        for network in networks(origin.address) {
            if let Some(here) = self.networks.get_mut(&network) {
                change(here);
                if here.connections == 0 {
                    self.networks.remove(&network);
                }
            }
        }
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

    fn admission(connections: usize, address: u32, handshakes: usize) -> Admission {
        Admission::new(&ConnectionOptions {
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
        let mut admission = Admission::new(&ConnectionOptions {
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
        admission.set_options(&ConnectionOptions::default());
        assert_eq!(admission.enter(at("192.0.2.9")), Ok(()));
    }

    #[test]
    fn strangers_cannot_take_the_places_of_users() {
        let mut admission = admission(3, 10, 1);
        assert_eq!(admission.enter(at("192.0.2.1")), Ok(()));
        assert_eq!(admission.enter(at("192.0.2.2")), Err(Refusal::Handshakes));
        admission.authenticated(at("192.0.2.1"));
        assert_eq!(admission.enter(at("192.0.2.2")), Ok(()));
        admission.authenticated(at("192.0.2.2"));
        assert_eq!(admission.enter(at("192.0.2.3")), Ok(()));
        admission.leave(at("192.0.2.3"), true);
        admission.leave(at("192.0.2.2"), false);
        assert_eq!(admission.connections(), 1);
    }

    #[test]
    fn the_strangers_of_one_prefix_leave_places_to_those_of_others() {
        let mut admission = Admission::new(&ConnectionOptions {
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
    fn fill(admission: &mut Admission, prefix: u32) -> u32 {
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
            let mut admission = Admission::new(&ConnectionOptions::default());
            let mut held: Vec<u32> = (0..prefixes).map(|it| fill(&mut admission, it)).collect();
            let free = |admission: &Admission| 4_000 - admission.handshakes;
            assert_eq!(free(&admission), at_first, "{prefixes}");
            // Their time to log in is over, for one connection of each after the other, and all come again.
            for _ in 0..500 {
                for prefix in 0..prefixes {
                    let held = &mut held[prefix as usize];
                    if *held > 0 {
                        *held -= 1;
                        admission.leave(of_prefix(prefix, *held), true);
                    }
                    let more = (0..2).filter(|_| admission.enter(of_prefix(prefix, *held)).is_ok());
                    *held += more.count() as u32;
                }
            }
            let off = free(&admission).abs_diff(settled);
            assert!(off <= prefixes as usize, "{prefixes}: {off} off, {held:?}");
            assert!(fill(&mut admission, 5_000) > 0, "somebody else comes in");
        }
    }

    #[test]
    fn nothing_is_kept_of_an_address_that_left() {
        let mut admission = admission(10, 10, 10);
        admission.enter(at("192.0.2.1")).expect("a place");
        admission.leave(at("192.0.2.1"), true);
        assert!(admission.networks.is_empty());
    }

    #[test]
    fn a_full_process_refuses_everybody() {
        let mut admission = admission(1, 10, 10);
        admission.enter(at("192.0.2.1")).expect("a place");
        admission.authenticated(at("192.0.2.1"));
        assert_eq!(admission.enter(at("192.0.2.2")), Err(Refusal::Full));
    }
}
