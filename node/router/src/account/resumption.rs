//! XEP-0198 5: a client comes back to its session by another stream.
//!
//! ```text
//! C: <enable resume='true'/>     the session's sink becomes a mirror, which numbers and keeps
//! ✝ socket is lost               the session stays, at its node; nobody is told anything
//! ✝ its node dies                the session stays here, detached, for `resume_s`
//! C: <resume previd h/>          the mirror is attached to the new way, and gives what the client has not got;
//!                                the stream before ends with <conflict/>, and what its node still says is dropped
//! ```
//!
//! The name of a stream is looked for among the sessions of the account that has authenticated, so to guess or to steal
//! one is of no use to anybody else.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rookery_session::carrier::{
    Answer, AskId, Bell, Delivered, Kept, Logged, Receipt, ReceiptRef, Resumed, SessionId, SinkRef,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::mirror::{Mirror, MirrorRef, behind};
use super::mirror_bounds::Bounds;
use super::open::make_room;
use super::void::Void;
use super::{Account, Session, Stranded, stranded};
use crate::shard::{Reply, Request, Turn};

/// How many earlier ways to a session are known: a client that comes back more often within the time in which a node
/// says its last words is no client.
const FORMER_MAX: usize = 16;

/// How many sessions are known of streams that are over, for as long as their nodes may say something.
const LEFT_MAX: usize = 32;

/// How many may want to resume one stream before it can be: a client tries again some seconds after it was cut off.
const EARLY_MAX: usize = 4;

/// How long it is waited for what a node has sent to the former owner of a shard: it may have heard since that this was
/// dealt with, and does not send it again.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// How often a stream is stored before it goes on: once, and again for what came meanwhile.
const STORED_TIMES_MAX: u32 = 3;

/// A stream that can be resumed.
pub(super) struct Stream {
    /// Its name.
    pub(super) id: String,
    /// The sink of the session.
    pub(super) mirror: MirrorRef,
    /// The number of the first stanza of the present way that counts, and how many counted before.
    first: u64,
    h: u32,
    /// When it ends without its client, if no node serves it.
    pub(super) ends: Option<Timestamp>,
    /// The sessions that it was before, the last one last.
    pub(super) former: Vec<SessionId>,
    /// Of the present way: what its node has sent to the former owner of the shard and comes again ends before this
    /// number, and what it has sent at all before that one.
    again: (u64, u64),
    /// When it is waited for no more.
    again_until: Timestamp,
    /// What its client has sent and may not have been dealt with.
    open: Vec<ReceiptRef>,
    /// The store has a document of it.
    pub(super) is_stored: bool,
    /// The number of the last stanza that is in it.
    stored_through: u64,
    /// It was taken from the store, and no node has said more of it.
    pub(super) is_from_store: bool,
    /// All up to this number was given by former owners of the shard, and what is behind it by this one.
    pub(super) inherited: u64,
    /// Its node says what its client has not got: it cannot be resumed any more.
    is_ending: bool,
    /// Its client goes on by another way: what comes by the present one is void.
    is_left: bool,
    /// Those who wanted to resume it before all that was sent by the present way was here.
    early: Vec<Resuming>,
    /// What was void, for its client says it again by another way.
    void: Void,
}

/// A client that wants to go on with a stream.
pub(super) struct Resuming {
    /// The way to it.
    pub(super) from: SinkRef,
    /// From its question.
    pub(super) ask: AskId,
    /// The name of the stream.
    pub(super) id: String,
    /// How many stanzas it has got, modulo 2^32.
    pub(super) h: u32,
    /// Where it connects from.
    pub(super) address: IpAddr,
}

impl Resuming {
    /// There is no such stream, or it has not so many; with how many its client had sent, if that is known.
    fn refused(&self, turn: &mut Turn<'_>, h: Option<u32>) {
        turn.answer(&self.from, self.ask, Answer::NotResumed { h });
    }
}

impl Stream {
    fn new(id: String, mirror: MirrorRef, first: u64, h: u32) -> Self {
        Self {
            id,
            mirror,
            first,
            h,
            ends: None,
            former: Vec::new(),
            again: (0, 0),
            again_until: Timestamp(0),
            open: Vec::new(),
            is_stored: false,
            stored_through: 0,
            is_from_store: false,
            inherited: 0,
            is_ending: false,
            is_left: false,
            early: Vec::new(),
            void: Void::default(),
        }
    }

