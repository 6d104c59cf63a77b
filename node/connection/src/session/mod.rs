//! One client's connection: the actor that owns its socket and moves bytes between it, the machine
//! and the shard.
//!
//! ```text
//! turn: alarms ─► what was waited for ─► one read ─► inbox ─► one write
//! ```
//!
//! A turn runs after the actor's mailbox was drained, whenever socket, inbox, timer or something
//! waited for wakes it. All stanzas of its read become one batch to the shard; all that is to be
//! written becomes one TLS record and one write.

mod actor;
mod effects;
mod reading;
mod shard_link;
mod writing;

pub(crate) use self::actor::{Accepted, SessionActor};
