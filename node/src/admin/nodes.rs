//! The service `Nodes`.

use std::collections::BTreeSet;
use std::time::Duration;

use rookery_control::{
    ControlStatus, Directory, LeaseStanding, NodeId, NodeRole, NodesRefused, ShardMap, Unavailable,
};
use rookery_proto::admin::nodes_server::Nodes;
use rookery_proto::admin::{
    CreateTokenRequest, CreateTokenResponse, DrainNodeRequest, DrainNodeResponse, ListNodesRequest,
    ListNodesResponse, Node, NodeLife, RemoveNodeRequest, RemoveNodeResponse, UndrainNodeRequest,
    UndrainNodeResponse,
};
use tonic::{Request, Response, Status};

use super::control_group::as_the_leader_sees_it;
use super::freshness::stale;
use crate::cluster::{TokenRefused, nodes_refused};
use crate::operator::Operator;

/// Answers for the nodes.
pub(super) struct NodesService {
    operator: Operator,
}

impl NodesService {
    pub(super) fn new(operator: Operator) -> Self {
        Self { operator }
    }

    async fn drain(&self, id: u64, draining: bool) -> Result<(), Status> {
        let id = node_id(id)?;
        member_only(&self.operator)?;
        let control = self.operator.control();
        if draining {
            let directory = control.directory();
            directory.node(id).map_or(Ok(()), has_what_can_leave)?;
            self.check_others(id).await?;
        }
        let changed = control.drain_node(id, draining).await;
        changed.map_err(|why| refused(&self.operator, id, &why))?;
        tracing::info!(node = id.get(), draining, "node is to be empty, or in use");
        Ok(())
    }

    /// Refuses to empty a router whose shards no other would take.
    async fn check_others(&self, id: NodeId) -> Result<(), Status> {
        let status = as_the_leader_sees_it(&self.operator).await?;
        let control = self.operator.control();
        match owned(&control.shards(), id) {
            0 => Ok(()),
            shards => has_takers(&status, &control.directory(), id, shards),
        }
    }

    /// Refuses a removal after which the group could decide nothing. A leader that was just elected has heard of nobody
    /// yet, so it is asked for a while.
    async fn check_quorum(&self, removed: NodeId) -> Result<(), Status> {
        let mut looks = tokio::time::interval(LOOK);
        let mut verdict = Ok(());
        for _ in 0..LOOKS {
            looks.tick().await;
            let status = as_the_leader_sees_it(&self.operator).await?;
            let leaving = &self.operator.control().directory().removed;
            verdict = keeps_quorum(&status, leaving, removed);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
}

/// Whether those who stay are enough, as the leader knows them. Some who have a vote may be leaving already.
fn keeps_quorum(
    status: &ControlStatus,
    leaving: &BTreeSet<NodeId>,
    removed: NodeId,
) -> Result<(), Status> {
    let voters = status.members.iter().filter(|member| member.voter);
    let ids: Vec<NodeId> = voters.map(|member| member.node).collect();
    if !ids.contains(&removed) || leaving.contains(&removed) {
        return Ok(());
    }
    let majority = ids.len() / 2 + 1;
    if status.progress.is_empty() {
        let told = "the leader of the control group cannot be asked who answers: try again";
        return Err(Status::unavailable(told));
    }
    let stays = |id: &NodeId| *id != removed && !leaving.contains(id);
    let left: Vec<_> = ids.into_iter().filter(stays).collect();
    if left.len() < majority {
        return Err(nodes_refused(&NodesRefused::GroupTooSmall));
    }
    let is_active = |id: &&NodeId| {
        let mut all = status.progress.iter();
        all.any(|progress| progress.node == **id && progress.active)
    };
    let active = left.iter().filter(is_active).count();
    if active > left.len() / 2 {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "without node {removed} the control group has {} voters, of which {active} answer: it could decide nothing; \
         bring the others back first, or add nodes",
        left.len()
    )))
}

