//! What came of attempts to register, by address, and what limits make of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// How many accounts the server lets each make, in a window longer than the run: `registration.per_address` and its
/// siblings. What is not given is not limited.
#[derive(Debug, Default, Clone, Copy, clap::Args)]
pub(crate) struct Limits {
    /// Accounts of one address, as the server is configured: how many succeed is then checked exactly.
    #[arg(long, value_name = "ACCOUNTS")]
    pub(crate) limit_per_address: Option<u64>,
    /// Accounts of one IPv4 /24, for the same reason.
    #[arg(long, value_name = "ACCOUNTS")]
    pub(crate) limit_per_prefix: Option<u64>,
    /// Accounts in all, for the same reason.
    #[arg(long, value_name = "ACCOUNTS")]
    pub(crate) limit_in_all: Option<u64>,
}

/// The condition that a limit is told with (XEP-0077 3.1.1 leaves it to RFC 6120).
const LIMITED: &str = "resource-constraint";

/// Counts attempts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_address: BTreeMap<IpAddr, Came>,
    refused: BTreeMap<String, u64>,
    failed: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Came {
    attempts: u64,
    succeeded: u64,
}

impl Tally {
    /// An account was made.
    pub(crate) fn succeeded(&mut self, from: IpAddr) {
        let came = self.by_address.entry(from).or_default();
        came.attempts += 1;
        came.succeeded += 1;
    }

    /// The server refused, with a condition and perhaps a text in brackets.
    pub(crate) fn refused(&mut self, from: IpAddr, why: &str) {
        self.by_address.entry(from).or_default().attempts += 1;
        // The text may say how long to wait: as many texts as seconds.
        let condition = why.split(' ').next().unwrap_or(why);
        *self.refused.entry(condition.to_owned()).or_default() += 1;
    }

    /// It came to nothing for another reason.
    pub(crate) fn failed(&mut self, from: IpAddr) {
        self.by_address.entry(from).or_default().attempts += 1;
        self.failed += 1;
    }

    /// How many succeeded.
    fn made(&self) -> u64 {
        self.by_address.values().map(|came| came.succeeded).sum()
    }

    /// Facts for the report.
    pub(crate) fn notes(&self) -> Vec<(String, f64)> {
        let attempts: u64 = self.by_address.values().map(|came| came.attempts).sum();
        let most = self.by_prefix(|came| came.succeeded);
        let mut notes = vec![
            ("attempts".to_owned(), attempts as f64),
            ("succeeded".to_owned(), self.made() as f64),
            ("failed".to_owned(), self.failed as f64),
            (
                "succeeded, most of one prefix".to_owned(),
                most.values().max().copied().unwrap_or_default() as f64,
            ),
            ("prefixes".to_owned(), most.len() as f64),
        ];
        let refused = self.refused.iter();
        notes.extend(refused.map(|(why, count)| (format!("refused, {why}"), *count as f64)));
        notes
    }

    /// Where the counts are not what these limits make of the attempts. Without limits nothing is judged.
    pub(crate) fn violations(&self, limits: &Limits) -> Vec<String> {
        let Limits {
            limit_per_address: address,
            limit_per_prefix: prefix,
            limit_in_all: all,
        } = *limits;
        if address.or(prefix).or(all).is_none() {
            return Vec::new();
        }
        let cap = |count: u64, limit: Option<u64>| limit.map_or(count, |limit| count.min(limit));
        let allowed = self.by_prefix(|came| cap(came.attempts, address));
        let allowed = allowed.into_values().map(|count| cap(count, prefix)).sum();
        let (made, due) = (self.made(), cap(allowed, all));
        let mut found = Vec::new();
        if made != due {
            found.push(format!("{made} succeeded where the limits make {due}"));
        }
        for (from, came) in &self.by_address {
            if came.succeeded > cap(came.succeeded, address) {
                found.push(format!("{} succeeded from {from}", came.succeeded));
            }
        }
        for (prefix_of, count) in self.by_prefix(|came| came.succeeded) {
            if count > cap(count, prefix) {
                found.push(format!("{count} succeeded from the prefix of {prefix_of}"));
            }
        }
        let others = self.refused.iter().filter(|(why, _)| *why != LIMITED);
        found.extend(others.map(|(why, count)| format!("{count} were refused with {why}")));
        found
    }

    /// A sum for each prefix, by its first address.
    fn by_prefix(&self, of: impl Fn(&Came) -> u64) -> BTreeMap<IpAddr, u64> {
        let mut sums = BTreeMap::new();
        for (address, came) in &self.by_address {
            *sums.entry(prefix(*address)).or_default() += of(came);
        }
        sums
    }
}

/// An IPv4 address's /24. Clients of other families are not counted by prefix.
fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        limit_per_address: Some(2),
        limit_per_prefix: Some(3),
        limit_in_all: Some(5),
    };

    /// Attempts and successes of addresses.
    fn tally(came: &[(&str, u64, u64)]) -> Tally {
        let mut tally = Tally::default();
        for (address, attempts, succeeded) in came {
            let address = address.parse().expect("an address");
            (0..*succeeded).for_each(|_| tally.succeeded(address));
            let refused = attempts - succeeded;
            (0..refused).for_each(|_| tally.refused(address, "resource-constraint (wait 9 s)"));
        }
        tally
    }

    #[test]
    fn every_order_comes_to_the_count_that_the_limits_make() {
        // Two prefixes may make three each, and five in all: who is the one too many is open.
        for (here, there) in [(3, 2), (2, 3)] {
            let first = here - 1;
            let tally = tally(&[
                ("10.0.0.1", 9, first),
                ("10.0.0.2", 9, 1),
                ("10.0.1.1", 9, 1),
                ("10.0.1.2", 9, there - 1),
            ]);
            assert!(tally.violations(&LIMITS).is_empty(), "{here} and {there}");
        }
    }

    #[test]
    fn few_attempts_make_few_accounts() {
        let tally = tally(&[("10.0.0.1", 1, 1), ("10.0.1.1", 3, 2)]);
        assert!(tally.violations(&LIMITS).is_empty());
        let notes: BTreeMap<_, _> = tally.notes().into_iter().collect();
        assert_eq!(notes["attempts"], 4.0);
        assert_eq!(notes["succeeded, most of one prefix"], 2.0);
        assert_eq!(notes["refused, resource-constraint"], 1.0);
    }

    #[test]
    fn one_too_many_or_too_few_is_found_where_it_is() {
        let address = tally(&[("10.0.0.1", 9, 3), ("10.0.1.1", 9, 2)]);
        assert_eq!(
            address.violations(&LIMITS),
            [
                "5 succeeded where the limits make 4",
                "3 succeeded from 10.0.0.1"
            ]
        );
        let prefix = tally(&[("10.0.0.1", 9, 2), ("10.0.0.2", 9, 2), ("10.0.1.1", 9, 1)]);
        assert_eq!(
            prefix.violations(&LIMITS),
            ["4 succeeded from the prefix of 10.0.0.0"]
        );
        let few = tally(&[("10.0.0.1", 9, 1)]);
        assert_eq!(
            few.violations(&LIMITS),
            ["1 succeeded where the limits make 2"]
        );
    }

    #[test]
    fn refusals_that_no_limit_explains_are_found_and_without_limits_nothing_is_judged() {
        let mut tally = tally(&[("10.0.0.1", 2, 2)]);
        tally.refused(IpAddr::from([10, 0, 0, 1]), "not-allowed");
        assert_eq!(
            tally.violations(&LIMITS),
            ["1 were refused with not-allowed"]
        );
        assert!(tally.violations(&Limits::default()).is_empty());
    }
}
