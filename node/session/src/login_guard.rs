//! Slows and limits failed logins, over all sessions of a process.
//!
//! ```text
//! try ─► admit: Now | After(delay) | Refused        failure  ─► the address's count rises
//!        (the pair's count rises)                   success  ─► the pair's count is forgotten
//!                                                   withdrawn ─► the pair's count falls again
//! ```
//!
//! Failures are counted for each address (IPv6 by /64) and for each pair of account and address, a
//! pair's already when it tries, so that guesses on many connections at once are slowed like guesses
//! one after the other. Both counts decay: they halve every `half_life_s` ([`Decaying`]). A pair is slowed with every
//! failure; an address that fails often, at whatever names, is refused. An account is never counted by
//! its name alone, so nobody can lock its owner out from elsewhere. A guess from many addresses costs
//! the attacker an address for every few guesses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::decaying::Decaying;
use rookery_xmpp::jid::Jid;

use crate::event::Admission;

rookery_xmpp::options! {
    /// What becomes of failed logins.
    pub struct LoginGuardOptions {
        /// Failures of one account from one address before answers are slowed.
        pub free_failures: u32 = 3, "failures";
        /// The first delay; it doubles with every further failure.
        pub delay_ms: u64 = 500, "ms";
        /// The longest delay. It must be shorter than the login time, or slowed clients never get an answer.
        pub delay_ms_max: u64 = 15_000, "ms";
        /// Failures of one address, at any names, before it is refused.
        pub address_failures_max: u32 = 50, "failures";
        /// Time in which a count falls to its half, in steps from its first failure.
        pub half_life_s: u32 = 600, "s";
        /// Addresses and pairs that are remembered; the ones that failed longest ago are forgotten first.
        pub entries_max: u32 = 100_000, "entries";
        /// Whether failed logins are slowed and limited at all.
        pub enabled: bool = true, "";
    }
}

/// The failures that a process remembers.
#[derive(Debug)]
pub struct LoginGuard {
    options: LoginGuardOptions,
    counts: BTreeMap<Key, Count>,
    /// The keys by the time of their last failure, to forget the oldest.
    oldest: BTreeMap<(Timestamp, u64), Key>,
    serial: u64,
}

/// What is counted: an address, or an account at an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    address: IpAddr,
    account: Option<Jid>,
}

/// The failures of one key.
#[derive(Clone, Copy, Debug)]
struct Count {
    failures: Decaying,
    /// When it last changed, and the number of that change.
    at: Timestamp,
    serial: u64,
}

