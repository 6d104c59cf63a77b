//! A connection node's part of the traffic budgets: the product's [`QuotaShare`], moved as `node/src/quota.rs` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rookery_control::quota::{QuotaShare, Tap};
use rookery_control::{Control, NodeId, QuotaKey};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::sim::clock::{Drift, MS, Micros};
use crate::sim::oracle::budgets::POLICY;
use crate::sim::planted::Planted;

/// What one run of a connection node may use of the budgets. It goes with its process.
pub(crate) struct Budgets {
    share: Arc<QuotaShare>,
    drift: Drift,
    taps: BTreeMap<QuotaKey, Tap>,
}

/// Moves a share.
struct Keeper {
    share: Arc<QuotaShare>,
    control: Control,
    node: NodeId,
    /// The node's clock when the process began: by it the share counts from the same moment inside its runtime and
    /// outside.
    begun: (Instant, Micros),
    planted: Option<Planted>,
}

impl Budgets {
    /// The part of a node that starts for the `life`th time. To be called inside the node's runtime, by whose clock it
    /// asks the group in time.
    pub(super) fn start(
        control: &Control,
        (node, life): (NodeId, u32),
        drift: Drift,
        now: Micros,
        planted: Option<Planted>,
    ) -> Self {
        let policy = control.policy().quota;
        let share = Arc::new(QuotaShare::part(policy, u64::from(life)));
        let keeper = Keeper {
            share: share.clone(),
            control: control.clone(),
            node,
            begun: (Instant::now(), drift.local(now)),
            planted,
        };
        Handle::current().spawn(keeper.keep());
        Self {
            share,
            drift,
            taps: BTreeMap::new(),
        }
    }

    /// Before a read: how long to wait; `None` where nobody has told the node of such a budget yet.
    pub(crate) fn wait_ms(&mut self, key: &QuotaKey, now: Micros) -> Option<u64> {
        let now_ms = self.now_ms(now);
        self.tap(key, now_ms).map(|tap| tap.wait_ms(|| now_ms))
    }

    /// After a read.
    pub(crate) fn spend(&mut self, key: &QuotaKey, bytes: usize, now: Micros) {
        let now_ms = self.now_ms(now);
        if let Some(tap) = self.tap(key, now_ms) {
            tap.spend(bytes, now_ms);
        }
    }

    /// Nobody takes from this budget here any more.
    pub(crate) fn let_go(&mut self, key: &QuotaKey) {
        self.taps.remove(key);
    }

    fn tap(&mut self, key: &QuotaKey, now_ms: u64) -> Option<&Tap> {
        if !self.taps.contains_key(key) {
            let tap = self.share.open(key.clone(), now_ms)?;
            self.taps.insert(key.clone(), tap);
        }
        self.taps.get(key)
    }

    fn now_ms(&self, now: Micros) -> u64 {
        self.drift.local(now) / MS
    }
}

impl Keeper {
    /// Asks and tells in time, for ever.
    async fn keep(self) {
        let mut is_configured = false;
        let mut looks = tokio::time::interval(EVERY);
        loop {
            looks.tick().await;
            if !is_configured {
                is_configured = self.control.configure_quota(POLICY).await.is_ok();
            }
            let policy = self.control.policy().quota;
            self.share.set_policy(policy, self.now_ms());
            if self.share.is_due(self.now_ms()) {
                self.ask().await;
            }
        }
    }

    /// One question. It counts from before it was asked.
    async fn ask(&self) {
        let asked_ms = self.now_ms();
        let Some(renewal) = self.share.ask(asked_ms) else {
            return;
        };
        let sequence = renewal.sequence;
        if let Ok(mut grant) = self.control.renew_quota(self.node, renewal).await {
            if self.planted == Some(Planted::LentForEver) {
                grant.lease_ms += FOR_EVER_MS;
            }
            let now_ms = self.now_ms();
            self.share.answered(sequence, asked_ms, &grant, now_ms);
        }
    }

    fn now_ms(&self) -> u64 {
        let (begun, local) = self.begun;
        let passed = begun.elapsed().as_micros() as Micros;
        (local + passed) / MS
    }
}

/// Between two looks whether there is something to ask.
const EVERY: Duration = Duration::from_millis(100);

/// Longer than a run.
const FOR_EVER_MS: u64 = 1_000_000;