    /// As the session's node has kept it.
    pub(super) fn again(kept: &Kept, sink: SinkRef, turn: &Turn<'_>) -> Self {
        let mirror = Arc::new(Mirror::again(sink, kept, Bounds::now(turn)));
        Self {
            again: (kept.again, kept.submitted),
            again_until: turn.now.plus(AGAIN_WITHIN),
            inherited: kept.sent(),
            ..Self::new(kept.id.clone(), mirror, kept.next_stanza, kept.h)
        }
    }

    /// As a former owner of the shard has left it in the store. One whose time is up is given nothing more.
    pub(super) fn stranded(
        kept: &Kept,
        mirror: MirrorRef,
        (ends, now): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            ends: Some(ends),
            is_ending: ends <= now,
            is_stored: true,
            stored_through: kept.sent(),
            inherited: kept.sent(),
            is_from_store: true,
            ..Self::new(kept.id.clone(), mirror, kept.next_stanza, kept.h)
        }
    }

    /// What is to be known of it, if this is the number of the next stanza.
    pub(super) fn kept(&self, next_stanza: u64) -> Kept {
        let (acked, unacked, seen) = self.mirror.shown();
        Kept {
            id: self.id.clone(),
            next_stanza,
            again: 0,
            submitted: 0,
            h: self.h(next_stanza),
            acked,
            unacked,
            seen,
        }
    }

    /// Whether its node has begun to say what its client has not got.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// The store has a document of it, with all up to this number.
    pub(super) fn is_stored_through(&mut self, number: u64) {
        self.is_stored = true;
        self.stored_through = number;
    }

    /// What this one was before has what its node may not have been given. Gives what this owner of the shard has given
    /// there under numbers that a former one had used here.
    pub(super) fn follows(&mut self, before: &Self) -> Vec<Delivered> {
        let (_, unacked, _) = before.mirror.shown();
        let mut clashing = Vec::new();
        if self.inherited <= before.inherited {
            self.mirror.adopt(&unacked);
            self.inherited = before.inherited;
        } else {
            clashing = behind(&unacked, before.inherited);
        }
        if before.is_stored && clashing.is_empty() {
            self.is_stored_through(before.stored_through);
        }
        clashing
    }

    /// The store has these as well. Gives those whose numbers are others' now.
    pub(super) fn has_in_store(&mut self, kept: &Kept) -> Vec<Delivered> {
        if self.is_stored && self.stored_through >= kept.sent() {
            // It is known.
            return Vec::new();
        }
        let is_all_inherited = self.mirror.sent() == self.inherited;
        if is_all_inherited || kept.sent() <= self.inherited {
            self.is_stored_through(kept.sent());
            self.mirror.adopt(&kept.unacked);
            self.inherited = self.inherited.max(kept.sent());
            return Vec::new();
        }
        behind(&kept.unacked, self.inherited)
    }

    /// Its node is there again.
    pub(super) fn reattach(&mut self, sink: SinkRef) {
        self.ends = None;
        self.mirror.reattach(sink);
    }

    /// It goes on by another way, whose client has sent so many.
    fn goes_on(&mut self, had: u32) {
        (self.first, self.h, self.ends) = (0, had, None);
        (self.again, self.is_left) = ((0, 0), false);
        self.is_from_store = false;
    }

    fn opens(&mut self, receipt: &Receipt) {
        make_room(&mut self.open, ReceiptRef::is_settled);
        self.open.push(receipt.downgrade());
    }

    fn holds_void(&mut self, turn: &Turn<'_>, session: SessionId) {
        if let Some(receipt) = turn.receipt.clone() {
            self.void.hold(session, receipt, turn.now);
        }
    }

    /// The number of the next stanza, when this one was. Behind the last that comes again all has been dealt with.
    pub(super) fn next_behind(&self, next_stanza: u64) -> u64 {
        let (again, submitted) = self.again;
        match next_stanza >= again {
            true => next_stanza.max(submitted),
            false => next_stanza,
        }
    }

    /// How many stanzas its client has sent, if this is the number of the next.
    fn h(&self, next_stanza: u64) -> u32 {
        self.h
            .wrapping_add(next_stanza.saturating_sub(self.first) as u32)
    }
}

