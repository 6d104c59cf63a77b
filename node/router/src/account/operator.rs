//! Questions to an account: credentials for a login, binding, and what the operator asks.

use rookery_session::carrier::{
    AccountSummary, AdminAnswer, AdminQuestion, Answer, AskId, Question, SessionSummary, SinkRef,
};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::Account;
use super::resumption::Resuming;
use crate::modules::last_activity;
use crate::shard::{Reply, Request, Turn};

impl Account {
    /// Answers a question, or sets in motion what will answer it.
    pub(super) fn asked(
        &mut self,
        turn: &mut Turn<'_>,
        from: SinkRef,
        ask: AskId,
        question: Question,
    ) {
        match question {
            Question::Credentials { .. } => self.asked_for_keys(turn, from, ask),
            Question::Bind {
                resource, address, ..
            } => {
                self.bind(turn, from, ask, resource, address);
            }
            Question::Enable { first, .. } => self.enable(turn, &from, ask, first),
            Question::Resume { id, h, address, .. } => {
                let resuming = Resuming {
                    from,
                    ask,
                    id,
                    h,
                    address,
                    is_awaited: false,
                    moving: None,
                };
                self.resume_stream(turn, resuming);
            }
            // The shard answers these itself; an account never sees them.
            Question::Register { .. } => turn.answer(&from, ask, Answer::Unavailable),
            Question::Admin(question) => self.operator_asked(turn, from, ask, question),
        }
    }

    fn operator_asked(
        &mut self,
        turn: &mut Turn<'_>,
        from: SinkRef,
        ask: AskId,
        question: AdminQuestion,
    ) {
        match question {
            AdminQuestion::CreateAccount { .. } => {
                turn.answer(&from, ask, Answer::Admin(AdminAnswer::AlreadyExists));
            }
            AdminQuestion::DeleteAccount { now, .. } => {
                self.remove_for_operator(turn, from, ask, now);
            }
            AdminQuestion::Moderate { step, .. } => self.moderated(turn, from, ask, step),
            AdminQuestion::SetPassword { password, .. } => {
                self.set_password(turn, password, move |_, turn, reply| {
                    turn.answer(&from, ask, done(&reply));
                });
            }
            AdminQuestion::SetEnabled { enabled, .. } => self.set_enabled(turn, from, ask, enabled),
            AdminQuestion::ShowAccount { .. } => {
                let summary = Box::new(self.summary());
                turn.answer(&from, ask, Answer::Admin(AdminAnswer::Account(summary)));
            }
            AdminQuestion::ListSessions { .. } => {
                let sessions = self.session_summaries();
                turn.answer(&from, ask, Answer::Admin(AdminAnswer::Sessions(sessions)));
            }
            AdminQuestion::CloseSessions { jid, error } => {
                let closed = self.close_sessions(turn, &jid, &error);
                turn.answer(&from, ask, Answer::Admin(AdminAnswer::Closed(closed)));
            }
        }
    }

    /// Derives keys from a new password and stores them. `then` gets `Done`, `BadPassword` or
    /// `Failed`.
    pub(crate) fn set_password(
        &mut self,
        turn: &mut Turn<'_>,
        password: String,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, Reply) + Send + 'static,
    ) {
        let mut salt = [0; 16];
        turn.entropy.fill(&mut salt);
        let iterations = turn.options.scram_iterations;
        let derive = Request::Derive {
            password,
            salt,
            iterations,
        };
        self.request(turn, derive, |account, turn, reply| match reply {
            Reply::Credentials(keys) => account.store_credentials(turn, keys, then),
            other => then(account, turn, other),
        });
    }

    fn store_credentials(
        &mut self,
        turn: &mut Turn<'_>,
        keys: Box<Credentials>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, Reply) + Send + 'static,
    ) {
        let request = Request::SetCredentials(Jid::clone(self.jid()), keys.clone());
        self.request(turn, request, move |account, turn, reply| {
            if matches!(reply, Reply::Done) {
                account.record.credentials = *keys;
            }
            then(account, turn, reply);
        });
    }

    fn set_enabled(&mut self, turn: &mut Turn<'_>, from: SinkRef, ask: AskId, enabled: bool) {
        let request = Request::SetEnabled(Jid::clone(self.jid()), enabled);
        self.request(turn, request, move |account, turn, reply| {
            if matches!(reply, Reply::Done) {
                account.record.enabled = enabled;
                if !enabled {
                    let error = StreamError::new(StreamCondition::NotAuthorized)
                        .with_text("this account was disabled");
                    account.end_all_sessions(turn, &error);
                }
            }
            turn.answer(&from, ask, done(&reply));
        });
    }

    fn close_sessions(&mut self, turn: &mut Turn<'_>, jid: &Jid, error: &StreamError) -> u32 {
        let Some(resource) = jid.resource() else {
            return self.end_all_sessions(turn, error);
        };
        let Some(id) = self
            .sessions
            .by_resource(resource)
            .map(|session| session.id)
        else {
            return 0;
        };
        self.end_session(turn, id, error.clone());
        1
    }

    fn summary(&self) -> AccountSummary {
        AccountSummary {
            account: Jid::clone(self.jid()),
            created: self.record.created,
            enabled: self.record.may_log_in(),
            last_seen: last_activity::last_seen(self),
            roster_items: u32::try_from(self.roster.contacts().count()).unwrap_or(u32::MAX),
            offline_messages: self.offline.stored(),
            sessions: self.session_summaries(),
        }
    }

    /// The account's sessions as an operator sees them.
    pub(crate) fn session_summaries(&self) -> Vec<SessionSummary> {
        self.sessions.summaries()
    }
}

pub(super) fn done(reply: &Reply) -> Answer {
    match reply {
        Reply::Done | Reply::Deleted(true) => Answer::Admin(AdminAnswer::Done),
        Reply::Deleted(false) => Answer::Admin(AdminAnswer::NotFound),
        Reply::BadPassword => Answer::Admin(AdminAnswer::Invalid(
            "the password is empty or has characters that no password may have".into(),
        )),
        _ => Answer::Unavailable,
    }
}
