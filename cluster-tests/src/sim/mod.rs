//! A whole cluster in one thread, from one seed: the product's machines and links on a simulated network,
//! disk and clock, with everything going wrong, and an oracle that knows what was promised.
//!
//! ```text
//!  seed ─► faults, dice ─► World: events in the order of true time
//!            ┌────────────────┬───────────────┬────────────────┬────────────────┐
//!            │ Member × 3     │ Process × 5   │ Database       │ Client × 10    │
//!            │ RaftMachine    │ Ways, Hall    │ MemoryStore    │ sends, listens │
//!            │ ModelDisk      │ Shard, Lease  │                │ goes, comes    │
//!            │                │ Ownership     │                │                │
//!            │                │ QuotaShare    │                │                │
//!            └───────┬────────┴──────┬────────┴───────┬────────┴───────┬────────┘
//!                    └── Network, Connections ────────┘                ▼
//!                                                            Oracle ─► violation?   Journal ─► hash
//! ```
//!
//! * **Real**: the shard machine with accounts, modules and registration; the links on both sides (`Ways`,
//!   `Hall`, the line, the bytes); lease and ownership; the handle of the control group; the Raft machine and the
//!   replicated state; a node's share of the traffic budgets; the session machine with stream management, and what
//!   waits and is kept for its client; the memory store.
//! * **Imitated**, because it is a mover: the shard's actor (`shard_mover`), mailboxes, the session's way to its
//!   shard (`session`), the lock around what waits for it (`inbox`), the Raft driver (`member`), following the map and
//!   asking for budgets (`process`), gRPC (`connections`, `control_link`).
//! * **Time**: each process has its own clock, which drifts; it is a tokio runtime whose time stands still unless
//!   the world moves it.

mod client;
mod clock;
mod connections;
mod control_link;
mod database;
mod dice;
mod faults;
mod inbox;
mod journal;
mod ledger;
mod login;
mod mailboxes;
mod member;
mod message;
mod network;
mod oracle;
mod planted;
mod process;
mod report;
mod session;
mod shard_mover;
mod stream;
mod world;

pub(crate) use dice::Dice;
pub(crate) use report::{Options, run};
