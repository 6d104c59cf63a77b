//! What the operator grants.

use serde::{Deserialize, Serialize};

use super::QuotaKind;

/// One kind of budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRate {
    /// Bytes a second over all nodes; 0 for no budget.
    pub bytes_per_second: u32,
    /// How long a burst at that rate may be, in milliseconds.
    pub burst_ms: u32,
}

/// The budgets that hold over the whole cluster. The default grants everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaPolicy {
    /// For one account.
    pub account: QuotaRate,
    /// For an IPv4 /24 or an IPv6 /64.
    pub prefix: QuotaRate,
    /// For one remote domain.
    pub domain: QuotaRate,
    /// How long a node may use what it was lent, in milliseconds.
    pub lease_ms: u64,
    /// How much longer the group waits before it lends it to another: what two clocks may drift apart over a lease.
    pub margin_ms: u64,
}

impl QuotaPolicy {
    /// The budget of this kind, if there is one.
    pub fn rate(&self, kind: QuotaKind) -> Option<QuotaRate> {
        let rate = match kind {
            QuotaKind::Account => self.account,
            QuotaKind::Prefix => self.prefix,
            QuotaKind::Domain => self.domain,
        };
        (rate.bytes_per_second > 0).then_some(rate)
    }

    /// Whether there is any budget.
    pub fn is_on(&self) -> bool {
        QuotaKind::ALL
            .into_iter()
            .any(|kind| self.rate(kind).is_some())
    }
}

impl QuotaRate {
    /// What is lent on demand, in bytes a second: all that is not shared out as floors.
    pub fn pool(self) -> u32 {
        self.bytes_per_second - self.bytes_per_second / 2
    }

    /// What a floor of so many billionths is, in bytes a second.
    pub fn floor(self, billionths: u32) -> u32 {
        let floor = u64::from(self.bytes_per_second) * u64::from(billionths) / 1_000_000_000;
        u32::try_from(floor).unwrap_or(self.bytes_per_second)
    }
}
