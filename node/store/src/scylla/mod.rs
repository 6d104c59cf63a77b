//! The cluster's store: ScyllaDB, or Apache Cassandra, through one driver.
//!
//! ```text
//! any node, any thread ──► a turn (bounded) ──► the store's own threads: reads, writes at LOCAL_QUORUM
//!                                               one conditional write where an account begins, changes or ends
//! ```
//!
//! Durable here means: on the disks of a quorum of the copies in the datacenter, as far as the database is told to
//! write them there before it answers (its `commitlog_sync`). Every method may be called from any node. What one
//! partition holds changes atomically; where a method says otherwise its parts may be seen one after another, and a
//! call that fails may be found done in part.

mod account;
mod claim;
mod connect;
mod cql;
mod creation;
mod cursor;
mod document;
mod error;
mod export;
mod inspect;
mod lanes;
mod log;
mod metrics;
mod names;
mod options;
mod owner;
mod purge;
mod roster;
mod schema;
mod slice;
mod stamps;
mod standing;
mod statements;
mod threads;
mod tombstone;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub use inspect::Inspection;
pub use options::ScyllaOptions;

use self::cql::Cql;
use self::export::Walk;
use self::threads::Threads;
use crate::account::{AccountRecord, Found, NewAccount};
use crate::document::Document;
use crate::error::StoreError;
use crate::export::{Owned, OwnersPage, StoredDocument};
use crate::limits;
use crate::log::{Append, LogEntry, LogQuery, LogRange, LogSearch, LogUsage, Position};
use crate::name::{Buried, Tombstone};
use crate::roster::{Roster, RosterChange};
use crate::standing::Standing;
use crate::store::Store;

/// A store in a CQL database, for any number of processes.
#[derive(Debug)]
pub struct ScyllaStore {
    cql: Arc<Cql>,
    turns: Arc<Semaphore>,
    queue_wait: Duration,
    threads: Threads,
}

impl ScyllaStore {
    /// Connects to the database, makes the keyspace if it is not there, and brings its schema up to date. Waits for
    /// the database, and for another node that does the same, within
    /// [`connect_ms_max`](ScyllaOptions::connect_ms_max).
    ///
    /// Refuses a schema that is newer than this binary.
    pub async fn open(options: ScyllaOptions) -> Result<Self, StoreError> {
        options.validate()?;
        metrics::describe();
        let threads = Threads::start(options.threads as usize)?;
        let turns = Arc::new(Semaphore::new(options.calls_max as usize));
        let queue_wait = Duration::from_millis(options.queue_wait_ms_max);
        let cql = Arc::new(threads.run(Box::pin(Cql::open(options))).await??);
        threads.get().spawn(purge::keep_sweeping(cql.clone()));
        threads.get().spawn(claim::keep_indexed(cql.clone()));
        Ok(Self {
            cql,
            turns,
            queue_wait,
            threads,
        })
    }

    /// Looks at the database without changing anything: for `rookery check`.
    pub async fn inspect(options: ScyllaOptions) -> Result<Inspection, StoreError> {
        options.validate()?;
        let threads = Threads::start(1)?;
        threads.run(Box::pin(inspect::inspect(options))).await?
    }

    /// Runs a call on the store's threads when it is its turn. It goes on if the caller no longer waits for it.
    async fn call<T, F, Fut>(&self, kind: &'static str, call: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Cql>) -> Fut,
        Fut: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let turn = timeout(self.queue_wait, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(StoreError::Busy);
        };
        let start = Instant::now();
        let call = call(self.cql.clone());
        let outcome = self.threads.run(async move {
            let outcome = call.await;
            drop(turn);
            metrics::called(kind, start.elapsed());
            if let Err(error) = &outcome {
                metrics::failed(error);
            }
            outcome
        });
        outcome.await?
    }
}

/// Waits for the calls that are under way, as far as each may take: what callers no longer wait for is done too.
impl Drop for ScyllaStore {
    fn drop(&mut self) {
        let Some(runtime) = self.threads.take() else {
            return;
        };
        let (turns, within) = (self.turns.clone(), self.cql.options.request_within());
        let all = self.cql.options.calls_max;
        // On a thread of its own, for whoever drops the store may be part of another runtime.
        let waiting = std::thread::spawn(move || {
            let settled =
                runtime.block_on(async { timeout(within, turns.acquire_many(all)).await.is_ok() });
            if !settled {
                tracing::warn!("store ends before all of its calls have");
            }
        });
        if waiting.join().is_err() {
            tracing::error!("a thread of the store has panicked");
        }
    }
}

