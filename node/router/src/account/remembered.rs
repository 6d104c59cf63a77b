//! What is known of a session outside its shard, so that the shard's next owner can go on with it.
//!
//! ```text
//! shard ── Remember(state) ──► the session's node        whenever something of it changes
//!   ✝ or moves
//! next owner ◄── Announce(state) ── the session's node   ahead of all else; nobody is told of it: for clients and
//!                                                        contacts nothing has changed
//! ```
//!
//! The state is an element of our own, which the session's node keeps as bytes:
//! `<session bound='…' roster='true' blocking='true' carbons='true'><presence …/><directed>…</directed></session>`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Kept, SessionId, SinkRef};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::former::Former;
use super::given::behind;
use super::resumption::resumed_elsewhere;
use super::stream::Stream;
use super::{Account, Availability, Session, stranded};
use crate::shard::Turn;

/// The namespace of the state; another form gets another one.
const NS: &str = "urn:rookery:session:1";

impl Session {
    /// What the next owner of the shard must know.
    pub(crate) fn remembered(&self) -> Bytes {
        let mut state = Element::new("session", NS).with_attr("bound", self.bound.0.to_string());
        if self.wants_roster {
            state = state.with_attr("roster", "true");
        }
        if self.wants_block_list {
            state = state.with_attr("blocking", "true");
        }
        if self.carbons {
            state = state.with_attr("carbons", "true");
        }
        let presence = self.availability.as_ref();
        if let Some(presence) = presence.and_then(|known| Element::parse(&known.stanza).ok()) {
            state = state.with_child(presence);
        }
        for former in self.stream.iter().flat_map(|stream| stream.former.iter()) {
            let former = stranded::text(former);
            state = state.with_child(Element::new("former", NS).with_text(&former));
        }
        for contact in &self.directed {
            state = state.with_child(Element::new("directed", NS).with_text(contact.as_str()));
        }
        state.to_bytes()
    }

    /// Takes over what an earlier owner had remembered. What cannot be read is as if it had said nothing.
    pub(super) fn recall(&mut self, state: &[u8]) {
        let Ok(state) = Element::parse(state) else {
            return;
        };
        if let Some(bound) = state.attr("bound").and_then(|ms| ms.parse().ok()) {
            self.bound = Timestamp(bound);
        }
        self.wants_roster = state.attr("roster") == Some("true");
        self.wants_block_list = state.attr("blocking") == Some("true");
        self.carbons = state.attr("carbons") == Some("true");
        self.availability = state
            .child("presence", ns::CLIENT)
            .and_then(|presence| Availability::read(&presence.to_bytes()))
            .map(Box::new);
        let directed = state.elements().filter(|child| child.is("directed", NS));
        self.directed = directed
            .filter_map(|child| Jid::parse(&child.text()).ok().map(Arc::new))
            .collect();
        if let Some(stream) = &mut self.stream {
            stream.former = Former::known(former(&state));
        }
    }
}

/// The sessions that a stream was before.
fn former(state: &Element) -> impl Iterator<Item = SessionId> {
    let former = state.elements().filter(|child| child.is("former", NS));
    former.filter_map(|it| stranded::session(&it.text()))
}

impl Account {
    /// Goes on with a session that an earlier owner of the shard has bound. One that is known here has
    /// only another way to it.
    pub(super) fn go_on_with(
        &mut self,
        turn: &mut Turn<'_>,
        sink: SinkRef,
        jid: Arc<Jid>,
        address: IpAddr,
        (state, kept): (&[u8], Option<&Kept>),
    ) {
        let acked = kept.map_or(0, |kept| kept.acked);
        let kept = kept.filter(|kept| !kept.is_over());
        let Some(sink) = self.has_another_way(turn, sink, (acked, kept.is_some())) else {
            return;
        };
        let before = match kept {
            Some(kept) => match self.before(turn, state, (sink.session(), &kept.id)) {
                Ok(before) => before,
                Err(Earlier) => return self.comes_too_late(turn, &sink, kept),
            },
            None => {
                self.has_outrun(turn, state);
                if self.has_gone_on(sink.session()) {
                    return turn.close(&sink, resumed_elsewhere());
                }
                None
            }
        };
        let taken = jid
            .resource()
            .is_some_and(|resource| self.sessions.by_resource(resource).is_some());
        if taken || !self.record.may_log_in() {
            self.has_outrun(turn, state);
            return self.has_no_place(turn, sink, taken, kept);
        }
        let mut session = Session::new(jid, sink, address, turn.now);
        let mut clashing = None;
        if let Some(kept) = kept {
            let mut stream = Stream::again(kept, session.sink.clone(), turn);
            if let Some((former, mut before)) = before.and_then(|it| Some((it.id, it.stream?))) {
                let is_there = before.stored.is_there();
                let left = stream.takes_over(turn, &mut before);
                clashing = Some((left, is_there, (former, before.id)));
            }
            session.sink = stream.mirror.clone();
            session.next_stanza = kept.next_stanza;
            session.stream = Some(stream);
        }
        session.recall(state);
        let id = session.id;
        self.sessions.insert(session);
        self.sessions.begins_to_read(id);
        turn.env.modules.session_bound(self, turn, id);
        if let Some((clashing, is_there, (former, stream))) = clashing
            && !clashing.is_empty()
        {
            let stored = is_there.then_some(&*stream);
            self.left_beside(turn, (id, former), (&clashing, stored));
        }
        self.is_served(turn, id);
        self.drain_offline(turn);
    }

