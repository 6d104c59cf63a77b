//! The reference store: plain maps behind one lock.
//!
//! What the trait means is easiest read here. For tests, simulations and servers that may forget
//! everything.

mod account;
mod document;
mod export;
mod log;
mod names;
mod roster;
mod standing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use crate::account::{AccountRecord, Found, NewAccount};
use crate::document::Document;
use crate::error::StoreError;
use crate::export::{Owned, OwnersPage, StoredDocument};
use crate::limits;
use crate::log::{Append, LogEntry, LogQuery, LogRange, LogSearch, LogUsage, Position};
use crate::name::{Buried, Tombstone};
use crate::roster::{Roster, RosterChange, RosterItem};
use crate::standing::Standing;
use crate::store::Store;

/// A store that keeps everything in memory and nothing beyond the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every change is complete before anything can panic, so a poisoned lock guards a sound state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything.
#[derive(Debug, Default)]
struct State {
    /// By host, then by local part: the order of lists.
    accounts: BTreeMap<String, BTreeMap<String, AccountRecord>>,
    names: names::Names,
    owners: BTreeMap<Jid, Owner>,
    /// Stanzas by number, in order of arrival.
    bodies: BTreeMap<u64, log::Body>,
    next_body: u64,
    next_life: u64,
}

/// What one owner owns.
#[derive(Debug, Default)]
struct Owner {
    /// A number of its own for each that came to be.
    life: u64,
    roster_version: u64,
    roster: BTreeMap<Jid, RosterItem>,
    /// Collection, key → value.
    documents: BTreeMap<String, BTreeMap<String, Bytes>>,
    /// Position → number of the stanza.
    log: BTreeMap<Position, u64>,
    usage: LogUsage,
    /// The highest position ever appended.
    log_high: Option<Position>,
    cursors: BTreeMap<String, Position>,
}

#[async_trait]
impl Store for MemoryStore {
    async fn create_account(&self, account: NewAccount) -> Result<(), StoreError> {
        limits::check_account(&account.jid)?;
        self.state().create_account(account)
    }

    async fn account(&self, jid: &Jid) -> Result<Option<AccountRecord>, StoreError> {
        Ok(self.state().account(jid).cloned())
    }

    async fn set_credentials(&self, jid: &Jid, credentials: Credentials) -> Result<(), StoreError> {
        self.state().account_mut(jid)?.credentials = credentials;
        Ok(())
    }

    async fn set_enabled(&self, jid: &Jid, enabled: bool) -> Result<(), StoreError> {
        self.state().account_mut(jid)?.enabled = enabled;
        Ok(())
    }

    async fn set_standing(&self, jid: &Jid, standing: Standing) -> Result<(), StoreError> {
        self.state().account_mut(jid)?.standing = standing;
        Ok(())
    }

    async fn leaving_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Jid>, StoreError> {
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        Ok(self.state().leaving_due(now, limit))
    }

    async fn awaiting(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        Ok(self.state().awaiting(host, after, limit))
    }

    async fn delete_account(
        &self,
        jid: &Jid,
        tombstone: Option<Tombstone>,
    ) -> Result<bool, StoreError> {
        Ok(self.state().delete_account(jid, tombstone))
    }

    async fn names_like(
        &self,
        host: &str,
        skeleton: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        Ok(self.state().names.like(host, skeleton, limit))
    }

