//! What a mover tells the session machine.

use rookery_xmpp::element::Element;
use rookery_xmpp::stream_error::StreamError;
use rookery_xmpp::xml::{ReadError, StreamHeader};

use crate::carrier::{Answer, AskId};

/// Something happened to a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// The socket was accepted, before any byte. The time to log in begins, also where TLS must be made first.
    Connected,
    /// TLS is up: after [`Effect::StartTls`](crate::effect::Effect::StartTls), or at once on a direct TLS port.
    Secured(TlsFacts),
    /// The client opened its stream.
    Opened(&'a StreamHeader),
    /// A top-level element before the session is bound; afterwards one that is not
    /// [for its shard](crate::is_for_shard).
    Element(&'a Element),
    /// A bound client wrote a stanza in the name of somebody else (RFC 6120 8.1.2.1).
    Forged,
    /// The client closed its stream (RFC 6120 4.4).
    Closed,
    /// The reader refused what the client sent.
    Malformed(&'a ReadError),
    /// The answer to an [`Effect::Ask`](crate::effect::Effect::Ask).
    Answered(AskId, Answer),
    /// Whether the password of an [`Effect::VerifyPassword`](crate::effect::Effect::VerifyPassword) is right.
    PasswordVerified(AskId, bool),
    /// The login guard's answer to an [`Effect::Admit`](crate::effect::Effect::Admit).
    Admitted(Admission),
    /// What began with these numbers was [submitted](crate::Session::submitted), and has been dealt with.
    Settled(&'a [u64]),
    /// Stanzas were [sent](crate::Session::sent) in this turn.
    Sent,
    /// A timer that was armed ran out.
    TimedOut(Timer),
    /// The shard or the operator ends the session.
    Kicked(StreamError),
    /// The socket ended without a closed stream.
    Lost,
}

/// What the TLS connection gives to authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// Whether it is TLS 1.3, where `tls-exporter` is defined (RFC 9266).
    pub tls13: bool,
    /// The 32 bytes of `EXPORTER-Channel-Binding` (RFC 9266).
    pub exporter: Option<[u8; 32]>,
    /// The hash of the server's certificate (RFC 5929 `tls-server-end-point`).
    pub server_end_point: Option<Vec<u8>>,
    /// The host the client named (SNI), in the form it sent.
    pub server_name: Option<String>,
}

/// What the login guard says to one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Now,
    /// Answer only after this many milliseconds: earlier tries failed.
    After {
        /// The delay.
        delay_ms: u64,
    },
    /// Too many tries or failures: refuse without looking at the password.
    Refused,
}

/// The timers of a session. Arming one again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// From the accepted socket to a bound session.
    Login,
    /// The delayed answer to a failed try.
    Answer,
    /// From our `</stream:stream>` to the client's.
    Close,
    /// Silence of a bound client, then an answer to our ping. Reads do not move it: the mover calls
    /// [`Session::heard`](crate::Session::heard) for each, and when the timer runs out the machine arms it for what is
    /// left.
    Idle,
    /// From asking for an acknowledgement to its coming (XEP-0198 4).
    Ack,
}
