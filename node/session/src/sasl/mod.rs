//! SASL without IO (RFC 6120 6; SCRAM: RFC 5802, 7677; PLAIN: RFC 4616; channel bindings: RFC 5929, 9266, XEP-0440).
//!
//! ```text
//! <auth/> ─► Attempt: first message ─► guard ─► keys of the account ─┬─ SCRAM: challenge ─► proof ─┬─► Proof
//!                                                                   └─ PLAIN: derive, compare ─────┴─► Failure
//! ```
//!
//! A name without an account goes the same way with the keys of a decoy, so that answers, salts, iteration counts and
//! work are those of a wrong password.

mod attempt;
mod channel_binding;
mod decoy;
mod failure;
mod mechanism;
mod message;
mod offer;
mod plain;
mod proof;
mod scram;

pub(crate) use self::attempt::{Attempt, Outcome};
pub(crate) use self::failure::{Condition, Failure};
#[cfg(feature = "testing")]
pub(crate) use self::message::check_parsers;
pub(crate) use self::message::encode;
pub(crate) use self::offer::Offer;
pub(crate) use self::proof::Proof;
