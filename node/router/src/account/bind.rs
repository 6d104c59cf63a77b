//! Binding a resource (RFC 6120 7) and the end of a session.

use std::net::IpAddr;
use std::sync::Arc;

use rookery_session::carrier::{Answer, AskId, SessionId, SinkRef};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::{Account, Session};
use crate::options::ResourceConflict;
use crate::shard::Turn;

impl Account {
    /// Binds a session, or says why not: a session over the limit gets `resource-constraint` (RFC
    /// 6120 7.6.2.1), one whose resource is taken is treated by the conflict policy (RFC 6120
    /// 7.7.2.2).
    pub(super) fn bind(
        &mut self,
        turn: &mut Turn<'_>,
        from: SinkRef,
        ask: AskId,
        resource: Option<String>,
        address: IpAddr,
    ) {
        self.gives_back_stream(turn, from.session());
        let jid = match self.choose_resource(turn, resource) {
            Ok(jid) => Arc::new(jid),
            Err(error) => return turn.answer(&from, ask, Answer::Refused(error)),
        };
        let old = jid
            .resource()
            .and_then(|r| self.sessions.by_resource(r))
            .map(|s| s.id);
        if let Some(old) = old {
            let error = StreamError::new(StreamCondition::Conflict)
                .with_text("another session took this resource");
            self.end_session(turn, old, error);
        }
        let session = Session::new(jid.clone(), from.clone(), address, turn.now);
        let id = session.id;
        self.sessions.insert(session);
        turn.answer(&from, ask, Answer::Bound(jid));
        if let Some(session) = self.sessions.get(id) {
            turn.remember(session);
        }
        turn.env.modules.session_bound(self, turn, id);
    }

    fn choose_resource(
        &self,
        turn: &mut Turn<'_>,
        wanted: Option<String>,
    ) -> Result<Jid, StanzaError> {
        if !self.record.may_log_in() {
            return Err(StanzaError::new(Condition::NotAuthorized));
        }
        let taken = wanted
            .as_deref()
            .is_some_and(|r| self.sessions.by_resource(r).is_some());
        let policy = turn.options.resource_conflict;
        let replaces = taken && policy == ResourceConflict::Replace;
        if !replaces && self.sessions.len() >= turn.options.resources_max as usize {
            return Err(StanzaError::new(Condition::ResourceConstraint)
                .with_type(ErrorType::Wait)
                .with_text("this account has too many sessions"));
        }
        match wanted {
            Some(_) if taken && policy == ResourceConflict::Refuse => {
                Err(StanzaError::new(Condition::Conflict))
            }
            Some(resource) if !taken || replaces => self
                .jid()
                .with_resource(&resource)
                .map_err(|_| StanzaError::new(Condition::BadRequest)),
            _ => {
                let resource = turn.entropy.token();
                Ok(self
                    .jid()
                    .with_resource(&resource)
                    .expect("a token is a valid resource"))
            }
        }
    }

    /// A session's stream or socket ended.
    pub(super) fn session_ended(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let Some(mut session) = self.sessions.remove(id) else {
            return;
        };
        self.session_gone(turn, &session);
        turn.env.modules.session_ended(self, turn, &session);
        // Others get it, or the log: its node gives back the rest.
        if let Some(mut stream) = session.stream.take() {
            self.remember_left(&stream.former);
            self.is_heard_again(turn, &stream);
            let (left, mut receipts) = stream.mirror.take_left();
            receipts.extend(stream.take_held());
            turn.holds(receipts);
            if stream.stored.is_there() {
                return self.leaves_stored(turn, id, &stream.id, &left);
            }
            for delivered in left {
                self.left(turn, id, &delivered);
            }
        }
    }

    /// Ends a session from our side: its client is told why, everybody else that it is unavailable.
    pub(crate) fn end_session(&mut self, turn: &mut Turn<'_>, id: SessionId, error: StreamError) {
        if let Some(session) = self.sessions.get(id) {
            turn.close(&session.sink, error);
            let stream = session.stream.as_ref();
            if let Some((way, given)) = stream.and_then(|stream| stream.mirror.given()) {
                self.departing.begins(way, given);
            }
            self.session_ended(turn, id);
        }
    }

    /// Ends all sessions.
    pub(crate) fn end_all_sessions(&mut self, turn: &mut Turn<'_>, error: &StreamError) -> u32 {
        let ids: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        for id in &ids {
            self.end_session(turn, *id, error.clone());
        }
        u32::try_from(ids.len()).unwrap_or(u32::MAX)
    }
}
