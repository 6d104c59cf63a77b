//! How often strangers may knock, begin TLS and try to log in: token buckets by address and by prefix.
//!
//! ```text
//! accepted ─► Connect (and Handshake, on a direct TLS port) ─┐
//! <starttls/> ─► Handshake                                   ├─► both buckets have a token? both lose one, and it
//! a try to log in ─► Login                                   │   goes on; otherwise it is refused, and costs nobody
//! a form that is filled in, a token ─► Register              ┘   anything
//! ```
//!
//! A refused one takes no token: whoever knocks all the time is let in at the rate all the same, and does not use up
//! what its neighbours have. The table is bounded ([`Generations`]): who is forgotten begins with full buckets, so an
//! attacker must come from very many networks to gain anything by that.
//!
//! Times are milliseconds of a clock that never goes back.

use std::net::IpAddr;

use ipnet::IpNet;
use rookery_control::{Window, WindowSetting, networks};

use crate::generations::Generations;

rookery_xmpp::options! {
    /// How often strangers may come, as in `200/1m`: so many at once, and as many again in each such time; or `off`.
    /// Prefixes are IPv4 /24 and IPv6 /48. What is too much is refused at once, before it costs anything. Load
    /// balancers in `connection.proxy_trusted` are not counted, those behind them are.
    pub struct FloodOptions {
        /// Connections from one address (IPv6: from one /64). A carrier's NAT that comes back after an outage needs
        /// more than a household, and waits some seconds.
        pub connects_per_address: WindowSetting = WindowSetting::fixed(200, 60), "";
        /// Connections from one prefix; more than of one address, for its neighbours are not to blame.
        pub connects_per_prefix: WindowSetting = WindowSetting::fixed(1_000, 60), "";
        /// TLS handshakes with one address (IPv6: with one /64). Each costs a millisecond of a core, and those who
        /// begin it nothing.
        pub handshakes_per_address: WindowSetting = WindowSetting::fixed(150, 60), "";
        /// TLS handshakes with one prefix, for the same reason.
        pub handshakes_per_prefix: WindowSetting = WindowSetting::fixed(600, 60), "";
        /// Tries to log in from one address (IPv6: from one /64), right or wrong. Each costs a derivation of keys.
        pub logins_per_address: WindowSetting = WindowSetting::fixed(150, 60), "";
        /// Tries to log in from one prefix, for the same reason.
        pub logins_per_prefix: WindowSetting = WindowSetting::fixed(600, 60), "";
        /// Registrations that one address (IPv6: one /64) tries, before login, and tokens of invitations that it shows,
        /// right or wrong. Each costs some milliseconds of a core and two entries of the control group's log, and one
        /// that fails is counted by no window of `[registration]`: names that are taken could be tried without end.
        pub registrations_per_address: WindowSetting = WindowSetting::fixed(30, 60), "";
        /// The same of one prefix, for the same reason.
        pub registrations_per_prefix: WindowSetting = WindowSetting::fixed(120, 60), "";
        /// Addresses and prefixes that are remembered, some 150 bytes each; those that came longest ago are forgotten.
        pub entries_max: u32 = 100_000, "entries";
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Connect.
    Connect,
    /// Begin TLS.
    Handshake,
    /// Try to log in.
    Login,
    /// Try to make an account.
    Register,
}

/// Whose bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flooded {
    /// The address's.
    Address(Act),
    /// The prefix's.
    Prefix(Act),
}

impl Flooded {
    /// A word for metrics.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Address(Act::Connect) => "connects_address",
            Self::Prefix(Act::Connect) => "connects_prefix",
            Self::Address(Act::Handshake) => "handshakes_address",
            Self::Prefix(Act::Handshake) => "handshakes_prefix",
            Self::Address(Act::Login) => "logins_address",
            Self::Prefix(Act::Login) => "logins_prefix",
            Self::Address(Act::Register) => "registrations_address",
            Self::Prefix(Act::Register) => "registrations_prefix",
        }
    }
}

