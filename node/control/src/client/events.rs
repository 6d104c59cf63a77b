//! The part of the handle that is about what happens, what was refused, and the secret of the cluster.

use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;

use super::{Control, unexpected};
use crate::error::Unavailable;
use crate::state::{
    ClusterSecret, Command, Event, EventsHead, NodeId, Outcome, Refusals, RouterReport,
};

impl Control {
    /// Follows how far there are events, and how far they were told, as this node hears of it.
    pub fn watch_events(&self) -> watch::Receiver<EventsHead> {
        self.0.events.clone()
    }

    /// The events behind this number, the oldest first; [`Events::PAGE_MAX`](crate::Events::PAGE_MAX) at most.
    pub async fn events_after(&self, sequence: u64, limit: u32) -> Result<Vec<Event>, Unavailable> {
        let (after, before) = (Some(sequence), None);
        self.show_events(Command::ShowEvents {
            after,
            before,
            limit,
        })
        .await
    }

    /// The latest events, the newest first; those before this number if there is one.
    pub async fn latest_events(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>, Unavailable> {
        self.show_events(Command::ShowEvents {
            after: None,
            before,
            limit,
        })
        .await
    }

    async fn show_events(&self, command: Command) -> Result<Vec<Event>, Unavailable> {
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Events(events) => Ok(events),
            other => Err(unexpected(&other)),
        }
    }

    /// Whoever watches has been told of all events up to this one. Saying it again is safe.
    pub async fn tell_events(&self, up_to: u64) -> Result<(), Unavailable> {
        let command = Command::TellEvents { up_to };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::EventsTold => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Tells what a router has seen. Telling the same report again is safe, and must be done until it is answered.
    pub async fn report_router(
        &self,
        node: NodeId,
        report: RouterReport,
    ) -> Result<(), Unavailable> {
        let command = Command::ReportRouter { node, report };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::RouterReported => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Registrations that were refused, by cause, over the whole cluster.
    pub async fn refusals(&self) -> Result<Refusals, Unavailable> {
        match self
            .propose(Command::ShowRefusals, Timestamp::now())
            .await?
        {
            Outcome::Refusals(refusals) => Ok(refusals),
            other => Err(unexpected(&other)),
        }
    }

    /// The secret of the cluster is from now on this one, from the backup that the store was restored from.
    pub async fn restore_secret(&self, secret: ClusterSecret) -> Result<(), Unavailable> {
        let command = Command::RestoreSecret { secret };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Secret(_) => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// The secret of the cluster: `proposed`, if nobody has proposed one before.
    pub async fn secret(&self, proposed: ClusterSecret) -> Result<ClusterSecret, Unavailable> {
        let command = Command::ProposeSecret { secret: proposed };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Secret(secret) => Ok(secret),
            other => Err(unexpected(&other)),
        }
    }
}
