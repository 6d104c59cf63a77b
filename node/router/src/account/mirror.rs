//! What a shard keeps of a stream that can be resumed (XEP-0198 5), as the sink of its session.
//!
//! ```text
//! account ── stanzas ──► Mirror: numbers and keeps them ──► the session's own sink
//!                           │ full: refused, and the log takes over
//!                           ◄── Acked(8): forgets up to 8
//! client comes back, anywhere: attached to another sink, which is given all from 9 on
//! ```
//!
//! The session's node takes what is numbered in order only. So what it did not get (its link was full, or broke) is
//! given again from there on, with all that follows.
//!
//! While its client is about to go on by another way ([`Moving`]) the copy at the present way's node is worth nothing:
//! it is void once the stream goes on. So what is given there is not done before the next way has it as well.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rookery_session::carrier::{
    Answer, Bell, Delivered, Full, Kept, Logged, Receipt, SessionId, Sink, SinkRef, ToSession,
};
use rookery_session::{Seen, Unacked};

use super::given::{is_kept_here_alone, is_of_others, places, unseen};
use super::mirror_bounds::Bounds;
use super::ungiven::Ungiven;

/// The sink of a session whose stream can be resumed.
pub(super) struct Mirror {
    state: Mutex<State>,
}

struct State {
    /// The way to the session; `None` while no node serves it.
    sink: Option<SinkRef>,
    session: SessionId,
    unacked: Unacked,
    /// Up to where the session's node was given them.
    given: u64,
    /// The receipts of what it was not given.
    ungiven: Ungiven,
    /// How many are about to go on with it by another way.
    moving: u32,
    /// What came last from whom: a shard's next owner is told again of what its former one has delivered.
    seen: Seen,
    /// The sink is to hear first that it goes on with this stream.
    awaits_answer: bool,
    /// The session is over: nothing is kept for it any more.
    is_over: bool,
    /// It is over, and something did not get through to it.
    takes_no_more: bool,
    /// Its session goes on as another one, which is given what is still on its way here.
    next: Option<MirrorRef>,
    bounds: Bounds,
}

impl Mirror {
    /// For a session that is served, and was given nothing that counts.
    pub(super) fn new(sink: SinkRef, bounds: Bounds) -> Self {
        let way = (sink.session(), Some(sink));
        let mut state = State::kept(way, &Kept::default(), bounds);
        state.awaits_answer = true;
        Self::of(state)
    }

    /// For one whose node has kept this.
    pub(super) fn again(sink: SinkRef, kept: &Kept, bounds: Bounds) -> Self {
        let way = (sink.session(), Some(sink));
        Self::of(State::kept(way, kept, bounds))
    }

    /// For one that no node serves.
    pub(super) fn stranded(session: SessionId, kept: &Kept, bounds: Bounds) -> Self {
        Self::of(State::kept((session, None), kept, bounds))
    }

    fn of(state: State) -> Self {
        Self {
            state: Mutex::new(state),
        }
    }

    /// The number of the last that it has.
    pub(super) fn sent(&self) -> u64 {
        self.state().unacked.sent()
    }

    /// How many its client has got.
    pub(super) fn acked(&self) -> u64 {
        self.state().unacked.acked()
    }

    /// Keeps of these what comes behind all that it has: the session's node was not given it.
    pub(super) fn adopt(&self, unacked: &[Delivered]) {
        let mut state = self.state();
        for delivered in unacked {
            let mut delivered = delivered.clone();
            let known = (state.unacked.sent() + 1).saturating_sub(delivered.number);
            if known < delivered.batch.recs.len() as u64 {
                delivered.drop_first(known as usize);
                state.seen.note(&delivered);
                state.unacked.keep(&delivered);
            }
        }
        state.count();
        state.give_on();
    }

    /// Of these what has a number up to this one and never came to the session: there that number is another one's.
    /// What is of no session cannot be told apart.
    pub(super) fn never_came(&self, unacked: &[Delivered], through: u64) -> Vec<Delivered> {
        unseen(unacked, through, &self.state().seen)
    }

