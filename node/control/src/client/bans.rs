//! The part of the handle that is about bans.

use std::sync::Arc;

use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;

use super::{Control, unexpected};
use crate::error::{BansRefused, Unavailable};
use crate::state::{Ban, BanList, BanTarget, Command, Outcome};

impl Control {
    /// The bans as this node knows them, without waiting.
    pub fn bans(&self) -> Arc<BanList> {
        self.0.bans.borrow().clone()
    }

    /// Follows the bans as this node hears of them.
    pub fn watch_bans(&self) -> watch::Receiver<Arc<BanList>> {
        self.0.bans.clone()
    }

    /// Bans somebody, or changes their bans. Returns the version of the list.
    pub async fn add_bans(&self, bans: Vec<Ban>) -> Result<u64, BansRefused> {
        let command = Command::AddBans { bans };
        self.change_bans(command).await.map(|(version, _)| version)
    }

    /// Lifts bans. Returns the version of the list, and how many there were.
    pub async fn remove_bans(&self, targets: Vec<BanTarget>) -> Result<(u64, u64), BansRefused> {
        self.change_bans(Command::RemoveBans { targets }).await
    }

    async fn change_bans(&self, command: Command) -> Result<(u64, u64), BansRefused> {
        let outcome = self.propose(command, Timestamp::now()).await;
        match outcome.map_err(BansRefused::Unavailable)? {
            Outcome::Bans { version, changed } => Ok((version, changed)),
            Outcome::BansFull => Err(BansRefused::Full),
            other => {
                let unavailable: Unavailable = unexpected(&other);
                Err(unavailable.into())
            }
        }
    }
}
