//! The part of the handle that is about traffic budgets.

use rookery_xmpp::clock::Timestamp;

use super::{Control, unexpected};
use crate::error::Unavailable;
use crate::state::{
    Command, NodeId, Outcome, QuotaGrant, QuotaKey, QuotaPolicy, QuotaRenewal, QuotaReport,
};

impl Control {
    /// Takes over what the configuration grants, durably, for all nodes. Returns the version of the policy.
    pub async fn configure_quota(&self, policy: QuotaPolicy) -> Result<u64, Unavailable> {
        self.change_policy(Command::ConfigureQuota { policy }).await
    }

    /// Tells what a node uses and wants of the budgets. The grant counts from the moment *before* this was called, by
    /// the caller's monotonic clock. The caller must not use an answer to a renewal that was not its last.
    pub async fn renew_quota(
        &self,
        node: NodeId,
        renewal: QuotaRenewal,
    ) -> Result<QuotaGrant, Unavailable> {
        let command = Command::RenewQuota { node, renewal };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Quota(grant) => Ok(grant),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives a budget all of its burst again, at every node within some seconds.
    pub async fn reset_quota(&self, key: QuotaKey) -> Result<(), Unavailable> {
        match self
            .propose(Command::ResetQuota { key }, Timestamp::now())
            .await?
        {
            Outcome::QuotaReset => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// How the budgets are shared out over the nodes; one of them if it is named.
    pub async fn quota_report(&self, key: Option<QuotaKey>) -> Result<QuotaReport, Unavailable> {
        match self
            .propose(Command::ShowQuota { key }, Timestamp::now())
            .await?
        {
            Outcome::QuotaReport(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }
}
