//! The sessions of this node that are bound at other nodes, and how what those say reaches them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rookery_session::carrier::{
    Answer, Full, SessionId, ShardId, Sink, SinkRef, ToSession, ToShard,
};
use rookery_xmpp::jid::Jid;

use super::Dialled;
use crate::wire::{Up, UpBody};

/// Who is bound where.
#[derive(Default)]
pub(super) struct Seats(Mutex<BTreeMap<SessionId, Seat>>);

struct Seat {
    sink: Weak<dyn Sink>,
    node: u32,
    /// The round whose deliveries are taken; earlier ones were sent before the shard heard that one
    /// was not.
    round: u32,
}

/// What the shard must be told.
pub(super) enum Word {
    /// The session did not take this.
    NotTaken,
    /// The session was bound, and is gone.
    Closed(Arc<Jid>),
}

impl Word {
    pub(super) fn into_up(
        self,
        number: u64,
        session: SessionId,
        shard_of: impl FnOnce(&Jid) -> ShardId,
    ) -> Up {
        match self {
            Self::NotTaken => Up {
                shard: ShardId(0),
                body: UpBody::NotTaken(number),
            },
            Self::Closed(jid) => Up {
                shard: shard_of(&jid),
                body: UpBody::Session(ToShard::Closed { session, jid }),
            },
        }
    }
}

impl Seats {
    /// Gives a session what a shard says to it.
    pub(super) fn give(
        &self,
        link: &Dialled,
        session: SessionId,
        round: u32,
        frame: ToSession,
    ) -> Option<Word> {
        match frame {
            ToSession::Deliver(_) => match self.deliver(session, round, frame) {
                true => None,
                false => Some(Word::NotTaken),
            },
            ToSession::Answer { ask, ref answer } => {
                let bound = match answer {
                    Answer::Bound(jid) => Some(jid.clone()),
                    _ => None,
                };
                let sink = link.take_ask(session, ask);
                let taken = sink.filter(|sink| sink.send(frame).is_ok());
                match (bound, taken) {
                    (Some(_), Some(sink)) => self.sit(session, &sink, link.node),
                    (Some(jid), None) => return Some(Word::Closed(jid)),
                    (None, _) => {}
                }
                None
            }
            ToSession::Close(_) => {
                // One that is gone needs not be told.
                if let Some(sink) = self.sink(session) {
                    let _ = sink.send(frame);
                }
                None
            }
        }
    }

    /// The way to a session.
    pub(super) fn sink(&self, session: SessionId) -> Option<SinkRef> {
        self.seats().get(&session)?.sink.upgrade()
    }

    /// A session is over.
    pub(super) fn leave(&self, session: SessionId) {
        self.seats().remove(&session);
    }

    /// The sessions that are bound at a node, which is gone.
    pub(super) fn take_all_at(&self, node: u32) -> Vec<SinkRef> {
        let mut sinks = Vec::new();
        self.seats().retain(|_, seat| {
            let here = seat.node == node;
            if here {
                sinks.extend(seat.sink.upgrade());
            }
            !here && seat.sink.strong_count() > 0
        });
        sinks
    }

    fn sit(&self, session: SessionId, sink: &SinkRef, node: u32) {
        let seat = Seat {
            sink: Arc::downgrade(sink),
            node,
            round: 0,
        };
        self.seats().insert(session, seat);
    }

    fn deliver(&self, session: SessionId, round: u32, frame: ToSession) -> bool {
        let mut seats = self.seats();
        let Some(seat) = seats.get_mut(&session) else {
            return false;
        };
        if round != seat.round {
            return false;
        }
        let Some(sink) = seat.sink.upgrade() else {
            seats.remove(&session);
            return false;
        };
        let taken = sink.send(frame);
        if matches!(taken, Err(Full(_))) {
            seat.round = round.wrapping_add(1);
        }
        taken.is_ok()
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<SessionId, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