    async fn tombstones(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Buried>, StoreError> {
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        Ok(self.state().names.tombstones(host, after, limit))
    }

    async fn bury(&self, jid: &Jid, tombstone: Tombstone) -> Result<(), StoreError> {
        limits::check_account(jid)?;
        let mut state = self.state();
        if state.account(jid).is_some() {
            return Err(StoreError::AlreadyExists);
        }
        state.names.bury(jid, tombstone);
        Ok(())
    }

    async fn lift_tombstone(&self, jid: &Jid) -> Result<bool, StoreError> {
        Ok(self.state().names.lift(jid))
    }

    async fn list_accounts(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        Ok(self
            .state()
            .list_accounts(host, after, limit.min(limits::PAGE_ENTRIES_MAX)))
    }

    async fn count_accounts(&self, host: &str) -> Result<u64, StoreError> {
        Ok(self
            .state()
            .accounts
            .get(host)
            .map_or(0, |accounts| accounts.len() as u64))
    }

    async fn load(&self, jid: &Jid) -> Result<Found, StoreError> {
        Ok(self.state().load(jid))
    }

    async fn roster(&self, jid: &Jid) -> Result<Roster, StoreError> {
        Ok(self.state().roster(jid))
    }

    async fn update_roster(&self, jid: &Jid, change: RosterChange) -> Result<(), StoreError> {
        limits::check_roster_change(&change)?;
        self.state().update_roster(jid, change)
    }

    async fn document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
    ) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().document(owner, collection, key))
    }

    async fn documents(&self, owner: &Jid, collection: &str) -> Result<Vec<Document>, StoreError> {
        Ok(self.state().documents(owner, collection))
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
        self.state().put_document(owner, collection, key, value);
        Ok(())
    }

    async fn delete_document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
    ) -> Result<bool, StoreError> {
        Ok(self.state().delete_document(owner, collection, key))
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
        self.state().replace_documents(owner, collection, documents);
        Ok(())
    }

    async fn append(&self, entries: Vec<Append>) -> Result<(), StoreError> {
        limits::check_appends(&entries)?;
        let mut state = self.state();
        entries.into_iter().for_each(|entry| state.append(entry));
        Ok(())
    }

    async fn read_log(&self, owner: &Jid, query: LogQuery) -> Result<Vec<LogEntry>, StoreError> {
        Ok(self.state().read_log(owner, query))
    }

    async fn find_log(&self, owner: &Jid, search: LogSearch) -> Result<Vec<LogEntry>, StoreError> {
        Ok(self.state().find_log(owner, search))
    }

    async fn replace_log(
        &self,
        owner: &Jid,
        position: Position,
        stanza: Bytes,
    ) -> Result<bool, StoreError> {
        limits::check_stanza(&stanza)?;
        Ok(self.state().replace_log(owner, position, stanza))
    }

    async fn remove_log(&self, owner: &Jid, range: LogRange) -> Result<u64, StoreError> {
        Ok(self.state().remove_log(owner, range))
    }

    async fn log_usage(&self, owner: &Jid) -> Result<LogUsage, StoreError> {
        Ok(self
            .state()
            .owners
            .get(owner)
            .map_or_else(LogUsage::default, |owner| owner.usage))
    }

    async fn expire_log(&self, older_than: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state().expire_log(older_than))
    }

    async fn cursor(&self, owner: &Jid, name: &str) -> Result<Option<Position>, StoreError> {
        Ok(self
            .state()
            .owners
            .get(owner)
            .and_then(|owner| owner.cursors.get(name).copied()))
    }

    async fn set_cursor(
        &self,
        owner: &Jid,
        name: &str,
        position: Position,
    ) -> Result<(), StoreError> {
        limits::check_owner(owner)?;
        limits::check_name(name)?;
        self.state()
            .owner_mut(owner)
            .cursors
            .insert(name.to_owned(), position);
        Ok(())
    }

    /// Always 0: there is no schema.
    async fn schema_version(&self) -> Result<u32, StoreError> {
        Ok(0)
    }

    async fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn owners(&self, after: Option<&str>, limit: usize) -> Result<OwnersPage, StoreError> {
        Ok(self
            .state()
            .owners(after, limit.min(limits::PAGE_ENTRIES_MAX)))
    }

    async fn export_owner(&self, owner: &Jid) -> Result<Option<Owned>, StoreError> {
        Ok(self.state().export_owner(owner))
    }

    async fn export_documents(
        &self,
        owner: &Jid,
        life: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        Ok(self.state().export_documents(owner, life, after, limit))
    }

    async fn export_log(
        &self,
        owner: &Jid,
        life: &str,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        Ok(self.state().export_log(owner, life, after, limit))
    }

    async fn raise_log(&self, owner: &Jid, position: Position) -> Result<(), StoreError> {
        limits::check_owner(owner)?;
        self.state().raise_log(owner, position);
        Ok(())
    }

    /// Always none.
    async fn freeze(&self, _dir: &Path) -> Result<Option<Box<dyn Store>>, StoreError> {
        Ok(None)
    }
}

impl State {
    /// The owner `jid`, made if it owns nothing yet.
    fn owner_mut(&mut self, jid: &Jid) -> &mut Owner {
        if !self.owners.contains_key(jid) {
            self.next_life += 1;
            let owner = Owner {
                life: self.next_life,
                ..Owner::default()
            };
            self.owners.insert(jid.clone(), owner);
        }
        self.owners.get_mut(jid).expect("it was made above")
    }

    /// Forgets everything that `jid` owns.
    fn forget_owner(&mut self, jid: &Jid) {
        self.remove_log(jid, LogRange::all());
        self.owners.remove(jid);
    }
}
