//! How much one address may ask, and how many connections it may hold: a machine without a clock.
//!
//! Requests are let through at an even rate with a burst: each moves the address's due time on by one step, and is
//! refused while that is further ahead than a burst reaches. An address that is due costs nothing to forget.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use rookery_control::{WindowSetting, networks};

/// Who is here.
#[derive(Debug)]
pub(super) struct Guests {
    limits: Limits,
    /// By address (IPv6: by /64) and by prefix.
    by_network: BTreeMap<IpNet, Guest>,
}

/// What one address may do; a prefix may do [`PREFIX_FACTOR`] times as much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) requests: WindowSetting,
    pub(super) connections_max: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Guest {
    connections: u32,
    /// When its requests would have come at the even rate, in milliseconds of the caller's clock.
    due_ms: u64,
}

impl Guests {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            by_network: BTreeMap::new(),
        }
    }

    /// Takes a place for a connection, if there is one; [`leave`](Self::leave) gives it back.
    pub(super) fn enter(&mut self, address: IpAddr, now_ms: u64) -> bool {
        let most = self.limits.connections_max;
        let places = by_factor(address);
        let has_room = places.iter().all(|(network, factor)| {
            let guest = self.guest(*network, now_ms);
            guest.is_some_and(|guest| guest.connections < most.saturating_mul(*factor))
        });
        if has_room {
            for (network, _) in places {
                self.by_network.entry(network).or_default().connections += 1;
            }
        }
        has_room
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, address: IpAddr) {
        for network in networks(address) {
            if let Some(guest) = self.by_network.get_mut(&network) {
                guest.connections = guest.connections.saturating_sub(1);
            }
        }
    }

    /// Lets a request through, or says how long to wait.
    pub(super) fn ask(&mut self, address: IpAddr, now_ms: u64) -> Result<(), Duration> {
        let Some(window) = self.limits.requests.0 else {
            return Ok(());
        };
        let mut dues = Vec::new();
        for (network, factor) in by_factor(address) {
            let step = window.per_ms() / (u64::from(window.limit()) * u64::from(factor)).max(1);
            let reach = window.per_ms().saturating_sub(step);
            let Some(guest) = self.guest(network, now_ms) else {
                return Err(Duration::from_millis(window.per_ms()));
            };
            let due = guest.due_ms.max(now_ms);
            match (due - now_ms).checked_sub(reach) {
                None | Some(0) => dues.push((network, due + step)),
                Some(wait) => return Err(Duration::from_millis(wait)),
            }
        }
        for (network, due_ms) in dues {
            self.by_network.entry(network).or_default().due_ms = due_ms;
        }
        Ok(())
    }

    /// The guest from this network; `None` if there is no room for another one.
    fn guest(&mut self, key: IpNet, now_ms: u64) -> Option<&mut Guest> {
        if !self.by_network.contains_key(&key) && self.by_network.len() >= GUESTS_MAX {
            self.by_network
                .retain(|_, guest| guest.connections > 0 || guest.due_ms > now_ms);
            if self.by_network.len() >= GUESTS_MAX {
                return None;
            }
        }
        Some(self.by_network.entry(key).or_default())
    }
}

/// The networks that an address is counted in, and how many times as much as an address each may do.
fn by_factor(address: IpAddr) -> [(IpNet, u32); 2] {
    let [address, prefix] = networks(address);
    [(address, 1), (prefix, PREFIX_FACTOR)]
}

/// How many times as much as one address its IPv4 /24 or IPv6 /48 may do: many subscribers share the one, and one may
/// have all of the other, 65,536 addresses in the sense of this file.
const PREFIX_FACTOR: u32 = 8;

/// Networks that are remembered at once, some 3 MB. Who comes when all of them are busy is refused.
const GUESTS_MAX: usize = 40_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn guests(limit: u32) -> Guests {
        Guests::new(Limits {
            requests: WindowSetting::fixed(limit, 60),
            connections_max: 2,
        })
    }

    fn ip(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    #[test]
    fn a_burst_passes_and_then_an_even_rate() {
        let mut guests = guests(6);
        for _ in 0..6 {
            assert_eq!(guests.ask(ip(1), 1_000), Ok(()));
        }
        assert_eq!(guests.ask(ip(1), 1_000), Err(Duration::from_secs(10)));
        assert_eq!(guests.ask(ip(2), 1_000), Ok(()), "another address");
        assert_eq!(guests.ask(ip(1), 10_999), Err(Duration::from_millis(1)));
        assert_eq!(guests.ask(ip(1), 11_000), Ok(()));
        assert!(guests.ask(ip(1), 11_000).is_err());
        let passed =
            (0..3_600).filter(|second| guests.ask(ip(1), 100_000 + second * 1_000).is_ok());
        assert_eq!(passed.count(), 6 + 359, "in an hour");
    }

    #[test]
    fn connections_of_one_address_or_subscriber_are_bounded() {
        let mut guests = guests(6);
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(guests.enter(v6("2001:db8::1"), 0) && guests.enter(v6("2001:db8::2"), 0));
        assert!(!guests.enter(v6("2001:db8::3"), 0));
        assert!(guests.enter(v6("2001:db8:0:1::1"), 0));
        guests.leave(v6("2001:db8::2"));
        assert!(guests.enter(v6("2001:db8::3"), 0));
    }

    #[test]
    fn a_prefix_may_do_so_many_times_as_much_as_an_address_whatever_it_has() {
        let mut guests = guests(6);
        let of = |subscriber: u32| -> IpAddr {
            let text = format!("2001:db8:0:{subscriber:x}::1");
            text.parse().unwrap()
        };
        let mut asked = 0;
        for subscriber in 0..1_000 {
            while guests.ask(of(subscriber), 1_000).is_ok() {
                asked += 1;
            }
        }
        assert_eq!(asked, 6 * PREFIX_FACTOR);
        let entered = (0..1_000).filter(|subscriber| guests.enter(of(*subscriber), 1_000));
        assert_eq!(entered.count(), 2 * PREFIX_FACTOR as usize);
        let other = "2001:db8:1::1".parse().unwrap();
        assert!(guests.ask(other, 1_000).is_ok() && guests.enter(other, 1_000));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_idle_ones_make_room() {
        let mut guests = guests(60);
        for number in 0..GUESTS_MAX as u32 / 2 {
            assert_eq!(guests.ask(ip(number << 8), 1_000), Ok(()));
        }
        assert!(guests.ask(ip(u32::MAX), 1_000).is_err());
        assert!(!guests.enter(ip(u32::MAX), 1_124));
        assert!(guests.enter(ip(u32::MAX), 2_000));
        assert_eq!(guests.by_network.len(), 2);
    }
}
