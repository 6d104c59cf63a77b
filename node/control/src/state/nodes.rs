//! The nodes of the cluster: who was let in, with which roles, where each is reached, and who was thrown out.
//!
//! ```text
//!  CreateToken ──► token ──(Admit: once, in time)──► node, not enlisted ──(Enlist: it has started)──► node
//!                    │                                                                                 │
//!                    └─ expires                                                  RemoveNode ──► removed, for ever
//! ```
//!
//! A node whose lease holds is removed only by force: its accounts would wait until the lease has ended, and its
//! clients be cut off. One that was drained and has stopped has none.
//!
//! A node whose certificate the operator made by other means needs no token: it enlists, unless its id was removed.
//! Ids are given out in ascending order and never again.

use std::collections::{BTreeMap, BTreeSet};

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Command, EndedLeases, FormatError, Member, Members, NodeId, Outcome};

/// What a node may do, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Holds the clients' sockets.
    Connection,
    /// Owns accounts.
    Router,
    /// Is a member of the control group.
    Control,
}

impl NodeRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Connection, Self::Router, Self::Control];

    /// The name in configurations and certificates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Router => "router",
            Self::Control => "control",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// What a token's secret hashes to (SHA-256): the log and the snapshots hold no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a secret.
    pub fn of(secret: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(secret).into())
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Where it is reached, `host:port`.
    pub address: String,
    /// The roles it holds, or may hold while it has not enlisted.
    pub roles: Vec<NodeRole>,
    /// Whether it has ever started.
    pub enlisted: bool,
    /// Whether its operator wants it empty. It stays so until he says otherwise, also when it starts again.
    #[serde(default)]
    pub draining: bool,
}

/// The nodes and the members of the control group, at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Grows with every change; the same version is the same directory on every node.
    pub version: u64,
    /// The nodes, in the order of their ids.
    pub nodes: Vec<Node>,
    /// The members of the control group, in the order of their ids.
    pub members: Vec<Member>,
    /// Ids of nodes that were removed.
    pub removed: BTreeSet<NodeId>,
    /// The newest format of commands that each node has said it speaks.
    #[serde(default)]
    pub formats: BTreeMap<NodeId, u8>,
}

impl Directory {
    /// The node of that id.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The nodes that may have clients now, also those that are out of this node's reach.
    pub fn with_clients(&self, ended: &EndedLeases) -> impl Iterator<Item = NodeId> {
        let lives = |node: &&Node| node.enlisted && !ended.nodes.contains_key(&node.id);
        let nodes = self.nodes.iter().filter(lives);
        let connects = |node: &&Node| node.roles.contains(&NodeRole::Connection);
        nodes.filter(connects).map(|node| node.id)
    }

    /// The bytes of the directory for another node.
    pub fn encode(&self) -> Vec<u8> {
        super::encode(self)
    }

    /// The directory in another node's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::decode(bytes)
    }
}

/// Everything about nodes, as replicated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nodes {
    known: Known,
    #[serde(with = "pairs")]
    tokens: BTreeMap<TokenHash, Token>,
}

/// The part that all nodes are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    nodes: BTreeMap<NodeId, Node>,
    removed: BTreeSet<NodeId>,
    #[serde(default)]
    formats: BTreeMap<NodeId, u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    roles: Vec<NodeRole>,
    expires: Timestamp,
}

impl Nodes {
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    pub(super) fn directory(&self, version: u64, members: &Members) -> Directory {
        Directory {
            version,
            nodes: self.known.nodes.values().cloned().collect(),
            members: members.iter().collect(),
            removed: self.known.removed.clone(),
            formats: self.known.formats.clone(),
        }
    }

    /// Carries out a command about nodes at this moment of the group's time.
    pub(super) fn execute(
        &mut self,
        now: Timestamp,
        members: &Members,
        command: &Command,
    ) -> Outcome {
        self.tokens.retain(|_, token| token.expires > now);
        match command {
            Command::CreateToken {
                token,
                roles,
                expires,
            } => self.create_token(*token, roles, *expires),
            Command::Admit { token, address } => self.admit(token, address, members),
            Command::Enlist {
                node,
                address,
                roles,
                format,
            } => self.enlist(*node, address, roles, *format),
            Command::RemoveNode { node, .. } => self.remove(*node, members),
            Command::DrainNode { node, draining } => self.drain(*node, *draining),
            _ => Outcome::NoSuchNode,
        }
    }

