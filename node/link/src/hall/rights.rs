//! What a node may say by its link.

use rookery_session::carrier::Question;

use crate::wire::UpIn;

/// What a node may say beyond the operator's questions, which the admin API of every node asks, and words about the
/// link itself. By the roles that its certificate gives: a node that is broken into speaks for no other role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// It has clients: it asks for the keys of accounts, binds sessions, and passes on what they say.
    pub has_sessions: bool,
    /// It owns accounts: it passes on their stanzas.
    pub has_shards: bool,
}

impl Rights {
    /// Those of a node that holds all roles.
    pub const ALL: Self = Self {
        has_sessions: true,
        has_shards: true,
    };

    /// Whether a frame may come from such a node.
    pub(super) fn cover(self, frame: &UpIn) -> bool {
        match frame {
            UpIn::Ask { question, .. } => match question {
                Question::Credentials { .. }
                | Question::Bind { .. }
                | Question::Enable { .. }
                | Question::Resume { .. }
                | Question::Register { .. } => self.has_sessions,
                Question::Admin(_) => true,
            },
            UpIn::Stanzas { .. } | UpIn::Left(..) | UpIn::About { .. } | UpIn::Announce { .. } => {
                self.has_sessions
            }
            UpIn::Peer { .. } => self.has_shards,
            UpIn::AllAnnounced(_) | UpIn::NotTaken(_) | UpIn::Again(..) | UpIn::Fence(_) => true,
        }
    }
}
