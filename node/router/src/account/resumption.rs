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

use rookery_session::carrier::{Answer, AskId, Kept, Resumed, SessionId, SinkRef};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::mirror::{Mirror, MirrorRef};
use super::{Account, Session};
use crate::RouterOptions;
use crate::shard::Turn;

/// How many earlier ways to a session are known: a client that comes back more often within the time in which a node
/// says its last words is no client.
const FORMER_MAX: usize = 16;

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
    ends: Option<Timestamp>,
    /// The sessions that it was before, the last one last.
    pub(super) former: Vec<SessionId>,
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
        }
    }

    /// As the session's node has kept it.
    pub(super) fn again(kept: &Kept, sink: SinkRef, options: &RouterOptions) -> Self {
        let (stanzas, bytes) = (options.resume_stanzas_max, options.resume_bytes_max);
        let mirror = Arc::new(Mirror::again(sink, kept, stanzas, bytes));
        Self::new(kept.id.clone(), mirror, kept.next_stanza, kept.h)
    }

    /// Its node is there again.
    pub(super) fn reattach(&mut self, sink: SinkRef) {
        self.ends = None;
        self.mirror.reattach(sink);
    }

    /// How many stanzas its client has sent, if this is the number of the next.
    fn h(&self, next_stanza: u64) -> u32 {
        self.h
            .wrapping_add(next_stanza.saturating_sub(self.first) as u32)
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
        let (stanzas, bytes) = (options.resume_stanzas_max, options.resume_bytes_max);
        let mirror = Arc::new(Mirror::new(session.sink.clone(), stanzas, bytes));
        session.sink = mirror.clone();
        session.next_stanza = session.next_stanza.max(first);
        let id = turn.entropy.token();
        session.stream = Some(Stream::new(id.clone(), mirror.clone(), first, 0));
        let max_s = options.resume_s;
        let to: SinkRef = mirror;
        turn.answer(&to, ask, Answer::Enabled { id, max_s });
    }

    /// Lets a client go on with a stream of this account.
    pub(super) fn resume_stream(
        &mut self,
        turn: &mut Turn<'_>,
        (from, ask): (&SinkRef, AskId),
        (id, h): (&str, u32),
        address: IpAddr,
    ) {
        let enabled = self.record.enabled;
        let named = |session: &&mut Session| {
            enabled && session.stream.as_ref().is_some_and(|it| it.id == id)
        };
        let Some(session) = self.sessions.iter_mut().find(named) else {
            return turn.answer(from, ask, Answer::NotResumed { h: None });
        };
        let next_stanza = session.next_stanza;
        let Some(stream) = &mut session.stream else {
            return;
        };
        let had = stream.h(next_stanza);
        let Some(acked) = stream.mirror.resumes_at(h) else {
            return turn.answer(from, ask, Answer::NotResumed { h: Some(had) });
        };
        // It asks again if the answer was lost on its way.
        let other = |sink: &SinkRef| sink.session() != from.session();
        let before = stream.mirror.attach(from.clone()).filter(other);
        if session.id != from.session() {
            stream.former.push(session.id);
        }
        if stream.former.len() > FORMER_MAX {
            stream.former.remove(0);
        }
        (stream.first, stream.h, stream.ends) = (0, had, None);
        let answer = Answer::Resumed(Resumed {
            jid: session.jid.clone(),
            id: stream.id.clone(),
            max_s: turn.options.resume_s,
            h: had,
            acked,
        });
        let to: SinkRef = stream.mirror.clone();
        session.id = from.session();
        session.address = address;
        session.next_stanza = 0;
        session.behind_until = Timestamp(0);
        turn.answer(&to, ask, answer);
        turn.remember(session);
        if let Some(before) = before {
            let error = StreamError::new(StreamCondition::Conflict)
                .with_text("the stream was resumed elsewhere");
            turn.close(&before, error);
        }
        self.drain_offline(turn);
    }

    /// The client has got so many.
    pub(super) fn acknowledged(&mut self, turn: &mut Turn<'_>, id: SessionId, acked: u64) {
        if let Some(stream) = self.sessions.get(id).and_then(|it| it.stream.as_ref()) {
            stream.mirror.acknowledged(acked);
            self.drain_offline(turn);
        }
    }

    /// The session's node does not serve it any more: it waits for its client, if that can come back.
    pub(super) fn detached(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let window = Duration::from_secs(u64::from(turn.options.resume_s));
        let session = self.sessions.get_mut(id);
        match session.and_then(|session| session.stream.as_mut()) {
            Some(stream) => {
                stream.mirror.detach();
                stream.ends = Some(turn.now.plus(window));
            }
            None => self.session_ended(turn, id),
        }
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
            Some(session) => session.stream.as_ref().is_some_and(|it| it.ends.is_some()),
            None => {
                let mut streams = self.sessions.iter().filter_map(|it| it.stream.as_ref());
                streams.any(|stream| stream.former.contains(&id))
            }
        }
    }

    /// Ends what waited for its client for too long, and gives on what did not get through.
    pub(super) fn look_after_streams(&mut self, turn: &mut Turn<'_>) {
        let mut over = Vec::new();
        for session in self.sessions.iter() {
            let Some(stream) = &session.stream else {
                continue;
            };
            stream.mirror.give_on();
            if stream.ends.is_some_and(|ends| ends <= turn.now) {
                over.push(session.id);
            }
        }
        for id in over {
            self.session_ended(turn, id);
        }
    }
}
