//! The cluster as this node takes part in it: its identity, the internal port, the way to the control group.
//!
//! ```text
//!  other nodes ──mutual TLS──► port ─► authorization ─┬─► Raft       ─► mailbox of this node's member
//!                                (by certificate)     ├─► Carrier   ─► shards of this node
//!                                                      ├─► Control    ─► Control (any member answers for the group)
//!                                                     └─► Admission  ─► token used up through Raft, certificate signed
//!  this node's member ─► transport ─► peer (one queue, one stream a member) ─► Raft of the others
//!  a node without the control role ─► link (one member at a time) ─► Control of a member
//! ```
//!
//! A node is who its certificate says ([`identity`]). The name of the cluster, the node's id and its roles are in it,
//! so nothing has to be asked to judge a call; that a node was removed is in the directory that all nodes follow
//! ([`book`]).

mod admission;
mod authority;
mod authorization;
mod backoff;
mod book;
mod control_service;
mod credentials;
mod dial;
mod files;
mod guests;
mod identity;
mod join;
mod link;
mod moves;
mod news;
mod node_dial;
mod peer;
mod port;
mod proposal;
mod queues;
mod raft_service;
mod read_ahead;
mod renew;
mod rest;
mod shard_count;
mod shards;
mod snapshot;
mod start;
mod token;
mod transport;
mod version;
mod watches;

pub use admission::{TokenRefused, is_address};
pub use authority::AuthorityError;
pub use credentials::CredentialsError;
pub use dial::DialError;
pub use identity::{Identity, IdentityError};
pub use join::{JoinError, Made, init, join};
pub use renew::{RenewError, Renewed, renew};
pub use rest::RestError;
pub use shard_count::{Heard, ShardCountDiffers, shards_of_cluster};
pub use start::{Cluster, ClusterError, Founded, found, inspect};
pub use token::{Token, TokenError};

pub(crate) use control_service::nodes_refused;
pub(crate) use shard_count::compare as compare_shards;
pub(crate) use shards::is_draining;
