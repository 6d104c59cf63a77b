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
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rookery_session::carrier::{
    Answer, AskId, Bell, Delivered, Logged, Resumed, SessionId, SinkRef,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::stanza::Batch;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::former::Former;
use super::mirror::{Mirror, Moving};
use super::mirror_bounds::Bounds;
use super::stream::Stream;
use super::unsure::is_alone;
use super::{Account, Session};
use crate::shard::{Request, Turn};

/// How many sessions are known of streams that are over, for as long as their nodes may say something.
const LEFT_MAX: usize = 32;

/// How many may want to resume one stream before it can be: a client tries again some seconds after it was cut off.
const EARLY_MAX: usize = 4;

/// How often a stream is stored before it goes on: once, and again for what came meanwhile.
const STORED_TIMES_MAX: u32 = 3;

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
    /// What comes by the present way of the stream is held for it.
    pub(super) is_awaited: bool,
    /// From when nothing is waited for but the store: what is waited for may be for this stream.
    pub(super) moving: Option<Moving>,
}

impl Session {
    /// Its stream goes on by another way.
    fn comes_by(&mut self, id: SessionId, address: IpAddr) {
        let before = std::mem::replace(&mut self.id, id);
        if let Some(stream) = self.stream.as_mut().filter(|_| before != id) {
            stream.former.push(before);
        }
        self.address = address;
        self.next_stanza = 0;
        self.behind_until = Timestamp(0);
        self.is_leaving = false;
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
    pub(super) fn resume_stream(&mut self, turn: &mut Turn<'_>, mut resuming: Resuming) {
        let Some((next_stanza, stream)) = self.stream_named(&resuming.id) else {
            return self.does_not_go_on(turn, &resuming, None);
        };
        if stream.is_to_come(next_stanza, turn.now) {
            return match stream.early.len() < EARLY_MAX {
                true => stream.early.push(resuming),
                false => turn.answer(&resuming.from, resuming.ask, Answer::Unavailable),
            };
        }
        resuming.is_awaited = stream.mirror.may_have(resuming.h);
        let open: Vec<_> = stream.unsettled().collect();
        if resuming.is_awaited {
            self.deciding.begins(&resuming.id);
        }
        self.waits_for_no_store();
        if open.is_empty() {
            return self.store_and_go_on(turn, resuming, STORED_TIMES_MAX);
        }
        let bell = Bell::behind(open);
        self.request_beside(turn, Request::Settled(bell), move |account, turn, _| {
            account.store_and_go_on(turn, resuming, STORED_TIMES_MAX);
        });
    }

    /// What has no second copy in the store, for that is full, is not waited for by who wants to resume.
    pub(super) fn waits_for_no_store(&mut self) {
        let streams = self.sessions.iter_mut().filter_map(|it| it.stream.as_mut());
        streams.for_each(Stream::is_not_waited_for);
    }

    /// On its way from one node to another a stream has no second copy: so it is in the store until its client has got
    /// what was under way. And the store must not say any more that it waits ([`Stored`](super::stored::Stored)): until
    /// then it does not go on, and the client tries again.
    fn store_and_go_on(&mut self, turn: &mut Turn<'_>, mut resuming: Resuming, times: u32) {
        let is_present = self.sessions.get(resuming.from.session()).is_some();
        let Some((_, stream)) = self.stream_named(&resuming.id) else {
            return self.does_not_go_on(turn, &resuming, None);
        };
        let (mirror, stored, way) = (&stream.mirror, &stream.stored, resuming.from.session());
        resuming.moving.get_or_insert_with(|| mirror.moves());
        let (has_all, is_there) = (mirror.is_all(resuming.h), stored.is_there());
        let is_ready = match has_all {
            true => !is_there,
            false => stored.says_it_goes_on(way, mirror.sent()),
        };
        let is_full = stream.former.is_full() && !is_present;
        let cannot = is_full || !mirror.may_have(resuming.h);
        if is_ready || cannot {
            return self.go_on_by(turn, &resuming);
        }
        if times == 0 {
            // By another way what it has not got has two copies again, if nobody serves it now. And of a stream that is
            // given more all the time the store never has all.
            let is_stored = stored.says_it_goes_on(way, 0);
            let may_go_on = has_all || is_stored || stream.ends.is_some();
            return match may_go_on && !stored.says_it_waits() {
                true => self.go_on_by(turn, &resuming),
                false => self.must_wait(turn, &resuming),
            };
        }
        // What it has got need not be stored.
        mirror.resumes_at(resuming.h);
        let name = resuming.id.clone();
        let then = move |account: &mut Self, turn: &mut Turn<'_>, is_done| {
            let times = if is_done { times - 1 } else { 0 };
            account.store_and_go_on(turn, resuming, times);
        };
        match has_all {
            true => self.forget_stored(turn, name, then),
            false => {
                let named = |it: &&Session| it.stream.as_ref().is_some_and(|it| it.id == name);
                let id = self.sessions.iter().find(named).map(|session| session.id);
                let ends = turn.now.plus(window(turn));
                let id = id.expect("the stream is one of these sessions");
                self.store_as(turn, id, (ends, Some(way)), then);
            }
        }
    }

