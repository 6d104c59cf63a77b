//! The part of the handle that is about accounts that await approval, as far as they are counted.

use rookery_xmpp::clock::Timestamp;

use super::{Control, unexpected};
use crate::error::Unavailable;
use crate::state::{Command, Outcome};

impl Control {
    /// The addresses of the accounts that are counted as awaiting approval, in order.
    pub async fn awaiting(&self) -> Result<Vec<String>, Unavailable> {
        match self
            .propose(Command::ShowAwaiting, Timestamp::now())
            .await?
        {
            Outcome::Awaiting(accounts) => Ok(accounts),
            other => Err(unexpected(&other)),
        }
    }

    /// Counts accounts that await approval, and no more those that were approved or are gone. Durable when it returns;
    /// doing it again is safe.
    pub async fn tend_awaiting(
        &self,
        joined: Vec<String>,
        left: Vec<String>,
    ) -> Result<(), Unavailable> {
        let command = Command::TendAwaiting { joined, left };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Settled => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}
