//! The admin API: gRPC services over the store, the shards, the control group and the node itself.
//!
//! ```text
//! rookery admin, grpcurl ─► Unix socket (owner) ┐                  ┌─► store            (list of accounts, copies)
//! dashboards, scripts ────► TCP (mutual TLS) ───┴─► Authorization ─┼─► Shards ─► shards (accounts, sessions)
//!                                                   (who may what) ├─► Control          (registration policy, nodes)
//!                                                                  └─► Operator         (status, log, reload, stop)
//! ```

mod authorization;
mod backup;
mod bans;
mod control_group;
mod events;
mod freshness;
mod guard;
mod health;
mod invites;
mod moderation;
mod names;
mod nodes;
mod port;
mod quota;
mod registration;
mod server;
mod sessions;
mod shard_map;
mod shards;
mod socket;
mod status;
mod throttle;
mod users;

pub use authorization::{Caller, Right, required_right};
pub use port::{AdminPort, AdminPortError};
pub use shards::Shards;