    /// The stream goes on by another way.
    fn go_on_by(&mut self, turn: &mut Turn<'_>, resuming: &Resuming) {
        // It asks again if the answer was lost on its way.
        let is_present = self.sessions.get(resuming.from.session()).is_some();
        let Some((next_stanza, stream)) = self.stream_named(&resuming.id) else {
            return self.does_not_go_on(turn, resuming, None);
        };
        if stream.former.is_full() && !is_present {
            return self.must_wait(turn, resuming);
        }
        let had = stream.h(next_stanza);
        let Some(acked) = stream.mirror.resumes_at(resuming.h) else {
            let is_known = stream.unsettled().next().is_none();
            return self.does_not_go_on(turn, resuming, is_known.then_some(had));
        };
        let from = &resuming.from;
        let other = |sink: &SinkRef| sink.session() != from.session();
        let held = stream.take_held();
        let before = stream.mirror.attach(from.clone(), held);
        let before = before.filter(other);
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
        self.no_longer_awaited(turn, resuming);
    }

    /// There is no such stream, or it has not so many; with how many its client had sent, if that is known.
    fn does_not_go_on(&mut self, turn: &mut Turn<'_>, resuming: &Resuming, h: Option<u32>) {
        let h = h.or_else(|| self.handled_of(&resuming.id));
        turn.answer(&resuming.from, resuming.ask, Answer::NotResumed { h });
        self.no_longer_awaited(turn, resuming);
    }

    /// It may go on later.
    fn must_wait(&mut self, turn: &mut Turn<'_>, resuming: &Resuming) {
        turn.answer(&resuming.from, resuming.ask, Answer::Unavailable);
        self.no_longer_awaited(turn, resuming);
    }

    fn no_longer_awaited(&mut self, turn: &mut Turn<'_>, resuming: &Resuming) {
        self.does_not_go_on_by(turn, resuming);
        if resuming.is_awaited {
            self.is_decided(turn, &resuming.id);
        }
    }

    /// A stream of this account by its name, and the number of the next stanza of its session.
    fn stream_named(&mut self, id: &str) -> Option<(u64, &mut Stream)> {
        let enabled = self.record.may_log_in();
        let named = self.sessions.iter_mut().filter_map(|session| {
            let next_stanza = session.next_stanza;
            Some((next_stanza, session.stream.as_mut()?))
        });
        let is_meant = |stream: &Stream| enabled && stream.id == id && !stream.is_ending;
        let mut named = named.filter(|(_, stream)| is_meant(stream));
        named.next()
    }

    /// Whether what a session sends, with these numbers, counts: not if its client goes on by another way, or has, for
    /// it says it again there. What the turn holds a receipt of is under way then.
    pub(super) fn takes_from(
        &mut self,
        turn: &Turn<'_>,
        id: SessionId,
        sent: (Range<u64>, &Batch),
    ) -> bool {
        let is_outrun = self.outrun.contains(&id);
        let session = self.sessions.get_mut(id);
        let Some(session) = session.filter(|_| !is_outrun) else {
            let mut streams = self.sessions.iter_mut().filter_map(|it| it.stream.as_mut());
            if let Some(stream) = streams.find(|stream| stream.former.contains(id)) {
                stream.holds_void(turn, id);
                return false;
            }
            return !is_outrun && !self.left.contains(&id);
        };
        let Some(stream) = &mut session.stream else {
            return true;
        };
        if stream.ends.is_some() && !stream.is_to_come(session.next_stanza, turn.now) {
            return false;
        }
        stream.void.is_heard();
        if let Some(receipt) = &turn.receipt {
            stream.opens(sent, session.next_stanza, receipt);
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
            stream.void.is_heard();
            self.forget_if_got(turn, id);
            self.drain_offline(turn);
        } else {
            self.departing.acknowledged(id, acked);
        }
    }

    /// What is said of a session at its end says that its node keeps no count of it any more.
    pub(super) fn counts_no_more(&mut self, id: SessionId, is_last_word: bool) {
        self.untold.is_over(id);
        let streams = self.sessions.iter_mut();
        for stream in streams.filter_map(|session| session.stream.as_mut()) {
            stream.void.is_over(id);
            if is_last_word {
                stream.former.is_over(id);
            }
        }
    }

