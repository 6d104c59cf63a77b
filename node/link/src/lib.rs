//! Floor 2: what carries frames between nodes, over gRPC.
//!
//! ```text
//! connection node                                             router node
//! session ─► Routers ─┐                                        ┌─► Shards ─► shard
//!                     ├─ Ways ─ Line ═══ one stream ═══ Line ─ Hall
//! shard ────► Peers ──┘    ▲                                   └─◄ Sink (one for each session of the node)
//!                          └─ a session's own Sink
//! ```
//!
//! A node dials each node whose shards it needs, on first use. What its sessions and shards say
//! goes out by that link, and what is meant for its sessions comes back by it. A node that holds
//! both roles has [`Ways`] and a [`Hall`].
//!
//! * `wire`: the bytes. `machine`: numbers, credit, resends, without IO. `mover`: tonic, timers.
//! * [`Ways`]: the dialling side. [`Hall`]: the accepting side. [`ShardMap`]: who owns which shard.
//!
//! What is promised: frames of one session for one shard stay in order and are handled once, also
//! when connections break. Each is kept here until the shard has settled it, so that it goes to the
//! shard's next owner if this one moves or dies; the sessions of this node are announced there ahead
//! of it. Everything that waits is bounded in bytes; what nobody takes in time comes back, so that a
//! shard can bounce it or a session be told.

mod broken;
#[cfg(feature = "by_hand")]
pub mod by_hand;
mod clock;
mod half;
mod hall;
mod machine;
mod map;
mod mover;
mod options;
mod ticket;
mod ways;
mod wire;

pub use hall::{Admit, Hall, HallConfig, Rights};
pub use map::{Owner, ShardMap, SharedMap};
pub use mover::{Dial, DialError, client_settings, server_settings};
pub use options::{LIFE_AHEAD_MS_MAX, LinkOptions};
pub use rookery_proto::carrier::carrier_server::CarrierServer;
pub use ways::{Ways, WaysConfig};
pub use wire::{VERSION, VERSION_OLDEST};