impl Session {
    /// Its stream goes on by another way.
    fn comes_by(&mut self, id: SessionId, address: IpAddr) {
        let before = std::mem::replace(&mut self.id, id);
        if let Some(stream) = self.stream.as_mut().filter(|_| before != id) {
            stream.former.push(before);
            if stream.former.len() > FORMER_MAX {
                stream.former.remove(0);
            }
        }
        self.address = address;
        self.next_stanza = 0;
        self.behind_until = Timestamp(0);
    }
}

impl Account {
    /// From now on what the session is given is numbered, and can be given again.
    pub(super) fn enable(&mut self, turn: &mut Turn<'_>, from: &SinkRef, ask: AskId, first: u64) {
        let options = turn.options.clone();
        let session = self.sessions.get_mut(from.session());
        let session = session.filter(|session| {
            options.resume_s > 0 && session.sink.may_be_resumed() && session.stream.is_none()
        });
        let Some(session) = session else {
            return turn.answer(from, ask, Answer::Unavailable);
        };
        let mirror = Arc::new(Mirror::new(session.sink.clone(), Bounds::now(turn)));
        session.sink = mirror.clone();
        session.next_stanza = session.next_stanza.max(first);
        let id = turn.entropy.token();
        session.stream = Some(Stream::new(id.clone(), mirror.clone(), first, 0));
        let max_s = options.resume_s;
        let to: SinkRef = mirror;
        turn.answer(&to, ask, Answer::Enabled { id, max_s });
    }

    /// Lets a client go on with a stream of this account, as soon as all that it has sent by the way before is here and
    /// has been dealt with: it is told how much that is, and forgets it.
    pub(super) fn resume_stream(&mut self, turn: &mut Turn<'_>, resuming: Resuming) {
        let Some((next_stanza, stream)) = self.stream_named(&resuming.id) else {
            return resuming.refused(turn, None);
        };
        if stream.ends.is_none() && next_stanza < stream.again.0 && turn.now < stream.again_until {
            return match stream.early.len() < EARLY_MAX {
                true => stream.early.push(resuming),
                false => turn.answer(&resuming.from, resuming.ask, Answer::Unavailable),
            };
        }
        stream.is_left = stream.mirror.may_have(resuming.h);
        stream.void.begins();
        let open: Vec<_> = stream.open.iter().filter_map(ReceiptRef::upgrade).collect();
        if open.is_empty() {
            return self.store_and_go_on(turn, resuming, STORED_TIMES_MAX);
        }
        let bell = Bell::behind(open);
        self.request_beside(turn, Request::Settled(bell), move |account, turn, _| {
            account.store_and_go_on(turn, resuming, STORED_TIMES_MAX);
        });
    }

    /// On its way from one node to another a stream has no second copy: so it is in the store until its client has got
    /// what was under way. A store that refuses does not stop it.
    fn store_and_go_on(&mut self, turn: &mut Turn<'_>, resuming: Resuming, times: u32) {
        let Some((next_stanza, stream)) = self.stream_named(&resuming.id) else {
            return resuming.refused(turn, None);
        };
        let (kept, through) = (stream.kept(next_stanza), stream.mirror.sent());
        let has_all = stream.mirror.is_all(resuming.h);
        let is_stored = stream.is_stored && stream.stored_through >= through;
        if has_all || is_stored || times == 0 || !stream.mirror.may_have(resuming.h) {
            return self.go_on_by(turn, &resuming);
        }
        let ends = turn.now.plus(window(turn));
        let named = |it: &&Session| it.stream.as_ref().is_some_and(|it| it.id == resuming.id);
        let session = self.sessions.iter().find(named);
        let stranded = session.map(|session| Stranded::of(session, kept, ends));
        let Some(stranded) = stranded else { return };
        let request = stranded::put(turn.shard, &stranded);
        self.request_beside(turn, request, move |account, turn, reply| {
            let is_done = matches!(reply, Reply::Done);
            if let Some((_, stream)) = account.stream_named(&resuming.id)
                && is_done
            {
                stream.is_stored_through(through);
            }
            let times = if is_done { times - 1 } else { 0 };
            account.store_and_go_on(turn, resuming, times);
        });
    }