/// The buckets of a process.
#[derive(Debug)]
pub(crate) struct Flood {
    options: FloodOptions,
    entries: Generations<IpNet, Entry>,
}

/// The buckets of one network, one for each act.
#[derive(Clone, Copy, Debug, Default)]
struct Entry([Bucket; 4]);

/// What was taken and not given back yet. A token is `per_ms` units, of which each millisecond gives back `limit`.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    taken: u64,
    at_ms: u64,
}

impl Flood {
    /// Full buckets for everybody.
    pub(crate) fn new(options: FloodOptions) -> Self {
        let entries = Generations::new(options.entries_max as usize);
        Self { options, entries }
    }

    /// Other limits from now on. If they differ everybody begins anew.
    pub(crate) fn set_options(&mut self, options: FloodOptions) {
        if self.options != options {
            *self = Self::new(options);
        }
    }

    /// Somebody wants to do this now.
    pub(crate) fn take(&mut self, act: Act, address: IpAddr, now_ms: u64) -> Result<(), Flooded> {
        let [of_address, of_prefix] = self.options.windows(act);
        let [address, prefix] = networks(address);
        if !self.has(address, act, of_address, now_ms) {
            return Err(Flooded::Address(act));
        }
        if !self.has(prefix, act, of_prefix, now_ms) {
            return Err(Flooded::Prefix(act));
        }
        for (network, window) in [(address, of_address), (prefix, of_prefix)] {
            if let Some(window) = window {
                let bucket = self.bucket(network, act);
                bucket.settle(window, now_ms);
                bucket.taken += window.per_ms();
            }
        }
        Ok(())
    }

    /// Networks that are remembered.
    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    fn has(&mut self, network: IpNet, act: Act, window: Option<Window>, now_ms: u64) -> bool {
        let Some(window) = window else {
            return true;
        };
        let bucket = self.bucket(network, act);
        bucket.settle(window, now_ms);
        let capacity = u64::from(window.limit()).saturating_mul(window.per_ms());
        bucket.taken.saturating_add(window.per_ms()) <= capacity
    }

    fn bucket(&mut self, network: IpNet, act: Act) -> &mut Bucket {
        &mut self.entries.touch(network, Entry::default).0[act as usize]
    }
}

