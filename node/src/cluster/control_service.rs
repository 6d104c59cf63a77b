//! The service `Control`: other nodes' questions to the group, answered by this member.

use rookery_control::{
    Command, Control, ControlStatus, NodeRole, NodesRefused, Policy, Proposal, Unavailable,
    encode_changes,
};
use rookery_proto::control::control_server::Control as ControlApi;
use rookery_proto::control::{
    EnlistRequest, EnlistResponse, ProposeRequest, ProposeResponse, ReadRequest, ReadResponse,
    RenewRequest, RenewResponse, StatusRequest, StatusResponse, Unavailable as ApiUnavailable,
    WatchEvent, WatchRequest,
};
use rookery_xmpp::clock::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::admission::{Gate, is_address};
use super::authorization::identity;
use super::identity::Identity;
use super::version;

/// Answers for the group.
pub(super) struct ControlService {
    pub(super) control: Control,
    pub(super) gate: Gate,
}

#[tonic::async_trait]
impl ControlApi for ControlService {
    async fn propose(
        &self,
        request: Request<ProposeRequest>,
    ) -> Result<Response<ProposeResponse>, Status> {
        let caller = identity(&request)?;
        let request = request.into_inner();
        version::check(request.version, "propose")?;
        let mut proposal = Proposal::decode(&request.proposal)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        check_proposal(&caller, &proposal)?;
        check_size(&proposal.command, request.proposal.len())?;
        // The group's time never goes back: a node whose clock is ahead must not take it along.
        proposal.now = proposal.now.min(Timestamp::now());
        let (outcome, unavailable) = parts(self.control.forward(proposal).await, |it| it.encode());
        Ok(Response::new(ProposeResponse {
            version: version::newest(),
            outcome,
            unavailable,
        }))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        version::check(request.get_ref().version, "read")?;
        let (policy, unavailable) = parts(self.control.read_policy().await, Policy::encode);
        Ok(Response::new(ReadResponse {
            version: version::newest(),
            policy,
            unavailable,
        }))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        version::check(request.get_ref().version, "status")?;
        let (status, unavailable) = parts(self.control.status().await, ControlStatus::encode);
        Ok(Response::new(StatusResponse {
            version: version::newest(),
            status,
            unavailable,
        }))
    }

    type WatchStream = ReceiverStream<Result<WatchEvent, Status>>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = identity(&request)?;
        let request = request.into_inner();
        version::check(request.version, "watch")?;
        let (events, stream) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(tell(self.control.clone(), caller, request, events));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn enlist(
        &self,
        request: Request<EnlistRequest>,
    ) -> Result<Response<EnlistResponse>, Status> {
        let caller = identity(&request)?;
        let request = request.into_inner();
        version::check(request.version, "enlist")?;
        if !is_address(&request.address) {
            return Err(Status::invalid_argument("no address of a node"));
        }
        let roles = granted(&caller, &request.roles)?;
        let enlisted = self
            .control
            .enlist(caller.node, request.address, roles)
            .await;
        enlisted.map_err(|refused| nodes_refused(&refused))?;
        tracing::info!(node = caller.node.get(), "node enlisted");
        Ok(Response::new(EnlistResponse {
            version: version::newest(),
        }))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let caller = identity(&request)?;
        let request = request.into_inner();
        version::check(request.version, "renew")?;
        let certificate = self.gate.renew(&caller, &request.signing_request)?;
        tracing::info!(node = caller.node.get(), "certificate renewed");
        Ok(Response::new(RenewResponse {
            version: version::newest(),
            certificate,
        }))
    }
}

