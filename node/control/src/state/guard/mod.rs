//! Failed logins over the whole cluster, and who is therefore let in no more for a while.
//!
//! ```text
//! connection nodes ─ReportLogins, once a second─► count by address, prefix and account ─at its limit─► GuardList
//!        ▲                                        (halves in each half-life)                            │
//!        └────────────────────── each node follows the list, by its version ◄───────────────────────────┘
//! ```
//!
//! A network that is blocked is refused as it connects. An account that is blocked is refused only from prefixes that
//! have not logged in to it lately: so whoever guesses at a name locks nobody out who uses it. Which prefixes those are
//! the nodes remember, and tell with their reports as soon as the account is blocked; a node knows its own at once. A
//! refused try is no failure, so a block ends by itself, and attackers have one limit's worth of guesses in each.
//!
//! A name is counted whether it exists or not, so the list tells nobody who does.

mod list;
mod report;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::decaying::Decaying;
use serde::{Deserialize, Serialize};

pub use list::{GuardBlock, GuardList, GuardUpdate};
pub use report::{GuardCount, GuardLimits, GuardReport, LoginReport};

use super::{BanTarget, NodeId, Outcome};

/// The failures that the group remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    limits: GuardLimits,
    counts: BTreeMap<BanTarget, Counted>,
    /// The last report of each node: the run of its process, and the number within it.
    reporters: BTreeMap<NodeId, (u64, u64)>,
    list: Arc<GuardList>,
}

/// Who has failed lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    #[serde(flatten)]
    failures: Decaying,
    /// When the last failure was told.
    #[serde(default)]
    last: Timestamp,
}

impl Guard {
    /// Networks and accounts that are counted at once, some 4 MB of state; when there are more, the half that failed
    /// longest ago is forgotten.
    pub const COUNTS_MAX: usize = 20_000;

    /// Who is let in no more.
    pub fn list(&self) -> &Arc<GuardList> {
        &self.list
    }

    /// A node tells of its logins. One that was told before changes nothing.
    pub(super) fn report(&mut self, node: NodeId, report: &LoginReport, now: Timestamp) -> Outcome {
        let told = (report.incarnation, report.sequence);
        let last = self.reporters.entry(node).or_default();
        if told <= *last {
            return Outcome::LoginsReported;
        }
        *last = told;
        self.limits = report.limits;
        for (address, failures) in &report.addresses {
            let limits = self.limits;
            let [address, prefix] = networks(*address);
            self.count(
                BanTarget::Network(address),
                *failures,
                limits.address_failures_max,
                now,
            );
            self.count(
                BanTarget::Network(prefix),
                *failures,
                limits.prefix_failures_max,
                now,
            );
        }
        for (account, failures) in &report.accounts {
            if matches!(account, BanTarget::Account(_)) {
                let max = self.limits.account_failures_max;
                self.count(account.clone(), *failures, max, now);
            }
        }
        self.tidy(&report.known, now);
        Outcome::LoginsReported
    }

    /// Forgets what was counted for one target, or for all, and lets them in again.
    pub(super) fn reset(&mut self, target: Option<&BanTarget>) -> Outcome {
        let forgiven = match target {
            Some(target) => u64::from(self.counts.remove(target).is_some()),
            None => std::mem::take(&mut self.counts).len() as u64,
        };
        Arc::make_mut(&mut self.list).lift(target);
        Outcome::GuardReset { forgiven }
    }

    /// What is counted, the most failures first.
    pub(super) fn show(&self, target: Option<&BanTarget>, now: Timestamp) -> GuardReport {
        let wanted = |of: &BanTarget| target.is_none_or(|target| of == target);
        let counted = self.counts.iter().filter(|(of, _)| wanted(of));
        let mut counts: Vec<_> = counted
            .map(|(target, count)| GuardCount {
                target: target.clone(),
                failures: count.failures.count(self.limits.half_life_ms, now),
                blocked_until: self.list.block(target, now).map(|block| block.until),
                known: self
                    .list
                    .block(target, now)
                    .map_or(0, |block| block.known.len()),
            })
            .filter(|count| count.failures > 0 || count.blocked_until.is_some())
            .collect();
        counts.sort_by(|a, b| (b.failures, &a.target).cmp(&(a.failures, &b.target)));
        let targets = counts.len() as u64;
        counts.truncate(GuardReport::COUNTS_MAX);
        GuardReport { counts, targets }
    }

    fn count(&mut self, target: BanTarget, failures: u32, max: u32, now: Timestamp) {
        if failures == 0 {
            return;
        }
        let before = self.counts.get(&target).copied();
        if before.is_none() && self.counts.len() >= Self::COUNTS_MAX {
            self.forget_half();
        }
        let half_life_ms = self.limits.half_life_ms;
        let before = before.unwrap_or_default().failures;
        let counted = Counted {
            failures: before.plus(failures, half_life_ms, now),
            last: now,
        };
        self.counts.insert(target.clone(), counted);
        let failures = counted.failures.count(half_life_ms, now);
        if max > 0 && failures >= max && self.list.block(&target, now).is_none() {
            let block = GuardBlock {
                target,
                since: now,
                until: Timestamp(now.as_millis().saturating_add(self.limits.block_ms)),
                failures,
                known: Vec::new(),
            };
            Arc::make_mut(&mut self.list).block_until(block, now);
        }
    }

    /// The list is copied when it changes and somebody still reads the former one, so it is changed only for a reason.
    fn tidy(&mut self, known: &[(BanTarget, IpNet)], now: Timestamp) {
        let has_ended = self.list.iter().any(|block| block.until <= now);
        if known.is_empty() && !has_ended {
            return;
        }
        let list = Arc::make_mut(&mut self.list);
        for (account, prefix) in known {
            list.know(account, prefix.trunc());
        }
        list.drop_ended(now);
    }

    fn forget_half(&mut self) {
        let mut times: Vec<_> = self.counts.values().map(|count| count.last).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        self.counts.retain(|_, count| count.last > middle);
    }
}

/// The networks by which an address is counted: itself, or its IPv6 /64, and its prefix.
pub fn networks(address: IpAddr) -> [IpNet; 2] {
    let cut = |address, length| match address {
        IpAddr::V4(v4) => Ipv4Net::new(v4, length).map(|net| IpNet::from(net.trunc())),
        IpAddr::V6(v6) => Ipv6Net::new(v6, length).map(|net| IpNet::from(net.trunc())),
    };
    let address = address.to_canonical();
    let lengths = if address.is_ipv4() {
        [32, 24]
    } else {
        [64, 48]
    };
    // The lengths are within the bounds of their families.
    lengths.map(|length| cut(address, length).unwrap_or_else(|_| address.into()))
}

#[cfg(test)]
mod tests;
