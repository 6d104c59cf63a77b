//! How much one address may ask, and how many connections it may hold: a machine without a clock.
//!
//! Requests are let through at an even rate with a burst: each moves the address's due time on by one step, and is
//! refused while that is further ahead than a burst reaches. An address that is due costs nothing to forget.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rookery_control::WindowSetting;

/// Who is here.
#[derive(Debug)]
pub(super) struct Guests {
    limits: Limits,
    by_address: BTreeMap<IpAddr, Guest>,
}

/// What one address may do.
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
            by_address: BTreeMap::new(),
        }
    }

    /// Takes a place for a connection, if there is one; [`leave`](Self::leave) gives it back.
    pub(super) fn enter(&mut self, address: IpAddr, now_ms: u64) -> bool {
        let most = self.limits.connections_max;
        let Some(guest) = self.guest(address, now_ms) else {
            return false;
        };
        let has_room = guest.connections < most;
        guest.connections += u32::from(has_room);
        has_room
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, address: IpAddr) {
        if let Some(guest) = self.by_address.get_mut(&group(address)) {
            guest.connections = guest.connections.saturating_sub(1);
        }
    }

    /// Lets a request through, or says how long to wait.
    pub(super) fn ask(&mut self, address: IpAddr, now_ms: u64) -> Result<(), Duration> {
        let Some(window) = self.limits.requests.0 else {
            return Ok(());
        };
        let step = window.per_ms() / u64::from(window.limit()).max(1);
        let reach = window.per_ms().saturating_sub(step);
        let Some(guest) = self.guest(address, now_ms) else {
            return Err(Duration::from_millis(window.per_ms()));
        };
        let due = guest.due_ms.max(now_ms);
        match (due - now_ms).checked_sub(reach) {
            None | Some(0) => {
                guest.due_ms = due + step;
                Ok(())
            }
            Some(wait) => Err(Duration::from_millis(wait)),
        }
    }

    /// The guest from this address; `None` if there is no room for another one.
    fn guest(&mut self, address: IpAddr, now_ms: u64) -> Option<&mut Guest> {
        let key = group(address);
        if !self.by_address.contains_key(&key) && self.by_address.len() >= GUESTS_MAX {
            self.by_address
                .retain(|_, guest| guest.connections > 0 || guest.due_ms > now_ms);
            if self.by_address.len() >= GUESTS_MAX {
                return None;
            }
        }
        Some(self.by_address.entry(key).or_default())
    }
}

/// One subscriber has all of a /64.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// Addresses that are remembered at once, some 2 MB. Who comes when all of them are busy is refused.
const GUESTS_MAX: usize = 20_000;

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
    fn what_is_remembered_is_bounded_and_idle_ones_make_room() {
        let mut guests = guests(60);
        for number in 0..GUESTS_MAX as u32 {
            assert_eq!(guests.ask(ip(number), 1_000), Ok(()));
        }
        assert!(guests.ask(ip(u32::MAX), 1_000).is_err());
        assert!(!guests.enter(ip(u32::MAX), 1_999));
        assert!(guests.enter(ip(u32::MAX), 2_000));
        assert_eq!(guests.by_address.len(), 1);
    }
}
