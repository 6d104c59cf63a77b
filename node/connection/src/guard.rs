//! What this node knows of logins: who fails, from where accounts are used, and whom the control group has blocked.
//!
//! ```text
//! login succeeded ─► known: account and prefix           login failed ─► counted by address, and by account unless it
//!                                                                        is known from there
//! once a second: next_report ─► the control group ─► reported            the group's list ─► set_list
//! a try to log in: known from there? ─► it may   otherwise: is the network, or the account, blocked?
//! ```
//!
//! So whoever guesses at an account never locks out who has used it lately from the same IPv4 /24 or IPv6 /48, and a
//! client with an old password at home does not either: its failures are no attack on the account.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use rookery_control::{BanTarget, GuardBlock, GuardList, GuardOptions, LoginReport, networks};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use crate::generations::Generations;

/// The logins of a process, as far as they are remembered.
pub(crate) struct LoginWatch {
    options: GuardOptions,
    list: Arc<GuardList>,
    /// From where accounts have logged in, the latest last.
    known: Generations<Box<str>, Vec<IpNet>>,
    /// Prefixes from which anybody has.
    homes: Generations<IpNet, ()>,
    failures: Failures,
    /// What the group was told of blocked accounts: since when they are, and from where they are known.
    told: BTreeMap<BanTarget, (Timestamp, Vec<IpNet>)>,
    /// The run of this process.
    life: u64,
    sequence: u64,
    /// What the group has not answered yet.
    pending: Option<LoginReport>,
}

/// How often each has failed.
type Counts<T> = Vec<(T, u32)>;

/// Failures that the group was not told of.
#[derive(Default)]
struct Failures {
    addresses: BTreeMap<IpAddr, u32>,
    accounts: BTreeMap<BanTarget, u32>,
}

impl LoginWatch {
    /// A process that begins its life at this moment.
    pub(crate) fn new(options: GuardOptions, life: Timestamp) -> Self {
        Self {
            options,
            list: Arc::default(),
            known: Generations::new(KNOWN_MAX),
            homes: Generations::new(KNOWN_MAX),
            failures: Failures::default(),
            told: BTreeMap::new(),
            life: life.as_millis(),
            sequence: 0,
            pending: None,
        }
    }

    /// Other limits from now on.
    pub(crate) fn set_options(&mut self, options: GuardOptions) {
        self.options = options;
    }

    /// The group's list. Gives the blocks that are new in it.
    pub(crate) fn set_list(&mut self, list: Arc<GuardList>) -> Vec<GuardBlock> {
        let is_new = |block: &&GuardBlock| {
            let before = self.list.get(&block.target);
            before.is_none_or(|before| before.since != block.since)
        };
        let new = list.iter().filter(is_new).cloned().collect();
        self.list = list;
        new
    }

    /// Whether somebody may connect from there. Where an account is used, a block of the network waits until it is
    /// known who comes.
    pub(crate) fn lets_in(&self, address: IpAddr, now: Timestamp) -> bool {
        let [_, prefix] = networks(address);
        !self.blocks_network(address, now) || self.homes.get(&prefix).is_some()
    }

    /// Whether a try to log in may go on.
    pub(crate) fn admits(&self, address: IpAddr, account: Option<&Jid>, now: Timestamp) -> bool {
        if !self.options.enabled || self.list.is_empty() {
            return true;
        }
        let [_, prefix] = networks(address);
        let Some(account) = account else {
            return !self.blocks_network(address, now);
        };
        if self.is_known(account, prefix) {
            return true;
        }
        let block = self.list.block(&target(account), now);
        block.is_none_or(|block| block.known.contains(&prefix))
            && !self.blocks_network(address, now)
    }

    /// How an admitted try ended.
    pub(crate) fn ended(&mut self, address: IpAddr, account: Option<&Jid>, succeeded: bool) {
        if !self.options.enabled {
            return;
        }
        let [address, prefix] = networks(address);
        match account {
            Some(account) if succeeded => self.know(account, prefix),
            _ => {
                add(&mut self.failures.addresses, address.addr());
                if let Some(account) = account.filter(|jid| !self.is_known(jid, prefix)) {
                    add(&mut self.failures.accounts, target(account));
                }
            }
        }
    }

