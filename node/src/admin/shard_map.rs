//! The service `Shards`.

use rookery_control::{Directory, NodeId, NodeRole, Placement, ShardMap, ShardsRefused};
use rookery_proto::admin::shards_server::Shards;
use rookery_proto::admin::{
    ListShardsRequest, ListShardsResponse, MoveShardRequest, MoveShardResponse, Shard,
    ShowShardRequest, ShowShardResponse,
};
use rookery_session::carrier::ShardId;
use rookery_xmpp::jid::Jid;
use tonic::{Request, Response, Status};

use super::freshness::stale;
use super::nodes::{node_id, removed, unavailable};
use super::status::served;
use crate::operator::Operator;

/// Answers for the map from shards to nodes.
pub(super) struct ShardsService {
    operator: Operator,
}

impl ShardsService {
    pub(super) fn new(operator: Operator) -> Self {
        Self { operator }
    }
}

#[tonic::async_trait]
impl Shards for ShardsService {
    async fn list_shards(
        &self,
        request: Request<ListShardsRequest>,
    ) -> Result<Response<ListShardsResponse>, Status> {
        let node = request.into_inner().node;
        let control = self.operator.control();
        if let Some(node) = NodeId::new(node) {
            may_serve(&control.directory(), node)?;
        }
        let stale = stale(&self.operator).await;
        let map = control.shards();
        let shards = map
            .since(0)
            .map(|change| shard(change.shard, change.placement))
            .filter(|shard| node == 0 || shard.owner == node);
        Ok(Response::new(ListShardsResponse {
            shards: shards.collect(),
            version: map.version(),
            stale,
        }))
    }

    async fn show_shard(
        &self,
        request: Request<ShowShardRequest>,
    ) -> Result<Response<ShowShardResponse>, Status> {
        let jid = Jid::parse(&request.into_inner().jid)
            .map_err(|error| Status::invalid_argument(format!("no address: {error}")))?;
        served(&self.operator.hosts(), jid.domain())?;
        let stale = stale(&self.operator).await;
        let map = self.operator.control().shards();
        if map.is_empty() {
            return Err(alone());
        }
        let ShardId(number) = ShardId::of(jid.bare_str(), map.len());
        let placement = map.get(number).unwrap_or_default();
        let shard = Some(shard(number, placement));
        Ok(Response::new(ShowShardResponse { shard, stale }))
    }

    async fn move_shard(
        &self,
        request: Request<MoveShardRequest>,
    ) -> Result<Response<MoveShardResponse>, Status> {
        let MoveShardRequest { number, to } = request.into_inner();
        let to = node_id(to)?;
        let control = self.operator.control();
        let number = known(&control.shards(), number)?;
        takes_shards(&control.directory(), to)?;
        let moved = control.move_shard(number, to).await;
        moved.map_err(|refused| match refused {
            ShardsRefused::Unavailable(error) => unavailable(error),
            other => Status::failed_precondition(other.to_string()),
        })?;
        tracing::info!(shard = number, to = to.get(), "shard is moved");
        Ok(Response::new(MoveShardResponse {}))
    }
}

/// The number of a shard in a request.
fn known(map: &ShardMap, number: u32) -> Result<u16, Status> {
    if map.is_empty() {
        return Err(alone());
    }
    let number = u16::try_from(number).ok().filter(|n| *n < map.len());
    number.ok_or_else(|| Status::not_found(format!("shards are numbered 0 to {}", map.len() - 1)))
}

/// Refuses a node that never serves a shard: who waits for a node to be empty must not take a mistyped id for an empty
/// one.
fn may_serve(directory: &Directory, node: NodeId) -> Result<(), Status> {
    match directory.node(node) {
        _ if directory.removed.contains(&node) => Err(removed(node)),
        None => Err(Status::not_found(format!("no node has the id {node}"))),
        Some(node) if !node.roles.contains(&NodeRole::Router) => {
            let told = format!("node {} is no router", node.id);
            Err(Status::failed_precondition(told))
        }
        Some(_) => Ok(()),
    }
}

/// Refuses a node that no shard can move to, in the words of what is wrong with it.
fn takes_shards(directory: &Directory, to: NodeId) -> Result<(), Status> {
    let told = match directory.node(to) {
        _ if directory.removed.contains(&to) => return Err(removed(to)),
        None => {
            format!("there is no node {to}: `rookery admin nodes list` shows those that there are")
        }
        Some(node) if !node.roles.contains(&NodeRole::Router) => {
            let roles: Vec<_> = node.roles.iter().map(|role| role.as_str()).collect();
            format!("node {to} is no router: its roles are {}", roles.join(", "))
        }
        Some(node) if node.draining => {
            format!("node {to} is being emptied: `rookery admin nodes undrain {to}` comes first")
        }
        Some(_) => return Ok(()),
    };
    Err(Status::failed_precondition(told))
}

fn shard(number: u16, placement: Placement) -> Shard {
    let id = |node: Option<NodeId>| node.map_or(0, NodeId::get);
    Shard {
        number: u32::from(number),
        owner: id(placement.owner),
        epoch: placement.epoch,
        moving_to: id(placement.moving_to),
    }
}

fn alone() -> Status {
    Status::failed_precondition("this server is in no cluster: it serves all accounts itself")
}
