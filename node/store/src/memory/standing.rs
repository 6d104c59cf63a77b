//! How accounts stand, in memory.

use std::ops::Bound;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::State;
use crate::account::AccountRecord;

impl State {
    /// [`leaving_due`](crate::Store::leaving_due).
    pub(super) fn leaving_due(&self, now: Timestamp, limit: usize) -> Vec<Jid> {
        let all = self.accounts.values().flat_map(|of_host| of_host.values());
        let due = all.filter(|record| record.standing.has_left(now));
        due.take(limit).map(|record| record.jid.clone()).collect()
    }

    /// [`awaiting`](crate::Store::awaiting).
    pub(super) fn awaiting(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<AccountRecord> {
        let Some(accounts) = self.accounts.get(host) else {
            return Vec::new();
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = accounts.range::<str, _>((from, Bound::Unbounded));
        let awaiting = behind.filter(|(_, record)| record.standing.is_awaiting());
        awaiting
            .take(limit)
            .map(|(_, record)| record.clone())
            .collect()
    }
}
