//! Floor 1: a session as state machines, without IO.
//!
//! ```text
//! socket ─► reader ─► Event ─► Session ─► Effect ─► socket, timers
//!                                 │  ▲
//!                       Question  ▼  │ Answer            (carrier: what a session says to its shard)
//!                              its account's shard
//! ```
//!
//! * [`carrier`]: the frames between a session and its shard, and the traits of what carries them.
//! * [`event`], [`effect`]: what a mover tells the machine, and what the machine wants done.

pub mod carrier;
pub mod effect;
pub mod event;
