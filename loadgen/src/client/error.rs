//! What can go wrong between this client and a server, in words that name the cause.

use std::io;

/// A failed step of a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// TCP did not connect.
    #[error("cannot connect to {target}: {reason}")]
    Connect {
        /// The address tried.
        target: String,
        /// The system's reason.
        reason: io::Error,
    },
    /// The TLS handshake failed; an untrusted certificate is the usual reason.
    #[error("TLS handshake failed: {0} (--insecure accepts any certificate)")]
    Tls(io::Error),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// The server closed without a stream error.
    #[error("server closed the stream")]
    Closed,
    /// RFC 6120 4.9.3.
    #[error("server ended the stream with an error: {0}")]
    StreamError(String),
    /// A needed stream feature is missing.
    #[error("server does not offer {0}")]
    NotOffered(&'static str),
    /// RFC 6120 6.5.
    #[error("server refused the login of {user}: {condition}{}", advice(condition))]
    Login {
        /// The account's local part.
        user: String,
        /// The SASL condition.
        condition: String,
    },
    /// XEP-0077.
    #[error("server refused registration: {0}")]
    Registration(String),
    /// An IQ of the set-up was answered with an error.
    #[error("server refused {what}: {condition}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The stanza error's condition.
        condition: String,
    },
    /// The server broke SCRAM, or does not know the account's keys.
    #[error("SCRAM failed: {0}")]
    Scram(&'static str),
    /// Nothing came in time.
    #[error("no answer to {0} in time")]
    TimedOut(&'static str),
    /// Bytes that no XMPP server sends.
    #[error("server sent {0}, which XMPP forbids")]
    NotXmpp(&'static str),
    /// The session is fine, the answer is not what was asked for.
    #[error("unexpected answer to {what}: {got}")]
    Unexpected {
        /// What was asked.
        what: &'static str,
        /// The start of what came.
        got: String,
    },
}

impl ClientError {
    /// Whether the connection is gone, or was not made: whoever comes back may be let in.
    pub(crate) fn is_disconnect(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Tls(_) | Self::Io(_) | Self::Closed | Self::StreamError(_)
        )
    }

    /// Whether the server says that it has the stream no more (XEP-0198 5).
    pub(crate) fn is_of_no_stream(&self) -> bool {
        matches!(self, Self::Refused { what: "resume", condition } if condition.starts_with("item-not-found"))
    }

    /// Whether nothing came in time.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// An [`Self::Unexpected`] that quotes the first bytes of `got`.
    pub(crate) fn unexpected(what: &'static str, got: &[u8]) -> Self {
        let shown = &got[..got.len().min(QUOTED_BYTES_MAX)];
        Self::Unexpected {
            what,
            got: String::from_utf8_lossy(shown).into_owned(),
        }
    }
}

/// What may help against a refused login.
fn advice(condition: &str) -> &'static str {
    // RFC 6120 6.5.10: also what a server says of an account that it does not have.
    match condition.starts_with("not-authorized") {
        true => "; --register makes accounts that are missing",
        false => "",
    }
}

const QUOTED_BYTES_MAX: usize = 160;
