//! One end of a link, without IO and without a clock.
//!
//! ```text
//! push ─► queued ─► sent ─► forgotten           each frame has a number; what is sent is kept until the peer tells
//!            ▲        │                         that it can be forgotten
//!            └────────┘ a new connection, for what the peer has not received
//! ```
//!
//! * Every frame is handled once: the receiver counts what it has handled, and skips what is sent
//!   to it again.
//! * A frame is handled when its receiver has taken it, has given it back ([`Line::take_back`]), or
//!   keeps it for a shard that is full ([`Line::held`]). `forget` in a parcel's header never
//!   overtakes a frame that gives something back, so nothing is forgotten that may still be needed.
//! * Bytes are counted from `push` until the frame is taken at the other end: that is the credit of
//!   a link, and of each tag (shard) on it.

mod line;
#[cfg(test)]
mod tests;

pub(crate) use line::{Line, LineLimits, NotQueued, Polled};
