//! Keeps this node's part of the traffic budgets: asks the control group for it once a second, if there is anything to
//! ask.

use std::time::Duration;

use metrics::{counter, gauge};
use rookery_connection::Quota;
use rookery_control::quota::{QuotaShare, TapState};
use rookery_control::{
    Control, NodeId, QuotaKey, QuotaKind, QuotaPolicy, QuotaReport, Unavailable,
};
use rookery_xmpp::clock::Timestamp;

use crate::config::{Config, Role};

/// The node's part of the budgets. Clones are the same one.
#[derive(Clone)]
pub struct QuotaKeeper {
    quota: Quota,
    way: Way,
}

/// Who shares out.
#[derive(Clone)]
enum Way {
    /// This process is its whole cluster.
    Alone,
    /// The control group, to this node.
    Group(Control, NodeId),
    /// The control group, to others: no client connects here.
    Elsewhere(Control),
}

impl QuotaKeeper {
    /// The part of a node that starts now.
    pub fn new(config: &Config, control: &Control, node: NodeId, in_cluster: bool) -> Self {
        let control = control.clone();
        let has_clients = config.server.roles.contains(&Role::Connection);
        let (share, way) = match (in_cluster, has_clients) {
            (false, _) => (QuotaShare::whole(config.quota.policy()), Way::Alone),
            (true, true) => {
                let (policy, life) = (control.policy().quota, Timestamp::now().as_millis());
                (QuotaShare::part(policy, life), Way::Group(control, node))
            }
            (true, false) => {
                let nothing = QuotaShare::whole(QuotaPolicy::default());
                (nothing, Way::Elsewhere(control))
            }
        };
        let quota = Quota::new(share);
        Self { quota, way }
    }

    /// What the sessions of this node take from.
    pub fn quota(&self) -> Quota {
        self.quota.clone()
    }

    /// Asks and tells in time, for ever.
    pub async fn keep(self, configured: QuotaPolicy) {
        let mut is_configured = false;
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            if let Way::Group(control, _) = &self.way {
                if !is_configured {
                    is_configured = control.configure_quota(configured).await.is_ok();
                }
                let policy = control.policy().quota;
                self.quota.share().set_policy(policy, self.quota.now_ms());
            }
            let share = self.quota.share();
            if share.is_due(self.quota.now_ms()) {
                self.ask().await;
                self.publish();
            }
        }
    }

    /// Other budgets in the configuration.
    pub async fn reconfigure(&self, policy: QuotaPolicy) -> Result<(), Unavailable> {
        match &self.way {
            Way::Alone => self.quota.share().set_policy(policy, self.quota.now_ms()),
            Way::Group(control, _) => {
                control.configure_quota(policy).await?;
            }
            Way::Elsewhere(_) => {}
        }
        Ok(())
    }

    /// Reads nothing that has a budget any more: the node stops.
    pub fn end(&self) {
        self.quota.share().end(self.quota.now_ms());
    }

    /// Gives a budget all of its burst again, on every node.
    pub async fn reset(&self, key: QuotaKey) -> Result<(), Unavailable> {
        match &self.way {
            Way::Alone => {
                self.quota.share().reset(&key, self.quota.now_ms());
                Ok(())
            }
            Way::Group(control, _) | Way::Elsewhere(control) => control.reset_quota(key).await,
        }
    }

    /// The budgets in force.
    pub fn policy(&self) -> QuotaPolicy {
        match &self.way {
            Way::Elsewhere(control) => control.policy().quota,
            Way::Alone | Way::Group(..) => self.quota.share().policy(),
        }
    }

    /// How the budgets stand on this node.
    pub fn show(&self) -> Vec<TapState> {
        self.quota.share().show(self.quota.now_ms())
    }

    /// How they are shared out over the nodes; nothing in a process that is alone.
    pub async fn report(&self, key: Option<QuotaKey>) -> Result<QuotaReport, Unavailable> {
        match &self.way {
            Way::Alone => Ok(QuotaReport::default()),
            Way::Group(control, _) | Way::Elsewhere(control) => control.quota_report(key).await,
        }
    }

    /// One question. It counts from before it was asked.
    async fn ask(&self) {
        let asked_ms = self.quota.now_ms();
        let share = self.quota.share();
        let (Some(renewal), Way::Group(control, node)) = (share.ask(asked_ms), &self.way) else {
            return;
        };
        let sequence = renewal.sequence;
        match control.renew_quota(*node, renewal).await {
            Ok(grant) => share.answered(sequence, asked_ms, &grant, self.quota.now_ms()),
            Err(error) => tracing::debug!(%error, "traffic budgets not renewed, floors hold"),
        }
    }

    fn publish(&self) {
        let figures = self.quota.share().figures();
        gauge!("rookery_quota_floor_ratio").set(f64::from(figures.floor) / 1e9);
        gauge!("rookery_quota_keys").set(figures.keys as f64);
        for kind in QuotaKind::ALL {
            let (figures, kind) = (figures.kinds[kind as usize], kind.as_str());
            counter!("rookery_quota_read_bytes_total", "kind" => kind).absolute(figures.spent);
            counter!("rookery_quota_waits_total", "kind" => kind).absolute(figures.limited);
            gauge!("rookery_quota_leased_bytes_per_second", "kind" => kind)
                .set(figures.lent as f64);
            gauge!("rookery_quota_floor_limited_keys", "kind" => kind)
                .set(figures.floor_limited as f64);
        }
    }
}

/// Between two looks whether there is something to ask: a client that has used up its floor waits so much longer.
const LOOK: Duration = Duration::from_millis(100);
