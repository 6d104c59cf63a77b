//! What the session machine wants done.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use crate::carrier::{AskId, Delivered, Question};
use crate::event::Timer;

/// Something the mover must do, in the order given.
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes to the client.
    Send(Bytes),
    /// Write these stanzas to the client, as those that a shard gives it: they were held back.
    Deliver(Delivered),
    /// Flush, then start TLS on the socket. Plaintext that came with or after `<starttls/>` ends the connection.
    StartTls,
    /// A new stream follows on the same connection (RFC 6120 4.3.3): the reader starts anew.
    ResetReader,
    /// The client proved who it is: the reader's limits rise from those of a stranger.
    Authenticated(Arc<Jid>),
    /// Ask a shard.
    Ask(AskId, Question),
    /// Ask the shard of this account whether the stream can be resumed ([`Question::Enable`]), and keep from now on
    /// what it numbers.
    Enable(AskId, Jid),
    /// It cannot: nothing is numbered.
    NotEnabled,
    /// The client has got so many of the numbered stanzas.
    Acknowledged(u64),
    /// Ask the login guard whether this try may go on. The answer is [`Event::Admitted`](crate::event::Event) and comes
    /// before any other event: a try that was counted must not be forgotten.
    Admit {
        /// Where the client connects from.
        address: IpAddr,
        /// The account it wants; `None` while it has not said.
        account: Option<Jid>,
        /// The registered name of the mechanism.
        mechanism: &'static str,
    },
    /// Tell the login guard how a try ended.
    ReportLogin {
        /// Where the client connects from.
        address: IpAddr,
        /// The account it wanted.
        account: Option<Jid>,
        /// The registered name of the mechanism.
        mechanism: &'static str,
        /// Whether it proved itself.
        succeeded: bool,
    },
    /// Tell the login guard that a try came to no end that is the client's doing (the account's shard
    /// could not answer): it does not count.
    WithdrawLogin {
        /// Where the client connects from.
        address: IpAddr,
        /// The account it wanted.
        account: Option<Jid>,
        /// The registered name of the mechanism.
        mechanism: &'static str,
    },
    /// Derive keys from a password and compare, off the arbiter: it costs milliseconds (PLAIN only). The answer is
    /// [`Event::PasswordVerified`](crate::event::Event).
    VerifyPassword {
        /// Comes back with the answer, so that it proves nothing for another try.
        ask: AskId,
        /// The stored keys; for an account that does not exist those of a decoy, so that it takes as long.
        credentials: Arc<Credentials>,
        /// The password that the client sent.
        password: Password,
    },
    /// The session is bound: its stanzas go to its shard from now on, stamped with this JID.
    Bound(Arc<Jid>),
    /// Start or move a timer.
    Arm(Timer, Duration),
    /// Stop a timer.
    Disarm(Timer),
    /// Flush what was sent, then close the socket.
    CloseSocket,
}

/// A password on its way to verification. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}
