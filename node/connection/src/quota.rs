//! Traffic budgets as sessions meet them.

use std::net::IpAddr;
use std::sync::Arc;

use rookery_control::QuotaKey;
use rookery_control::quota::{QuotaShare, Tap};
use rookery_xmpp::jid::Jid;
use tokio::time::Instant;

/// This node's part of the budgets, and the clock on which it is measured. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Quota {
    share: Arc<QuotaShare>,
    origin: Instant,
}

impl Quota {
    /// The part, measured from now on.
    pub fn new(share: QuotaShare) -> Self {
        Self {
            share: Arc::new(share),
            origin: Instant::now(),
        }
    }

    /// The part.
    pub fn share(&self) -> &QuotaShare {
        &self.share
    }

    /// The moment on the part's clock.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What one session takes from: the budget of its network, and that of its account once it has one.
pub(crate) struct SessionQuota {
    quota: Quota,
    address: IpAddr,
    account: Option<QuotaKey>,
    /// Takes from no budget.
    is_exempt: bool,
    /// The policy that the taps are of.
    generation: u64,
    taps: [Option<Tap>; 2],
}

impl SessionQuota {
    /// For a client that connects from there.
    pub(crate) fn new(quota: Quota, address: IpAddr) -> Self {
        let mut session = Self {
            generation: quota.share.generation(),
            quota,
            address,
            account: None,
            is_exempt: false,
            taps: [None, None],
        };
        session.open();
        session
    }

    /// The client proved who it is.
    pub(crate) fn authenticated(&mut self, jid: &Jid) {
        self.account = Some(QuotaKey::account(jid));
        self.open();
    }

    /// Whether the session takes from no budget, from now on.
    pub(crate) fn exempt(&mut self, is_exempt: bool) {
        if self.is_exempt != is_exempt {
            self.is_exempt = is_exempt;
            self.open();
        }
    }

    /// Before a read: 0 if it may be done, otherwise the milliseconds after which to ask again.
    pub(crate) fn wait_ms(&mut self) -> u64 {
        let generation = self.quota.share.generation();
        if generation != self.generation {
            self.generation = generation;
            self.open();
        }
        let taps = self.taps.iter().flatten();
        let waits = taps.map(|tap| tap.wait_ms(|| self.quota.now_ms()));
        waits.max().unwrap_or(0)
    }

    /// After a read: what it gave.
    pub(crate) fn spend(&self, bytes: usize) {
        if self.taps.iter().all(Option::is_none) {
            return;
        }
        let now_ms = self.quota.now_ms();
        for tap in self.taps.iter().flatten() {
            tap.spend(bytes, now_ms);
        }
    }

    fn open(&mut self) {
        if self.is_exempt {
            self.taps = [None, None];
            return;
        }
        let (share, now_ms) = (&self.quota.share, self.quota.now_ms());
        let account = self.account.clone();
        self.taps = [
            share.open(QuotaKey::prefix(self.address), now_ms),
            account.and_then(|account| share.open(account, now_ms)),
        ];
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rookery_control::{QuotaPolicy, QuotaRate};

    use super::*;

    fn policy(account: u32, prefix: u32) -> QuotaPolicy {
        let rate = |bytes_per_second| QuotaRate {
            bytes_per_second,
            burst_ms: 1_000,
        };
        QuotaPolicy {
            account: rate(account),
            prefix: rate(prefix),
            ..QuotaPolicy::default()
        }
    }

    fn session(quota: &Quota) -> SessionQuota {
        SessionQuota::new(quota.clone(), "192.0.2.1".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_network_counts_before_the_login_and_the_account_behind_it() {
        let quota = Quota::new(QuotaShare::whole(policy(1_000, 5_000)));
        let (mut one, mut other) = (session(&quota), session(&quota));
        one.authenticated(&"a@h".parse().unwrap());
        one.spend(1_500);
        assert!(one.wait_ms() > 0);
        assert_eq!(other.wait_ms(), 0, "its network has budget left");
        other.spend(4_000);
        assert!(other.wait_ms() > 0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((one.wait_ms(), other.wait_ms()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_exempt_takes_nothing_from_account_and_network() {
        let quota = Quota::new(QuotaShare::whole(policy(1_000, 1_000)));
        let (mut exempt, mut other) = (session(&quota), session(&quota));
        exempt.authenticated(&"bot@h".parse().unwrap());
        exempt.exempt(true);
        exempt.spend(1_000_000);
        assert_eq!((exempt.wait_ms(), other.wait_ms()), (0, 0));
        exempt.exempt(false);
        exempt.spend(5_000);
        assert!(exempt.wait_ms() > 0 && other.wait_ms() > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_follows_a_budget_that_is_set_while_it_lives() {
        let quota = Quota::new(QuotaShare::whole(QuotaPolicy::default()));
        let mut session = session(&quota);
        session.authenticated(&"a@h".parse().unwrap());
        session.spend(1_000_000);
        assert_eq!(session.wait_ms(), 0);
        quota.share().set_policy(policy(1_000, 0), quota.now_ms());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(session.wait_ms(), 0);
        session.spend(5_000);
        assert!(session.wait_ms() > 0);
        quota.share().set_policy(policy(0, 0), quota.now_ms());
        assert_eq!(session.wait_ms(), 0);
    }
}