    /// The stream goes on by another way.
    fn go_on_by(&mut self, turn: &mut Turn<'_>, resuming: &Resuming) {
        let Some((next_stanza, stream)) = self.stream_named(&resuming.id) else {
            return resuming.refused(turn, None);
        };
        let had = stream.h(next_stanza);
        let Some(acked) = stream.mirror.resumes_at(resuming.h) else {
            let is_known = stream.open.iter().all(ReceiptRef::is_settled);
            return resuming.refused(turn, is_known.then_some(had));
        };
        let from = &resuming.from;
        // It asks again if the answer was lost on its way.
        let other = |sink: &SinkRef| sink.session() != from.session();
        let before = stream.mirror.attach(from.clone()).filter(other);
        stream.goes_on(had);
        let (mirror, id) = (stream.mirror.clone(), stream.id.clone());
        let named = |it: &&mut Session| it.stream.as_ref().is_some_and(|it| it.id == id);
        let session = self.sessions.iter_mut().find(named);
        let session = session.expect("it was found by the name of its stream");
        session.comes_by(from.session(), resuming.address);
        let answer = Answer::Resumed(Resumed {
            jid: session.jid.clone(),
            id,
            max_s: turn.options.resume_s,
            h: had,
            acked,
            seen: mirror.seen(),
        });
        let to: SinkRef = mirror;
        turn.answer(&to, resuming.ask, answer);
        turn.remember(session);
        if let Some(before) = before {
            turn.close(&before, resumed_elsewhere());
        }
        self.forget_if_got(turn, from.session());
        self.drain_offline(turn);
    }

    /// The document of a stream that is served is not needed any more when its client has got all that is in it.
    fn forget_if_got(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let session = self.sessions.get_mut(id);
        if let Some(stream) = session.and_then(|session| session.stream.as_mut())
            && stream.is_stored
            && stream.ends.is_none()
            && stream.mirror.acked() >= stream.stored_through
        {
            stream.is_stored = false;
            stranded::forget(turn, stream.id.clone());
        }
    }

    /// A stream of this account by its name, and the number of the next stanza of its session.
    fn stream_named(&mut self, id: &str) -> Option<(u64, &mut Stream)> {
        let enabled = self.record.enabled;
        let named = self.sessions.iter_mut().filter_map(|session| {
            let next_stanza = session.next_stanza;
            Some((next_stanza, session.stream.as_mut()?))
        });
        let is_meant = |stream: &Stream| enabled && stream.id == id && !stream.is_ending;
        let mut named = named.filter(|(_, stream)| is_meant(stream));
        named.next()
    }