impl LoginGuard {
    /// A guard that remembers nothing yet.
    pub fn new(options: LoginGuardOptions) -> Self {
        Self {
            options,
            counts: BTreeMap::new(),
            oldest: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Takes over other limits; what is remembered stays.
    pub fn set_options(&mut self, options: LoginGuardOptions) {
        self.options = options;
    }

    /// Whether a try may go on, and how soon.
    pub fn admit(&mut self, address: IpAddr, account: Option<&Jid>, now: Timestamp) -> Admission {
        if !self.options.enabled {
            return Admission::Now;
        }
        let failures = |account: Option<&Jid>| self.failures(&Key::new(address, account), now);
        if failures(None) >= u64::from(self.options.address_failures_max) {
            return Admission::Refused;
        }
        let over = account.map_or(0, |account| failures(Some(account)));
        if account.is_some() {
            self.count(Key::new(address, account), now);
        }
        match over.checked_sub(u64::from(self.options.free_failures)) {
            None => Admission::Now,
            Some(over) => Admission::After {
                delay_ms: self.delay(over),
            },
        }
    }

    /// Notes how an admitted try ended.
    pub fn report(
        &mut self,
        address: IpAddr,
        account: Option<&Jid>,
        succeeded: bool,
        now: Timestamp,
    ) {
        if succeeded {
            self.forget(&Key::new(address, account));
            return;
        }
        self.count(Key::new(address, None), now);
    }

    /// Notes a failed try that was not [admitted](Self::admit), for somebody else has judged it: it counts like one
    /// that was.
    pub fn failed_elsewhere(&mut self, address: IpAddr, account: &Jid, now: Timestamp) {
        if self.options.enabled {
            self.count(Key::new(address, Some(account)), now);
            self.count(Key::new(address, None), now);
        }
    }

    /// An admitted try came to no end that is the client's doing: it does not count.
    pub fn withdraw(&mut self, address: IpAddr, account: Option<&Jid>, now: Timestamp) {
        let key = Key::new(address, account);
        let Some(count) = self.counts.get(&key).copied().filter(|_| account.is_some()) else {
            return;
        };
        match count.failures.minus_one(self.half_life_ms(), now) {
            None => self.forget(&key),
            Some(failures) => self.set(key, failures, now),
        }
    }

    /// How many addresses and pairs are remembered.
    pub fn entries(&self) -> usize {
        self.counts.len()
    }

    fn delay(&self, over: u64) -> u64 {
        let doubled = self.options.delay_ms.checked_shl(over.min(32) as u32);
        doubled.unwrap_or(u64::MAX).min(self.options.delay_ms_max)
    }

    fn failures(&self, key: &Key, now: Timestamp) -> u64 {
        let count = self.counts.get(key);
        count.map_or(0, |count| {
            count.failures.count(self.half_life_ms(), now).into()
        })
    }

    fn half_life_ms(&self) -> u64 {
        u64::from(self.options.half_life_s) * 1_000
    }

    fn count(&mut self, key: Key, now: Timestamp) {
        let before = self.counts.get(&key).copied();
        if before.is_none() && self.counts.len() >= self.options.entries_max.max(1) as usize {
            self.forget_oldest();
        }
        let before = before.map_or_else(Decaying::default, |count| count.failures);
        self.set(key, before.plus(1, self.half_life_ms(), now), now);
    }

    fn set(&mut self, key: Key, failures: Decaying, now: Timestamp) {
        self.serial += 1;
        let serial = self.serial;
        self.oldest.insert((now, serial), key.clone());
        let count = Count {
            failures,
            at: now,
            serial,
        };
        if let Some(old) = self.counts.insert(key, count) {
            self.oldest.remove(&(old.at, old.serial));
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(count) = self.counts.remove(key) {
            self.oldest.remove(&(count.at, count.serial));
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.oldest.pop_first() {
            self.counts.remove(&key);
        }
    }
}

impl Key {
    fn new(address: IpAddr, account: Option<&Jid>) -> Self {
        Self {
            address: prefix(address),
            account: account.cloned(),
        }
    }
}

/// One household: an IPv4 address, or the /64 of an IPv6 one.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const START: Timestamp = Timestamp(1_000_000);

    fn juliet() -> Jid {
        Jid::parse("juliet@localhost").unwrap()
    }

    fn fail(guard: &mut LoginGuard, address: IpAddr, times: u32) {
        for _ in 0..times {
            guard.admit(address, Some(&juliet()), START);
            guard.report(address, Some(&juliet()), false, START);
        }
    }

    /// What the guard would say, without a try.
    fn look(guard: &mut LoginGuard, address: IpAddr) -> Admission {
        let admission = guard.admit(address, Some(&juliet()), START);
        guard.withdraw(address, Some(&juliet()), START);
        admission
    }

    #[test]
    fn failures_slow_an_account_at_that_address_only() {
        let mut guard = LoginGuard::new(LoginGuardOptions::default());
        fail(&mut guard, HOME, 3);
        let slow = |ms| Admission::After { delay_ms: ms };
        assert_eq!(look(&mut guard, HOME), slow(500));
        assert_eq!(look(&mut guard, ELSEWHERE), Admission::Now);
        fail(&mut guard, HOME, 2);
        assert_eq!(look(&mut guard, HOME), slow(2_000));
        fail(&mut guard, HOME, 20);
        assert_eq!(look(&mut guard, HOME), slow(15_000));
    }

    #[test]
    fn what_fails_elsewhere_slows_the_pair_and_counts_for_the_address() {
        let options = LoginGuardOptions {
            address_failures_max: 5,
            ..LoginGuardOptions::default()
        };
        let mut guard = LoginGuard::new(options.clone());
        let fail = |guard: &mut LoginGuard, times| {
            for _ in 0..times {
                guard.failed_elsewhere(HOME, &juliet(), START);
            }
        };
        fail(&mut guard, 3);
        assert_eq!(look(&mut guard, HOME), Admission::After { delay_ms: 500 });
        assert_eq!(look(&mut guard, ELSEWHERE), Admission::Now);
        fail(&mut guard, 2);
        assert_eq!(look(&mut guard, HOME), Admission::Refused);
        guard.set_options(LoginGuardOptions {
            enabled: false,
            ..options
        });
        let entries = guard.entries();
        guard.failed_elsewhere(ELSEWHERE, &juliet(), START);
        assert_eq!(guard.entries(), entries);
    }

    #[test]
    fn a_success_forgets_the_pair_but_not_the_address() {
        let mut guard = LoginGuard::new(LoginGuardOptions::default());
        fail(&mut guard, HOME, 49);
        guard.report(HOME, Some(&juliet()), true, START);
        assert_eq!(look(&mut guard, HOME), Admission::Now);
        guard.report(HOME, None, false, START);
        assert_eq!(look(&mut guard, HOME), Admission::Refused);
    }

    #[test]
    fn so_many_failures_are_so_many_however_fast_they_come() {
        let mut guard = LoginGuard::new(LoginGuardOptions {
            address_failures_max: 3,
            ..LoginGuardOptions::default()
        });
        for second in 0..3 {
            let now = Timestamp(START.0 + second * 199_999);
            assert_eq!(guard.admit(HOME, None, now), Admission::Now, "{second}");
            guard.report(HOME, None, false, now);
        }
        let now = Timestamp(START.0 + 399_998);
        assert_eq!(guard.admit(HOME, None, now), Admission::Refused);
    }

    #[test]
    fn counts_decay() {
        let mut guard = LoginGuard::new(LoginGuardOptions::default());
        fail(&mut guard, HOME, 60);
        assert_eq!(guard.admit(HOME, None, START), Admission::Refused);
        let later = Timestamp(START.0 + 600_000);
        assert_eq!(guard.admit(HOME, None, later), Admission::Now);
        assert_eq!(guard.failures(&Key::new(HOME, None), later), 30);
    }

    #[test]
    fn an_ipv6_neighbourhood_counts_as_one() {
        let mut guard = LoginGuard::new(LoginGuardOptions::default());
        for n in 0..60_u16 {
            let address: IpAddr = format!("2001:db8::{n:x}").parse().unwrap();
            guard.report(address, None, false, START);
        }
        assert_eq!(
            guard.admit("2001:db8::ffff".parse().unwrap(), None, START),
            Admission::Refused
        );
        assert_eq!(
            guard.admit("2001:db8:0:1::1".parse().unwrap(), None, START),
            Admission::Now
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let options = LoginGuardOptions {
            entries_max: 10,
            ..LoginGuardOptions::default()
        };
        let mut guard = LoginGuard::new(options);
        for n in 0..100_u8 {
            guard.report(
                IpAddr::from([192, 0, 2, n]),
                None,
                false,
                Timestamp(START.0 + u64::from(n)),
            );
        }
        assert_eq!(guard.entries(), 10);
        assert_eq!(guard.oldest.len(), 10);
    }
    #[test]
    fn guesses_at_once_are_slowed_like_guesses_in_turn() {
        let mut guard = LoginGuard::new(LoginGuardOptions::default());
        let mut guess = || guard.admit(HOME, Some(&juliet()), START);
        assert!((0..3).all(|_| guess() == Admission::Now));
        assert_eq!(guess(), Admission::After { delay_ms: 500 });
        assert_eq!(guess(), Admission::After { delay_ms: 1_000 });
    }

    #[test]
    fn a_withdrawn_try_leaves_nothing() {
        let mut guard = LoginGuard::new(LoginGuardOptions::default());
        guard.admit(HOME, Some(&juliet()), START);
        guard.withdraw(HOME, Some(&juliet()), START);
        assert_eq!((guard.entries(), guard.oldest.len()), (0, 0));
    }
}
