//! The store that all routers share: the product's own memory store behind a disk that is late, full, or
//! loses what it has not written.
//!
//! ```text
//! request ─► heard ── some time ──► applied (durable) ── some time ──► answered
//!               └─ the store dies here: never applied, nobody is answered but by a time-out
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::FutureExt;
use rookery_router::shard::{Reply, Request, RequestId, ask_store};
use rookery_session::carrier::ShardId;
use rookery_store::log::{LogEntry, LogQuery};
use rookery_store::{MemoryStore, Store, StoreError};
use rookery_xmpp::jid::Jid;

use super::message;

/// Who asked: a tenure of a shard in one life of a node, and its own number for the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) node: u32,
    pub(crate) life: u32,
    pub(crate) shard: ShardId,
    pub(crate) epoch: u32,
    pub(crate) request: RequestId,
}

/// The store and what is on its way to its disk.
#[derive(Default)]
pub(crate) struct Database {
    store: MemoryStore,
    heard: BTreeMap<u64, (Asker, Request)>,
    last: u64,
    /// Nothing that writes is taken.
    pub(crate) full: bool,
}

impl Database {
    /// A request has arrived; gives its number.
    pub(crate) fn hear(&mut self, asker: Asker, request: Request) -> u64 {
        self.last += 1;
        self.heard.insert(self.last, (asker, request));
        self.last
    }

    /// A request is carried out: who is to be told what. `None` if the store has died since.
    pub(crate) fn apply(&mut self, number: u64) -> Option<(Asker, Reply)> {
        let (asker, request) = self.heard.remove(&number)?;
        let reply = if self.full && writes(&request) {
            Reply::Failed(StoreError::Full)
        } else {
            self.now(request)
        };
        Some((asker, reply))
    }

    /// The stanzas that a request is about to remove from a log, if it does, and those that stay there.
    pub(crate) fn trims(&self, number: u64) -> Option<(Vec<Bytes>, Vec<Bytes>)> {
        let Some((_, Request::RemoveLog(owner, range))) = self.heard.get(&number) else {
            return None;
        };
        let goes = |entry: &LogEntry| {
            let above = range.from.is_none_or(|from| from <= entry.position);
            let below = range.through.is_none_or(|last| entry.position <= last);
            above && below && range.takes(entry.marks)
        };
        let (gone, stay): (Vec<_>, Vec<_>) = self.log(owner).into_iter().partition(goes);
        let stanzas =
            |entries: Vec<LogEntry>| entries.into_iter().map(|entry| entry.stanza).collect();
        Some((stanzas(gone), stanzas(stay)))
    }

    /// The store dies, and starts again with what was on disk. Who waits for it.
    pub(crate) fn die(&mut self) -> Vec<Asker> {
        let lost = std::mem::take(&mut self.heard);
        lost.into_values().map(|(asker, _)| asker).collect()
    }

    /// Carries out a request at once.
    pub(crate) fn now(&self, request: Request) -> Reply {
        let done = ask_store(&self.store, request).now_or_never();
        let done = done.expect("the memory store never waits");
        done.unwrap_or_else(Reply::Failed)
    }

    /// Whether there is such an account.
    pub(crate) fn has_account(&self, jid: &Jid) -> bool {
        let found = self.store.account(jid).now_or_never();
        matches!(found, Some(Ok(Some(_))))
    }

    /// Whether a message is in somebody's log.
    pub(crate) fn has_in_log(&self, owner: &Jid, number: u64) -> bool {
        let mut entries = self.log(owner).into_iter();
        entries.any(|entry| message::number_of(&entry.stanza) == Some(number))
    }

    /// The stanzas in a log, oldest first.
    fn log(&self, owner: &Jid) -> Vec<LogEntry> {
        let read = self.store.read_log(owner, LogQuery::after(None, 1_000));
        match read.now_or_never() {
            Some(Ok(entries)) => entries,
            _ => Vec::new(),
        }
    }
}

/// Whether a request changes something.
pub(crate) fn writes(request: &Request) -> bool {
    !matches!(
        request,
        Request::Load(_)
            | Request::Document { .. }
            | Request::Documents { .. }
            | Request::ReadLog(..)
            | Request::LogUsage(_)
            | Request::RemoveLog(..)
    )
}
