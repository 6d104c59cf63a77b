//! The part of the handle that is about failed logins.

use std::sync::Arc;

use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;

use super::{Control, unexpected};
use crate::error::Unavailable;
use crate::state::{BanTarget, Command, GuardList, GuardReport, LoginReport, NodeId, Outcome};

impl Control {
    /// Who is let in no more, as this node knows it, without waiting.
    pub fn guard(&self) -> Arc<GuardList> {
        self.0.guard.borrow().clone()
    }

    /// Follows who is let in no more, as this node hears of it.
    pub fn watch_guard(&self) -> watch::Receiver<Arc<GuardList>> {
        self.0.guard.clone()
    }

    /// Tells what logins a node has seen. Telling the same report again is safe, and must be done until it is answered.
    pub async fn report_logins(
        &self,
        node: NodeId,
        report: LoginReport,
    ) -> Result<(), Unavailable> {
        let command = Command::ReportLogins { node, report };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::LoginsReported => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// What is counted, the most failures first; of one network or account if it is named.
    pub async fn guard_report(
        &self,
        target: Option<BanTarget>,
    ) -> Result<GuardReport, Unavailable> {
        let command = Command::ShowGuard { target };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::GuardReport(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// Forgets what was counted, durably, and lets in who was blocked for it. Returns how many networks and accounts
    /// were counted.
    pub async fn reset_guard(&self, target: Option<BanTarget>) -> Result<u64, Unavailable> {
        let command = Command::ResetGuard { target };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::GuardReset { forgiven } => Ok(forgiven),
            other => Err(unexpected(&other)),
        }
    }
}
