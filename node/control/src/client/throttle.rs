//! The part of the handle that is about what the registration throttle has counted.

use rookery_xmpp::clock::Timestamp;

use super::{Control, unexpected};
use crate::error::Unavailable;
use crate::state::{Command, Outcome, ThrottleKey, ThrottleReport};

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
}
