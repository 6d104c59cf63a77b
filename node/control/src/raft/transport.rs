//! The way to the other members.

use raft::eraftpb::Message;

/// Sends Raft's messages to their members, named by [`Message::to`](Message).
///
/// An implementation must not block and may drop what it cannot send: Raft repeats itself. What it learns it tells the
/// [`Mailbox`](super::Mailbox): messages that arrive, members that cannot be reached, and whether a snapshot arrived
/// (without that answer a leader waits for it for ever).
pub trait Transport: Send {
    /// Sends the messages on their way, in order for each member.
    fn send(&mut self, messages: Vec<Message>);
}

/// The transport of a group with one member, which never has anything to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Transport for Alone {
    fn send(&mut self, messages: Vec<Message>) {
        tracing::error!(
            count = messages.len(),
            "no transport for messages to other members"
        );
    }
}
