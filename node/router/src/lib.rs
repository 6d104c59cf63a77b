//! Floor 2: the router role. It owns shards, and with them the accounts: their sessions' registry,
//! rosters, presence, logs, and all semantics of stanzas.
//!
//! ```text
//! connection ── ToShard ──► shard::ShardActor ──► shard::Shard (machine) ──► account::Account (machine)
//!                               ▲    │                                          │ modules::* (one XEP a file)
//!                               │    ▼ Effect                                   ▼
//!                       Input::Replied     Deliver / Answer / Close ──► session's Sink
//!                               ▲          Forward ──► another shard (carrier)
//!                               └───────── Request ──► store, control group, key derivation (perform)
//! ```
//!
//! * [`shard`]: the machine that owns the accounts of one shard, its actor, and what it asks of the world.
//! * [`account`]: one account: sessions, roster, presence, delivery, what waits for it.
//! * [`modules`]: the XEPs, one file each, and the phases in which they take part.
//! * [`carrier`]: the way between shards and to them.
//! * [`role`]: starts the role on a set of arbiters.

pub mod account;
pub mod captcha;
pub mod carrier;
mod contact;
pub mod environment;
mod lease;
pub mod modules;
mod noticed;
pub mod options;
mod ownership;
pub mod password;
pub mod registration_form;
pub mod role;
pub mod shard;
mod sparing;

pub use captcha::CaptchaOptions;
pub use contact::{Contact, ContactOptions};
pub use lease::Lease;
pub use noticed::Noticed;
pub use options::{
    AccountOptions, ArchiveDefault, ArchiveOptions, InviteOptions, InviteSettings, InvitesBy,
    PASSWORD_BYTES_MAX, RouterOptions, ServerInfo, ServerInfoOptions,
};
pub use ownership::{Ownership, OwnershipStep};
pub use password::{PasswordFlaw, PasswordOptions};
pub use registration_form::RegistrationFormOptions;
pub use role::{RouterRole, StartError, Surroundings};
pub use sparing::Sparing;
