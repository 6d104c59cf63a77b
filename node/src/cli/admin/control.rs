//! `rookery admin control`.

use clap::Subcommand;
use rookery_proto::admin::control_group_client::ControlGroupClient;
use rookery_proto::admin::{
    ControlMember, ListMembersRequest, ListMembersResponse, ShowLogRequest, ShowLogResponse,
    TakeSnapshotRequest, TransferLeaderRequest,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::table;
use super::Shown;

/// The control group.
#[derive(Debug, Subcommand)]
pub(super) enum ControlCommand {
    /// List the members of the group, and how far each is.
    Members,
    /// Show who leads.
    Leader,
    /// Let another member lead.
    Transfer {
        /// The id of the member that shall lead.
        to: u64,
    },
    /// Save this member's state as a snapshot and cut its log.
    Snapshot,
    /// Show this member's log.
    Log,
}

impl ControlCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = ControlGroupClient::new(channel);
        match self {
            Self::Members => {
                let listed = client.list_members(ListMembersRequest {}).await?;
                let listed = listed.into_inner();
                Ok(members(&listed).or_stale(&listed.stale))
            }
            Self::Leader => {
                let listed = client.list_members(ListMembersRequest {}).await?;
                let listed = listed.into_inner();
                Ok(leader(&listed)?.or_stale(&listed.stale))
            }
            Self::Transfer { to } => {
                client.transfer_leader(TransferLeaderRequest { to }).await?;
                Ok(Shown::done(
                    format!("node {to} leads"),
                    json!({"leader": to}),
                ))
            }
            Self::Snapshot => {
                let taken = client
                    .take_snapshot(TakeSnapshotRequest {})
                    .await?
                    .into_inner();
                let (index, left) = (taken.index, taken.log_entries);
                let text = format!("snapshot of entry {index}, {left} entries left in the log");
                Ok(Shown::done(
                    text,
                    json!({"index": index, "log_entries": left}),
                ))
            }
            Self::Log => Ok(log(&client.show_log(ShowLogRequest {}).await?.into_inner())),
        }
    }
}

fn members(listed: &ListMembersResponse) -> Shown {
    let row = |member: &ControlMember| {
        let part = match (member.leader, member.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "learner",
        };
        let state = match member.active {
            Some(true) => "answers",
            Some(false) => "DOES NOT ANSWER",
            None => "unknown",
        };
        let behind = behind(member, listed.commit);
        let id = member.id.to_string();
        vec![
            id,
            member.address.clone(),
            part.to_owned(),
            state.to_owned(),
            behind,
        ]
    };
    let rows: Vec<_> = listed.members.iter().map(row).collect();
    let members: Vec<_> = listed
        .members
        .iter()
        .map(|member| {
            json!({
                "id": member.id,
                "address": member.address,
                "voter": member.voter,
                "leader": member.leader,
                "active": member.active,
                "matched": member.matched,
            })
        })
        .collect();
    Shown {
        text: table(&["ID", "CLUSTER ADDRESS", "PART", "STATE", "BEHIND"], &rows),
        json: json!({
            "members": members,
            "leader": listed.leader,
            "term": listed.term,
            "commit": listed.commit,
        }),
    }
}

/// How many entries a member lacks. A leader that has never heard of one knows nothing of what it has.
fn behind(member: &ControlMember, commit: u64) -> String {
    match (member.active, member.matched) {
        (Some(false), None | Some(0)) => "unreachable".to_owned(),
        (_, Some(matched)) => commit.saturating_sub(matched).to_string(),
        (_, None) => "unknown".to_owned(),
    }
}

/// Fails where nobody leads, so that a script that waits for a leader need not read what is said.
fn leader(listed: &ListMembersResponse) -> Result<Shown, Status> {
    let leading = listed.members.iter().find(|member| member.leader);
    let text = match leading {
        Some(member) => match member.address.rsplit_once(':') {
            // Nobody can do anything with the port between nodes; the machine is where its admin socket is.
            Some((host, _)) => format!("node {} on {host} leads", member.id),
            None => format!("node {} leads", member.id),
        },
        None => {
            return Err(Status::unavailable("NO LEADER: nothing can be decided"));
        }
    };
    let json = json!({"leader": listed.leader, "term": listed.term});
    Ok(Shown::done(text, json))
}

fn log(log: &ShowLogResponse) -> Shown {
    let mut lines = vec![
        format!("member    node {}", log.id),
        format!("term      {}", log.term),
        format!("commit    {}", log.commit),
        format!("applied   {}", log.applied),
        format!("entries   {}", log.entries),
        format!("snapshot  {}", log.snapshot),
    ];
    if !log.write_error.is_empty() {
        lines.push(format!("CANNOT BE WRITTEN: {}", log.write_error));
    }
    let json = json!({
        "id": log.id,
        "term": log.term,
        "commit": log.commit,
        "applied": log.applied,
        "entries": log.entries,
        "snapshot": log.snapshot,
        "write_error": log.write_error,
    });
    Shown::done(lines.join("\n"), json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_does_not_answer_is_behind_by_what_the_leader_knows_or_unreachable() {
        let shown = |active, matched| {
            let member = ControlMember {
                active,
                matched,
                ..ControlMember::default()
            };
            behind(&member, 10)
        };
        assert_eq!(shown(Some(true), Some(9)), "1");
        assert_eq!(shown(Some(false), Some(4)), "6");
        assert_eq!(shown(Some(false), Some(0)), "unreachable");
        assert_eq!(shown(None, None), "unknown");
    }
}
