//! What comes by the present way of a stream while its client may go on by another one.
//!
//! ```text
//! <resume/> ──► what was under way is waited for, and stored ──► it goes on by the new way: what was held is void
//!      the present way: stanzas, acknowledgements, its end        or it is refused: what was held is done now
//!                       └─ are held
//! ```
//!
//! The present way may be over by then: what it was given and has not taken is stored at once, for what is waited
//! for may be among that.
//!
//! Until it is decided nobody can say whether these stanzas count: the client that resumes is told how many do, and
//! says the others again. So their receipts are held as well.

use super::resumption::window;
use super::{Account, Work};
use crate::shard::Turn;

/// The streams of an account that are about to go on by another way.
#[derive(Default)]
pub(super) struct Deciding(Vec<One>);

struct One {
    stream: String,
    /// How many want to go on with it, and may be able to.
    resumes: u32,
    held: Vec<Work>,
}

impl Deciding {
    /// One more wants to go on with this stream.
    pub(super) fn begins(&mut self, stream: &str) {
        match self.0.iter_mut().find(|one| one.stream == stream) {
            Some(one) => one.resumes += 1,
            None => self.0.push(One {
                stream: stream.to_owned(),
                resumes: 1,
                held: Vec::new(),
            }),
        }
    }

    /// Whether nothing is open.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.is_empty()
    }

    /// It is decided of one of them. What was held, if that was the last.
    fn ends(&mut self, stream: &str) -> Vec<Work> {
        let Some(at) = self.0.iter().position(|one| one.stream == stream) else {
            return Vec::new();
        };
        self.0[at].resumes -= 1;
        match self.0[at].resumes {
            0 => self.0.swap_remove(at).held,
            _ => Vec::new(),
        }
    }
}

impl Account {
    /// Holds what comes by a way that may be the former one soon. Gives back what need not wait.
    pub(super) fn unless_undecided(&mut self, turn: &mut Turn<'_>, work: Work) -> Option<Work> {
        if self.deciding.is_quiet() {
            return Some(work);
        }
        let session = work.is_said_of().and_then(|id| self.sessions.get(id));
        let stream = session.and_then(|session| session.stream.as_ref());
        let one = stream.and_then(|stream| {
            let mut all = self.deciding.0.iter_mut();
            all.find(|one| one.stream == stream.id)
        });
        match one {
            None => return Some(work),
            Some(one) if one.held.len() < HELD_MAX || !work.may_be_refused() => {
                let over = work.ends();
                one.held.push(work);
                if let Some(id) = over {
                    let ends = turn.now.plus(window(turn));
                    self.way_is_over(turn, id, ends);
                }
            }
            Some(_) => self.overloaded(turn, work),
        }
        None
    }

    /// It is decided whether the stream goes on by another way.
    pub(super) fn is_decided(&mut self, turn: &mut Turn<'_>, stream: &str) {
        for work in self.deciding.ends(stream) {
            self.work(turn, work);
        }
    }
}

/// How many pieces of work are held that could be refused: what a client sends while the store writes once.
const HELD_MAX: usize = 1_024;
