//! Puts a backup into an empty store.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use prost::Message;
use rookery_control::ClusterSecret;
use rookery_proto::backup::record::Kind;
use rookery_proto::backup::{Owner, Record};
use rookery_store::log::Append;
use rookery_store::roster::{RosterChange, RosterItem};
use rookery_store::{Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::{Amount, BackupError, Reader, in_use, record};

/// Restores a backup that was [checked](Reader::check). Refuses a store in which anybody owns something, but for one
/// into which the same backup was being restored: everything is idempotent, so it begins from the beginning.
///
/// Durable when it returns: all of it. `progress` is told how much was put into the store.
pub async fn restore(
    reader: &mut Reader,
    store: &Arc<dyn Store>,
    mut progress: impl FnMut(Amount),
) -> Result<Amount, BackupError> {
    let id = reader.begin().id.clone();
    let mark = mark();
    let goes_on = match store.document(&mark, COLLECTION, KEY).await? {
        Some(found) if found == id.as_bytes() => true,
        Some(_) => return Err(BackupError::OtherRestore),
        None => false,
    };
    store
        .put_document(&mark, COLLECTION, KEY, id.into())
        .await?;
    let mut free = in_use::check(&**store, Timestamp::now()).await;
    if !goes_on {
        if free.is_ok() {
            free = check_empty(store).await;
        }
        if free.is_err() {
            store.delete_document(&mark, COLLECTION, KEY).await?;
        }
    }
    free?;
    reader.rewind();
    let mut parts = Parts::default();
    while let Some(record) = reader.next()? {
        if parts.is_full(&record) {
            parts.write(store).await?;
            progress(parts.amount);
        }
        parts.add(record)?;
    }
    parts.write(store).await?;
    if let Some(secret) = reader.begin().decoy_secret {
        let secret = String::from(secret);
        store
            .put_document(&mark, COLLECTION, SECRET, secret.into())
            .await?;
    }
    let epoch = parts.epoch.to_string();
    store
        .put_document(&mark, COLLECTION, EPOCH, epoch.into())
        .await?;
    store.delete_document(&mark, COLLECTION, KEY).await?;
    Ok(parts.amount)
}

/// What a store that was restored brings for the control group, which has to know it before anybody serves the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restored {
    /// [`highest_epoch`].
    pub epoch: u32,
    /// [`restored_secret`].
    pub secret: Option<ClusterSecret>,
}

impl Restored {
    /// What this store brings.
    pub async fn of(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self {
            epoch: highest_epoch(store).await?,
            secret: restored_secret(store).await?,
        })
    }
}

/// The highest epoch of the positions that were restored into the store; 0 if there were none.
///
/// Positions begin with the epoch of whoever appends. A server that has begun anew, with a low one, would append among
/// what was restored, and where a position is taken lose what it appends: so it must begin at this epoch, and a cluster
/// above it.
pub async fn highest_epoch(store: &dyn Store) -> Result<u32, StoreError> {
    let found = store.document(&mark(), COLLECTION, EPOCH).await?;
    let Some(found) = found else { return Ok(0) };
    let number = std::str::from_utf8(&found)
        .ok()
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| StoreError::Corrupt("the epoch of what was restored is no number".into()))
}

/// The secret that was restored with the store; none where nothing was, or by a backup that did not hold it.
///
/// Names without an account get their salts from it. Whoever asked for a name before the restore must not see by the
/// salt that it has no account: so what serves the store has to use this secret.
pub async fn restored_secret(store: &dyn Store) -> Result<Option<ClusterSecret>, StoreError> {
    let found = store.document(&mark(), COLLECTION, SECRET).await?;
    let Some(found) = found else { return Ok(None) };
    let text = String::from_utf8(found.to_vec());
    let secret = text
        .ok()
        .and_then(|text| ClusterSecret::try_from(text).ok());
    let damaged = || StoreError::Corrupt("the secret that was restored is none".into());
    secret.ok_or_else(damaged).map(Some)
}

/// Whether somebody is none of those whose things are backed up, but restoring's own.
pub(super) fn is_own(owner: &Jid) -> bool {
    *owner == mark()
}

/// Whether a backup is being restored into the store, or was, and is not finished.
pub async fn is_marked(store: &dyn Store) -> Result<bool, StoreError> {
    let found = store.document(&mark(), COLLECTION, KEY).await?;
    Ok(found.is_some())
}

