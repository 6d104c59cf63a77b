//! The store floor: everything durable that a router owns, behind one trait.
//!
//! ```text
//!            async, any thread                 one thread a connection
//! router ──► Store::append(…) ──► write queue ──► writer: BEGIN, a group of mutations, COMMIT, answer all
//!        ──► Store::read_log  ──► read queue  ──► readers: one short read transaction a request
//! ```
//!
//! [`Store`] says for every method what is durable when it returns. [`MemoryStore`] is the
//! reference: plain maps, nothing survives it. [`SqliteStore`] is the embedded store of one
//! process, [`ScyllaStore`] that of a cluster, in a CQL database. All pass the suite in
//! `conformance` (feature `conformance`).

pub mod account;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod document;
mod error;
pub mod export;
pub mod inviter;
pub mod limits;
pub mod log;
mod memory;
pub mod name;
pub mod roster;
mod scylla;
mod sqlite;
pub mod standing;
mod store;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use scylla::{Inspection, ScyllaOptions, ScyllaStore};
pub use sqlite::{Backend, SqliteOptions, SqliteStore};
pub use store::Store;
