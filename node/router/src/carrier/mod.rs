//! What carries frames to shards and between them.
//!
//! Inside a process frames go through bounded mailboxes ([`InProcess`]). What is said, and the traits
//! of whatever carries it, are in [`rookery_session::carrier`].

mod in_process;

pub use in_process::InProcess;
pub use rookery_session::carrier::Peers;