    /// A session that is known here has another way to it, whose client has got so many. Gives the way back of one that
    /// is not, or of whose stream its node knows more.
    fn has_another_way(
        &mut self,
        turn: &mut Turn<'_>,
        sink: SinkRef,
        (acked, is_kept): (u64, bool),
    ) -> Option<SinkRef> {
        let id = sink.session();
        let Some(known) = self.sessions.get_mut(id) else {
            return Some(sink);
        };
        match &mut known.stream {
            // The store has it as it was once, and its node knows what came since.
            Some(stream) if stream.is_from_store && is_kept => return Some(sink),
            // It is over there. What its client has not got its node gives back, or was never given.
            Some(stream) if stream.is_from_store => {
                stream.mirror.acknowledged(acked);
                if stream.ends.is_some() && stream.is_over_at(id) {
                    // The store has the numbers of what it was before.
                    known.next_stanza = 0;
                }
                stream.says_last_words(sink);
                self.is_served(turn, id);
            }
            Some(stream) => {
                stream.reattach(sink);
                self.is_served(turn, id);
            }
            None => known.sink = sink,
        }
        None
    }

    /// A session is announced that cannot be again.
    fn has_no_place(
        &mut self,
        turn: &mut Turn<'_>,
        sink: SinkRef,
        is_taken: bool,
        kept: Option<&Kept>,
    ) {
        let error = match is_taken {
            true => StreamError::new(StreamCondition::Conflict)
                .with_text("another session took this resource"),
            false => StreamError::new(StreamCondition::NotAuthorized),
        };
        turn.close(&sink, error);
        if let Some(kept) = kept {
            // A node that sends its clients away has nothing of it any more that would give this back.
            self.departing.begins(sink, kept.unacked.clone());
        }
    }

    /// A session is announced whose stream has gone on as another one, perhaps from what the store had of it: its node
    /// may have been given more since.
    fn comes_too_late(&mut self, turn: &mut Turn<'_>, sink: &SinkRef, kept: &Kept) {
        self.is_outrun(sink.session());
        turn.close(sink, resumed_elsewhere());
        let named = |it: &&Session| it.stream.as_ref().is_some_and(|it| it.id == kept.id);
        let Some(present) = self.sessions.iter().find(named) else {
            // A node that sends its clients away has nothing of it any more that would give this back.
            return self.departing.begins(sink.clone(), kept.unacked.clone());
        };
        let (id, inherited) = (present.id, present.stream.as_ref().map(|it| it.inherited));
        let beyond = behind(&kept.unacked, inherited.unwrap_or(u64::MAX));
        self.left_beside(turn, (id, sink.session()), (&beyond, None));
    }

    /// What a session with this state, which has the stream of this name now, was before, where that is known here. Its
    /// client may have resumed it when the shard had its former owner, and the node of before has not heard of that,
    /// or it was stored on its way: that session then goes. A stream that is over as a later session does not go on.
    fn before(
        &mut self,
        turn: &mut Turn<'_>,
        state: &[u8],
        (id, stream): (SessionId, &str),
    ) -> Result<Option<Session>, Earlier> {
        if self.has_gone_on(id) {
            return Err(Earlier);
        }
        let named = |it: &&Session| it.stream.as_ref().is_some_and(|it| it.id == stream);
        let Some(known) = self.sessions.iter().find(named).map(|known| known.id) else {
            self.former_is_over(turn, state);
            return Ok(None);
        };
        let state = Element::parse(state);
        let is_former = state.is_ok_and(|state| former(&state).any(|former| former == known));
        if !is_former && known != id {
            return Err(Earlier);
        }
        let known = self.sessions.remove(known);
        if let Some(known) = &known {
            turn.env.modules.session_ended(self, turn, known);
            if known.id != id {
                turn.close(&known.sink, resumed_elsewhere());
            }
            if let Some(stream) = &known.stream {
                self.is_heard_again(turn, stream);
            }
        }
        Ok(known)
    }

    /// Whether this session's stream is over as another one, or has gone on as one that was announced before it.
    fn has_gone_on(&self, id: SessionId) -> bool {
        self.outrun.contains(&id) || self.left.contains(&id)
    }

    /// A session is announced whose stream is over at its node, or has no place here: what it was before has nothing to
    /// say any more that counts. Its client said it again by this one, but it may still be at the nodes of before,
    /// for the former owner had no room for it.
    fn has_outrun(&mut self, turn: &mut Turn<'_>, state: &[u8]) {
        self.former_is_over(turn, state);
        if let Ok(state) = Element::parse(state) {
            former(&state).for_each(|session| self.is_outrun(session));
        }
    }

    /// A session is announced that is over, and so is what it was before.
    pub(super) fn ends_former(&mut self, turn: &mut Turn<'_>, state: &[u8]) {
        let Ok(state) = Element::parse(state) else {
            return;
        };
        for session in former(&state) {
            self.is_outrun(session);
            self.end_session(turn, session, resumed_elsewhere());
        }
    }

    /// A session that this one was before may have been announced as one that has still to say its last words, or be in
    /// the store still. What its client has not got this one has, or gives back.
    fn former_is_over(&mut self, turn: &mut Turn<'_>, state: &[u8]) {
        let Ok(state) = Element::parse(state) else {
            return;
        };
        for session in former(&state) {
            if let Some(known) = self.sessions.remove(session) {
                turn.env.modules.session_ended(self, turn, &known);
                let Some(stream) = known.stream else {
                    continue;
                };
                self.is_heard_again(turn, &stream);
                // What is on its way to it comes back.
                drop(stream.mirror.take_left());
                if stream.stored.is_there() && !self.leaving.has(&stream.id) {
                    stranded::forget(turn, stream.id);
                }
            }
        }
    }
}

/// The stream has gone on since as another session.
struct Earlier;
