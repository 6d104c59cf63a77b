//! Where nodes are reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rookery_control::{Directory, NodeId, NodeRole};
use tokio::sync::watch;
use tonic::{Code, Status};

/// The addresses that a node knows: from the directory, from members that called, from its configuration.
#[derive(Debug)]
pub(super) struct Book {
    directory: ArcSwap<Directory>,
    /// Members that the directory does not name yet. They have shown a certificate, so there are few.
    heard: Mutex<HashMap<NodeId, String>>,
    first_contacts: Vec<String>,
    /// Whether this node itself was removed.
    expelled: watch::Sender<bool>,
    /// Whether this node is one of the cluster's, as it was told when it said that it is there; none before.
    welcome: watch::Sender<Option<bool>>,
}

impl Book {
    /// A book that knows the addresses of the configuration.
    pub(super) fn new(first_contacts: Vec<String>) -> Self {
        Self {
            directory: ArcSwap::default(),
            heard: Mutex::default(),
            first_contacts,
            expelled: watch::Sender::new(false),
            welcome: watch::Sender::new(None),
        }
    }

    /// Takes from a member's refusal that this node was removed. The words tell it from other refusals: members of
    /// every build say it by them.
    pub(super) fn heed(&self, refused: &Status) {
        if says_removed(refused) {
            self.expelled.send_replace(true);
        }
    }

    /// Takes what this node was told when it said that it is there. A removed member hears so as well while the control
    /// group still needs its answers, so that it is not expelled by this.
    pub(super) fn greeted(&self, answer: &Result<(), Status>) {
        match answer {
            Ok(()) => self.welcome.send_replace(Some(true)),
            Err(refused) if says_removed(refused) => self.welcome.send_replace(Some(false)),
            Err(_) => return,
        };
    }

    /// Completes when the cluster has answered that this node is there.
    pub(super) async fn answered(&self) {
        let mut welcome = self.welcome.subscribe();
        let _ = welcome.wait_for(Option::is_some).await;
    }

