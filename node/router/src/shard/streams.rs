//! What the former owner of a shard has left in the store: the streams whose sessions no node serves.
//!
//! ```text
//! first input ──► read them ──► each goes to its account ──► whoever wanted to resume meanwhile is answered
//!                     └─ fails: those who wait are told so, and a second later they are read again
//! ```

use rookery_session::carrier::{Answer, AskId, Question, ShardId, SinkRef};

use super::{Reply, Request, Then, Turn};
use crate::account::Stranded;
use crate::account::stranded::{COLLECTION, owner};

/// How many may wait until the streams are known; they have all come within the time of one read.
const EARLY_MAX: usize = 1_024;

/// Whether a shard knows the streams that were left to it.
#[derive(Default)]
pub(super) struct Streams {
    state: State,
    early: Vec<(SinkRef, AskId, Question)>,
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

    /// Whether whoever wants to resume a stream can be answered. If not it is kept until then.
    pub(super) fn may_ask(
        &mut self,
        turn: &mut Turn<'_>,
        (from, ask, question): (SinkRef, AskId, Question),
    ) -> Option<(SinkRef, AskId, Question)> {
        match self.state {
            State::Known => return Some((from, ask, question)),
            _ if self.early.len() < EARLY_MAX => self.early.push((from, ask, question)),
            _ => turn.answer(&from, ask, Answer::Unavailable),
        }
        None
    }

    /// The store has answered: the streams, and who has waited for them.
    pub(super) fn read(
        &mut self,
        turn: &mut Turn<'_>,
        reply: Reply,
    ) -> (Vec<Stranded>, Vec<(SinkRef, AskId, Question)>) {
        let early = std::mem::take(&mut self.early);
        let Reply::Documents(documents) = reply else {
            self.state = State::Unknown;
            for (from, ask, _) in early {
                turn.answer(&from, ask, Answer::Unavailable);
            }
            return (Vec::new(), Vec::new());
        };
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
