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
//! * [`Session`]: the stream's phases, SASL and binding.
//! * [`Outbound`]: what waits for a client, and what is kept of what it was sent.
//! * [`LoginGuard`]: slows and limits failed logins over all sessions of a process.
//! * [`Pace`]: how fast one stream is read.

mod bandwidth;
mod bucket;
pub mod carrier;
mod client_state;
mod config;
mod context;
pub mod effect;
pub mod event;
mod iq;
mod login_guard;
mod options;
mod outbound;
mod phase;
mod receipt;
mod sasl;
mod seen;
mod session;
mod stream_management;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod under_way;

pub use bandwidth::{BandwidthOptions, Exempt, exempt_jid};
pub use bucket::{Bucket, Pace, RestBy};
pub use config::{ConnectionFacts, HostConfig, SessionConfig};
pub use login_guard::{LoginGuard, LoginGuardOptions};
pub use options::SessionOptions;
pub use outbound::{Afterwards, KeptHere, Outbound, Rest, farewell};
pub use phase::is_for_shard;
pub use seen::Seen;
pub use session::Session;
pub use stream_management::{Handled, Unacked};
