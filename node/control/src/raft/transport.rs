//! The way to the other members.

use protobuf::Message as _;
use raft::eraftpb::Message;

use crate::state::FormatError;

/// Sends Raft's messages to their members, named by [`Message::to`](Message).
///
/// An implementation must not block and may drop what it cannot send: Raft repeats itself. What it learns it tells the
/// [`Mailbox`](super::Mailbox): messages that arrive, members that cannot be reached, and whether a snapshot arrived
/// (without that answer a leader waits for it for ever).
pub trait Transport: Send {
    /// Sends the messages on their way, in order for each member.
    fn send(&mut self, messages: Vec<Message>);
}

/// The bytes of a message, for a transport.
pub fn encode_message(message: &Message) -> Result<Vec<u8>, FormatError> {
    let bytes = message.write_to_bytes();
    bytes.map_err(|error| FormatError::Corrupt(error.to_string()))
}

/// The message in another member's bytes. They must come from a member: the parser recurses as deep as they say.
pub fn decode_message(bytes: &[u8]) -> Result<Message, FormatError> {
    let mut message = Message::default();
    match message.merge_from_bytes(bytes) {
        Ok(()) => Ok(message),
        Err(error) => Err(FormatError::Corrupt(error.to_string())),
    }
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
