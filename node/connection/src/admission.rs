//! Who may hold a connection: a place for each, counted in all, by address, and among those that
//! have not proved who they are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::ConnectionOptions;

/// The places of a process. Every connection that was let in must be given back with
/// [`leave`](Self::leave).
#[derive(Debug)]
pub(crate) struct Admission {
    connections_max: usize,
    per_address_max: u32,
    handshakes_max: usize,
    connections: usize,
    handshakes: usize,
    addresses: HashMap<IpAddr, u32>,
}

/// Why a connection is closed as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The process has as many as it may.
    Full,
    /// The address has as many as it may.
    Address,
    /// As many as may be are on their way to a login.
    Handshakes,
    /// The address is banned.
    Banned,
}

impl Refusal {
    /// A word for metrics.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Handshakes => "handshakes",
            Self::Banned => "banned",
        }
    }
}

impl Admission {
    /// Places as the operator grants them.
    pub(crate) fn new(options: &ConnectionOptions) -> Self {
        Self {
            connections_max: options.connections_max,
            per_address_max: options.connections_per_address_max,
            handshakes_max: options.handshakes_max,
            connections: 0,
            handshakes: 0,
            addresses: HashMap::new(),
        }
    }

    /// Takes a place, as a stranger.
    pub(crate) fn enter(&mut self, address: IpAddr) -> Result<(), Refusal> {
        if self.connections >= self.connections_max {
            return Err(Refusal::Full);
        }
        if self.handshakes >= self.handshakes_max {
            return Err(Refusal::Handshakes);
        }
        let here = self.addresses.entry(prefix(address)).or_default();
        if *here >= self.per_address_max {
            return Err(Refusal::Address);
        }
        *here += 1;
        self.connections += 1;
        self.handshakes += 1;
        Ok(())
    }

    /// A connection proved who it is.
    pub(crate) fn authenticated(&mut self) {
        self.handshakes -= 1;
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, address: IpAddr, was_stranger: bool) {
        self.connections -= 1;
        self.handshakes -= usize::from(was_stranger);
        let address = prefix(address);
        if let Some(here) = self.addresses.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                self.addresses.remove(&address);
            }
        }
    }

    /// Places that are taken.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }
}

/// What counts as one address: whoever has an IPv6 /64 has all of it, and IPv4 may come mapped.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        v4 => v4,
    }
}

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

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
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
    fn strangers_cannot_take_the_places_of_users() {
        let mut admission = admission(3, 10, 1);
        assert_eq!(admission.enter(at("192.0.2.1")), Ok(()));
        assert_eq!(admission.enter(at("192.0.2.2")), Err(Refusal::Handshakes));
        admission.authenticated();
        assert_eq!(admission.enter(at("192.0.2.2")), Ok(()));
        admission.authenticated();
        assert_eq!(admission.enter(at("192.0.2.3")), Ok(()));
        admission.leave(at("192.0.2.3"), true);
        admission.leave(at("192.0.2.2"), false);
        assert_eq!(admission.connections(), 1);
    }

    #[test]
    fn nothing_is_kept_of_an_address_that_left() {
        let mut admission = admission(10, 10, 10);
        admission.enter(at("192.0.2.1")).expect("a place");
        admission.leave(at("192.0.2.1"), true);
        assert!(admission.addresses.is_empty());
    }

    #[test]
    fn a_full_process_refuses_everybody() {
        let mut admission = admission(1, 10, 10);
        admission.enter(at("192.0.2.1")).expect("a place");
        admission.authenticated();
        assert_eq!(admission.enter(at("192.0.2.2")), Err(Refusal::Full));
    }
}
