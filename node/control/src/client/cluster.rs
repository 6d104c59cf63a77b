//! The part of the handle that is about nodes and members.

use std::sync::Arc;
use std::time::Duration;

use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Control, Way, unexpected};
use crate::error::{NodesRefused, Unavailable};
use crate::raft::{Answer, ControlStatus, Event, Input};
use crate::state::{Command, Directory, NodeId, NodeRole, Outcome, Proposal, TokenHash};

impl Control {
    /// Whether this node is a member of the group, and not only asks it.
    pub fn is_member(&self) -> bool {
        matches!(self.0.way, Way::Member(_))
    }

    /// The nodes and members as this node knows them, without waiting.
    pub fn directory(&self) -> Arc<Directory> {
        self.0.directory.borrow().clone()
    }

    /// Follows the nodes and members as this node hears of them.
    pub fn watch_directory(&self) -> watch::Receiver<Arc<Directory>> {
        self.0.directory.clone()
    }

    /// Makes a token, good for one node until `expires`.
    pub async fn create_token(
        &self,
        token: TokenHash,
        roles: Vec<NodeRole>,
        expires: Timestamp,
    ) -> Result<(), NodesRefused> {
        self.change_nodes(Command::CreateToken {
            token,
            roles,
            expires,
        })
        .await
    }

    /// Uses up a token: the new node's id, and the roles it may hold.
    pub async fn admit(
        &self,
        token: TokenHash,
        address: String,
    ) -> Result<(NodeId, Vec<NodeRole>), NodesRefused> {
        let command = Command::Admit { token, address };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Admitted { node, roles } => Ok((node, roles)),
            other => Err(refused(&other)),
        }
    }

    /// Tells the cluster where a node is, what it does, and the newest format of commands that it speaks. Doing it
    /// again is safe.
    pub async fn enlist(
        &self,
        node: NodeId,
        address: String,
        roles: Vec<NodeRole>,
        format: u8,
    ) -> Result<(), NodesRefused> {
        self.change_nodes(Command::Enlist {
            node,
            address,
            roles,
            format,
        })
        .await
    }

    /// Removes a node for ever; one whose lease holds only by force. It is refused by every node as soon as that node
    /// hears of it.
    pub async fn remove_node(&self, node: NodeId, force: bool) -> Result<(), NodesRefused> {
        self.change_nodes(Command::RemoveNode {
            node,
            unless_alive: !force,
        })
        .await
    }

    /// Wants a node empty, or used again: its shards move to others and its clients are sent away.
    pub async fn drain_node(&self, node: NodeId, draining: bool) -> Result<(), NodesRefused> {
        self.change_nodes(Command::DrainNode { node, draining })
            .await
    }

    async fn change_nodes(&self, command: Command) -> Result<(), NodesRefused> {
        match self.propose(command, Timestamp::now()).await? {
            Outcome::NodesChanged => Ok(()),
            other => Err(refused(&other)),
        }
    }

    /// Has a question of another node answered. A copy of one that was applied is answered as that was.
    ///
    /// # Errors
    /// [`Unavailable::Refused`] if this node is no member.
    pub async fn forward(&self, proposal: Proposal) -> Result<Outcome, Unavailable> {
        let Way::Member(_) = self.0.way else {
            return Err(Unavailable::Refused);
        };
        let ask = |reply| Input::Forward(Box::new(proposal), reply);
        match self.ask(ask).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            Answer::Unavailable(unavailable) => Err(unavailable),
            Answer::Policy(_) => Err(Unavailable::Stopped),
        }
    }

    /// Lets another member lead. Returns when it does.
    ///
    /// # Errors
    /// [`Unavailable::NoQuorum`] if it does not within the time of a proposal.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), Unavailable> {
        let mut asked = None;
        let leads = |status: &ControlStatus| {
            // Raft gives up a transfer after an election's time, and drops one that comes without a leader.
            let due = asked.is_none_or(|at: Instant| at.elapsed() >= AGAIN);
            if due && self.tell(Event::Transfer { to: to.get() }).is_ok() {
                asked = Some(Instant::now());
            }
            status.leader == Some(to)
        };
        self.until(leads).await.map(drop)
    }

    /// Saves this member's state as a snapshot and cuts its log. Returns how it stands then.
    pub async fn take_snapshot(&self) -> Result<ControlStatus, Unavailable> {
        let applied = self.status().await?.applied;
        self.tell(Event::TakeSnapshot)?;
        self.until(|status| status.snapshot_index >= applied).await
    }

    /// Waits until the group stands so.
    async fn until(
        &self,
        mut wanted: impl FnMut(&ControlStatus) -> bool,
    ) -> Result<ControlStatus, Unavailable> {
        let deadline = Instant::now() + self.0.timeout;
        let mut looks = tokio::time::interval(LOOK);
        while Instant::now() < deadline {
            looks.tick().await;
            let status = self.status().await?;
            if wanted(&status) {
                return Ok(status);
            }
        }
        Err(Unavailable::NoQuorum)
    }
}

fn refused(outcome: &Outcome) -> NodesRefused {
    match outcome {
        Outcome::TokenRefused => NodesRefused::Token,
        Outcome::NoSuchNode => NodesRefused::NoSuchNode,
        Outcome::NodeRemoved => NodesRefused::Removed,
        Outcome::NodesFull => NodesRefused::Full,
        Outcome::GroupTooSmall => NodesRefused::GroupTooSmall,
        Outcome::NodeAlive { left_ms } => NodesRefused::Alive { left_ms: *left_ms },
        other => unexpected(other).into(),
    }
}

/// Between two looks at how the group stands.
const LOOK: Duration = Duration::from_millis(20);

/// After which a transfer that has shown no effect is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
