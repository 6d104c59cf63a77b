//! The keys that logins ask for. They cost one read of the store, wherever the account is.
//!
//! ```text
//! in memory      asked ─► Load, beside all else ─► its reply, or a second later without ─► what memory holds
//! not in memory  asked ─► Load                  ─► what was loaded; or nobody
//! ```
//!
//! Without that read a stranger could tell by the time of the server's first SCRAM message (RFC 5802 5) who is online,
//! or was written to just now. What the store says is passed over: it may be older than the memory, and a store that
//! fails or is slow keeps nobody out whose account is here.

use std::time::Duration;

use rookery_session::carrier::{AskId, Question, SinkRef};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::{Account, Work};
use crate::shard::{Request, Turn};

/// The logins that wait for the store. A session asks for one at a time, so there are as many as sessions that log in.
#[derive(Default)]
pub(super) struct Logins {
    waiting: Vec<Login>,
    /// The store is asked. Whoever comes meanwhile waits for the same reply, as while an account is loaded.
    is_reading: bool,
}

struct Login {
    from: SinkRef,
    ask: AskId,
    /// It waits no longer.
    until: Timestamp,
}

impl Logins {
    /// Whether none waits.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Account {
    /// Answers a login with the account's keys, once the store was read.
    pub(super) fn asked_for_keys(&mut self, turn: &mut Turn<'_>, from: SinkRef, ask: AskId) {
        let until = turn.now.plus(WAIT_MAX);
        self.logins.waiting.push(Login { from, ask, until });
        if std::mem::replace(&mut self.logins.is_reading, true) {
            return;
        }
        let request = Request::Load(Jid::clone(self.jid()));
        self.request_beside(turn, request, |account, turn, _| {
            account.logins.is_reading = false;
            account.answer_logins(turn, |_| true);
        });
    }

    /// A second went by: whoever has waited long for the store is answered without.
    pub(super) fn logins_go_on(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.answer_logins(turn, |login| login.until <= now);
    }

    fn answer_logins(&mut self, turn: &mut Turn<'_>, is_due: impl Fn(&Login) -> bool) {
        if self.logins.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.logins.waiting);
        let (due, rest) = waiting.into_iter().partition(is_due);
        self.logins.waiting = rest;
        for Login { from, ask, .. } in due {
            turn.answer(&from, ask, self.credentials());
        }
    }

    /// The account is gone: whoever waits is to be answered as for one that never was.
    pub(super) fn logins_left(&mut self) -> Vec<Work> {
        let waiting = std::mem::take(&mut self.logins.waiting);
        let asks = waiting.into_iter().map(|Login { from, ask, .. }| {
            let account = Jid::clone(self.jid());
            let question = Question::Credentials { account };
            Work::Ask {
                from,
                ask,
                question,
            }
        });
        asks.collect()
    }
}

/// Longer than a store takes that works, and shorter than a client waits.
const WAIT_MAX: Duration = Duration::from_secs(1);