    /// Why this node can be of no use to anybody, if it was removed.
    pub(super) fn removal(&self, own: NodeId) -> Option<&'static str> {
        let directory = self.directory.load();
        let is_member = directory.members.iter().any(|member| member.node == own);
        let has_heard = *self.expelled.borrow() || *self.welcome.borrow() == Some(false);
        match directory.removed.contains(&own) {
            true if is_member && !*self.expelled.borrow() => Some(STILL_NEEDED),
            false if !has_heard => None,
            _ => Some("this node was removed from the cluster"),
        }
    }

    /// Completes when the cluster has said that this node was removed.
    pub(super) async fn expelled(&self) {
        let mut expelled = self.expelled.subscribe();
        // The sender is there as long as the book is.
        let _ = expelled.wait_for(|expelled| *expelled).await;
    }

    /// Takes from this member's own log that it was removed and is let go. It sends nothing to anybody then, so that
    /// nobody would refuse it.
    pub(super) fn heed_own_log(&self, own: NodeId) {
        if self.is_gone(own) {
            self.expelled.send_replace(true);
        }
    }

    /// The directory from now on.
    pub(super) fn set_directory(&self, directory: Arc<Directory>) {
        self.directory.store(directory);
    }

    /// The nodes that have said that they are at this address.
    pub(super) fn enlisted_at(&self, address: &str) -> Vec<NodeId> {
        let directory = self.directory.load();
        let nodes = directory.nodes.iter();
        let found = nodes.filter(|node| node.enlisted && node.address == address);
        found.map(|node| node.id).collect()
    }

    /// Whether the node was removed.
    pub(super) fn is_removed(&self, node: NodeId) -> bool {
        self.directory.load().removed.contains(&node)
    }

    /// Whether the node was removed and has no part in the control group any more: until then the group needs its
    /// answers to let it go.
    pub(super) fn is_gone(&self, node: NodeId) -> bool {
        let directory = self.directory.load();
        let is_member = directory.members.iter().any(|member| member.node == node);
        directory.removed.contains(&node) && !is_member
    }

    /// A member has told where it is reached.
    pub(super) fn hear(&self, node: NodeId, address: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < HEARD_MAX || heard.contains_key(&node) {
            heard.insert(node, address.to_owned());
        }
    }

    /// Where a node is reached.
    pub(super) fn address(&self, node: NodeId) -> Option<String> {
        if let Some(known) = self.directory.load().node(node) {
            return Some(known.address.clone());
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(&node).cloned()
    }

    /// Where members of the control group are reached, without `own`.
    pub(super) fn members(&self, own: &str) -> Vec<String> {
        let directory = self.directory.load();
        let voters = directory.members.iter().filter(|member| member.voter);
        let mut addresses: Vec<String> = voters
            .filter_map(|member| directory.node(member.node))
            .filter(|node| node.roles.contains(&NodeRole::Control))
            .map(|node| node.address.clone())
            .collect();
        for address in &self.first_contacts {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses.retain(|address| address != own);
        addresses
    }
}

fn says_removed(refused: &Status) -> bool {
    refused.code() == Code::PermissionDenied && refused.message().contains(REMOVED)
}

/// What is wrong with a removed member that cannot go yet.
const STILL_NEEDED: &str = "this node was removed from the cluster, and the control group needs its vote until it has \
     let it go: leave it running, it ends by itself";

/// What a removed node is told, among other words.
const REMOVED: &str = "was removed from the cluster";

/// Far above the members of a group, over all its changes.
const HEARD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use rookery_control::{Member, Node};

    use super::*;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    #[test]
    fn the_directory_wins_over_what_was_heard_and_first_contacts_come_last() {
        let book = Book::new(vec!["c:1".into()]);
        book.hear(id(2), "old:1");
        assert_eq!(book.address(id(2)).as_deref(), Some("old:1"));
        assert_eq!(book.members("a:1"), ["c:1"]);
        let node = |number, address: &str| Node {
            id: id(number),
            address: address.into(),
            roles: vec![NodeRole::Control],
            enlisted: true,
            draining: false,
        };
        let member = |number| Member {
            node: id(number),
            voter: true,
        };
        book.set_directory(Arc::new(Directory {
            nodes: vec![node(1, "a:1"), node(2, "b:1")],
            members: vec![member(1), member(2), member(9)],
            removed: [id(8), id(9)].into(),
            ..Directory::default()
        }));
        assert_eq!(book.address(id(2)).as_deref(), Some("b:1"));
        assert_eq!(book.enlisted_at("b:1"), [id(2)]);
        assert_eq!(book.enlisted_at("c:1"), []);
        assert_eq!(book.members("a:1"), ["b:1", "c:1"]);
        assert!(
            book.is_removed(id(9)) && !book.is_gone(id(9)),
            "the group has it still"
        );
        assert!(book.is_gone(id(8)));
    }

    #[test]
    fn a_removed_member_says_why_it_is_not_ready_while_the_group_still_needs_it_and_after() {
        let book = Book::new(Vec::new());
        let set = |members: &[u64], removed: &[u64]| {
            let member = |&node: &u64| Member {
                node: id(node),
                voter: true,
            };
            book.set_directory(Arc::new(Directory {
                members: members.iter().map(member).collect(),
                removed: removed.iter().map(|&node| id(node)).collect(),
                ..Directory::default()
            }));
        };
        let says = |part: &str| {
            book.removal(id(2))
                .is_some_and(|reason| reason.contains(part))
        };
        set(&[1, 2], &[]);
        assert_eq!(book.removal(id(2)), None);
        set(&[1, 2], &[2]);
        assert!(says("needs its vote"), "{:?}", book.removal(id(2)));
        book.heed_own_log(id(2));
        assert!(!*book.expelled.borrow(), "it is needed");
        set(&[1], &[2]);
        assert!(says("was removed") && !says("needs its vote"));
        // One that was away has heard nothing but what it is told.
        set(&[1, 2], &[]);
        book.greeted(&Err(Status::unavailable("no quorum")));
        assert_eq!(book.removal(id(2)), None);
        let refused = Status::permission_denied("this node was removed from the cluster");
        book.greeted(&Err(refused));
        assert!(says("was removed"));
        book.greeted(&Ok(()));
        assert_eq!(book.removal(id(2)), None);
        set(&[1], &[2]);
        book.heed_own_log(id(2));
        assert!(*book.expelled.borrow(), "nobody else would tell it");
        assert!(says("was removed"));
    }
}
