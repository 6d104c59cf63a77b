//! A bound session whose client is asked for the account's password once more, and does not know it.
//!
//! ```text
//! client: wrong, wrong, wrong ─► shard: Close(wrong_too_often()) ─► session ─► login guard: so many failed logins
//! ```
//!
//! The shard counts, for a session may be served by another node than its account; the node of the session knows where
//! the client is, and what failed from there before.

use rookery_xmpp::stream_error::{StreamCondition, StreamError};

/// How often the client of one session may be wrong; then the session ends, and as many failed logins are counted.
pub const WRONG_PASSWORDS_MAX: u8 = 3;

/// How such a session ends. Its node knows it by this; one of an older build counts nothing.
pub fn wrong_too_often() -> StreamError {
    StreamError::new(StreamCondition::NotAuthorized)
        .with_text("the password was wrong too often; log in again")
}
