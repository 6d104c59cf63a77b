//! What an account's streams have used up, for the next: whoever connects again, or resumes a stream (XEP-0198 5), must
//! not have another burst by that.
//!
//! ```text
//! stream rests, or ends ─► leave: its buckets, unless they are full     next login ─► left: has no more in its own
//! ```
//!
//! A stream that rests is not read, so nobody sees that its client has gone: what it has overdrawn counts at once.
//! Streams beside one another have buckets of their own all the same: what they have together is for `[quota]`, which
//! holds over all nodes. What is here is one node's, and worth nothing once the buckets would be full again, some
//! seconds later; so it may be forgotten when very many come and go.

use rookery_session::Pace;
use rookery_xmpp::jid::Jid;

use crate::generations::Generations;

/// The buckets of each account's stream that has the least in them.
pub(crate) struct Spent(Generations<Box<str>, Pace>);

impl Spent {
    /// Nobody has used up anything yet.
    pub(crate) fn new() -> Self {
        Self(Generations::new(ACCOUNTS_MAX))
    }

    /// An account's stream rests, or is over.
    pub(crate) fn leave(&mut self, account: &Jid, mut pace: Pace, now_ms: u64) {
        if !pace.is_full(now_ms) {
            let left = self.0.touch(account.bare_str().into(), || pace);
            // Of several the one that has the least.
            pace.go_on(*left, now_ms);
            *left = pace;
        }
    }

    /// What is left for an account's next stream.
    pub(crate) fn left(&self, account: &Jid) -> Option<Pace> {
        self.0.get(&account.bare_str().into()).copied()
    }
}

/// Accounts that are remembered, some 250 bytes each.
const ACCOUNTS_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use rookery_session::BandwidthOptions;
    use rookery_xmpp::units::{Rate, Span};

    use super::*;

    fn pace(now_ms: u64) -> Pace {
        let options = BandwidthOptions {
            client_rate: Rate::new(1_000),
            client_burst: Span::from_ms(2_000),
            client_stanzas_per_second: 0,
            ..BandwidthOptions::default()
        };
        Pace::of_client(&options, now_ms)
    }

    fn next(spent: &Spent, account: &Jid, now_ms: u64) -> Pace {
        let mut next = pace(now_ms);
        if let Some(left) = spent.left(account) {
            next.go_on(left, now_ms);
        }
        next
    }

    #[test]
    fn whoever_comes_again_and_again_has_one_burst() {
        let (mut spent, juliet) = (Spent::new(), Jid::parse("juliet@h/a").unwrap());
        let mut sent = 0;
        for stream in 0..100 {
            let now_ms = stream * 100;
            let mut pace = next(&spent, &juliet, now_ms);
            while pace.wait_ms(now_ms) == 0 {
                sent += 500;
                pace.take(500, 0, now_ms);
            }
            spent.leave(&juliet, pace, now_ms);
        }
        assert!((11_500..=12_500).contains(&sent), "{sent} in 9.9 seconds");
    }

    #[test]
    fn the_stream_that_has_the_least_counts_and_only_for_its_account() {
        let (mut spent, juliet) = (Spent::new(), Jid::parse("juliet@h").unwrap());
        for taken in [100, 3_000, 200] {
            let mut pace = pace(0);
            pace.take(taken, 0, 0);
            spent.leave(&juliet, pace, 0);
        }
        assert_eq!(next(&spent, &juliet, 0).wait_ms(0), 1_000);
        let romeo = Jid::parse("romeo@h").unwrap();
        spent.leave(&romeo, pace(0), 0);
        assert!(spent.left(&romeo).is_none(), "he has used up nothing");
    }
}