    /// What is to be known of it by whoever goes on with it: how many its client has got, what it has not, and what
    /// came of whom.
    pub(super) fn shown(&self) -> (u64, Vec<Delivered>, Seen) {
        let state = self.state();
        let unacked = state.unacked.iter().cloned().collect();
        (state.unacked.acked(), unacked, state.seen.clone())
    }

    /// The first place in the log of what its client has not got.
    pub(super) fn first_logged(&self) -> Option<NonZeroU64> {
        let state = self.state();
        let places = state.unacked.iter().flat_map(|delivered| {
            let stanzas = delivered.batch.recs.len();
            (0..stanzas).filter_map(|at| delivered.logged.at(at))
        });
        places.min()
    }

    /// Whether something of what its client has not got is in no log, and others count on it.
    pub(super) fn is_kept_alone(&self) -> bool {
        self.state().unacked.iter().any(is_kept_here_alone)
    }

    /// The client has got so many. Gives on what its node was not given.
    pub(super) fn acknowledged(&self, acked: u64) {
        let mut state = self.state();
        if acked > state.unacked.acked() && acked <= state.unacked.sent() {
            // That there are as many was just seen.
            let _ = state.unacked.forget(acked as u32);
            state.count();
        }
        state.give_on();
    }

    /// How many its client has got, if it says that it has so many, modulo 2^32; `None` if it was never sent as many.
    pub(super) fn resumes_at(&self, h: u32) -> Option<u64> {
        let mut state = self.state();
        state.unacked.forget(h).ok()?;
        state.count();
        Some(state.unacked.acked())
    }

    /// Whether its client may have so many, modulo 2^32.
    pub(super) fn may_have(&self, h: u32) -> bool {
        let state = self.state();
        u64::from(h.wrapping_sub(state.unacked.acked() as u32)) <= state.unacked.stanzas()
    }

    /// Whether that is all there is, modulo 2^32.
    pub(super) fn is_all(&self, h: u32) -> bool {
        self.state().unacked.sent() as u32 == h
    }

    /// What came of whom that its client has got: the rest its node sees when it is given that.
    pub(super) fn seen(&self) -> Seen {
        let state = self.state();
        let mut seen = state.seen.clone();
        for delivered in state.unacked.iter() {
            seen.forget(delivered);
        }
        seen
    }

    /// The session goes on by another way, which is told so first, and until it was given what is here these are
    /// held. The way before.
    pub(super) fn attach(&self, sink: SinkRef, held: Vec<Receipt>) -> Option<SinkRef> {
        let mut state = self.state();
        state.session = sink.session();
        state.given = state.unacked.acked();
        state.awaits_answer = true;
        let before = state.sink.replace(sink);
        state.holds(held);
        before
    }

    /// The way to the session is another one, at the same node.
    pub(super) fn reattach(&self, sink: SinkRef, held: Vec<Receipt>) {
        let mut state = self.state();
        state.sink = Some(sink);
        state.awaits_answer = false;
        let done = state.stays();
        state.holds(held);
        state.give_on();
        drop((state, done));
    }

    /// The session is over at its node, of which nobody knows what it was given: what it gives back is taken, and the
    /// rest is left here.
    pub(super) fn gives_nothing_to(&self, sink: SinkRef) {
        let mut state = self.state();
        state.given = state.unacked.acked();
        (state.sink, state.awaits_answer) = (Some(sink), true);
    }

    /// Until its node was given what it was not, these are held.
    pub(super) fn holds(&self, held: Vec<Receipt>) {
        self.state().holds(held);
    }

    /// Its session goes on with this one: what it is given from now on is for that.
    pub(super) fn leads_to(&self, next: MirrorRef) {
        self.state().next = Some(next);
    }