#[async_trait]
impl Store for ScyllaStore {
    async fn create_account(&self, account: NewAccount) -> Result<(), StoreError> {
        limits::check_account(&account.jid)?;
        self.call("create_account", move |cql| async move {
            cql.create_account(account).await
        })
        .await
    }

    async fn account(&self, jid: &Jid) -> Result<Option<AccountRecord>, StoreError> {
        let jid = jid.clone();
        self.call("account", move |cql| async move { cql.account(&jid).await })
            .await
    }

    async fn set_credentials(&self, jid: &Jid, credentials: Credentials) -> Result<(), StoreError> {
        let jid = jid.clone();
        self.call("set_credentials", move |cql| async move {
            cql.set_credentials(&jid, &credentials).await
        })
        .await
    }

    async fn set_enabled(&self, jid: &Jid, enabled: bool) -> Result<(), StoreError> {
        let jid = jid.clone();
        self.call("set_enabled", move |cql| async move {
            cql.set_enabled(&jid, enabled).await
        })
        .await
    }

    async fn set_standing(&self, jid: &Jid, standing: Standing) -> Result<(), StoreError> {
        let jid = jid.clone();
        self.call("set_standing", move |cql| async move {
            cql.set_standing(&jid, standing).await
        })
        .await
    }

    async fn leaving_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Jid>, StoreError> {
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.call("leaving_due", move |cql| async move {
            cql.leaving_due(now, limit).await
        })
        .await
    }

    async fn awaiting(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let (host, after) = (host.to_owned(), after.map(str::to_owned));
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.call("awaiting", move |cql| async move {
            cql.awaiting(&host, after.as_deref(), limit).await
        })
        .await
    }

    /// The deletion is one write; the space is given back behind it.
    async fn delete_account(
        &self,
        jid: &Jid,
        tombstone: Option<Tombstone>,
    ) -> Result<bool, StoreError> {
        let jid = jid.clone();
        self.call("delete_account", move |cql| async move {
            cql.delete_account(&jid, tombstone).await
        })
        .await
    }

    async fn names_like(
        &self,
        host: &str,
        skeleton: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (host, skeleton) = (host.to_owned(), skeleton.to_owned());
        self.call("names_like", move |cql| async move {
            cql.names_like(&host, &skeleton, limit).await
        })
        .await
    }

    async fn tombstones(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Buried>, StoreError> {
        let (host, after) = (host.to_owned(), after.map(str::to_owned));
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.call("tombstones", move |cql| async move {
            cql.tombstones(&host, after.as_deref(), limit).await
        })
        .await
    }

    async fn bury(&self, jid: &Jid, tombstone: Tombstone) -> Result<(), StoreError> {
        limits::check_account(jid)?;
        let jid = jid.clone();
        self.call(
            "bury",
            move |cql| async move { cql.bury(&jid, tombstone).await },
        )
        .await
    }

    async fn lift_tombstone(&self, jid: &Jid) -> Result<bool, StoreError> {
        let jid = jid.clone();
        self.call("lift_tombstone", move |cql| async move {
            cql.lift_tombstone(&jid).await
        })
        .await
    }

    async fn list_accounts(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let (host, after) = (host.to_owned(), after.map(str::to_owned));
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.call("list_accounts", move |cql| async move {
            cql.list_accounts(&host, after.as_deref(), limit).await
        })
        .await
    }

    async fn count_accounts(&self, host: &str) -> Result<u64, StoreError> {
        let host = host.to_owned();
        self.call("count_accounts", move |cql| async move {
            cql.count_accounts(&host).await
        })
        .await
    }

    /// Two round trips: the account, then its parts at the same time. The parts are of one incarnation of the account,
    /// each from a consistent view of its own.
    async fn load(&self, jid: &Jid) -> Result<Found, StoreError> {
        let jid = jid.clone();
        self.call("load", move |cql| async move { cql.load(&jid).await })
            .await
    }

    async fn roster(&self, jid: &Jid) -> Result<Roster, StoreError> {
        let jid = jid.clone();
        self.call("roster", move |cql| async move {
            cql.roster(&cql.incarnation(&jid).await?).await
        })
        .await
    }

    async fn update_roster(&self, jid: &Jid, change: RosterChange) -> Result<(), StoreError> {
        limits::check_roster_change(&change)?;
        let jid = jid.clone();
        self.call("update_roster", move |cql| async move {
            cql.update_roster(&jid, change).await
        })
        .await
    }

    async fn document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
    ) -> Result<Option<Bytes>, StoreError> {
        let (owner, collection, key) = (owner.clone(), collection.to_owned(), key.to_owned());
        self.call("document", move |cql| async move {
            let at = cql.incarnation(&owner).await?;
            cql.document(&at, &collection, &key).await
        })
        .await
    }

