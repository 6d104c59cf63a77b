//! The sessions of this node: where each is bound, how what is said there reaches it, and what the
//! next owner of its shard must know.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use rookery_session::carrier::{
    Answer, Full, Kept, SessionId, ShardId, Sink, SinkRef, ToSession, ToShard,
};
use rookery_xmpp::jid::Jid;

use super::Dialled;
use super::past::Past;
use crate::wire::{Announced, Up, UpBody};

/// Who is bound where.
#[derive(Default)]
pub(super) struct Seats(Mutex<Table>);

#[derive(Default)]
struct Table {
    seats: BTreeMap<SessionId, Seat>,
    by_shard: BTreeMap<ShardId, Vec<SessionId>>,
    past: Past,
}

struct Seat {
    sink: Weak<dyn Sink>,
    shard: ShardId,
    jid: Arc<Jid>,
    address: IpAddr,
    /// The same, when the session goes on without this node: what it keeps is shown until the shard has heard that.
    left: Option<SinkRef>,
    /// What an owner of the shard wanted remembered.
    state: Bytes,
    node: u32,
    /// How many stanzas of a stream its client has acknowledged.
    acked: u64,
    /// The round whose deliveries are taken; earlier ones were sent before the shard heard that one
    /// was not, or by an earlier owner.
    round: u32,
    /// It goes on with the stream of another session.
    was_another: bool,
}

impl Seat {
    /// What is kept of its stream. One that is over here may have been announced to nobody yet.
    fn kept(&self) -> Option<Kept> {
        let kept = self.sink.upgrade().and_then(|sink| sink.kept());
        kept.or_else(|| (self.acked > 0).then(|| Kept::over(self.acked)))
    }

    /// What the next owner of its shard is told.
    fn announced(&self, session: SessionId, kept: Option<Kept>) -> Announced {
        Announced {
            session,
            round: self.round,
            jid: self.jid.clone(),
            address: self.address,
            state: self.state.clone(),
            kept: kept.map(Box::new),
        }
    }
}

/// A question that waits for its answer.
pub(super) struct Asked {
    /// Who asks.
    pub(super) sink: SinkRef,
    /// Which shard.
    pub(super) shard: ShardId,
    /// Where the client connects from, if the question is to bind it.
    pub(super) address: IpAddr,
}

/// What the shard must be told.
pub(super) enum Word {
    /// The session did not take this.
    NotTaken,
    /// The session was bound, and is gone.
    Closed(ShardId, Arc<Jid>),
    /// It was to go on with a stream, and is gone: its client may come back once more.
    Detached(ShardId, Arc<Jid>),
}

