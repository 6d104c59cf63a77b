//! A bound session whose client is asked for the account's password once more, and does not know it.
//!
//! ```text
//! client: wrong ─► shard: WrongPassword ─► session's node ─► login guard: a failed login
//! client: wrong ─► shard: WrongPassword ─► …
//! client: wrong ─► shard: WrongPassword, Close(wrong_too_often())
//! ```
//!
//! The shard says which were wrong, for a session may be served by another node than its account; the node of the
//! session knows where the client is, and what failed from there before.

use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::ToSession;

/// How often the client of one session may be wrong; then the session ends.
pub const WRONG_PASSWORDS_MAX: u8 = 3;

/// How such a session ends.
pub fn wrong_too_often() -> StreamError {
    StreamError::new(StreamCondition::NotAuthorized)
        .with_text("the password was wrong too often; log in again")
}

/// Counts at a session's node how often its client was wrong.
#[derive(Debug, Default)]
pub struct WrongPasswords {
    was_told: bool,
    untaken: u8,
}

impl WrongPasswords {
    /// The shard says something to the session.
    pub fn hear(&mut self, frame: &ToSession) {
        match frame {
            ToSession::WrongPassword => {
                self.was_told = true;
                self.untaken = self.untaken.saturating_add(1);
            }
            // A shard of an earlier build tells of all of them at once.
            ToSession::Close(error) if !self.was_told && *error == wrong_too_often() => {
                self.untaken = self.untaken.saturating_add(WRONG_PASSWORDS_MAX);
            }
            _ => {}
        }
    }

    /// Takes how many are to be counted as failed logins.
    pub fn take(&mut self) -> u8 {
        std::mem::take(&mut self.untaken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(frames: &[ToSession]) -> Vec<u8> {
        let mut wrong = WrongPasswords::default();
        let count = |frame| {
            wrong.hear(frame);
            wrong.take()
        };
        frames.iter().map(count).collect()
    }

    #[test]
    fn each_wrong_password_counts_at_once_and_the_end_of_the_session_not_again() {
        let wrong = || ToSession::WrongPassword;
        let end = || ToSession::Close(wrong_too_often());
        let all = [wrong(), wrong(), wrong(), end(), end()];
        assert_eq!(counted(&all), [1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_shard_of_an_earlier_build_tells_with_the_end_of_the_session() {
        let removed = StreamError::new(StreamCondition::NotAuthorized).with_text("removed");
        let all = [
            ToSession::Close(removed),
            ToSession::Close(wrong_too_often()),
        ];
        assert_eq!(counted(&all), [0, WRONG_PASSWORDS_MAX]);
    }
}
