//! The admin API: gRPC services over the store, the shards, the control group and the node itself.
//!
//! ```text
//! rookery admin, grpcurl ─► Unix socket (owner) ┐                  ┌─► store            (list of accounts)
//! dashboards, scripts ────► TCP (mutual TLS) ───┴─► Authorization ─┼─► Shards ─► shards (accounts, sessions)
//!                                                   (who may what) ├─► Control          (registration policy)
//!                                                                  └─► Operator         (status, log, reload, stop)
//! ```

mod authorization;
//WAIT mod port;
mod registration;
//WAIT mod server;
//WAIT mod sessions;
mod shards;
mod socket;
//WAIT mod status;
//WAIT mod users;

pub use authorization::{Caller, Right, required_right};
//WAIT pub use port::{AdminPort, AdminPortError};
pub use shards::Shards;