    fn create_token(&mut self, hash: TokenHash, roles: &[NodeRole], expires: Timestamp) -> Outcome {
        if self.tokens.len() >= TOKENS_MAX {
            return Outcome::NodesFull;
        }
        let roles = roles.to_vec();
        self.tokens.insert(hash, Token { roles, expires });
        Outcome::NodesChanged
    }

    fn admit(&mut self, hash: &TokenHash, address: &str, members: &Members) -> Outcome {
        if self.is_full() {
            return Outcome::NodesFull;
        }
        let Some(token) = self.tokens.remove(hash) else {
            return Outcome::TokenRefused;
        };
        let id = self.free_id(members);
        let node = Node {
            id,
            address: address.to_owned(),
            roles: token.roles.clone(),
            enlisted: false,
            draining: false,
        };
        self.known.nodes.insert(id, node);
        Outcome::Admitted {
            node: id,
            roles: token.roles,
        }
    }

    /// Above every id that was ever used.
    fn free_id(&self, members: &Members) -> NodeId {
        let known = self.known.nodes.keys().chain(&self.known.removed).copied();
        let used = known.chain(members.iter().map(|member| member.node)).max();
        used.and_then(|id| NodeId::new(id.get() + 1))
            .unwrap_or(NodeId::FIRST)
    }

    fn enlist(&mut self, id: NodeId, address: &str, roles: &[NodeRole], format: u8) -> Outcome {
        if self.known.removed.contains(&id) {
            return Outcome::NodeRemoved;
        }
        if self.is_full() && !self.known.nodes.contains_key(&id) {
            return Outcome::NodesFull;
        }
        let node = Node {
            id,
            address: address.to_owned(),
            roles: roles.to_vec(),
            enlisted: true,
            draining: self
                .known
                .nodes
                .get(&id)
                .is_some_and(|known| known.draining),
        };
        self.known.nodes.insert(id, node);
        match format {
            // An earlier build again.
            0 => self.known.formats.remove(&id),
            format => self.known.formats.insert(id, format),
        };
        Outcome::NodesChanged
    }

    fn drain(&mut self, id: NodeId, draining: bool) -> Outcome {
        match self.known.nodes.get_mut(&id) {
            Some(node) => {
                node.draining = draining;
                Outcome::NodesChanged
            }
            None => Outcome::NoSuchNode,
        }
    }

    fn remove(&mut self, id: NodeId, members: &Members) -> Outcome {
        let is_member = members.iter().any(|member| member.node == id);
        if !self.keeps_majority(id, members) {
            return Outcome::GroupTooSmall;
        }
        if self.known.nodes.remove(&id).is_none() && !is_member {
            return Outcome::NoSuchNode;
        }
        self.known.removed.insert(id);
        self.known.formats.remove(&id);
        Outcome::NodesChanged
    }

    /// Whether the node was removed.
    pub(super) fn is_removed(&self, id: NodeId) -> bool {
        self.known.removed.contains(&id)
    }

    /// Whether those who stay without this node are a majority of those who vote now. A node votes until the change
    /// that takes it out of the group is through, and that change needs a majority itself; so one that is to go
    /// anyway is not among those who stay.
    fn keeps_majority(&self, id: NodeId, members: &Members) -> bool {
        let voters: Vec<_> = members.voters().collect();
        if !voters.contains(&id) || self.known.removed.contains(&id) {
            return true;
        }
        let stays = |voter: &&NodeId| **voter != id && !self.leaves(**voter);
        voters.iter().filter(stays).count() > voters.len() / 2
    }

    /// Whether the node was removed, or has started without the control role.
    fn leaves(&self, id: NodeId) -> bool {
        let node = self.known.nodes.get(&id);
        let without_role =
            node.is_some_and(|node| node.enlisted && !node.roles.contains(&NodeRole::Control));
        without_role || self.known.removed.contains(&id)
    }

    fn is_full(&self) -> bool {
        self.known.nodes.len() + self.known.removed.len() >= NODES_MAX
    }
}

/// JSON has no keys that are not text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Token, TokenHash};

    pub(super) fn serialize<S: Serializer>(
        tokens: &BTreeMap<TokenHash, Token>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        tokens.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TokenHash, Token>, D::Error> {
        Vec::<(TokenHash, Token)>::deserialize(deserializer)
            .map(|pairs| pairs.into_iter().collect())
    }
}

