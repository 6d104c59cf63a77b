//! How fast streams are read, as sessions meet it: a stream's own buckets, under limits that may change while it is
//! open.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rookery_session::{BandwidthOptions, Exempt, Pace, RestBy};
use rookery_xmpp::jid::Jid;

/// The limits in force, ready to be applied.
#[derive(Debug)]
pub(crate) struct StreamLimits {
    options: BandwidthOptions,
    exempt: Exempt,
}

impl StreamLimits {
    /// As the operator has them.
    pub(crate) fn new(options: BandwidthOptions) -> Self {
        let exempt = Exempt::new(&options);
        Self { options, exempt }
    }

    fn pace(&self, is_exempt: bool, now_ms: u64) -> Pace {
        match is_exempt {
            true => Pace::unlimited(now_ms),
            false => Pace::of_client(&self.options, now_ms),
        }
    }
}

/// One session's buckets. Times are those of the traffic budgets' clock, which never goes back.
pub(crate) struct SessionPace {
    in_force: Arc<ArcSwap<StreamLimits>>,
    /// Those that the buckets are of.
    limits: Arc<StreamLimits>,
    pace: Pace,
    account: Option<Arc<Jid>>,
    is_exempt: bool,
}

impl SessionPace {
    /// For a client that has just connected, a stranger.
    pub(crate) fn new(in_force: Arc<ArcSwap<StreamLimits>>, now_ms: u64) -> Self {
        let limits = in_force.load_full();
        Self {
            pace: limits.pace(false, now_ms),
            in_force,
            limits,
            account: None,
            is_exempt: false,
        }
    }

    /// The client proved who it is. An earlier stream of the account may have left its buckets.
    pub(crate) fn authenticated(&mut self, jid: Arc<Jid>, left: Option<Pace>, now_ms: u64) {
        self.account = Some(jid);
        self.judge(now_ms);
        if let Some(left) = left {
            self.pace.go_on(left, now_ms);
        }
    }

    /// The account, once there is one, and the buckets that the stream leaves.
    pub(crate) fn leaves(&self) -> Option<(&Jid, Pace)> {
        self.account.as_deref().map(|account| (account, self.pace))
    }

    /// Follows the limits in force.
    pub(crate) fn follow(&mut self, now_ms: u64) {
        if !Arc::ptr_eq(&self.in_force.load(), &self.limits) {
            self.limits = self.in_force.load_full();
            self.judge(now_ms);
        }
    }

    /// Whether nothing is counted.
    pub(crate) fn is_exempt(&self) -> bool {
        self.is_exempt
    }

    /// Before a read: 0 if it may be done, otherwise the milliseconds after which to ask again.
    pub(crate) fn wait_ms(&mut self, now_ms: u64) -> u64 {
        self.pace.wait_ms(now_ms).min(LOOK_MS_MAX)
    }

    /// How many bytes the next read may take.
    pub(crate) fn bytes_max(&mut self, now_ms: u64) -> usize {
        self.pace.bytes_max(now_ms)
    }

    /// After a read: what it gave. Says which limit has the stream rest, if one has.
    pub(crate) fn take(&mut self, bytes: usize, stanzas: usize, now_ms: u64) -> Option<RestBy> {
        self.pace.take(bytes, stanzas, now_ms)
    }

    fn judge(&mut self, now_ms: u64) {
        let account = self.account.as_deref();
        self.is_exempt = account.is_some_and(|jid| self.limits.exempt.contains(jid));
        let pace = self.limits.pace(self.is_exempt, now_ms);
        self.pace.change(pace, now_ms);
    }
}

/// A stream that rests longer looks in between whether its limits have changed, in milliseconds.
const LOOK_MS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use rookery_xmpp::units::{Rate, Span};

    use super::*;

    fn limits(rate: u32, exempt: &[&str]) -> Arc<StreamLimits> {
        Arc::new(StreamLimits::new(BandwidthOptions {
            client_rate: Rate::new(rate),
            client_burst: Span::from_ms(1_000),
            exempt: exempt.iter().map(|text| (*text).to_owned()).collect(),
            ..BandwidthOptions::default()
        }))
    }

    #[test]
    fn who_is_exempt_is_held_until_the_login_and_then_no_more() {
        let in_force = Arc::new(ArcSwap::new(limits(1_000, &["bot@h"])));
        let mut session = SessionPace::new(in_force, 0);
        assert_eq!(session.take(1_500, 0, 0), Some(RestBy::Bytes));
        session.authenticated(Arc::new("bot@h".parse().unwrap()), None, 0);
        assert!(session.is_exempt());
        assert_eq!(
            (session.take(1_000_000, 9_000, 0), session.wait_ms(0)),
            (None, 0)
        );
    }

    #[test]
    fn an_open_stream_follows_the_limits_in_force_while_it_rests() {
        let in_force = Arc::new(ArcSwap::new(limits(1_000, &[])));
        let mut session = SessionPace::new(in_force.clone(), 0);
        session.authenticated(Arc::new("juliet@h".parse().unwrap()), None, 0);
        session.take(11_000, 0, 0);
        assert_eq!(
            session.wait_ms(0),
            1_000,
            "it looks again before its ten seconds"
        );
        in_force.store(limits(100_000, &[]));
        session.follow(0);
        assert_eq!(session.wait_ms(0), 100);
        in_force.store(limits(1_000, &["h"]));
        session.follow(0);
        assert_eq!((session.is_exempt(), session.wait_ms(0)), (true, 0));
        in_force.store(limits(1_000, &[]));
        session.follow(0);
        assert!(!session.is_exempt());
        assert_eq!(session.take(1_500, 0, 0), Some(RestBy::Bytes));
    }
}