/// Nobody asks in another node's name, and no node lets others in.
fn check_proposal(caller: &Identity, proposal: &Proposal) -> Result<(), Status> {
    let refused = |why: &str| {
        let caller = caller.to_string();
        tracing::warn!(caller, why, "proposal refused");
        Err(Status::permission_denied(why.to_owned()))
    };
    if proposal.request.node != caller.node {
        return refused("the proposal is another node's");
    }
    let command = &proposal.command;
    if command.speaker().is_some_and(|node| node != caller.node) {
        return refused("a node speaks only of itself");
    }
    if matches!(
        command,
        Command::HandedOver { .. } | Command::ConfigureShards { .. } | Command::RaiseEpochs { .. }
    ) && !caller.may(NodeRole::Router)
    {
        return refused("only routers speak of shards");
    }
    if matches!(command, Command::Renew { renewal, .. } if renewal.routes)
        && !caller.may(NodeRole::Router)
    {
        return refused("only routers own shards");
    }
    if matches!(
        command,
        Command::RenewQuota { .. } | Command::ConfigureQuota { .. }
    ) && !caller.may(NodeRole::Connection)
    {
        return refused("only connection nodes speak of traffic budgets");
    }
    // A node may want to be empty, and to be used again.
    if matches!(command, Command::DrainNode { node, .. } if *node == caller.node) {
        return Ok(());
    }
    if command.is_membership() || matches!(command, Command::Enlist { .. }) {
        return refused("who belongs to the cluster is not for this call");
    }
    Ok(())
}

/// A proposal stays in the log of every member for a while, and its outcome in the state.
fn check_size(command: &Command, bytes: usize) -> Result<(), Status> {
    let lists = matches!(
        command,
        Command::AddBans { .. } | Command::RemoveBans { .. }
    );
    if bytes > PROPOSAL_BYTES_MAX && !lists {
        return Err(Status::invalid_argument("the proposal is too large"));
    }
    Ok(())
}

/// The roles of a request, if the caller's certificate has them.
fn granted(caller: &Identity, roles: &[String]) -> Result<Vec<NodeRole>, Status> {
    let named: Option<Vec<_>> = roles.iter().map(|name| NodeRole::named(name)).collect();
    let mut named = named.ok_or_else(|| Status::invalid_argument("no such role"))?;
    named.sort_unstable();
    named.dedup();
    match named.iter().find(|role| !caller.may(**role)) {
        None => Ok(named),
        Some(role) => {
            let (caller, role) = (caller.to_string(), role.as_str());
            tracing::warn!(caller, role, "enlistment refused: role not given");
            Err(Status::permission_denied(format!(
                "the certificate does not give the role `{role}`"
            )))
        }
    }
}

/// Tells a node what is newer than it knows, until it goes, is removed, or the group stops. A node that does not keep
/// up is told the newest only.
async fn tell(
    control: Control,
    caller: Identity,
    request: WatchRequest,
    events: mpsc::Sender<Result<WatchEvent, Status>>,
) {
    let (mut policies, mut directories) = (control.watch(), control.watch_directory());
    let mut maps = control.watch_shards();
    let (mut policy_version, mut directory_version) =
        (request.policy_version, request.directory_version);
    let mut shards_version = request.shards_version;
    let (mut lists, mut bans_version) = (control.watch_bans(), request.bans_version);
    loop {
        let policy = policies.borrow_and_update().clone();
        let directory = directories.borrow_and_update().clone();
        let map = maps.borrow_and_update().clone();
        let bans = lists.borrow_and_update().clone();
        let mut event = WatchEvent {
            version: version::newest(),
            ..WatchEvent::default()
        };
        if directory.removed.contains(&caller.node) {
            let gone = Status::permission_denied("this node was removed from the cluster");
            // It may have gone by itself.
            let _ = events.send(Err(gone)).await;
            return;
        }
        if policy.version > policy_version {
            policy_version = policy.version;
            event.policy = policy.encode().into();
        }
        if directory.version > directory_version {
            directory_version = directory.version;
            event.directory = directory.encode().into();
        }
        if map.version() > shards_version {
            let changes: Vec<_> = map.since(shards_version).collect();
            shards_version = map.version();
            event.shards = encode_changes(&changes).into();
        }
        if bans.version() > bans_version {
            event.bans = bans.since(bans_version).encode().into();
            bans_version = bans.version();
        }
        let parts = [&event.policy, &event.directory, &event.shards, &event.bans];
        let is_news = parts.iter().any(|part| !part.is_empty());
        if is_news && events.send(Ok(event)).await.is_err() {
            return;
        }
        let changed = async {
            tokio::select! {
                changed = policies.changed() => changed,
                changed = directories.changed() => changed,
                changed = maps.changed() => changed,
                changed = lists.changed() => changed,
            }
        };
        tokio::select! {
            changed = changed => if changed.is_err() { return },
            () = events.closed() => return,
        }
    }
}

