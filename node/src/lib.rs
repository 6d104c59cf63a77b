//! Floor 3: the node. It reads the configuration, starts the roles, and gives the operator his
//! handles.
//!
//! ```text
//! command line ─► cli ─► config ─► server ─► roles: store, control, router, connection
//!                  │                  │
//!                  │ gRPC             ├─► admin (Unix socket, mutual TLS) ─► operator, shards, store, control
//!                  └─────────────────►│
//!                                     └─► http (/metrics, /healthz, /readyz) ─► operator
//! ```
//!
//! * [`cli`]: the command line.
//! * [`cluster`]: the node's identity, the internal port, the way to the control group.
//! * [`config`]: the one file, its sections, what is wrong with it.
//! * [`server`]: start, signals, drain.
//! * [`roles`]: who is handed what.
//! * [`session_settings`]: what sessions are told when they begin.
//! * [`bans`]: who may not connect.
//! * [`quota`]: what this node may read of the traffic budgets.
//! * [`operator`]: what an operator can ask and tell the running node.
//! * [`admin`]: the gRPC API for it.
//! * [`backup`]: copies of the store, in one format for every store.
//! * [`http`]: metrics and health.
//! * [`metrics`]: what is told to Prometheus.
//! * [`operation`]: the folder, the log, the process's limits.

pub mod admin;
mod awaiting;
pub mod backup;
pub mod bans;
pub mod cli;
pub mod cluster;
pub mod config;
mod contact;
mod drain;
mod guard;
pub mod http;
mod leaving;
pub mod metrics;
mod names;
mod noticed;
pub mod operation;
pub mod operator;
pub mod quota;
mod retention;
pub mod roles;
mod secret;
pub mod server;
pub mod session_settings;
pub mod watchers;
pub mod web;

/// The software's name, as it is told to operators.
pub const NAME: &str = "Rookery";

/// The software's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