    async fn documents(&self, owner: &Jid, collection: &str) -> Result<Vec<Document>, StoreError> {
        let (owner, collection) = (owner.clone(), collection.to_owned());
        self.call("documents", move |cql| async move {
            cql.documents(&cql.incarnation(&owner).await?, &collection)
                .await
        })
        .await
    }

    async fn put_document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
        value: Bytes,
    ) -> Result<(), StoreError> {
        limits::check_owner(owner)?;
        limits::check_name(collection)?;
        limits::check_name(key)?;
        limits::check_document(&value)?;
        let (owner, collection, key) = (owner.clone(), collection.to_owned(), key.to_owned());
        self.call("put_document", move |cql| async move {
            let at = cql.incarnation(&owner).await?;
            cql.put_document(&at, &collection, &key, &value).await
        })
        .await
    }

    /// Of several calls at the same time more than one may hear that there was one.
    async fn delete_document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
    ) -> Result<bool, StoreError> {
        let (owner, collection, key) = (owner.clone(), collection.to_owned(), key.to_owned());
        self.call("delete_document", move |cql| async move {
            let at = cql.incarnation(&owner).await?;
            cql.delete_document(&at, &collection, &key).await
        })
        .await
    }

    /// Refused beyond 12 MiB in all, which is what the database takes as one change.
    async fn replace_documents(
        &self,
        owner: &Jid,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<(), StoreError> {
        limits::check_owner(owner)?;
        limits::check_name(collection)?;
        limits::check_documents(&documents)?;
        let (owner, collection) = (owner.clone(), collection.to_owned());
        self.call("replace_documents", move |cql| async move {
            let at = cql.incarnation(&owner).await?;
            cql.replace_documents(&at, &collection, documents).await
        })
        .await
    }

    /// Atomic for each log and bucket of 1024 positions, up to 128 entries or 1 MiB.
    async fn append(&self, entries: Vec<Append>) -> Result<(), StoreError> {
        limits::check_appends(&entries)?;
        self.call(
            "append",
            move |cql| async move { cql.append(entries).await },
        )
        .await
    }

    /// A range read for each bucket of 1024 positions that the page touches.
    async fn read_log(&self, owner: &Jid, query: LogQuery) -> Result<Vec<LogEntry>, StoreError> {
        let owner = owner.clone();
        let limit = query.limit.min(limits::PAGE_ENTRIES_MAX);
        let query = LogQuery { limit, ..query };
        self.call("read_log", move |cql| async move {
            cql.read_log(&cql.incarnation(&owner).await?, query).await
        })
        .await
    }

    /// A read of keys for each bucket of 1024 positions that is looked at.
    async fn find_log(&self, owner: &Jid, search: LogSearch) -> Result<Vec<LogEntry>, StoreError> {
        let owner = owner.clone();
        self.call("find_log", move |cql| async move {
            cql.find_log(&cql.incarnation(&owner).await?, search).await
        })
        .await
    }

    async fn replace_log(
        &self,
        owner: &Jid,
        position: Position,
        stanza: Bytes,
    ) -> Result<bool, StoreError> {
        limits::check_stanza(&stanza)?;
        let owner = owner.clone();
        self.call("replace_log", move |cql| async move {
            let at = cql.incarnation(&owner).await?;
            cql.replace_log(&at, position, stanza).await
        })
        .await
    }

    async fn remove_log(&self, owner: &Jid, range: LogRange) -> Result<u64, StoreError> {
        let owner = owner.clone();
        self.call("remove_log", move |cql| async move {
            cql.remove_log(&cql.incarnation(&owner).await?, range).await
        })
        .await
    }

    /// Reads one row for each 1024 positions, and counts the buckets that have changed since they were counted.
    async fn log_usage(&self, owner: &Jid) -> Result<LogUsage, StoreError> {
        let owner = owner.clone();
        self.call("log_usage", move |cql| async move {
            cql.log_usage(&cql.incarnation(&owner).await?).await
        })
        .await
    }

    /// Walks by the day of receipt and then by owner.
    async fn expire_log(&self, older_than: Timestamp) -> Result<u64, StoreError> {
        self.call("expire_log", move |cql| async move {
            cql.expire_log(older_than).await
        })
        .await
    }

    async fn cursor(&self, owner: &Jid, name: &str) -> Result<Option<Position>, StoreError> {
        let (owner, name) = (owner.clone(), name.to_owned());
        self.call("cursor", move |cql| async move {
            cql.cursor(&cql.incarnation(&owner).await?, &name).await
        })
        .await
    }

    async fn set_cursor(
        &self,
        owner: &Jid,
        name: &str,
        position: Position,
    ) -> Result<(), StoreError> {
        limits::check_owner(owner)?;
        limits::check_name(name)?;
        let (owner, name) = (owner.clone(), name.to_owned());
        self.call("set_cursor", move |cql| async move {
            cql.set_cursor(&cql.incarnation(&owner).await?, &name, position)
                .await
        })
        .await
    }

    async fn schema_version(&self) -> Result<u32, StoreError> {
        self.call("schema_version", move |cql| async move {
            cql.schema_version().await
        })
        .await
    }

    /// Writes and reads on a quorum.
    async fn health(&self) -> Result<(), StoreError> {
        self.call("health", move |cql| async move { cql.probe().await })
            .await
    }

    /// In the order of the database's tokens; owners without an account behind all others.
    async fn owners(&self, after: Option<&str>, limit: usize) -> Result<OwnersPage, StoreError> {
        let from = after.map_or_else(|| Ok(Walk::default()), str::parse)?;
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.call(
            "owners",
            move |cql| async move { cql.owners(from, limit).await },
        )
        .await
    }

    /// The parts are read at the same time, each from a consistent view of its own; together they belong to one
    /// incarnation.
    async fn export_owner(&self, owner: &Jid) -> Result<Option<Owned>, StoreError> {
        let owner = owner.clone();
        self.call("export_owner", move |cql| async move {
            cql.export_owner(&owner).await
        })
        .await
    }

    async fn export_documents(
        &self,
        owner: &Jid,
        life: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        let (owner, life) = (owner.clone(), life.to_owned());
        let after = after.map(|(collection, key)| (collection.to_owned(), key.to_owned()));
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.call("export_documents", move |cql| async move {
            match cql.living(&owner, &life).await? {
                Some(at) => cql.export_documents(&at, after, limit).await,
                None => Ok(Vec::new()),
            }
        })
        .await
    }

    async fn export_log(
        &self,
        owner: &Jid,
        life: &str,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let (owner, life) = (owner.clone(), life.to_owned());
        let query = LogQuery::after(after, limit.min(limits::PAGE_ENTRIES_MAX));
        self.call("export_log", move |cql| async move {
            match cql.living(&owner, &life).await? {
                Some(at) => cql.read_log(&at, query).await,
                None => Ok(Vec::new()),
            }
        })
        .await
    }

    async fn raise_log(&self, owner: &Jid, position: Position) -> Result<(), StoreError> {
        limits::check_owner(owner)?;
        let owner = owner.clone();
        self.call("raise_log", move |cql| async move {
            let at = cql.incarnation(&owner).await?;
            cql.raise(&at, position.pack()).await
        })
        .await
    }

    /// Always none: the database may be larger than any one disk.
    async fn freeze(&self, _dir: &Path) -> Result<Option<Box<dyn Store>>, StoreError> {
        Ok(None)
    }
}
