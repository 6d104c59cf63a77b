//! The service `Control`: other nodes' questions to the group, answered by this member.

use rookery_control::{
    Control, ControlStatus, NodeRole, NodesRefused, Policy, Proposal, Unavailable,
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
use super::news::News;
use super::watches::{Watch, Watches};
use super::{proposal, version};

/// Answers for the group.
pub(super) struct ControlService {
    pub(super) control: Control,
    pub(super) gate: Gate,
    pub(super) watches: Watches,
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
        let now = Timestamp::now();
        proposal::check(&caller, &proposal, now)?;
        proposal::check_size(&proposal.command, request.proposal.len())?;
        // The group's time never goes back: a node whose clock is ahead must not take it along.
        proposal.now = proposal.now.min(now);
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
        let watch = self.watches.begin(caller.node);
        tokio::spawn(tell(self.control.clone(), watch, request, events));
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
        let format = u8::try_from(request.format).unwrap_or(u8::MAX);
        let enlisted = self
            .control
            .enlist(caller.node, request.address, roles, format)
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

/// Tells a node what is newer than it knows, until it goes, is removed, watches anew, or the group stops. A node that
/// does not keep up is told the newest only.
async fn tell(
    control: Control,
    mut watch: Watch,
    request: WatchRequest,
    events: mpsc::Sender<Result<WatchEvent, Status>>,
) {
    let mut news = News::since(&control, request);
    loop {
        let event = news.event();
        if news.has_removed(watch.node()) {
            let gone = Status::permission_denied("this node was removed from the cluster");
            // It may have gone by itself.
            let _ = events.send(Err(gone)).await;
            return;
        }
        if let Some(event) = event {
            let sent = tokio::select! {
                sent = events.send(Ok(event)) => sent.is_ok(),
                () = watch.replaced() => false,
            };
            if !sent {
                return;
            }
        }
        tokio::select! {
            changed = news.changed() => if !changed { return },
            () = events.closed() => return,
            () = watch.replaced() => return,
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
        // Who asks has not heard of the members yet, and will judge by itself.
        Unavailable::Upgrading { .. } | Unavailable::NoQuorum => ApiUnavailable::NoQuorum,
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
        NodesRefused::GroupTooSmall | NodesRefused::Alive { .. } => {
            Status::failed_precondition(told)
        }
        NodesRefused::Unavailable(_) => Status::unavailable(told),
    }
}

/// Events between a watch and its connection: an event may be the whole list of bans, and the next one waits for room.
const EVENTS_MAX: usize = 1;