/// Tokens that may be open at once: an operator makes one for each node he adds.
const TOKENS_MAX: usize = 1_024;

/// Nodes over the whole life of a cluster, removed ones included.
const NODES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn run(nodes: &mut Nodes, now: Timestamp, command: Command) -> Outcome {
        nodes.execute(now, &Members::new(&[1], &[]), &command)
    }

    fn create(nodes: &mut Nodes, secret: &str) {
        let command = Command::CreateToken {
            token: TokenHash::of(secret.as_bytes()),
            roles: vec![NodeRole::Control],
            expires: Timestamp(2_000),
        };
        assert_eq!(run(nodes, NOW, command), Outcome::NodesChanged);
    }

    fn admit(nodes: &mut Nodes, now: Timestamp, secret: &str) -> Outcome {
        let command = Command::Admit {
            token: TokenHash::of(secret.as_bytes()),
            address: "b:1".into(),
        };
        run(nodes, now, command)
    }

    fn admitted(number: u64) -> Outcome {
        Outcome::Admitted {
            node: id(number),
            roles: vec![NodeRole::Control],
        }
    }

    #[test]
    fn a_token_lets_one_node_in_once() {
        let mut nodes = Nodes::default();
        create(&mut nodes, "a");
        create(&mut nodes, "b");
        assert_eq!(admit(&mut nodes, NOW, "a"), admitted(2), "above the member");
        assert_eq!(admit(&mut nodes, NOW, "a"), Outcome::TokenRefused);
        assert_eq!(admit(&mut nodes, NOW, "unheard"), Outcome::TokenRefused);
        assert_eq!(admit(&mut nodes, Timestamp(1_999), "b"), admitted(3));
    }

    #[test]
    fn an_expired_token_is_worth_nothing() {
        let mut nodes = Nodes::default();
        create(&mut nodes, "a");
        assert_eq!(
            admit(&mut nodes, Timestamp(2_000), "a"),
            Outcome::TokenRefused
        );
    }

    #[test]
    fn a_removed_node_never_comes_back_and_its_id_is_not_given_again() {
        let mut nodes = Nodes::default();
        create(&mut nodes, "a");
        create(&mut nodes, "b");
        admit(&mut nodes, NOW, "a");
        let remove = Command::RemoveNode {
            node: id(2),
            unless_alive: false,
        };
        assert_eq!(run(&mut nodes, NOW, remove.clone()), Outcome::NodesChanged);
        assert_eq!(run(&mut nodes, NOW, remove), Outcome::NoSuchNode);
        let enlist = Command::Enlist {
            node: id(2),
            address: "b:1".into(),
            roles: vec![],
            format: 4,
        };
        assert_eq!(run(&mut nodes, NOW, enlist), Outcome::NodeRemoved);
        assert_eq!(admit(&mut nodes, NOW, "b"), admitted(3));
    }

    #[test]
    fn nodes_and_tokens_survive_a_snapshot() {
        let mut nodes = Nodes::default();
        create(&mut nodes, "a");
        create(&mut nodes, "b");
        admit(&mut nodes, NOW, "a");
        let bytes = crate::state::encode(&nodes);
        assert_eq!(crate::state::decode::<Nodes>(&bytes).unwrap(), nodes);
    }

    #[test]
    fn a_node_that_is_drained_stays_so_until_it_is_used_again() {
        let mut nodes = Nodes::default();
        let drain = |node, draining| Command::DrainNode {
            node: id(node),
            draining,
        };
        let enlist = || Command::Enlist {
            node: id(2),
            address: "a:1".into(),
            roles: vec![NodeRole::Router],
            format: 4,
        };
        assert_eq!(run(&mut nodes, NOW, drain(2, true)), Outcome::NoSuchNode);
        run(&mut nodes, NOW, enlist());
        assert_eq!(run(&mut nodes, NOW, drain(2, true)), Outcome::NodesChanged);
        // It starts again.
        run(&mut nodes, NOW, enlist());
        let draining = |nodes: &Nodes| nodes.known.nodes[&id(2)].draining;
        assert!(draining(&nodes));
        run(&mut nodes, NOW, drain(2, false));
        assert!(!draining(&nodes));
    }
}
