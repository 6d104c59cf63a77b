//! The embedded store: SQLite in the process, one writer with group commit, readers beside it.
//!
//! ```text
//! store.db        owners, accounts, rosters, documents, cursors; body and idx: the logs
//! store.db-wal    what is committed and not yet copied home: this is what a commit syncs
//! store.lock      held while a process has the store open
//! ```

mod account;
mod cursor;
mod document;
mod error;
mod export;
mod files;
mod log;
mod metrics;
mod names;
mod options;
mod probe;
mod readers;
mod roster;
mod schema;
mod standing;
mod tail;
mod view;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

pub use options::{Backend, SqliteOptions};

use self::error::Failure;
use self::files::Files;
use self::readers::ReadQueue;
use self::tail::Tail;
use self::view::View;
use self::writer::{Mutation, Shared, WriteQueue};
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

/// A store in one folder, for one process.
///
/// Dropping it waits until what is queued is written and the files are in order.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    /// None once it is being dropped, which ends the threads.
    queues: Option<Queues>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Queues {
    writes: WriteQueue,
    reads: ReadQueue,
}

impl SqliteStore {
    /// Opens the store in the folder `dir`, made if need be, brings its schema up to date, and rebuilds
    /// what a crash left undone. Blocks meanwhile.
    pub fn open(dir: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        options.validate()?;
        metrics::describe();
        let files = Files::open(dir)?;
        let (tail, failing) = (Arc::new(Tail::default()), AtomicBool::new(false));
        let shared = Arc::new(Shared {
            files,
            options,
            tail,
            failing,
        });
        let (writes, writer) = writer::start(&shared)?;
        let (reads, mut threads) = readers::start(&shared)?;
        threads.push(writer);
        Ok(Self {
            shared,
            queues: Some(Queues { writes, reads }),
            threads,
        })
    }

    fn queues(&self) -> &Queues {
        self.queues.as_ref().expect("only drop takes them")
    }