/// An answer's bytes, or why there is none.
fn parts<T>(
    answer: Result<T, Unavailable>,
    encode: impl FnOnce(&T) -> Vec<u8>,
) -> (bytes::Bytes, i32) {
    match answer {
        Ok(answer) => (encode(&answer).into(), ApiUnavailable::Unspecified.into()),
        Err(unavailable) => (bytes::Bytes::new(), to_api(unavailable).into()),
    }
}

fn to_api(unavailable: Unavailable) -> ApiUnavailable {
    match unavailable {
        Unavailable::NoQuorum => ApiUnavailable::NoQuorum,
        Unavailable::Overloaded => ApiUnavailable::Overloaded,
        Unavailable::Disk => ApiUnavailable::Disk,
        Unavailable::Stopped => ApiUnavailable::Stopped,
        Unavailable::Refused => ApiUnavailable::Refused,
    }
}

/// What a caller is told when the nodes are not changed.
pub(crate) fn nodes_refused(refused: &NodesRefused) -> Status {
    let told = refused.to_string();
    match refused {
        NodesRefused::Token | NodesRefused::Removed => Status::permission_denied(told),
        NodesRefused::NoSuchNode => Status::not_found(told),
        NodesRefused::Full => Status::resource_exhausted(told),
        NodesRefused::GroupTooSmall => Status::failed_precondition(told),
        NodesRefused::Unavailable(_) => Status::unavailable(told),
    }
}

/// A renewal of traffic budgets names a thousand keys; nothing else is as long.
const PROPOSAL_BYTES_MAX: usize = 131_072;

/// Events between a watch and its connection.
const EVENTS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use rookery_control::{NodeId, Renewal, RequestId};

    use super::*;

    fn caller(roles: &[NodeRole]) -> Identity {
        Identity {
            cluster: "test".to_owned(),
            node: NodeId::FIRST,
            roles: roles.to_vec(),
        }
    }

    fn renews(node: u64, routes: bool) -> Proposal {
        let node = NodeId::new(node).expect("not zero");
        let renewal = Renewal {
            incarnation: 1,
            routes,
            draining: false,
        };
        Proposal {
            request: RequestId {
                node,
                incarnation: 1,
                sequence: 1,
            },
            acknowledged: 0,
            now: Timestamp(0),
            command: Command::Renew { node, renewal },
        }
    }

    #[test]
    fn only_routers_may_own_shards() {
        for role in [NodeRole::Control, NodeRole::Connection] {
            assert!(check_proposal(&caller(&[role]), &renews(1, false)).is_ok());
            let refused = check_proposal(&caller(&[role]), &renews(1, true)).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        }
        assert!(check_proposal(&caller(&[NodeRole::Router]), &renews(1, true)).is_ok());
        assert!(check_proposal(&caller(&[NodeRole::Router]), &renews(2, true)).is_err());
    }

    #[test]
    fn a_proposal_is_small_but_for_lists_of_bans() {
        let command = renews(1, false).command;
        assert!(check_size(&command, PROPOSAL_BYTES_MAX).is_ok());
        assert!(check_size(&command, PROPOSAL_BYTES_MAX + 1).is_err());
    }
}