    /// The client of a session did not know the password of its account. No client does that by itself with an old
    /// password, so the account counts wherever it is.
    pub(crate) fn failed_to_prove(&mut self, address: IpAddr, account: &Jid) {
        if self.options.enabled {
            let [address, _] = networks(address);
            add(&mut self.failures.addresses, address.addr());
            add(&mut self.failures.accounts, target(account));
        }
    }

    /// What the group is to be told next, if there is anything. The same until it is [`reported`](Self::reported).
    pub(crate) fn next_report(&mut self, now: Timestamp) -> Option<LoginReport> {
        if self.pending.is_none() {
            let known = self.untold(now);
            let (addresses, accounts) = self.failures.take();
            if !addresses.is_empty() || !accounts.is_empty() || !known.is_empty() {
                self.sequence += 1;
                self.pending = Some(LoginReport {
                    incarnation: self.life,
                    sequence: self.sequence,
                    limits: self.options.limits(),
                    addresses,
                    accounts,
                    known,
                });
            }
        }
        self.pending.clone()
    }

    /// The group has answered to a report.
    pub(crate) fn reported(&mut self, sequence: u64) {
        self.pending.take_if(|report| report.sequence == sequence);
    }

    /// From where blocked accounts are known here, as far as the group was not told since they are blocked.
    fn untold(&mut self, now: Timestamp) -> Vec<(BanTarget, IpNet)> {
        let mut untold = Vec::new();
        let list = self.list.clone();
        self.told.retain(|target, (since, _)| {
            let block = list.block(target, now);
            block.is_some_and(|block| block.since == *since)
        });
        for block in list.iter().filter(|block| now < block.until) {
            let BanTarget::Account(name) = &block.target else {
                continue;
            };
            let Some(known) = self.known.get(name) else {
                continue;
            };
            let (_, told) = self
                .told
                .entry(block.target.clone())
                .or_insert_with(|| (block.since, block.known.clone()));
            for prefix in known {
                if !told.contains(prefix) && untold.len() < LoginReport::ENTRIES_MAX {
                    told.push(*prefix);
                    untold.push((block.target.clone(), *prefix));
                }
            }
        }
        untold
    }

    fn know(&mut self, account: &Jid, prefix: IpNet) {
        self.homes.touch(prefix, || ());
        let known = self.known.touch(account.bare_str().into(), Vec::new);
        known.retain(|it| *it != prefix);
        if known.len() >= GuardBlock::KNOWN_MAX {
            known.remove(0);
        }
        known.push(prefix);
    }

    fn is_known(&self, account: &Jid, prefix: IpNet) -> bool {
        let known = self.known.get(&account.bare_str().into());
        known.is_some_and(|known| known.contains(&prefix))
    }

    fn blocks_network(&self, address: IpAddr, now: Timestamp) -> bool {
        self.options.enabled
            && !self.list.is_empty()
            && networks(address)
                .into_iter()
                .any(|network| self.list.block(&BanTarget::Network(network), now).is_some())
    }
}

impl Failures {
    /// As much as fits into one report; the rest waits for the next.
    fn take(&mut self) -> (Counts<IpAddr>, Counts<BanTarget>) {
        let (mut addresses, mut accounts, mut bytes) = (Vec::new(), Vec::new(), 0);
        while addresses.len() < LoginReport::ENTRIES_MAX
            && let Some(entry) = self.addresses.pop_first()
        {
            addresses.push(entry);
        }
        while accounts.len() < LoginReport::ENTRIES_MAX
            && bytes < LoginReport::NAMES_BYTES_MAX
            && let Some((account, count)) = self.accounts.pop_first()
        {
            bytes += account.to_string().len();
            accounts.push((account, count));
        }
        (addresses, accounts)
    }
}

fn target(account: &Jid) -> BanTarget {
    BanTarget::Account(account.bare_str().into())
}

/// One more failure, unless there are too many that fail.
fn add<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    if counts.len() < UNTOLD_MAX || counts.contains_key(&key) {
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
    }
}

/// Accounts, and prefixes, that are remembered to be used: some 20 MB at most.
const KNOWN_MAX: usize = 100_000;

/// Addresses, and accounts, whose failures wait to be told while the group is out of reach or more fail than a report
/// holds. Those beyond are held by this node's own guard only.
const UNTOLD_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
