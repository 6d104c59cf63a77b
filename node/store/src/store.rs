//! The one trait that every backend implements.

use std::fmt::Debug;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use crate::account::{AccountRecord, Found, NewAccount};
use crate::document::Document;
use crate::error::StoreError;
use crate::export::{Owned, OwnersPage, StoredDocument};
use crate::log::{Append, LogEntry, LogQuery, LogRange, LogSearch, LogUsage, Position};
use crate::name::{Buried, Tombstone};
use crate::roster::{Roster, RosterChange};
use crate::standing::Standing;

/// Everything durable that a router owns.
///
/// **Durable** below means: it survives the death of the process and of the machine's power at any
/// later moment, as far as the backend promises that at all ([`MemoryStore`](crate::MemoryStore)
/// promises nothing). A method that changes something returns `Ok` only then. What a method
/// returned `Ok` for is seen by every read that begins later.
///
/// Methods that change something are each atomic, unless they say otherwise. Dropping the future of
/// a call neither undoes nor prevents it.
///
/// An owner is a bare JID: an account's, a room's, a host's. Owners come to be with the first thing
/// they own.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    // Accounts.

    /// Creates an account. Of several concurrent calls for one JID exactly one succeeds, the others
    /// hear [`AlreadyExists`](StoreError::AlreadyExists).
    ///
    /// As far as its [`checks`](NewAccount::checks) ask for it, it is refused as [`Gone`](StoreError::Gone) while the
    /// tombstone of an earlier account holds at the time [`created`](NewAccount::created), and as
    /// [`Confusable`](StoreError::Confusable) where another account of the host has the same skeleton. Of several
    /// concurrent calls for look-alikes at most one succeeds.
    ///
    /// Durable when it returns: the account, and that its skeleton is claimed; a tombstone of the name is gone. It
    /// begins empty: whatever the same JID still owned
    /// without an account, for example an entry that arrived late for a deleted one, is gone in the
    /// same step.
    async fn create_account(&self, account: NewAccount) -> Result<(), StoreError>;

    /// The account of `jid`.
    async fn account(&self, jid: &Jid) -> Result<Option<AccountRecord>, StoreError>;

    /// Replaces the keys of an account: a change of password. Durable when it returns: the new
    /// keys, and the old are gone. [`NotFound`](StoreError::NotFound) without an account.
    async fn set_credentials(&self, jid: &Jid, credentials: Credentials) -> Result<(), StoreError>;

    /// Lets an account log in, or not, as far as its standing allows it. Durable when it returns.
    /// [`NotFound`](StoreError::NotFound) without an account.
    async fn set_enabled(&self, jid: &Jid, enabled: bool) -> Result<(), StoreError>;

    // How accounts stand. See [`standing`](crate::standing).

    /// Changes how an account stands, and nothing else of it. Durable when it returns.
    /// [`NotFound`](StoreError::NotFound) without an account.
    async fn set_standing(&self, jid: &Jid, standing: Standing) -> Result<(), StoreError>;

    /// Accounts of any host whose period of grace is over at `now`, in no order that is promised; `limit` at most,
    /// which is cut to [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX). Whoever deletes them and asks again is
    /// given all.
    async fn leaving_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Jid>, StoreError>;

    /// A page of the accounts of `host` that await approval, in order of their local parts by bytes, beginning behind
    /// the local part `after`. `limit` is cut to [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX).
    async fn awaiting(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError>;

    /// Deletes an account and everything its JID owns: roster, documents, log, cursors. False if
    /// there is no account; then nothing is deleted.
    ///
    /// Durable when it returns: all of it is out of reach for good, also for a later account of the
    /// same JID; and the tombstone, in the same step. A backend may take its time to give back the space.
    async fn delete_account(
        &self,
        jid: &Jid,
        tombstone: Option<Tombstone>,
    ) -> Result<bool, StoreError>;

    // Names. See [`name`](crate::name).

    /// The local parts of the host's accounts whose skeleton is `skeleton`, by bytes; `limit` at most.
    async fn names_like(
        &self,
        host: &str,
        skeleton: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// A page of the tombstones of `host`, also of those that hold no more, in order of their local parts by bytes,
    /// beginning behind the local part `after`. `limit` is cut to
    /// [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX).
    async fn tombstones(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Buried>, StoreError>;

    /// Puts a tombstone where there is no account, in place of the one that may be there.
    /// [`AlreadyExists`](StoreError::AlreadyExists) where there is an account. Durable when it returns.
    async fn bury(&self, jid: &Jid, tombstone: Tombstone) -> Result<(), StoreError>;

    /// Takes a tombstone away: its name is free. False if there is none. Durable when it returns.
    async fn lift_tombstone(&self, jid: &Jid) -> Result<bool, StoreError>;

    /// A page of the accounts of `host`, in order of their local parts by bytes, beginning behind
    /// the local part `after`. `limit` is cut to
    /// [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX).
    async fn list_accounts(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError>;

    /// How many accounts `host` has. May take time in the order of their number: for operators, not
    /// for every login.
    async fn count_accounts(&self, host: &str) -> Result<u64, StoreError>;

    /// All that is needed to begin serving an account, from one consistent view and in one round
    /// trip; without an account, what is left of an earlier one.
    async fn load(&self, jid: &Jid) -> Result<Found, StoreError>;

    // Rosters.

    /// The roster of an account, its items in order of JID; an empty one where there is none.
    async fn roster(&self, jid: &Jid) -> Result<Roster, StoreError>;

    /// Changes a roster. Durable when it returns: all of the change.
    /// [`NotFound`](StoreError::NotFound) without an account.
    async fn update_roster(&self, jid: &Jid, change: RosterChange) -> Result<(), StoreError>;

    // Documents.

    /// One document.
    async fn document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
    ) -> Result<Option<Bytes>, StoreError>;

    /// The documents of a collection, in order of key by bytes.
    async fn documents(&self, owner: &Jid, collection: &str) -> Result<Vec<Document>, StoreError>;

    /// Stores a document in place of the one that may be there. Durable when it returns.
    async fn put_document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
        value: Bytes,
    ) -> Result<(), StoreError>;

    /// Deletes a document. False if there is none. Durable when it returns.
    async fn delete_document(
        &self,
        owner: &Jid,
        collection: &str,
        key: &str,
    ) -> Result<bool, StoreError>;

    /// Makes `documents` the whole collection; of several with one key the last stays. Durable when
    /// it returns: all of it.
    async fn replace_documents(
        &self,
        owner: &Jid,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<(), StoreError>;

    // Logs.

    /// Appends entries. Durable when it returns: all of them; after an error none may be relied on.
    ///
    /// Cheapest with many entries a call: what is queued shares one fsync. Positions may come in
    /// any order. At a position that is taken the entry that is there stays and the new one is
    /// dropped, so that a repeated call changes nothing.
    async fn append(&self, entries: Vec<Append>) -> Result<(), StoreError>;

    /// A page of a log: one range read, whatever the depth. Where it is asked for by time, the place is looked for
    /// first, by halves.
    async fn read_log(&self, owner: &Jid, query: LogQuery) -> Result<Vec<LogEntry>, StoreError>;

    /// Entries of the archive by what their sender has called them. One walk back over so many places at most, without
    /// their stanzas. What was appended before stores kept keys is not found.
    async fn find_log(&self, owner: &Jid, search: LogSearch) -> Result<Vec<LogEntry>, StoreError>;

    /// Puts another stanza in an entry's place; position, time, origin and marks stay. False if there is no entry; then
    /// nothing is changed.
    ///
    /// Durable when it returns: what was there is out of reach, for every read and copy that begins later. The other
    /// log of a shared entry keeps it. Otherwise a backend overwrites it, as soon as it can: SQLite in its file with
    /// the next checkpoint, a CQL database when it compacts.
    async fn replace_log(
        &self,
        owner: &Jid,
        position: Position,
        stanza: Bytes,
    ) -> Result<bool, StoreError>;

    /// Removes the entries of a range from one log (the other log of a shared entry keeps it) and
    /// returns how many. Takes time in the order of what is in the range, also where it spares the archive.
    ///
    /// Durable when it returns: all are gone. A large range goes in several steps, oldest first,
    /// each atomic: a crash or an error in between leaves the later part.
    async fn remove_log(&self, owner: &Jid, range: LogRange) -> Result<u64, StoreError>;

    /// Removes the entries up to `through`, with it, as [`remove_log`](Self::remove_log) does.
    async fn trim_log(&self, owner: &Jid, through: Position) -> Result<u64, StoreError> {
        self.remove_log(owner, LogRange::through(through)).await
    }

    /// What a log holds. Does not take time in the order of its length.
    async fn log_usage(&self, owner: &Jid) -> Result<LogUsage, StoreError>;

    /// Removes from all logs the stanzas received before `older_than` and returns how many (one in
    /// two logs counts once).
    ///
    /// The store walks the stanzas in their order of arrival, and stops after some thousand in a
    /// row that are to stay, so what a clock that went backwards dated wrongly may stay for longer.
    /// Goes in several steps, each atomic. Durable when it returns: all that it counted.
    async fn expire_log(&self, older_than: Timestamp) -> Result<u64, StoreError>;

    /// The position that an owner keeps under `name`.
    async fn cursor(&self, owner: &Jid, name: &str) -> Result<Option<Position>, StoreError>;

    /// Keeps a position under `name`, in place of the one that may be there. Durable when it
    /// returns.
    async fn set_cursor(
        &self,
        owner: &Jid,
        name: &str,
        position: Position,
    ) -> Result<(), StoreError>;

    // The whole.

    /// The version of the schema on disk.
    async fn schema_version(&self) -> Result<u32, StoreError>;

    /// Whether the store can read and write now. After a failed write this tries another one, so it
    /// is the way to find out that the store has recovered.
    async fn health(&self) -> Result<(), StoreError>;

    // Copies. See [`export`](crate::export).

    /// A page of owners behind `after`, what a former page gave as [`next`](OwnersPage::next). `limit` is cut to
    /// [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX).
    ///
    /// A walk gives everyone who owns something from its beginning to its end, once.
    async fn owners(&self, after: Option<&str>, limit: usize) -> Result<OwnersPage, StoreError>;

    /// What an owner owns. None for an owner who owns nothing at all.
    async fn export_owner(&self, owner: &Jid) -> Result<Option<Owned>, StoreError>;

    /// A page of an owner's documents, in order of collection and key by bytes, behind the pair `after`. `limit` is
    /// cut to [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX). Empty for a `life` that is over.
    async fn export_documents(
        &self,
        owner: &Jid,
        life: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<StoredDocument>, StoreError>;

    /// A page of an owner's log, oldest first, above `after`. `limit` is cut to
    /// [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX). Empty for a `life` that is over.
    async fn export_log(
        &self,
        owner: &Jid,
        life: &str,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError>;

    /// Makes a log as high as `position`, if it is not: the next entry must be above, as
    /// [`Loaded::log_tail`] tells. Durable when it returns.
    async fn raise_log(&self, owner: &Jid, position: Position) -> Result<(), StoreError>;

    /// What the store holds now, as a store of its own that nobody changes: a copy in the folder `dir`, which must be
    /// empty or not there, and which is to be removed when the copy is no longer needed. The store goes on serving
    /// meanwhile. None from a backend that makes no copy; it is then to be exported itself, while it changes.
    async fn freeze(&self, dir: &Path) -> Result<Option<Box<dyn Store>>, StoreError>;
}