    /// The session's node does not serve it any more: it waits for its client, if that can come back.
    pub(super) fn detached(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        self.departs_without_word(turn, id);
        let ends = turn.now.plus(window(turn));
        let session = self.sessions.get_mut(id);
        let Some(stream) = session.and_then(|session| session.stream.as_mut()) else {
            return self.session_ended(turn, id);
        };
        stream.is_left(turn.receipt.take());
        if stream.is_ending {
            self.remembers_over(id);
            return self.session_ended(turn, id);
        }
        // That was the last word of its node.
        (stream.ends, stream.again) = (Some(ends), (0, 0));
        self.resumes_early(turn, id);
        self.store_stream(turn, id);
    }

    /// The node of a session gives back what its client has not got: these stanzas first. Gives them with their places
    /// in the log, which the node does not know.
    pub(super) fn stream_ends(&mut self, id: SessionId, delivered: &Delivered) -> Delivered {
        let mut left = delivered.clone();
        let session = self.sessions.get_mut(id);
        let places = match session.and_then(|session| session.stream.as_mut()) {
            _ if delivered.number == 0 => return left,
            Some(stream) => {
                stream.is_ending = true;
                stream.mirror.take_through(delivered)
            }
            None => self.departing.gives_back(id, delivered),
        };
        if left.logged == Logged::NOT {
            left.logged = places;
        }
        left
    }

    /// What the nodes of these sessions still say is void, also when their stream is over.
    pub(super) fn remember_left(&mut self, former: &Former) {
        self.left.extend(former.iter());
        let too_many = self.left.len().saturating_sub(LEFT_MAX);
        self.left.drain(..too_many);
    }

    /// What the client of this session has sent is void, for it says it again by another way. What its node gives back
    /// is not: nobody else may have that.
    pub(super) fn is_outrun(&mut self, id: SessionId) {
        if self.outrun.contains(&id) {
            return;
        }
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
                stream.is_some_and(|it| it.ends.is_some() && !it.is_over_at(id))
            }
            None => {
                let mut streams = self.sessions.iter().filter_map(|it| it.stream.as_ref());
                streams.any(|stream| stream.former.contains(id)) || self.left.contains(&id)
            }
        }
    }

    /// Ends what waited for its client for too long, and gives on what did not get through.
    pub(super) fn look_after_streams(&mut self, turn: &mut Turn<'_>) {
        let (mut over, mut unstored, mut early) = (Vec::new(), Vec::new(), Vec::new());
        let (mut refused, mut undeleted, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for session in self.sessions.iter_mut() {
            let Some(stream) = &mut session.stream else {
                continue;
            };
            stream.mirror.give_on();
            stream.void.look_at_the_clock(turn.now);
            stream.looks_at_the_link(turn.now);
            stream.looks_at_the_store();
            stream.forgets_done();
            if stream.is_unstored() {
                let ends = stream.ends.unwrap_or_else(|| turn.now.plus(window(turn)));
                unstored.push((session.id, ends));
            } else if stream.is_stored_for_nothing() {
                undeleted.push(stream.id.clone());
            } else if is_alone(turn, &session.sink) && stream.is_in_one_process(session.id) {
                alone.push(session.id);
            }
            if std::mem::take(&mut stream.is_refused) {
                refused.push((session.id, stream.id.clone()));
            }
            if !stream.early.is_empty() && stream.again_until <= turn.now {
                early.push(session.id);
            }
            if stream.ends.is_some_and(|ends| ends <= turn.now) {
                over.push(session.id);
            }
        }
        for (id, ends) in unstored {
            self.store_until(turn, id, ends);
        }
        for name in undeleted {
            self.forget_stored(turn, name, |_, _, _| {});
        }
        for (id, name) in refused {
            self.says_it_goes_on(turn, id, name);
        }
        for id in alone {
            // If the store refuses, the next tick tries again.
            let ends = turn.now.plus(window(turn));
            self.store_as(turn, id, (ends, Some(id)), |_, _, _| {});
        }
        for id in early {
            self.resumes_early(turn, id);
        }
        for id in over {
            self.remembers_over(id);
            self.session_ended(turn, id);
        }
    }
}

/// How long a client may stay away.
pub(super) fn window(turn: &Turn<'_>) -> Duration {
    Duration::from_secs(u64::from(turn.options.resume_s))
}

/// What the client of a former way is told.
pub(super) fn resumed_elsewhere() -> StreamError {
    StreamError::new(StreamCondition::Conflict).with_text("the stream was resumed elsewhere")
}
