//! A group that grows and shrinks, over real drivers and real disks.

use std::sync::{Arc, OnceLock};

use std::path::Path;

use super::*;
use crate::options::ControlOptions;
use crate::raft::eraftpb::{Message, MessageType};
use crate::raft::{Mailbox, Transport};
use crate::state::RegistrationPolicy;

/// The mailboxes of a group in one process.
type Switchboard = Arc<[OnceLock<Mailbox>; 3]>;

struct Local(Switchboard, u64);

impl Transport for Local {
    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let to = message.to;
            if message.get_msg_type() == MessageType::MsgSnapshot {
                let own = self.0[self.1 as usize - 1].get().unwrap();
                own.snapshot_sent(NodeId::new(to).unwrap(), true);
            }
            if let Some(mailbox) = self.0[to as usize - 1].get() {
                mailbox.deliver(message);
            }
        }
    }
}

fn member(switchboard: &Switchboard, dir: &Path, id: u64, voters: &[NodeId]) -> Control {
    let local = Local(Arc::clone(switchboard), id);
    let transport = |mailbox| -> Box<dyn Transport> {
        local.0[id as usize - 1].set(mailbox).unwrap();
        Box::new(local)
    };
    let options = ControlOptions {
        tick_ms: 30,
        ..ControlOptions::default()
    };
    let (id, policy) = (NodeId::new(id).unwrap(), RegistrationPolicy::default());
    Control::start_member(options, dir, id, voters, policy, transport).unwrap()
}

fn voters(status: &ControlStatus) -> Vec<u64> {
    let voters = status.members.iter().filter(|member| member.voter);
    voters.map(|member| member.node.get()).collect()
}

async fn has_voters(control: &Control, wanted: &[u64]) {
    control
        .until(|status| voters(status) == wanted)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_group_of_one_grows_to_three_by_enlistment_and_removes_even_its_leader() {
    let switchboard = Switchboard::default();
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = member(&switchboard, dirs[0].path(), 1, &[NodeId::FIRST]);
    let token = TokenHash::of(b"secret");
    let roles = vec![NodeRole::Control];
    let expires = Timestamp(Timestamp::now().0 + 60_000);
    first
        .create_token(token, roles.clone(), expires)
        .await
        .unwrap();
    let admitted = first.admit(token, "b:1".into()).await.unwrap();
    assert_eq!(admitted, (NodeId::new(2).unwrap(), roles.clone()));
    assert_eq!(
        first.admit(token, "c:1".into()).await,
        Err(NodesRefused::Token)
    );

    let second = member(&switchboard, dirs[1].path(), 2, &[]);
    let third = member(&switchboard, dirs[2].path(), 3, &[]);
    for id in 1..=3 {
        let node = NodeId::new(id).unwrap();
        first
            .enlist(node, format!("{id}:1"), roles.clone(), 4)
            .await
            .unwrap();
    }
    has_voters(&first, &[1, 2, 3]).await;
    has_voters(&second, &[1, 2, 3]).await;
    has_voters(&third, &[1, 2, 3]).await;
    assert_eq!(
        second.directory().nodes.len(),
        3,
        "what came before the snapshot is known"
    );

    let other = NodeId::new(3).unwrap();
    first.transfer_leader(other).await.unwrap();
    assert_eq!(
        third.status().await.unwrap().progress.len(),
        3,
        "the leader knows how far all are"
    );
    first.remove_node(other, true).await.unwrap();
    has_voters(&second, &[1, 2]).await;
    let snapshot = second.take_snapshot().await.unwrap();
    assert!(snapshot.log_entries <= snapshot.applied);
    for control in [first, second, third] {
        control.stop().await;
    }
}
