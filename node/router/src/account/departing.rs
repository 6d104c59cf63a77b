//! Sessions with streams that were ended here, until their nodes have said their last words of them.
//!
//! ```text
//! session is replaced, or closed by the operator ──► its node is told, and gives back what the client has not got
//!        │                                            ──► Left, Left, Closed: what is kept here is forgotten
//!        └─ kept until then                           ──✝ node is gone: what it has not given back is here
//! ```
//!
//! A client whose node has died comes back by another one before anybody knows of that death, and takes its resource
//! again.

use rookery_session::carrier::{Delivered, Logged, SessionId, SinkRef};

use super::Account;
use super::mirror::{behind_keeping, places};
use crate::shard::Turn;

/// They, the last one last.
#[derive(Default)]
pub(super) struct Departing(Vec<One>);

struct One {
    /// The way to it: as long as it is held, the link says when its node is gone.
    way: SinkRef,
    /// What its node was given and its client has not got, in the order of the numbers.
    given: Vec<Delivered>,
}

impl Departing {
    /// The node of this session has these, and will give them back.
    pub(super) fn begins(&mut self, way: SinkRef, given: Vec<Delivered>) {
        if given.is_empty() {
            return;
        }
        if self.0.len() >= DEPARTING_MAX {
            self.0.remove(0);
        }
        self.0.push(One { way, given });
    }

    /// Its client has got so many.
    pub(super) fn acknowledged(&mut self, session: SessionId, acked: u64) {
        if let Some(one) = self.get(session) {
            one.given = behind_keeping(&one.given, acked);
        }
    }

    /// Its node gives these back, and all before them are its client's. Gives their places in the log.
    pub(super) fn gives_back(&mut self, session: SessionId, delivered: &Delivered) -> Logged {
        let Some(one) = self.get(session) else {
            return Logged::NOT;
        };
        let through = delivered.number - 1 + delivered.batch.recs.len() as u64;
        let logged = places(one.given.iter(), delivered.number..=through);
        one.given = behind_keeping(&one.given, through);
        logged
    }

    /// Its node has said its last word of it, or is gone: what it has not given back.
    pub(super) fn ends(&mut self, session: SessionId) -> Vec<Delivered> {
        let at = self.0.iter().position(|one| one.way.session() == session);
        at.map_or_else(Vec::new, |at| self.0.remove(at).given)
    }

    /// Whether nothing is kept.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&mut self, session: SessionId) -> Option<&mut One> {
        self.0.iter_mut().find(|one| one.way.session() == session)
    }
}

impl Account {
    /// The node of a session that was ended here is gone: what it has not given back finds other ways.
    pub(super) fn departs_without_word(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        for delivered in self.departing.ends(session) {
            self.left(turn, session, &delivered);
        }
    }
}

/// How many are kept: more than a client can bind again until the lease of its node has ended, unless it floods.
const DEPARTING_MAX: usize = 16;