impl Word {
    pub(super) fn into_up(self, number: u64, session: SessionId) -> Up {
        match self {
            Self::NotTaken => Up {
                shard: ShardId(0),
                token: 0,
                body: UpBody::NotTaken(number),
            },
            Self::Closed(shard, jid) => Up::new(
                shard,
                UpBody::Session(ToShard::Closed {
                    session,
                    jid,
                    receipt: None,
                }),
            ),
            Self::Detached(shard, jid) => Up::new(
                shard,
                UpBody::Session(ToShard::Detached {
                    session,
                    jid,
                    receipt: None,
                }),
            ),
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
        shard_of: impl FnOnce(&Jid) -> ShardId,
    ) -> Option<Word> {
        match frame {
            ToSession::Deliver(_) => match self.deliver(link.node, session, round, frame) {
                true => None,
                false => Some(Word::NotTaken),
            },
            ToSession::Remember(state) => {
                self.remember(session, &state);
                None
            }
            ToSession::Answer { ask, ref answer } => {
                let bound = answer.binds().cloned();
                let resumes = matches!(answer, Answer::Resumed(_));
                let asked = link.take_ask(session, ask);
                let taken = asked.filter(|asked| asked.sink.send(frame).is_ok());
                match (bound, taken) {
                    (Some(jid), Some(asked)) => self.sit(&asked, (jid, resumes), link.node),
                    (Some(jid), None) if resumes => {
                        return Some(Word::Detached(shard_of(&jid), jid));
                    }
                    (Some(jid), None) => return Some(Word::Closed(shard_of(&jid), jid)),
                    (None, _) => {}
                }
                None
            }
            ToSession::Close(_) | ToSession::WrongPassword => {
                // One that is gone needs not be told.
                if let Some(sink) = self.sink_at(session, link.node) {
                    let _ = sink.send(frame);
                }
                None
            }
        }
    }

    /// The way to a session.
    pub(super) fn sink(&self, session: SessionId) -> Option<SinkRef> {
        self.table().seats.get(&session)?.sink.upgrade()
    }

    /// Whether a session that was bound is over here.
    pub(super) fn has_ended(&self, session: SessionId) -> bool {
        let table = self.table();
        let sink = table.seats.get(&session).map(|seat| seat.sink.upgrade());
        sink.is_some_and(|sink| sink.is_none_or(|sink| sink.is_over()))
    }

    /// A session is bound at a node, perhaps to go on with the stream of another one.
    pub(super) fn sit(&self, asked: &Asked, (jid, was_another): (Arc<Jid>, bool), node: u32) {
        let session = asked.sink.session();
        let seat = Seat {
            sink: Arc::downgrade(&asked.sink),
            left: None,
            shard: asked.shard,
            jid,
            address: asked.address,
            state: Bytes::new(),
            node,
            acked: 0,
            round: 0,
            was_another,
        };
        let mut table = self.table();
        table.by_shard.entry(asked.shard).or_default().push(session);
        table.seats.insert(session, seat);
    }

    /// The client of a session has got so many of what was numbered.
    pub(super) fn acknowledged(&self, session: SessionId, acked: u64) {
        if let Some(seat) = self.table().seats.get_mut(&session) {
            seat.acked = seat.acked.max(acked);
        }
    }

    /// What an owner of its shard wants remembered of a session.
    pub(super) fn remember(&self, session: SessionId, state: &Bytes) {
        if let Some(seat) = self.table().seats.get_mut(&session) {
            // Not a slice of what came with it.
            seat.state = Bytes::copy_from_slice(state);
        }
    }

    /// A session goes on without this node, as soon as its shard has heard that.
    pub(super) fn stays_at_shard(&self, session: SessionId) {
        if let Some(seat) = self.table().seats.get_mut(&session) {
            seat.left = seat.sink.upgrade();
        }
    }

    /// A session is over, and nobody needs to know any more.
    pub(super) fn leave(&self, session: SessionId) {
        self.table().remove(session);
    }

    /// A frame has been dealt with: if it told the end of a session, that has left. One that was others before is told
    /// of until then.
    pub(super) fn settled(&self, up: &Up, until: impl FnOnce() -> Duration) {
        match &up.body {
            UpBody::Session(ToShard::Closed { session, .. }) => self.is_over(*session, until()),
            UpBody::Session(ToShard::Detached { session, .. }) => self.leave(*session),
            _ => {}
        }
    }

    fn is_over(&self, session: SessionId, until: Duration) {
        let mut table = self.table();
        let seat = table.remove(session);
        if let Some(seat) = seat.filter(|seat| seat.was_another) {
            let announced = seat.announced(session, Some(Kept::past()));
            table.past.push(seat.shard, announced, until);
        }
    }

    /// What was told of sessions for long enough is forgotten.
    pub(super) fn forget_past(&self, now: Duration) {
        self.table().past.forget(now);
    }

    /// Whether a shard is to be told of sessions.
    pub(super) fn any_at(&self, shard: ShardId) -> bool {
        let table = self.table();
        table.by_shard.contains_key(&shard) || table.past.any_at(shard)
    }

    /// The shard has another owner, at this node: what it is to be told of each session. What an
    /// earlier owner still says is not taken any more.
    pub(super) fn announce(&self, shard: ShardId, node: u32) -> Vec<Up> {
        let mut table = self.table();
        let sessions = table.by_shard.get(&shard).cloned().unwrap_or_default();
        let past: Vec<_> = table.past.announce(shard).collect();
        let present = sessions.into_iter().filter_map(|session| {
            let seat = table.seats.get_mut(&session)?;
            seat.node = node;
            seat.round = seat.round.wrapping_add(1);
            Some(seat.announced(session, seat.kept()))
        });
        let all = past.into_iter().chain(present);
        all.map(|it| Up::new(shard, UpBody::Announce(it))).collect()
    }

    /// The sessions that are bound at a node, which is gone, with shards that it still serves. What goes on there
    /// without this node waits for it.
    pub(super) fn take_all_at(&self, node: u32, serves: impl Fn(ShardId) -> bool) -> Vec<SinkRef> {
        let mut table = self.table();
        let there = table
            .seats
            .iter()
            .filter(|(_, seat)| seat.node == node && seat.left.is_none() && serves(seat.shard));
        let gone: Vec<_> = there.map(|(session, _)| *session).collect();
        gone.into_iter()
            .filter_map(|session| table.remove(session)?.sink.upgrade())
            .collect()
    }

    fn sink_at(&self, session: SessionId, node: u32) -> Option<SinkRef> {
        let table = self.table();
        let seat = table.seats.get(&session)?;
        seat.sink.upgrade().filter(|_| seat.node == node)
    }

    fn deliver(&self, node: u32, session: SessionId, round: u32, frame: ToSession) -> bool {
        let mut table = self.table();
        let Some(seat) = table.seats.get_mut(&session) else {
            return false;
        };
        if round != seat.round || node != seat.node {
            return false;
        }
        let Some(sink) = seat.sink.upgrade() else {
            return false;
        };
        let taken = sink.send(frame);
        if matches!(taken, Err(Full(_))) {
            seat.round = round.wrapping_add(1);
        }
        taken.is_ok()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, session: SessionId) -> Option<Seat> {
        let seat = self.seats.remove(&session)?;
        if let Some(there) = self.by_shard.get_mut(&seat.shard) {
            there.retain(|other| *other != session);
            if there.is_empty() {
                self.by_shard.remove(&seat.shard);
            }
        }
        Some(seat)
    }
}
