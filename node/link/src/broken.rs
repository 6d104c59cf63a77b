//! Why a connection of a link ends.

use tonic::Status;

use crate::wire::Malformed;

/// Who is to blame, and for what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The peer sent what is not of the protocol, or not of its state.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// For the operator: the peer is of a version that this build does not speak.
    #[error(
        "the peer speaks protocol versions {oldest} to {newest}, this node {own_oldest} to {own_newest}"
    )]
    Version {
        /// The peer's oldest.
        oldest: u8,
        /// The peer's newest.
        newest: u8,
        /// Ours.
        own_oldest: u8,
        /// Ours.
        own_newest: u8,
    },
    /// For the operator: an address leads to another node.
    #[error("node {found} was found where node {wanted} was looked for")]
    WrongNode {
        /// Who is there.
        found: u32,
        /// Who should be.
        wanted: u32,
    },
    /// The peer may not speak for the node it says it is.
    #[error("the peer is not allowed to speak for node {0}")]
    Forbidden(u32),
    /// The peer says what is another role's to say.
    #[error("the peer's roles do not allow what it says")]
    NotGranted,
    /// The peer is an earlier life of a node that has started again since.
    #[error("node {0} has started again since")]
    Outlived(u32),
    /// For the operator: the life that the peer names begins in the future. It would outlive every true one.
    #[error("node {0} says that it starts in the future: its clock or this node's is wrong")]
    Unborn(u32),
    /// The peer asks on and on and does not hear what it is answered: the link ends.
    #[error("the peer does not hear what it is answered")]
    Unheard,
    /// The peer does not know the link any more: it was away for too long, or has started again.
    #[error("the peer has forgotten the link")]
    Forgotten,
    /// The peer said nothing in time.
    #[error("no hello in time")]
    Silent,
    /// The stream failed.
    #[error("{}", .0.message())]
    Stream(Box<Status>),
    /// No connection.
    #[error("not reachable: {0}")]
    Dial(#[from] crate::DialError),
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        Self::Stream(Box::new(status))
    }
}

impl From<Broken> for Status {
    fn from(broken: Broken) -> Self {
        let text = broken.to_string();
        match broken {
            Broken::Version { .. }
            | Broken::WrongNode { .. }
            | Broken::Outlived(_)
            | Broken::Unborn(_) => Self::failed_precondition(text),
            Broken::Forbidden(_) | Broken::NotGranted => Self::permission_denied(text),
            Broken::Silent => Self::deadline_exceeded(text),
            _ => Self::invalid_argument(text),
        }
    }
}
