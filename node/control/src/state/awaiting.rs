//! Registrations that await approval, as far as they are counted: only so many may wait over the whole cluster.
//!
//! ```text
//! Reserve, mode `approval`: waiting + under way < awaiting_max ─► ReservedToAwait ─► account made ─► Commit: it waits
//!                                            else ─► Throttled(Awaiting)                     Release, expiry: as ever
//! approved, denied, expired ─► TendAwaiting(left)
//! a sweeper that compares the store ─► TendAwaiting(joined, left)
//! ```
//!
//! One network (IPv4 /24, IPv6 /48) may have a tenth of the places: else a few hours of registrations from a single one
//! would close the server to everybody until a moderator has denied them all. Networks that are allow-listed may have
//! all.
//!
//! The accounts themselves, and who of them waits, are in the store. What crashes between the two is made up for by the
//! sweeper, which runs each minute.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// The accounts that await approval, and the network that each came from, if that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub(super) struct Awaiting(BTreeMap<String, Option<IpNet>>);

/// As states have it: the first of this format were without networks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Accounts(Vec<String>),
    WithNetworks(BTreeMap<String, Option<IpNet>>),
}

impl From<Written> for Awaiting {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Accounts(all) => all.into_iter().map(|account| (account, None)).collect(),
            Written::WithNetworks(all) => all,
        })
    }
}

impl Awaiting {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the order of their addresses.
    pub(super) fn accounts(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// How many of them came from this network.
    pub(super) fn from(&self, network: IpNet) -> usize {
        let networks = self.0.values();
        networks.filter(|from| **from == Some(network)).count()
    }

    /// How many of so many places one network may have.
    pub(super) fn share(awaiting_max: usize) -> usize {
        (awaiting_max / 10).max(SHARE_MIN)
    }

    /// These wait, and those do so no more.
    pub(super) fn tend(&mut self, joined: &[String], left: &[String]) -> Outcome {
        left.iter().for_each(|account| self.leave(account));
        for account in joined {
            self.join(account.clone(), None);
        }
        Outcome::Settled
    }

    /// An account waits. One more than can be counted is not: the queue is full for long.
    pub(super) fn join(&mut self, account: String, from: Option<IpNet>) {
        if self.0.len() < AWAITING_BOUND {
            let known = self.0.entry(account).or_default();
            *known = known.or(from);
        }
    }

    /// An account waits no more.
    fn leave(&mut self, account: &str) {
        self.0.remove(account);
    }
}

/// Accounts that are counted at most, whatever the policy says: more than any policy lets wait, for a store may be
/// restored from a backup with more.
const AWAITING_BOUND: usize = 2 * AWAITING_MAX as usize;

/// Places that a network may have however short the queue is: a household, or a class that tries it out.
const SHARE_MIN: usize = 3;

/// The most that [`RegistrationPolicy::awaiting_max`](super::RegistrationPolicy::awaiting_max) counts for: nobody reads
/// more, and an answer must hold them all.
pub const AWAITING_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_counted_once() {
        let mut awaiting = Awaiting::default();
        for _ in 0..2 {
            awaiting.join("olga@capulet.example".to_owned(), None);
        }
        assert_eq!(awaiting.len(), 1);
        for number in 0..=AWAITING_BOUND {
            awaiting.join(format!("guest{number}@capulet.example"), None);
        }
        assert_eq!(awaiting.len(), AWAITING_BOUND);
        awaiting.leave("olga@capulet.example");
        awaiting.leave("olga@capulet.example");
        assert_eq!(awaiting.len(), AWAITING_BOUND - 1);
    }

    #[test]
    fn where_somebody_comes_from_is_kept_and_a_state_of_before_has_nobodys() {
        let network: IpNet = "192.0.2.0/24".parse().unwrap();
        let mut awaiting: Awaiting = serde_json::from_str(r#"["olga@a.example"]"#).unwrap();
        assert_eq!((awaiting.len(), awaiting.from(network)), (1, 0));
        awaiting.join("abram@a.example".to_owned(), Some(network));
        // The sweeper does not know it.
        awaiting.tend(&["abram@a.example".to_owned()], &[]);
        assert_eq!((awaiting.len(), awaiting.from(network)), (2, 1));
        let written = serde_json::to_string(&awaiting).unwrap();
        assert_eq!(
            serde_json::from_str::<Awaiting>(&written).unwrap(),
            awaiting
        );
        awaiting.tend(&[], &["abram@a.example".to_owned()]);
        assert_eq!(awaiting.from(network), 0);
    }
}