    /// Somebody is about to go on with it by another way, as long as that is kept.
    pub(super) fn moves(self: &Arc<Self>) -> Moving {
        self.state().moving += 1;
        Moving(self.clone())
    }

    /// No node serves the session. What the last one was not given is not done before it has a copy in the store.
    pub(super) fn detach(&self) {
        self.state().sink = None;
    }

    /// The receipts of what no node was given.
    pub(super) fn take_ungiven(&self) -> Vec<Receipt> {
        self.state().ungiven.take_all()
    }

    /// The store has all up to this number.
    pub(super) fn is_stored(&self, through: u64) {
        let mut state = self.state();
        let done = match &state.sink {
            None => state.ungiven.take_through(through),
            Some(_) => return,
        };
        drop((state, done));
    }

    /// Only what others have sent is held any more: what the account's own clients wait for may be among the rest.
    pub(super) fn holds_for_others(&self) {
        let mut state = self.state();
        let inner = &mut *state;
        let (unacked, ungiven) = (&inner.unacked, &mut inner.ungiven);
        let done = ungiven.take_of(unacked.iter(), |it| !is_of_others(it));
        drop((state, done));
    }

    /// Whether no node was given something that the store may not have.
    pub(super) fn awaits_store(&self) -> bool {
        let state = self.state();
        state.sink.is_none() && !state.ungiven.is_empty()
    }

    /// The session's node did not get what begins with this number.
    pub(super) fn missed(&self, number: u64, receipt: Option<Receipt>) {
        let mut state = self.state();
        state.given = state.given.min(number.saturating_sub(1));
        if number > state.unacked.acked() {
            state.ungiven.hold(number, receipt);
        }
    }

    /// The session's node gives these back, and they are forgotten with all before them. Gives their places in the log.
    pub(super) fn take_through(&self, delivered: &Delivered) -> Logged {
        let mut state = self.state();
        let last = delivered.number - 1 + delivered.batch.recs.len() as u64;
        let logged = places(state.unacked.iter(), delivered.number..=last);
        let through = last.min(state.unacked.sent());
        if through > state.unacked.acked() {
            // That there are as many was just seen.
            let _ = state.unacked.forget(through as u32);
            state.count();
        }
        logged
    }

    /// Gives on what the session's node was not given, if anything.
    pub(super) fn give_on(&self) {
        self.state().give_on();
    }

    /// Whether the session's node cannot be reached now.
    pub(super) fn is_cut_off(&self) -> bool {
        let state = self.state();
        state.sink.as_ref().is_some_and(|sink| sink.is_cut_off())
    }

    /// The way to the session's node, and what that was given and its client has not got.
    pub(super) fn given(&self) -> Option<(SinkRef, Vec<Delivered>)> {
        let state = self.state();
        let given = state.given;
        let known = state.unacked.iter().filter(|it| it.number <= given);
        Some((state.sink.clone()?, known.cloned().collect()))
    }

