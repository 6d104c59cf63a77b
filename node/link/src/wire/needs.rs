//! What a frame to a shard needs on its way, by what it says.

use rookery_session::carrier::{AdminQuestion, Kept, Question, ToShard};

use super::up::{Announced, Up, UpBody};

impl Up {
    /// The first version of the protocol that knows it.
    pub(crate) fn since(&self) -> u8 {
        match &self.body {
            UpBody::Session(
                ToShard::Left { .. }
                | ToShard::Acked { .. }
                | ToShard::Detached { .. }
                | ToShard::Ask {
                    question: Question::Enable { .. } | Question::Resume { .. },
                    ..
                },
            ) => 3,
            UpBody::Session(ToShard::Ask {
                question: Question::Admin(AdminQuestion::CreateAccount { force: true, .. }),
                ..
            }) => 4,
            UpBody::Session(ToShard::Ask {
                question:
                    Question::Admin(
                        AdminQuestion::DeleteAccount { now: true, .. }
                        | AdminQuestion::Moderate { .. },
                    )
                    | Question::Register {
                        invite: Some(_), ..
                    },
                ..
            }) => 5,
            _ => 1,
        }
    }

    /// Whether nobody could be told, if it did not arrive. A session that goes on at its shard is shown here, with what
    /// its client has not got, until that has heard of it.
    pub(crate) fn must_arrive(&self) -> bool {
        let UpBody::Session(frame) = &self.body else {
            return false;
        };
        matches!(frame, ToShard::Left { .. } | ToShard::Detached { .. })
    }

    /// Whether it goes though the way is full: what a session says at its end, which is bounded by what the session was
    /// given. What takes the room may wait for that: errors for the session wait beside what it has not got.
    pub(crate) fn needs_no_room(&self) -> bool {
        self.must_arrive() || matches!(&self.body, UpBody::Session(ToShard::Closed { .. }))
    }

    /// Whether its sender keeps it until it is settled.
    pub(crate) fn is_kept(&self) -> bool {
        match &self.body {
            UpBody::Session(frame) => !matches!(frame, ToShard::Ask { .. } | ToShard::Acked { .. }),
            UpBody::Peer(_) => true,
            _ => false,
        }
    }

    /// Whether it announces a session whose node has said its last word of it.
    pub(crate) fn is_of_past(&self) -> bool {
        let UpBody::Announce(Announced { kept, .. }) = &self.body else {
            return false;
        };
        kept.as_deref().is_some_and(Kept::is_past)
    }
}