impl Bucket {
    fn settle(&mut self, window: Window, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        let given = passed.saturating_mul(window.limit().into());
        self.taken = self.taken.saturating_sub(given);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

impl FloodOptions {
    /// Those of the address and of the prefix.
    fn windows(&self, act: Act) -> [Option<Window>; 2] {
        match act {
            Act::Connect => [self.connects_per_address.0, self.connects_per_prefix.0],
            Act::Handshake => [self.handshakes_per_address.0, self.handshakes_per_prefix.0],
            Act::Login => [self.logins_per_address.0, self.logins_per_prefix.0],
            Act::Register => [
                self.registrations_per_address.0,
                self.registrations_per_prefix.0,
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flood(address: u32, prefix: u32) -> Flood {
        Flood::new(FloodOptions {
            connects_per_address: WindowSetting::fixed(address, 60),
            connects_per_prefix: WindowSetting::fixed(prefix, 60),
            handshakes_per_address: WindowSetting(None),
            handshakes_per_prefix: WindowSetting(None),
            ..FloodOptions::default()
        })
    }

    fn knock(flood: &mut Flood, address: &str, now_ms: u64) -> Result<(), Flooded> {
        flood.take(Act::Connect, address.parse().unwrap(), now_ms)
    }

    #[test]
    fn so_many_come_at_once_and_then_one_for_each_part_of_the_time() {
        let mut flood = flood(6, 100);
        let address = Err(Flooded::Address(Act::Connect));
        for _ in 0..6 {
            assert_eq!(knock(&mut flood, "192.0.2.1", 0), Ok(()));
        }
        assert_eq!(knock(&mut flood, "::ffff:192.0.2.1", 0), address);
        assert_eq!(knock(&mut flood, "192.0.2.1", 9_999), address);
        assert_eq!(knock(&mut flood, "192.0.2.1", 10_000), Ok(()));
        assert_eq!(knock(&mut flood, "192.0.2.1", 10_000), address);
        assert_eq!(
            knock(&mut flood, "192.0.2.2", 10_000),
            Ok(()),
            "a neighbour"
        );
    }

    #[test]
    fn a_prefix_has_less_than_its_addresses_together_and_the_refused_cost_it_nothing() {
        let mut flood = flood(6, 10);
        let refused = (0..100).filter(|_| knock(&mut flood, "192.0.2.1", 0).is_err());
        assert_eq!(refused.count(), 94);
        let passed = (0..100).filter(|_| knock(&mut flood, "192.0.2.2", 0).is_ok());
        assert_eq!(passed.count(), 4);
        let prefix = Err(Flooded::Prefix(Act::Connect));
        assert_eq!(knock(&mut flood, "192.0.2.3", 0), prefix);
        assert_eq!(knock(&mut flood, "192.0.3.3", 0), Ok(()));
        for (address, taken) in [("2001:db8::1", 6), ("2001:db8:0:1::1", 4)] {
            let passed = (0..100).filter(|_| knock(&mut flood, address, 0).is_ok());
            assert_eq!(passed.count(), taken, "{address}");
        }
    }

    #[test]
    fn each_act_has_buckets_of_its_own_and_off_counts_nothing() {
        let mut flood = flood(1, 1);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(flood.take(Act::Connect, address, 0), Ok(()));
        assert_eq!(flood.take(Act::Login, address, 0), Ok(()));
        assert!((0..1_000).all(|_| flood.take(Act::Handshake, address, 0).is_ok()));
        assert!(flood.take(Act::Connect, address, 0).is_err());
        flood.set_options(flood.options.clone());
        assert!(
            flood.take(Act::Connect, address, 0).is_err(),
            "nothing has changed"
        );
        flood.set_options(FloodOptions::default());
        assert_eq!(flood.take(Act::Connect, address, 0), Ok(()));
    }

    #[test]
    fn a_flood_of_2000_a_second_from_one_prefix_is_let_in_at_its_rate() {
        let mut flood = Flood::new(FloodOptions::default());
        let mut passed = 0;
        for number in 0..20_000_u64 {
            let address = IpAddr::from([192, 0, 2, (number % 254) as u8]);
            passed += u32::from(flood.take(Act::Connect, address, number / 2).is_ok());
        }
        let exact = 1_000 + 1_000 * 10 / 60;
        assert!((exact - 1..=exact + 1).contains(&passed), "{passed}");
    }

    #[test]
    fn the_table_is_bounded_whoever_comes() {
        let mut flood = Flood::new(FloodOptions {
            entries_max: 1_000,
            ..FloodOptions::default()
        });
        for number in 0..100_000_u32 {
            let address = IpAddr::from((0x0a00_0000 + number * 256).to_be_bytes());
            assert_eq!(flood.take(Act::Connect, address, 0), Ok(()));
        }
        assert!(flood.entries() <= 1_000);
    }

    #[test]
    fn registrations_have_buckets_of_their_own_which_neighbours_share() {
        let mut flood = Flood::new(FloodOptions {
            registrations_per_address: WindowSetting::fixed(2, 60),
            registrations_per_prefix: WindowSetting::fixed(3, 60),
            ..FloodOptions::default()
        });
        let mut tries = |address: &str| flood.take(Act::Register, address.parse().unwrap(), 0);
        assert_eq!(tries("192.0.2.1"), Ok(()));
        assert_eq!(tries("192.0.2.1"), Ok(()));
        assert_eq!(tries("192.0.2.1"), Err(Flooded::Address(Act::Register)));
        assert_eq!(tries("192.0.2.2"), Ok(()));
        assert_eq!(tries("192.0.2.3"), Err(Flooded::Prefix(Act::Register)));
        assert_eq!(tries("192.0.3.3"), Ok(()));
        let login = flood.take(Act::Login, "192.0.2.1".parse().unwrap(), 0);
        assert_eq!(login, Ok(()), "who registered too often may log in");
    }
}