#[tonic::async_trait]
impl Nodes for NodesService {
    async fn list_nodes(
        &self,
        _: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        let stale = stale(&self.operator).await;
        let directory = self.operator.control().directory();
        let shards = self.operator.control().shards();
        let status = as_the_leader_sees_it(&self.operator).await.ok();
        let nodes = directory.nodes.iter().map(|node| {
            let (life, life_ms) = life(status.as_ref(), node.id);
            Node {
                id: node.id.get(),
                address: node.address.clone(),
                roles: node
                    .roles
                    .iter()
                    .map(|role| role.as_str().to_owned())
                    .collect(),
                enlisted: node.enlisted,
                draining: node.draining,
                shards: owned(&shards, node.id),
                life: life.into(),
                life_ms,
            }
        });
        Ok(Response::new(ListNodesResponse {
            nodes: nodes.collect(),
            removed: directory.removed.iter().map(|id| id.get()).collect(),
            version: directory.version,
            stale,
        }))
    }

    async fn remove_node(
        &self,
        request: Request<RemoveNodeRequest>,
    ) -> Result<Response<RemoveNodeResponse>, Status> {
        let RemoveNodeRequest { id, force } = request.into_inner();
        let id = node_id(id)?;
        member_only(&self.operator)?;
        self.check_quorum(id).await?;
        let control = self.operator.control();
        let shards = owned(&control.shards(), id);
        let status = as_the_leader_sees_it(&self.operator).await.ok();
        // Without force the log has found that it was not, whatever was seen just before.
        let alive = force && life(status.as_ref(), id).0 == NodeLife::Alive;
        let removed = control.remove_node(id, force).await;
        removed.map_err(|why| stays(&self.operator, id, &why))?;
        tracing::info!(node = id.get(), shards, alive, force, "node removed");
        Ok(Response::new(RemoveNodeResponse { shards, alive }))
    }

    async fn drain_node(
        &self,
        request: Request<DrainNodeRequest>,
    ) -> Result<Response<DrainNodeResponse>, Status> {
        self.drain(request.into_inner().id, true).await?;
        Ok(Response::new(DrainNodeResponse {}))
    }

    async fn undrain_node(
        &self,
        request: Request<UndrainNodeRequest>,
    ) -> Result<Response<UndrainNodeResponse>, Status> {
        self.drain(request.into_inner().id, false).await?;
        Ok(Response::new(UndrainNodeResponse {}))
    }

    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let request = request.into_inner();
        let Some(cluster) = self.operator.cluster() else {
            return Err(alone());
        };
        member_only(&self.operator)?;
        let roles = roles(&request.roles)?;
        let seconds = match request.seconds {
            0 => TOKEN_SECONDS,
            seconds => seconds.min(TOKEN_SECONDS_MAX),
        };
        let made = cluster
            .create_token(roles, Duration::from_secs(seconds))
            .await;
        let (token, expires) = made.map_err(|refused| match &refused {
            TokenRefused::Group(group) => nodes_refused(group),
            TokenRefused::NoKey(_) | TokenRefused::Authority(_) => {
                Status::failed_precondition(refused.to_string())
            }
        })?;
        Ok(Response::new(CreateTokenResponse {
            token: token.to_string(),
            expires_ms: expires.as_millis(),
        }))
    }
}

/// How many shards a node serves.
fn owned(map: &ShardMap, node: NodeId) -> u32 {
    let owned = map.since(0);
    owned
        .filter(|change| change.placement.owner == Some(node))
        .count() as u32
}

/// Refuses to empty a node that has neither shards nor clients: nothing of it would change.
fn has_what_can_leave(node: &rookery_control::Node) -> Result<(), Status> {
    match is_only_control(node) {
        false => Ok(()),
        true => Err(Status::failed_precondition(format!(
            "node {} is only a member of the control group: it has neither shards nor clients, so there is nothing to \
             drain. Stop its process; `nodes remove {}` removes it for ever",
            node.id, node.id
        ))),
    }
}

fn is_only_control(node: &rookery_control::Node) -> bool {
    node.roles.iter().all(|role| *role == NodeRole::Control)
}

/// Whether there is another router that lives and is in use, as the leader knows them.
fn has_takers(
    status: &ControlStatus,
    directory: &Directory,
    drained: NodeId,
    shards: u32,
) -> Result<(), Status> {
    let others = directory.nodes.iter().filter(|node| {
        node.id != drained && node.roles.contains(&NodeRole::Router) && !node.draining
    });
    // Where nothing is told of leases nothing is refused by them.
    let lives = |node: &rookery_control::Node| {
        let lease = status.leases.get(&node.id);
        status.leases.is_empty() || matches!(lease, Some(LeaseStanding::Holds { .. }))
    };
    match others.into_iter().any(lives) {
        true => Ok(()),
        false => Err(Status::failed_precondition(format!(
            "the {shards} shards of node {drained} have nowhere to go: no other router is alive and in use; add one or \
             `nodes undrain` one, first"
        ))),
    }
}

