//! The part of the handle that is about the registration throttle: what it has counted, and its lists of networks.

use rookery_xmpp::clock::Timestamp;

use super::{Control, unexpected};
use crate::error::{ListsRefused, Unavailable};
use crate::state::{Command, ListChange, Outcome, ThrottleKey, ThrottleReport};

impl Control {
    /// What is spent where, the fullest first; of one key if it is named.
    pub async fn throttle_report(
        &self,
        key: Option<ThrottleKey>,
    ) -> Result<ThrottleReport, Unavailable> {
        let command = Command::ShowThrottle { key };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::ThrottleReport(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// Empties one key's window, durably: what it had counted counts there no more. Returns how many registrations it
    /// had.
    pub async fn reset_throttle(&self, key: ThrottleKey) -> Result<u64, Unavailable> {
        let command = Command::ResetThrottle { key };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::ThrottleReset { forgiven } => Ok(forgiven),
            other => Err(unexpected(&other)),
        }
    }

    /// Empties all windows, durably, and lets in again the networks that were out for having filled the throttle.
    /// Returns how many registrations were remembered.
    pub async fn reset_all_throttle(&self) -> Result<u64, Unavailable> {
        match self
            .propose(Command::ResetAllThrottle, Timestamp::now())
            .await?
        {
            Outcome::ThrottleReset { forgiven } => Ok(forgiven),
            other => Err(unexpected(&other)),
        }
    }

    /// Changes the lists of networks over the configuration's, durably. Returns the version of the policy, and how many
    /// networks it concerned.
    pub async fn change_lists(&self, change: ListChange) -> Result<(u64, u64), ListsRefused> {
        let command = Command::ChangeLists { change };
        let outcome = self.propose(command, Timestamp::now()).await;
        match outcome.map_err(ListsRefused::Unavailable)? {
            Outcome::Lists { version, changed } => Ok((version, changed)),
            Outcome::ListsFull => Err(ListsRefused::Full),
            other => Err(unexpected(&other).into()),
        }
    }

    /// Returns to the configuration's lists. Returns the version of the policy.
    pub async fn reset_lists(&self) -> Result<u64, Unavailable> {
        self.change_policy(Command::ResetLists).await
    }
}