    /// Whether what a session sends counts: not if its client goes on by another way, or has, for it says it again
    /// there. What the turn holds a receipt of is under way then.
    pub(super) fn takes_from(&mut self, turn: &Turn<'_>, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            let mut streams = self.sessions.iter_mut().filter_map(|it| it.stream.as_mut());
            if let Some(stream) = streams.find(|stream| stream.former.contains(&id)) {
                stream.holds_void(turn, id);
                return false;
            }
            return !self.left.contains(&id) && !self.outrun.contains(&id);
        };
        let Some(stream) = &mut session.stream else {
            return true;
        };
        if stream.is_left {
            stream.holds_void(turn, id);
            return false;
        }
        if stream.ends.is_some() {
            return false;
        }
        stream.void.is_heard();
        if let Some(receipt) = &turn.receipt {
            stream.opens(receipt);
        }
        true
    }

    /// Whoever wanted to resume before all was here may do so now, if it is.
    pub(super) fn resumes_early(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let session = self.sessions.get_mut(id);
        let Some(stream) = session.and_then(|session| session.stream.as_mut()) else {
            return;
        };
        if stream.early.is_empty() {
            return;
        }
        let early = std::mem::take(&mut stream.early);
        // It may have to wait until what holds this receipt has been dealt with.
        let receipt = turn.receipt.take();
        for resuming in early {
            self.resume_stream(turn, resuming);
        }
        turn.receipt = receipt;
    }

    /// The client has got so many.
    pub(super) fn acknowledged(&mut self, turn: &mut Turn<'_>, id: SessionId, acked: u64) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(stream) = &mut session.stream
        {
            stream.mirror.acknowledged(acked);
            // There is room again for what it could not be given.
            session.behind_until = Timestamp(0);
            if !stream.is_left {
                stream.void.is_heard();
            }
            self.forget_if_got(turn, id);
            self.drain_offline(turn);
        }
    }

    /// What is said of a session at its end says that its node keeps no count of it any more.
    pub(super) fn counts_no_more(&mut self, id: SessionId) {
        let streams = self.sessions.iter_mut();
        for stream in streams.filter_map(|session| session.stream.as_mut()) {
            stream.void.is_over(id);
        }
    }

    /// The session's node does not serve it any more: it waits for its client, if that can come back.
    pub(super) fn detached(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let ends = turn.now.plus(window(turn));
        let session = self.sessions.get_mut(id);
        let Some(stream) = session.and_then(|session| session.stream.as_mut()) else {
            return self.session_ended(turn, id);
        };
        turn.holds(stream.mirror.detach());
        if stream.is_ending {
            return self.session_ended(turn, id);
        }
        stream.ends = Some(ends);
        self.resumes_early(turn, id);
        self.store_stream(turn, id);
    }

    /// The node of a session gives back what its client has not got: these stanzas first. Gives them with their places
    /// in the log, which the node does not know.
    pub(super) fn stream_ends(&mut self, id: SessionId, delivered: &Delivered) -> Delivered {
        let mut left = delivered.clone();
        let session = self.sessions.get_mut(id);
        if let Some(stream) = session.and_then(|session| session.stream.as_mut())
            && delivered.number != 0
        {
            stream.is_ending = true;
            let places = stream.mirror.take_through(delivered);
            if left.logged == Logged::NOT {
                left.logged = places;
            }
        }
        left
    }

    /// What the nodes of these sessions still say is void, also when their stream is over.
    pub(super) fn remember_left(&mut self, former: Vec<SessionId>) {
        self.left.extend(former);
        let too_many = self.left.len().saturating_sub(LEFT_MAX);
        self.left.drain(..too_many);
    }

    /// What the client of this session has sent is void, for it says it again by another way. What its node gives back
    /// is not: nobody else may have that.
    pub(super) fn is_outrun(&mut self, id: SessionId) {
        self.outrun.push(id);
        let too_many = self.outrun.len().saturating_sub(LEFT_MAX);
        self.outrun.drain(..too_many);
    }

    /// A session binds that was to go on with a stream, and never heard that it does: the stream waits once more.
    pub(super) fn gives_back_stream(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let session = self.sessions.get_mut(id);
        let Some((session, former)) = session.and_then(|session| {
            let former = session.stream.as_mut()?.former.pop()?;
            Some((session, former))
        }) else {
            return;
        };
        session.id = former;
        self.detached(turn, former);
    }

    /// Whether what a node still says of a session is void: it was resumed as another one since, or its node was given
    /// up, and it waits for its client here.
    pub(super) fn is_former(&self, id: SessionId) -> bool {
        match self.sessions.get(id) {
            Some(session) => {
                let stream = session.stream.as_ref();
                stream.is_some_and(|it| it.ends.is_some() || it.is_left)
            }
            None => {
                let mut streams = self.sessions.iter().filter_map(|it| it.stream.as_ref());
                streams.any(|stream| stream.former.contains(&id)) || self.left.contains(&id)
            }
        }
    }

    /// Ends what waited for its client for too long, and gives on what did not get through.
    pub(super) fn look_after_streams(&mut self, turn: &mut Turn<'_>) {
        let (mut over, mut unstored, mut early) = (Vec::new(), Vec::new(), Vec::new());
        for session in self.sessions.iter_mut() {
            let Some(stream) = &mut session.stream else {
                continue;
            };
            stream.mirror.give_on();
            if !stream.is_left {
                stream.void.look_at_the_clock(turn.now);
            }
            if stream.ends.is_some() && !stream.is_stored {
                unstored.push(session.id);
            }
            if !stream.early.is_empty() && stream.again_until <= turn.now {
                early.push(session.id);
            }
            if stream.ends.is_some_and(|ends| ends <= turn.now) {
                over.push(session.id);
            }
        }
        for id in unstored {
            self.store_stream(turn, id);
        }
        for id in early {
            self.resumes_early(turn, id);
        }
        for id in over {
            self.session_ended(turn, id);
        }
    }
}

/// How long a client may stay away.
fn window(turn: &Turn<'_>) -> Duration {
    Duration::from_secs(u64::from(turn.options.resume_s))
}

/// What the client of a former way is told.
pub(super) fn resumed_elsewhere() -> StreamError {
    StreamError::new(StreamCondition::Conflict).with_text("the stream was resumed elsewhere")
}