    async fn write<M: Mutation>(&self, mutation: M) -> Result<M::Output, StoreError> {
        self.queues().writes.run(mutation).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queues().reads.run(read).await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.queues = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_account(&self, account: NewAccount) -> Result<(), StoreError> {
        limits::check_account(&account.jid)?;
        self.write(account::CreateAccount(account)).await
    }

    async fn account(&self, jid: &Jid) -> Result<Option<AccountRecord>, StoreError> {
        let jid = jid.clone();
        self.read(move |view| account::account(view, &jid)).await
    }

    async fn set_credentials(&self, jid: &Jid, credentials: Credentials) -> Result<(), StoreError> {
        self.write(account::SetCredentials {
            jid: jid.clone(),
            credentials,
        })
        .await
    }

    async fn set_enabled(&self, jid: &Jid, enabled: bool) -> Result<(), StoreError> {
        self.write(account::SetEnabled {
            jid: jid.clone(),
            enabled,
        })
        .await
    }

    async fn set_standing(&self, jid: &Jid, standing: Standing) -> Result<(), StoreError> {
        let jid = jid.clone();
        self.write(standing::SetStanding { jid, standing }).await
    }

    async fn leaving_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Jid>, StoreError> {
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.read(move |view| standing::due(view, now, limit)).await
    }

    async fn awaiting(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let (host, after) = (host.to_owned(), after.map(str::to_owned));
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.read(move |view| standing::awaiting(view, &host, after.as_deref(), limit))
            .await
    }

    async fn delete_account(
        &self,
        jid: &Jid,
        tombstone: Option<Tombstone>,
    ) -> Result<bool, StoreError> {
        let jid = jid.clone();
        self.write(account::DeleteAccount { jid, tombstone }).await
    }

    async fn names_like(
        &self,
        host: &str,
        skeleton: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (host, skeleton) = (host.to_owned(), skeleton.to_owned());
        self.read(move |view| names::like(view, &host, &skeleton, limit))
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
        self.read(move |view| names::tombstones(view, &host, after.as_deref(), limit))
            .await
    }

    async fn bury(&self, jid: &Jid, tombstone: Tombstone) -> Result<(), StoreError> {
        limits::check_account(jid)?;
        let jid = jid.clone();
        self.write(names::Bury { jid, tombstone }).await
    }

    async fn lift_tombstone(&self, jid: &Jid) -> Result<bool, StoreError> {
        self.write(names::Lift(jid.clone())).await
    }

    async fn list_accounts(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let (host, after) = (host.to_owned(), after.map(str::to_owned));
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.read(move |view| account::list(view, &host, after.as_deref(), limit))
            .await
    }

    async fn count_accounts(&self, host: &str) -> Result<u64, StoreError> {
        let host = host.to_owned();
        self.read(move |view| account::count(view, &host)).await
    }

    async fn load(&self, jid: &Jid) -> Result<Found, StoreError> {
        let jid = jid.clone();
        self.read(move |view| account::load(view, &jid)).await
    }

    async fn roster(&self, jid: &Jid) -> Result<Roster, StoreError> {
        let jid = jid.clone();
        self.read(move |view| roster::roster(view, &jid)).await
    }

    async fn update_roster(&self, jid: &Jid, change: RosterChange) -> Result<(), StoreError> {
        limits::check_roster_change(&change)?;
        self.write(roster::UpdateRoster {
            jid: jid.clone(),
            change,
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
        self.read(move |view| document::one(view, &owner, &collection, &key))
            .await
    }

    async fn documents(&self, owner: &Jid, collection: &str) -> Result<Vec<Document>, StoreError> {
        let (owner, collection) = (owner.clone(), collection.to_owned());
        self.read(move |view| document::all(view, &owner, &collection))
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
        let (owner, collection) = (owner.clone(), collection.to_owned());
        let document = (key.to_owned(), value);
        self.write(document::PutDocument {
            owner,
            collection,
            document,
        })
        .await
    }

    async fn delete_document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
    ) -> Result<bool, StoreError> {
        let (owner, collection, key) = (owner.clone(), collection.to_owned(), key.to_owned());
        self.write(document::DeleteDocument {
            owner,
            collection,
            key,
        })
        .await
    }

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
        self.write(document::ReplaceDocuments {
            owner,
            collection,
            documents,
        })
        .await
    }

    async fn append(&self, entries: Vec<Append>) -> Result<(), StoreError> {
        limits::check_appends(&entries)?;
        if entries.is_empty() {
            return Ok(());
        }
        self.write(log::AppendEntries::new(entries)).await
    }

    async fn read_log(&self, owner: &Jid, query: LogQuery) -> Result<Vec<LogEntry>, StoreError> {
        let owner = owner.clone();
        let query = LogQuery {
            limit: query.limit.min(limits::PAGE_ENTRIES_MAX),
            ..query
        };
        self.read(move |view| log::page(view, &owner, query)).await
    }

    async fn find_log(&self, owner: &Jid, search: LogSearch) -> Result<Vec<LogEntry>, StoreError> {
        let owner = owner.clone();
        self.read(move |view| log::find(view, &owner, search)).await
    }

    async fn replace_log(
        &self,
        owner: &Jid,
        position: Position,
        stanza: Bytes,
    ) -> Result<bool, StoreError> {
        limits::check_stanza(&stanza)?;
        self.write(log::Replace::new(owner, position, stanza)).await
    }

    async fn remove_log(&self, owner: &Jid, range: LogRange) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let owner = owner.clone();
            let slice = self.write(log::RemoveSlice { owner, range }).await?;
            removed += slice.entries;
            if !slice.more {
                return Ok(removed);
            }
        }
    }

    async fn log_usage(&self, owner: &Jid) -> Result<LogUsage, StoreError> {
        let owner = owner.clone();
        self.read(move |view| log::usage(view, &owner)).await
    }

    async fn expire_log(&self, older_than: Timestamp) -> Result<u64, StoreError> {
        let (mut expired, mut next) = (0, Some(0));
        while let Some(behind) = next {
            let slice = self.write(log::ExpireSlice { older_than, behind }).await?;
            expired += slice.stanzas;
            next = slice.next;
        }
        Ok(expired)
    }

    async fn cursor(&self, owner: &Jid, name: &str) -> Result<Option<Position>, StoreError> {
        let (owner, name) = (owner.clone(), name.to_owned());
        self.read(move |view| cursor::cursor(view, &owner, &name))
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
        self.write(cursor::SetCursor {
            owner,
            name,
            position,
        })
        .await
    }

    async fn schema_version(&self) -> Result<u32, StoreError> {
        self.read(|view| view.schema_version()).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        if self.shared.failing.load(Ordering::Relaxed) {
            self.write(probe::Probe).await?;
        }
        self.schema_version().await.map(drop)
    }

    async fn owners(&self, after: Option<&str>, limit: usize) -> Result<OwnersPage, StoreError> {
        let (after, limit) = (
            after.map(str::to_owned),
            limit.min(limits::PAGE_ENTRIES_MAX),
        );
        self.read(move |view| export::owners(view, after.as_deref(), limit))
            .await
    }

    async fn export_owner(&self, owner: &Jid) -> Result<Option<Owned>, StoreError> {
        let owner = owner.clone();
        self.read(move |view| export::owned(view, &owner)).await
    }

    async fn export_documents(
        &self,
        owner: &Jid,
        life: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        let page = export::DocumentsPage {
            owner: owner.clone(),
            life: life.to_owned(),
            after: after.map(|(collection, key)| (collection.to_owned(), key.to_owned())),
            limit: limit.min(limits::PAGE_ENTRIES_MAX),
        };
        self.read(move |view| page.read(view)).await
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
        self.read(move |view| export::log(view, &owner, &life, query))
            .await
    }

    async fn raise_log(&self, owner: &Jid, position: Position) -> Result<(), StoreError> {
        limits::check_owner(owner)?;
        let owner = owner.clone();
        self.write(log::Raise { owner, position }).await
    }

    /// A copy of the file, made by the writer between its groups, and opened.
    async fn freeze(&self, dir: &Path) -> Result<Option<Box<dyn Store>>, StoreError> {
        let file = files::prepare_copy(dir)?;
        self.queues().writes.back_up(&file).await?;
        let (dir, options) = (dir.to_owned(), self.shared.options.clone());
        let opened = tokio::task::spawn_blocking(move || Self::open(&dir, options));
        let copy = opened
            .await
            .map_err(|cause| StoreError::Unavailable(cause.to_string().into()))??;
        Ok(Some(Box::new(copy)))
    }
}
