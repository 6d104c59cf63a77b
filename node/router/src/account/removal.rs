//! Deleting an account: everything it owns goes, its contacts are told, its sessions end.

use rookery_control::{EventKind, NewEvent};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::Account;
use crate::shard::{Reply, Request, Turn};

impl Account {
    /// Deletes the account. `then` runs when it is gone for good (`Deleted`) or was not deleted
    /// (`Failed`), while the sessions are still there, so that the one that asked can be answered.
    pub(crate) fn remove(
        &mut self,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, Reply) + Send + 'static,
    ) {
        let tombstone = turn.env.tombstone(turn.now);
        let request = Request::DeleteAccount(Jid::clone(self.jid()), tombstone);
        self.request(turn, request, |account, turn, reply| {
            let deleted = matches!(reply, Reply::Deleted(_));
            then(account, turn, reply);
            if deleted {
                account.depart(turn);
            }
        });
    }

    /// XEP-0077 3.2: contacts get `unsubscribe` and `unsubscribed`, sessions the stream error
    /// `not-authorized`.
    pub(crate) fn depart(&mut self, turn: &mut Turn<'_>) {
        let error =
            StreamError::new(StreamCondition::NotAuthorized).with_text("this account was removed");
        self.end_all_sessions(turn, &error);
        self.cancel_all_subscriptions(turn);
        self.removed = true;
        let name = self.jid().local().unwrap_or_default();
        let event = NewEvent::new(EventKind::Removed, "").about(name, self.jid().domain());
        turn.env.noticed.raise(event);
    }
}
