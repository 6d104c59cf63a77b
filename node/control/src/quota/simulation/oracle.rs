//! The judge: measures every window of every budget at once.

use std::collections::BTreeMap;

use super::{BURST_MS, NODES_MAX, RATE, READ_BYTES_MAX};
use crate::state::QuotaKey;

/// For each budget how much the worst window that ends now has above its rate, in thousandths of a byte.
///
/// `max(before − rate × passed, 0) + read` is the largest, over all windows that end now, of what was read in the
/// window less what the rate grants it. So no window has more than rate × length + burst exactly if this is never above
/// the burst.
#[derive(Default)]
pub(super) struct Oracle {
    budgets: BTreeMap<QuotaKey, Budget>,
}

#[derive(Default)]
pub(super) struct Budget {
    above: u64,
    at: u64,
    pub(super) worst: u64,
    pub(super) read: u64,
}

impl Oracle {
    pub(super) fn read(&mut self, key: &QuotaKey, bytes: u64, now: u64) {
        let budget = self.budgets.entry(key.clone()).or_default();
        let granted = (now - budget.at) * u64::from(RATE);
        budget.above = budget.above.saturating_sub(granted) + bytes * 1_000;
        budget.at = now;
        budget.worst = budget.worst.max(budget.above);
        budget.read += bytes;
    }

    /// How far above rate × length any window of any budget was, in bytes.
    pub(super) fn worst(&self) -> u64 {
        let worst = self.budgets.values().map(|budget| budget.worst);
        worst.max().unwrap_or(0) / 1_000
    }

    /// What was read, in bytes.
    pub(super) fn read_in_all(&self) -> u64 {
        self.budgets.values().map(|budget| budget.read).sum()
    }
}

/// A burst, and one read by which each node may overdraw.
pub(super) const ABOVE_MAX: u64 =
    RATE as u64 * BURST_MS as u64 / 1_000 + NODES_MAX as u64 * READ_BYTES_MAX;