    /// What the client of a session that is over has not got, and its node cannot give back. What the session was to
    /// get before that, and to hear of its end, still goes through; but behind what is missing there nothing does.
    pub(super) fn take_left(&self) -> (Vec<Delivered>, Vec<Receipt>) {
        let mut state = self.state();
        let receipts = state.ungiven.take_all();
        let is_detached = state.sink.is_none();
        let given = if is_detached { 0 } else { state.given };
        let sent = state.unacked.sent();
        let before = std::mem::replace(&mut state.unacked, Unacked::behind(sent));
        state.count();
        (state.given, state.is_over) = (sent, true);
        let mut left = before.into_delivered();
        left.retain(|delivered| delivered.number > given);
        // These are not what its node gives back: that has all before it as well.
        left.iter_mut().for_each(|delivered| delivered.number = 0);
        state.takes_no_more = is_detached || !left.is_empty();
        (left, receipts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// As it was kept elsewhere.
    fn kept(
        (session, sink): (SessionId, Option<SinkRef>),
        kept: &Kept,
        mut bounds: Bounds,
    ) -> Self {
        let mut unacked = Unacked::behind(kept.acked);
        let mut seen = kept.seen.clone();
        for delivered in &kept.unacked {
            seen.note(delivered);
            unacked.keep(delivered);
        }
        bounds.count(&unacked);
        Self {
            sink,
            session,
            given: unacked.sent(),
            unacked,
            ungiven: Ungiven::default(),
            moving: 0,
            seen,
            awaits_answer: false,
            is_over: false,
            takes_no_more: false,
            next: None,
            bounds,
        }
    }

    fn count(&mut self) {
        self.bounds.count(&self.unacked);
        let is_all = self.unacked.iter().next().is_none();
        self.ungiven.got(self.unacked.acked(), is_all);
    }

    /// If nobody is about to go on with it, what the present way's node was given is kept there.
    fn stays(&mut self) -> Ungiven {
        let is_kept = self.moving == 0 && self.sink.is_some();
        let through = if is_kept { self.given } else { 0 };
        self.ungiven.take_through(through)
    }

    fn keep_and_give(&mut self, mut delivered: Delivered) -> Result<(), Delivered> {
        if self.is_over {
            return self.give_last(delivered);
        }
        if !self.bounds.have_room(&self.unacked, &delivered) {
            return Err(delivered);
        }
        self.drop_unacked(&mut delivered);
        self.drop_repeats(&mut delivered);
        if delivered.batch.recs.is_empty() {
            return Ok(());
        }
        let before = self.unacked.sent();
        delivered.number = before + 1;
        // What the session's node keeps is this copy.
        delivered.batch = self.unacked.keep(&delivered);
        self.count();
        if self.given == before {
            self.give(delivered);
        } else {
            self.is_not_given(delivered);
        }
        Ok(())
    }

    /// What was to be given before the session was over. If there is no way for it now, there will be none later.
    fn give_last(&mut self, mut delivered: Delivered) -> Result<(), Delivered> {
        if self.takes_no_more {
            return Err(delivered);
        }
        self.seen.drop_repeats(&mut delivered);
        let stanzas = delivered.batch.recs.len() as u64;
        if stanzas == 0 {
            return Ok(());
        }
        delivered.number = self.given + 1;
        let sink = self.sink.as_ref().filter(|_| !self.awaits_answer);
        let given = match sink {
            Some(sink) => sink.send(ToSession::Deliver(delivered)),
            None => Err(Full(ToSession::Deliver(delivered))),
        };
        match given {
            Err(Full(ToSession::Deliver(mut delivered))) => {
                self.takes_no_more = true;
                delivered.number = 0;
                Err(delivered)
            }
            _ => {
                self.given += stanzas;
                Ok(())
            }
        }
    }

    /// Takes out of a page of the log what was given from there before and its client has not got, however much came
    /// since.
    fn drop_unacked(&self, delivered: &mut Delivered) {
        let Logged::Each(places) = &delivered.logged else {
            return;
        };
        let given = self.unacked.iter().flat_map(|known| {
            let places = (0..known.batch.recs.len()).map(|at| known.logged.at(at));
            places.flatten().map(NonZeroU64::get)
        });
        let given: BTreeSet<u64> = given.collect();
        let news: Vec<bool> = places.iter().map(|place| !given.contains(place)).collect();
        if given.is_empty() || news.iter().all(|is_new| *is_new) {
            return;
        }
        delivered.retain(&news);
    }

    /// Takes out what has come before. A former owner of the shard may have logged that elsewhere: where it lies now is
    /// where it is looked for if its client never gets it.
    fn drop_repeats(&mut self, delivered: &mut Delivered) {
        if delivered.logged == Logged::NOT {
            return self.seen.drop_repeats(delivered);
        }
        let stanzas = delivered.batch.recs.len();
        let (origins, logged) = (delivered.origins.clone(), delivered.logged.clone());
        self.seen.drop_repeats(delivered);
        if delivered.batch.recs.len() < stanzas {
            for at in 0..stanzas {
                if let (Some(origin), Some(place)) = (origins.at(at), logged.at(at)) {
                    self.unacked.lies_at(origin, place);
                }
            }
        }
    }

    fn give(&mut self, mut delivered: Delivered) {
        let number = delivered.number;
        let through = number - 1 + delivered.batch.recs.len() as u64;
        let Some(sink) = self.sink.as_ref().filter(|_| !self.awaits_answer) else {
            return self.is_not_given(delivered);
        };
        if delivered.receipt.is_none() {
            delivered.receipt = self.ungiven.take(number);
        }
        let is_moving = self.moving > 0;
        let receipt = delivered.receipt.as_ref().filter(|_| is_moving).cloned();
        match sink.send(ToSession::Deliver(delivered)) {
            Err(Full(ToSession::Deliver(delivered))) => {
                self.ungiven.hold(number, delivered.receipt)
            }
            _ => {
                self.given = through;
                self.ungiven.hold(number, receipt);
            }
        }
    }

    /// The session's node is not given this yet. Where none serves it the store is to have what was decided when one
    /// did, as if it were kept twice.
    fn is_not_given(&mut self, delivered: Delivered) {
        if self.sink.is_some() || is_kept_here_alone(&delivered) {
            self.ungiven.hold(delivered.number, delivered.receipt);
        }
    }

    /// Until its node was given what it was not, these are held.
    fn holds(&mut self, held: Vec<Receipt>) {
        let next = self.given.max(self.unacked.acked()) + 1;
        if held.is_empty() || next > self.unacked.sent() {
            return;
        }
        // None of them may come to hold another one that holds it.
        let (_, all) = Bell::with_receipt();
        let known = self.ungiven.take(next);
        held.into_iter().chain(known).for_each(|it| all.carry(it));
        self.ungiven.hold(next, Some(all));
    }

    fn give_on(&mut self) {
        if self.given == self.unacked.sent() || self.sink.is_none() {
            return;
        }
        let given = self.given.max(self.unacked.acked());
        self.given = given;
        let left = self.unacked.iter().filter(|it| it.number > given);
        for delivered in left.cloned().collect::<Vec<_>>() {
            let first = delivered.number;
            self.give(delivered);
            if self.given < first {
                return;
            }
        }
    }
}

/// Kept by who is about to go on with a stream by another way, until that is decided. Then all is given to the new way,
/// or what was given to the present one is done.
pub(super) struct Moving(MirrorRef);

impl Drop for Moving {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.moving -= 1;
        let done = state.stays();
        drop((state, done));
    }
}

impl Sink for Mirror {
    fn session(&self) -> SessionId {
        let state = self.state();
        match &state.next {
            Some(next) => next.session(),
            None => state.session,
        }
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        let mut state = self.state();
        if let (ToSession::Deliver(_), Some(next)) = (&frame, &state.next) {
            return next.send(frame);
        }
        match frame {
            ToSession::Deliver(delivered) => state
                .keep_and_give(delivered)
                .map_err(|delivered| Full(ToSession::Deliver(delivered))),
            ToSession::Answer {
                answer: Answer::Enabled { .. } | Answer::Resumed(_),
                ..
            } => {
                let told = match &state.sink {
                    Some(sink) => sink.send(frame),
                    None => Err(Full(frame)),
                };
                state.awaits_answer = false;
                state.give_on();
                told
            }
            _ => match &state.sink {
                Some(sink) => sink.send(frame),
                None => Err(Full(frame)),
            },
        }
    }

    fn is_alone(&self) -> bool {
        let state = self.state();
        state.sink.as_ref().is_none_or(|sink| sink.is_alone())
    }

    fn remembers(&self) -> bool {
        let state = self.state();
        state.sink.as_ref().is_some_and(|sink| sink.remembers())
    }
}

/// A mirror that the account and the effects of its shard share.
pub(super) type MirrorRef = Arc<Mirror>;
