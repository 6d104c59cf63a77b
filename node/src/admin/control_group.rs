//! The service `ControlGroup`.

use rookery_control::{ControlStatus, Directory, MemberProgress};
use rookery_proto::admin::control_group_server::ControlGroup;
use rookery_proto::admin::{
    ControlMember, ListMembersRequest, ListMembersResponse, ShowLogRequest, ShowLogResponse,
    TakeSnapshotRequest, TakeSnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
};
use tonic::{Request, Response, Status};

use super::freshness::stale;
use super::nodes::{member_only, node_id, unavailable};
use crate::operator::Operator;

/// Answers for the control group.
pub(super) struct ControlGroupService {
    operator: Operator,
}

impl ControlGroupService {
    pub(super) fn new(operator: Operator) -> Self {
        Self { operator }
    }
}

/// How the group stands. Only the leader knows how far the members are, so it is asked where it can be.
pub(super) async fn as_the_leader_sees_it(operator: &Operator) -> Result<ControlStatus, Status> {
    let own = operator.control().status().await.map_err(unavailable)?;
    let (Some(leader), Some(cluster)) = (own.leader, operator.cluster()) else {
        return Ok(own);
    };
    if own.node == Some(leader) {
        return Ok(own);
    }
    Ok(cluster.status_of(leader).await.unwrap_or(own))
}

#[tonic::async_trait]
impl ControlGroup for ControlGroupService {
    async fn list_members(
        &self,
        _: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let status = as_the_leader_sees_it(&self.operator).await?;
        let directory = self.operator.control().directory();
        let stale = stale(&self.operator).await;
        Ok(Response::new(ListMembersResponse {
            stale,
            ..members(&status, &directory)
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let to = node_id(request.into_inner().to)?;
        member_only(&self.operator)?;
        let control = self.operator.control();
        let status = control.status().await.map_err(unavailable)?;
        if !status
            .members
            .iter()
            .any(|member| member.node == to && member.voter)
        {
            return Err(Status::failed_precondition(format!(
                "node {to} has no vote in the control group: `control members` lists who has"
            )));
        }
        control.transfer_leader(to).await.map_err(unavailable)?;
        Ok(Response::new(TransferLeaderResponse {}))
    }

    async fn take_snapshot(
        &self,
        _: Request<TakeSnapshotRequest>,
    ) -> Result<Response<TakeSnapshotResponse>, Status> {
        member_only(&self.operator)?;
        let taken = self
            .operator
            .control()
            .take_snapshot()
            .await
            .map_err(unavailable)?;
        Ok(Response::new(TakeSnapshotResponse {
            index: taken.snapshot_index,
            log_entries: taken.log_entries,
        }))
    }

    async fn show_log(
        &self,
        _: Request<ShowLogRequest>,
    ) -> Result<Response<ShowLogResponse>, Status> {
        let status = self
            .operator
            .control()
            .status()
            .await
            .map_err(unavailable)?;
        Ok(Response::new(ShowLogResponse {
            id: status.node.map_or(0, |node| node.get()),
            term: status.term,
            commit: status.commit,
            applied: status.applied,
            entries: status.log_entries,
            snapshot: status.snapshot_index,
            write_error: status.write_error.unwrap_or_default(),
        }))
    }
}

fn members(status: &ControlStatus, directory: &Directory) -> ListMembersResponse {
    let members = status.members.iter().map(|member| {
        let of_it = |progress: &&MemberProgress| progress.node == member.node;
        let progress = status.progress.iter().find(of_it);
        let node = directory.node(member.node);
        ControlMember {
            id: member.node.get(),
            address: node.map_or_else(String::new, |node| node.address.clone()),
            voter: member.voter,
            leader: status.leader == Some(member.node),
            active: progress.map(|progress| progress.active),
            matched: progress.map(|progress| progress.matched),
        }
    });
    ListMembersResponse {
        members: members.collect(),
        leader: status.leader.map_or(0, |leader| leader.get()),
        term: status.term,
        commit: status.commit,
        stale: String::new(),
    }
}