async fn check_empty(store: &Arc<dyn Store>) -> Result<(), BackupError> {
    let mut from = None;
    loop {
        let page = store.owners(from.as_deref(), 100).await?;
        for owner in page.owners {
            if !is_own(&owner) && store.export_owner(&owner).await?.is_some() {
                return Err(BackupError::StoreNotEmpty(owner.to_string()));
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// What is put into the store at once: parts of different owners at the same time, those of one owner one after
/// another.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    bytes: usize,
    amount: Amount,
    /// The highest of the positions so far.
    epoch: u32,
}

/// Some of what an owner has, or all.
#[derive(Default)]
struct Part {
    /// Its record, in the first part.
    begins: Option<Owner>,
    jid: Option<Jid>,
    items: Vec<RosterItem>,
    cursors: Vec<(String, i64)>,
    documents: Vec<rookery_proto::backup::Document>,
    log: Vec<Append>,
}

impl Parts {
    /// Whether what is gathered must be written before this record.
    fn is_full(&self, next: &Record) -> bool {
        let begins = matches!(next.kind, Some(Kind::Owner(_)));
        self.bytes >= BYTES || begins && self.parts.len() >= OWNERS
    }

    fn add(&mut self, record: Record) -> Result<(), BackupError> {
        let bytes = record.encoded_len();
        self.bytes += bytes;
        self.amount.records += 1;
        self.amount.bytes += bytes as u64;
        let kind = record.kind.unwrap_or(Kind::Owner(Owner::default()));
        if let Kind::Owner(owner) = kind {
            self.amount.owners += 1;
            // Nothing in a log is above its height.
            if let Some(high) = owner.log_high {
                self.epoch = self.epoch.max(record::position(high)?.epoch());
            }
            self.parts.push(Part {
                jid: Some(record::jid(&owner.jid)?),
                begins: Some(owner),
                ..Part::default()
            });
            return Ok(());
        }
        let nobody = || BackupError::Record("the first belongs to nobody".to_owned());
        let part = self.parts.last_mut().ok_or_else(nobody)?;
        let owner = part.jid.as_ref().ok_or_else(nobody)?;
        match kind {
            Kind::Owner(_) => {}
            Kind::RosterItem(item) => part.items.push(record::roster_item(item)?),
            Kind::Cursor(cursor) => part.cursors.push((cursor.name, cursor.position)),
            Kind::Document(document) => part.documents.push(document),
            Kind::LogEntry(entry) => part.log.push(record::append(owner, entry)?),
        }
        Ok(())
    }

    /// Writes what is gathered. The last owner may have more.
    async fn write(&mut self, store: &Arc<dyn Store>) -> Result<(), BackupError> {
        let last = self.parts.last().and_then(|part| part.jid.clone());
        let writes: Vec<_> = self.parts.drain(..).map(|part| part.write(store)).collect();
        stream::iter(writes)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.bytes = 0;
        self.parts.push(Part {
            jid: last,
            ..Part::default()
        });
        Ok(())
    }
}

impl Part {
    async fn write(self, store: &Arc<dyn Store>) -> Result<(), BackupError> {
        let Some(jid) = self.jid else {
            return Ok(());
        };
        let (mut version, mut has_account) = (0, false);
        if let Some(owner) = self.begins {
            version = owner.roster_version;
            has_account = owner.account.is_some();
            if let Some(account) = owner.account {
                let (account, enabled) = record::new_account(&jid, account)?;
                match store.create_account(account).await {
                    // A former run has come so far.
                    Ok(()) | Err(StoreError::AlreadyExists) => {}
                    Err(error) => return Err(error.into()),
                }
                if !enabled {
                    store.set_enabled(&jid, false).await?;
                }
            }
            if let Some(tombstone) = owner.tombstone {
                store.bury(&jid, record::tombstone(tombstone)).await?;
            }
            if let Some(high) = owner.log_high {
                store.raise_log(&jid, record::position(high)?).await?;
            }
        }
        if !self.items.is_empty() || has_account && version > 0 {
            // A roster that comes in several parts keeps its version.
            let version = match has_account {
                true => version,
                false => store.roster(&jid).await?.version,
            };
            let change = RosterChange {
                put: self.items,
                remove: Vec::new(),
                version,
            };
            store.update_roster(&jid, change).await?;
        }
        for (name, position) in self.cursors {
            store
                .set_cursor(&jid, &name, record::position(position)?)
                .await?;
        }
        for it in self.documents {
            store
                .put_document(&jid, &it.collection, &it.key, it.value)
                .await?;
        }
        let mut log = self.log;
        while !log.is_empty() {
            let rest = log.split_off(log.len().min(APPENDS));
            store.append(std::mem::replace(&mut log, rest)).await?;
        }
        Ok(())
    }
}

/// Whose documents say that a backup is being restored, and which routers use the store: `.invalid` is nobody's domain
/// (RFC 2606).
pub(super) fn mark() -> Jid {
    Jid::parse("restore.invalid").expect("it is a domain")
}

const COLLECTION: &str = "restore";
const KEY: &str = "backup";
const EPOCH: &str = "epoch";
const SECRET: &str = "secret";

/// Owners, and bytes of records, that are put into the store at once.
const OWNERS: usize = 64;
const BYTES: usize = 2 * 1024 * 1024;

/// Owners that are written at the same time.
const AT_ONCE: usize = 32;

/// Entries in one append.
const APPENDS: usize = 256;
