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

use rookery_session::carrier::{Bell, Delivered, Logged, Receipt, ReceiptRef, SessionId, SinkRef};

use super::Account;
use super::given::{behind_keeping, places};
use super::open::make_room;
use crate::shard::Turn;

/// They, and what their nodes have beside that, the last one last.
#[derive(Default)]
pub(super) struct Departing {
    ones: Vec<One>,
    on_its_way: Vec<OnItsWay>,
}

/// What the node of a session has is on its way to others, whatever that node still says.
struct OnItsWay {
    session: SessionId,
    receipt: ReceiptRef,
}

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
        if self.ones.len() >= DEPARTING_MAX {
            self.ones.remove(0);
        }
        self.ones.push(One { way, given });
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
        let at = self
            .ones
            .iter()
            .position(|one| one.way.session() == session);
        at.map_or_else(Vec::new, |at| self.ones.remove(at).given)
    }

    /// What has this receipt is on its way to others, and the node of this session has it as well.
    fn has_beside(&mut self, session: SessionId, receipt: &Receipt) {
        make_room(&mut self.on_its_way, |it| it.receipt.is_settled());
        let receipt = receipt.downgrade();
        self.on_its_way.push(OnItsWay { session, receipt });
    }

    /// What the node of a session says at its end is not done before what it had is with others.
    pub(super) fn holds(&self, session: SessionId, receipt: Option<&Receipt>) {
        let same = self.on_its_way.iter().filter(|it| it.session == session);
        for first in same.filter_map(|it| it.receipt.upgrade()) {
            receipt.iter().for_each(|it| first.carry((*it).clone()));
        }
    }

    /// Whether nothing is kept.
    pub(super) fn is_quiet(&self) -> bool {
        self.ones.is_empty()
    }

    fn get(&mut self, session: SessionId) -> Option<&mut One> {
        self.ones
            .iter_mut()
            .find(|one| one.way.session() == session)
    }
}

impl Account {
    /// What a session has not got, for its numbers are others', finds other ways. The node of another one has it too,
    /// as long as it does not hear that it has found them; and so may the document of this stream.
    pub(super) fn left_beside(
        &mut self,
        turn: &mut Turn<'_>,
        (session, other): (SessionId, SessionId),
        (unacked, stored): (&[Delivered], Option<&str>),
    ) {
        let (_, receipt) = Bell::with_receipt();
        self.departing.has_beside(other, &receipt);
        turn.receipt.iter().for_each(|it| receipt.carry(it.clone()));
        let before = turn.receipt.replace(receipt);
        match stored {
            Some(stream) => self.leaves_stored(turn, session, stream, unacked),
            None => unacked.iter().for_each(|it| self.left(turn, session, it)),
        }
        turn.receipt = before;
    }

    /// The node of a session that was ended here is gone: what it has not given back finds other ways.
    pub(super) fn departs_without_word(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        for delivered in self.departing.ends(session) {
            self.left(turn, session, &delivered);
        }
    }
}

/// How many are kept: more than a client can bind again until the lease of its node has ended, unless it floods.
const DEPARTING_MAX: usize = 16;
