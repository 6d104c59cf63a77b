//! Floor 2: the connection role. It holds the clients' sockets, and decides nothing that the
//! session machine can decide.
//!
//! ```text
//! listener ─accept─► Admission ─► SessionActor on the arbiter that accepted
//!                                   │ socket ─► TLS ─► reader ─► session machine
//!                                   │                     └────► batches ─► shard (Routers)
//!                                   └ socket ◄─ TLS ◄─ one record a turn ◄─ inbox (Sink) ◄─ shard
//! ```
//!
//! * [`ConnectionRole`]: starts the role on a set of arbiters, counts, drains.
//! * [`FloodOptions`]: how often strangers may knock.
//! * [`Quota`]: the traffic budgets that all connection nodes keep together.
//! * [`TlsHosts`]: the virtual hosts' certificates, replaced while running.

mod admission;
mod bans;
mod complaints;
mod flood;
mod generations;
mod guard;
mod inbox;
mod listener;
mod options;
mod pace;
mod padding;
mod proxied;
mod proxy_header;
mod quota;
mod role;
mod scratch;
mod session;
mod shared;
mod spent;
mod strangers;
mod timers;
mod tls;
mod wire;

pub use flood::FloodOptions;
pub use listener::bind_port;
pub use options::ConnectionOptions;
pub use quota::Quota;
pub use role::{ConnectionConfig, ConnectionRole, StartError};
pub use tls::{CertificateFacts, CertificateFiles, TlsHosts, TlsLoadError, TlsOptions};
