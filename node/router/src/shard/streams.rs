//! What the former owner of a shard has left in the store: the streams whose sessions no node serves.
//!
//! ```text
//! first input ──► read them ──► each goes to its account ──► whoever wanted to resume meanwhile is answered, and what
//!                     │                                      sessions that nobody has announced have said is done,
//!                     │                                      and what all have at their end
//!                     └─ fails: those who wait are told so, and a second later they are read again
//! ```
//!
//! A node that has sent its clients away, or has given up waiting for them, still comes with what they had said and the
//! former owner had not dealt with. Who resumes is told that this counts, so the stream must be here when it comes.

use std::collections::BTreeSet;

use rookery_session::carrier::{Answer, Question, SessionId, ShardId, ToShard};

use super::{Reply, Request, Then, Turn};
use crate::account::Stranded;
use crate::account::stranded::{COLLECTION, owner};

/// How many who ask may wait until the streams are known; they have all come within the time of one read. What sessions
/// have said is bounded by those who keep it.
const EARLY_MAX: usize = 1_024;

/// Whether a shard knows the streams that were left to it.
#[derive(Default)]
pub(super) struct Streams {
    state: State,
    early: Vec<ToShard>,
    /// The sessions that have been announced, until the streams are known for the first time.
    announced: BTreeSet<SessionId>,
    were_known: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// They are to be read with the next input.
    #[default]
    Unknown,
    /// The store was asked.
    Asked,
    /// All are with their accounts.
    Known,
}

impl Streams {
    /// Asks for them, if nobody has.
    pub(super) fn ask(&mut self, turn: &mut Turn<'_>, shard: ShardId) {
        if self.state != State::Unknown {
            return;
        }
        self.state = State::Asked;
        let request = Request::Documents {
            owner: owner(shard),
            collection: COLLECTION,
        };
        turn.request(request, Then::Streams);
    }

    /// They are to be read again.
    pub(super) fn forget(&mut self) {
        if self.state == State::Known {
            self.state = State::Unknown;
        }
    }

    /// Whether what comes need not wait.
    pub(super) fn are_known(&self) -> bool {
        self.state == State::Known
    }

    /// Gives a frame back that can be handled before they are known. Another one is kept until then, or answered.
    pub(super) fn may_come(&mut self, turn: &mut Turn<'_>, frame: ToShard) -> Option<ToShard> {
        match &frame {
            ToShard::Ask {
                from,
                ask,
                question: Question::Resume { .. },
            } => {
                if self.early.iter().filter(|it| is_question(it)).count() >= EARLY_MAX {
                    turn.answer(from, *ask, Answer::Unavailable);
                    return None;
                }
            }
            ToShard::Announce { from, .. } if !self.were_known => {
                self.announced.insert(from.session());
                return Some(frame);
            }
            // What the store has of a session that is over would be taken for one that waits.
            ToShard::Closed { .. } | ToShard::Left { .. } if !self.were_known => {}
            ToShard::Stanzas { session, .. }
            | ToShard::Acked { session, .. }
            | ToShard::Detached { session, .. }
                if !self.were_known && !self.announced.contains(session) => {}
            _ => return Some(frame),
        }
        self.early.push(frame);
        None
    }

    /// The store has answered: the streams, and what has waited for them.
    pub(super) fn read(
        &mut self,
        turn: &mut Turn<'_>,
        reply: Reply,
    ) -> (Vec<Stranded>, Vec<ToShard>) {
        let Reply::Documents(documents) = reply else {
            self.state = State::Unknown;
            for question in self.early.extract_if(.., |it| is_question(it)) {
                if let ToShard::Ask { from, ask, .. } = question {
                    turn.answer(&from, ask, Answer::Unavailable);
                }
            }
            return (Vec::new(), Vec::new());
        };
        let early = std::mem::take(&mut self.early);
        self.announced = BTreeSet::new();
        self.were_known = true;
        self.state = State::Known;
        let read = |(key, document): (String, bytes::Bytes)| {
            let stranded = Stranded::parse(&document);
            if stranded.is_none() {
                tracing::warn!(
                    stream = key,
                    "a stored stream cannot be read, it is skipped"
                );
            }
            stranded
        };
        (documents.into_iter().filter_map(read).collect(), early)
    }
}

fn is_question(frame: &ToShard) -> bool {
    matches!(frame, ToShard::Ask { .. })
}
