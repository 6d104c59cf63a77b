//! An account gets a contact whom it has invited, or who has invited it (XEP-0401 3.3.2): both see each other without
//! being asked. Each side is written by its own shard, durably, before anybody hears of it.

use std::sync::Arc;

use rookery_store::roster::Subscription;
use rookery_xmpp::jid::Jid;

use super::Account;
use super::roster::Transition;
use crate::shard::Turn;

impl Account {
    /// Subscribes both ways, as if all four steps had been taken, and pushes the item. A contact that does not fit into
    /// the roster is none.
    pub(crate) fn befriend(&mut self, turn: &mut Turn<'_>, contact: &Arc<Jid>) {
        if self.jid().same_bare(contact) {
            return;
        }
        let old = self.roster.item_or_stranger(contact);
        let mut item = old.clone();
        item.in_roster = true;
        item.subscription = Subscription::Both;
        (item.ask, item.approved, item.pending_in) = (false, false, None);
        if self.overflows_roster(turn, &item) {
            tracing::info!(account = %self.jid(), "roster is too full for who was invited");
            return;
        }
        let transition = Transition {
            changed: item != old,
            item,
            passes: false,
            auto_reply: false,
            revokes: false,
        };
        let contact = contact.clone();
        self.store_transition(turn, transition, move |account, turn, outcome| match outcome {
            Ok(_) => {
                account.send_availability(turn, &contact);
                account.probe(turn, &contact);
            }
            Err(error) => {
                tracing::warn!(%error, account = %account.jid(), "who was invited is no contact");
            }
        });
    }
}