/// How a node stands by its lease, and for how long in milliseconds, as far as the group can be asked.
fn life(status: Option<&ControlStatus>, node: NodeId) -> (NodeLife, u64) {
    let Some(status) = status else {
        return (NodeLife::Unspecified, 0);
    };
    match status.leases.get(&node) {
        Some(LeaseStanding::Holds { left_ms }) => (NodeLife::Alive, *left_ms),
        Some(LeaseStanding::Ended { ago_ms }) => (NodeLife::LeaseEnded, *ago_ms),
        Some(LeaseStanding::Left { ago_ms }) => (NodeLife::Stopped, *ago_ms),
        // A member of an earlier build tells nothing of leases.
        None if status.leases.is_empty() => (NodeLife::Unspecified, 0),
        None => (NodeLife::NeverSeen, 0),
    }
}

/// A node's id in a request.
pub(super) fn node_id(number: u64) -> Result<NodeId, Status> {
    NodeId::new(number).ok_or_else(|| Status::invalid_argument("no node has the id 0"))
}

/// What a caller is told of a node that was removed.
pub(super) fn removed(node: NodeId) -> Status {
    Status::failed_precondition(format!("node {node} was removed from the cluster"))
}

/// The group knows only that it has no such node; whoever asks shall learn whether it ever had.
fn refused(operator: &Operator, node: NodeId, refused: &NodesRefused) -> Status {
    match operator.control().directory().removed.contains(&node) {
        true => removed(node),
        false => nodes_refused(refused),
    }
}

/// Why a node was not removed, and what helps.
fn stays(operator: &Operator, node: NodeId, why: &NodesRefused) -> Status {
    match why {
        NodesRefused::Alive { left_ms } => {
            let directory = operator.control().directory();
            let empties = match directory.node(node).is_some_and(is_only_control) {
                true => String::new(),
                false => format!("`nodes drain {node}`, wait until it is empty, "),
            };
            Status::failed_precondition(format!(
                "node {node} is alive: {empties}stop its process, then remove it. If it has just died, its lease ends \
                 in {left_ms} ms. `--force` removes it now: its clients are cut off, and its shards wait until the \
                 lease has ended"
            ))
        }
        NodesRefused::Unavailable(upgrading @ Unavailable::Upgrading { .. }) => {
            Status::unavailable(format!(
                "{upgrading}, so that node {node} can be removed only by `--force`, whether it is alive or not"
            ))
        }
        other => refused(operator, node, other),
    }
}

/// Refuses what only a member of the control group can carry out.
pub(super) fn member_only(operator: &Operator) -> Result<(), Status> {
    if operator.control().is_member() {
        return Ok(());
    }
    let directory = operator.control().directory();
    let members = directory
        .members
        .iter()
        .filter_map(|member| directory.node(member.node));
    Err(Status::failed_precondition(format!(
        "this node is no member of the control group: {}",
        run_it_on(members)
    )))
}

/// Where a command does what it cannot do here. The nodes' admin APIs are known to nobody but themselves: what others
/// know is the port between nodes, which no operator can use, so that the machine is named.
pub(super) fn run_it_on<'a>(nodes: impl Iterator<Item = &'a rookery_control::Node>) -> String {
    let named = |node: &rookery_control::Node| {
        let host = node.address.rsplit_once(':').map(|(host, _)| host);
        match host.filter(|host| !host.is_empty()) {
            Some(host) => format!("node {} (on {host})", node.id),
            None => format!("node {}", node.id),
        }
    };
    let named: Vec<_> = nodes.map(named).collect();
    match named.is_empty() {
        true => "which node could do this is not known here yet".to_owned(),
        false => format!(
            "run the command there, with the admin socket of {}",
            named.join(" or ")
        ),
    }
}

/// What a caller is told when the control group is out of reach.
pub(super) fn unavailable(error: Unavailable) -> Status {
    Status::unavailable(error.to_string())
}

