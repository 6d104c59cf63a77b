//! Sessions among a client, a shard, a login guard and timers that do anything, against what must always hold; shared
//! by tests and fuzz targets.
//!
//! ```text
//! Choices ─► Client ─► bytes ─► Mover: reader, TLS, shard, guard, timers ─► Event ─► Session ─► Effect
//!              ▲                                                              │                   │
//!              └── what it sees ◄────────────────────── Judge ◄───────────────┴───────────────────┘
//! ```
//!
//! | what must hold | where |
//! |---|---|
//! | who is authenticated has proved it by the RFCs, with an offered mechanism and its own keys, under TLS | `proofs` |
//! | each try that the guard admitted is reported or withdrawn once, before the stream ends | `tries` |
//! | all that is sent is a stream that a client can read, and in time | `view` |
//! | TLS begins once; nothing follows the end; timers, effects, bytes and tries are bounded; who is bound is who is
//!   authenticated, at the stream's host | `judge` |
//! | a client that does all right is bound, and the server proves itself | `dialogue` |

#[cfg(test)]
mod canaries;
mod choices;
mod client;
mod corpus;
mod dialogue;
mod judge;
mod messages;
mod mischief;
mod mover;
mod proofs;
mod scram;
mod tries;
mod view;
mod words;
mod world;

pub use self::dialogue::check_dialogue;
pub use self::messages::{check_message, check_messages, make_messages};

/// How far a dialogue came, so that a test can see that it tries everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// TLS was up.
    pub secured: bool,
    /// Logins that failed.
    pub failures: u32,
    /// A login succeeded.
    pub authenticated: bool,
    /// A resource was bound.
    pub bound: bool,
    /// The server ended the stream.
    pub ended: bool,
}

/// `Err` with what does not hold.
type Verdict = Result<(), String>;

fn ensure(holds: bool, otherwise: &str) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}