fn roles(names: &[String]) -> Result<Vec<NodeRole>, Status> {
    let named = names.iter().map(|name| {
        NodeRole::named(name).ok_or_else(|| {
            Status::invalid_argument(format!(
                "there is no role `{name}`: there are connection, router and control"
            ))
        })
    });
    let roles = named.collect::<Result<Vec<_>, _>>()?;
    if roles.is_empty() {
        return Err(Status::invalid_argument(
            "a node needs a role: name at least one",
        ));
    }
    Ok(roles)
}

/// What is told where there is no cluster.
pub(super) fn alone() -> Status {
    Status::failed_precondition(
        "this server is in no cluster: `rookery cluster init` makes one, and [cluster] in the configuration \
         opens its port",
    )
}

/// Long enough to start another machine by hand.
const TOKEN_SECONDS: u64 = 600;

/// A token that lies about is an open door.
const TOKEN_SECONDS_MAX: u64 = 86_400;

/// How often, and after which pause, the leader is asked before a removal is refused: some heartbeats.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use rookery_control::{Member, MemberProgress};
    use tonic::Code;

    use super::*;

    fn verdict(active: &[u64], removed: u64) -> Code {
        verdict_while(&[], active, removed)
    }

    fn verdict_while(leaving: &[u64], active: &[u64], removed: u64) -> Code {
        let id = |number| NodeId::new(number).unwrap();
        let member = |number| Member {
            node: id(number),
            voter: number < 4,
        };
        let progress = |number: u64| MemberProgress {
            node: id(number),
            matched: 1,
            active: active.contains(&number),
        };
        let status = ControlStatus {
            members: (1..=4).map(member).collect(),
            progress: match active.is_empty() {
                true => Vec::new(),
                false => (1..=4).map(progress).collect(),
            },
            ..ControlStatus::default()
        };
        let leaving = leaving.iter().map(|number| id(*number)).collect();
        keeps_quorum(&status, &leaving, id(removed))
            .err()
            .map_or(Code::Ok, |status| status.code())
    }

    #[test]
    fn a_router_is_emptied_only_into_another_that_lives_and_is_in_use() {
        let id = |number| NodeId::new(number).unwrap();
        let node = |number, draining| rookery_control::Node {
            id: id(number),
            address: String::new(),
            roles: vec![NodeRole::Router],
            enlisted: true,
            draining,
        };
        let verdict = |draining, standing| {
            let status = ControlStatus {
                leases: [(id(2), standing)].into(),
                ..ControlStatus::default()
            };
            let directory = Directory {
                nodes: vec![node(1, false), node(2, draining)],
                ..Directory::default()
            };
            has_takers(&status, &directory, id(1), 512)
        };
        let lives = LeaseStanding::Holds { left_ms: 1 };
        assert!(verdict(false, lives).is_ok());
        for refused in [
            verdict(true, lives),
            verdict(false, LeaseStanding::Ended { ago_ms: 1 }),
        ] {
            let refused = refused.expect_err("it is the last one");
            assert!(refused.message().contains("512 shards"), "{refused}");
        }
    }

    #[test]
    fn a_node_that_is_only_a_control_node_has_nothing_to_drain() {
        let verdict = |roles: &[NodeRole]| {
            has_what_can_leave(&rookery_control::Node {
                id: NodeId::new(3).unwrap(),
                address: String::new(),
                roles: roles.to_vec(),
                enlisted: true,
                draining: false,
            })
        };
        let refused = verdict(&[NodeRole::Control]).expect_err("nothing can leave it");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("nodes remove 3"), "{refused}");
        for role in [NodeRole::Router, NodeRole::Connection] {
            assert!(verdict(&[role]).is_ok() && verdict(&[NodeRole::Control, role]).is_ok());
        }
    }

    #[test]
    fn a_removal_must_leave_a_majority_that_answers() {
        assert_eq!(verdict(&[1, 2, 3], 3), Code::Ok);
        assert_eq!(verdict(&[1, 2], 3), Code::Ok, "a dead one may go");
        assert_eq!(verdict(&[1, 2], 2), Code::FailedPrecondition);
        assert_eq!(verdict(&[1], 4), Code::Ok, "a learner does not count");
        assert_eq!(verdict(&[], 1), Code::Unavailable);
        let all = &[1, 2, 3];
        assert_eq!(verdict_while(&[3], all, 2), Code::FailedPrecondition);
        assert_eq!(verdict_while(&[3], all, 3), Code::Ok, "it goes already");
        assert_eq!(verdict_while(&[4], all, 3), Code::Ok);
    }
}
