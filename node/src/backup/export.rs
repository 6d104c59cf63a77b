//! Walks a store and hands out its records.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use prost::Message;
use rookery_proto::backup::Record;
use rookery_store::Store;
use rookery_store::export::StoredDocument;
use rookery_store::log::LogEntry;
use rookery_xmpp::jid::Jid;
use tokio::sync::mpsc::Sender;

use super::restore::is_own;
use super::source::Piece;
use super::{BackupError, record};

/// Sends all that `store` holds, from where a former walk says, piece by piece: as fast as they are taken, and no
/// further once nobody takes them.
///
/// Holds some owners and a piece in memory, however much there is.
pub async fn export(
    store: Arc<dyn Store>,
    from: Option<String>,
    pieces: Sender<Result<Piece, BackupError>>,
) {
    let mut walk = Walk {
        store,
        pieces,
        records: Vec::new(),
        bytes: 0,
    };
    if let Err(Stop::Failed(error)) = walk.run(from).await {
        // Whoever took the pieces may have gone too.
        let _gone = walk.pieces.send(Err(error)).await;
    }
}

/// A walk, and the piece that it fills.
struct Walk {
    store: Arc<dyn Store>,
    pieces: Sender<Result<Piece, BackupError>>,
    records: Vec<Record>,
    bytes: usize,
}

/// Why a walk ends early.
enum Stop {
    /// Nobody takes the pieces.
    Gone,
    Failed(BackupError),
}

impl<E: Into<BackupError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What an owner begins with.
struct Opened {
    jid: Jid,
    life: String,
    records: Vec<Record>,
    documents: Vec<StoredDocument>,
    log: Vec<LogEntry>,
}

impl Walk {
    async fn run(&mut self, mut from: Option<String>) -> Result<(), Stop> {
        loop {
            let page = self.store.owners(from.as_deref(), OWNERS).await?;
            let store = &Arc::clone(&self.store);
            let owners = page.owners.into_iter().filter(|jid| !is_own(jid));
            let opened = owners.map(|jid| open(store, jid));
            let mut opened = stream::iter(opened).buffered(OPENED_AT_ONCE);
            while let Some(owner) = opened.next().await {
                if let Some(owner) = owner? {
                    self.owner(owner).await?;
                }
            }
            from = page.next;
            self.flush(Some(from.clone())).await?;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn owner(&mut self, owner: Opened) -> Result<(), Stop> {
        let Opened {
            jid,
            life,
            records,
            mut documents,
            mut log,
        } = owner;
        for record in records {
            self.put(record).await?;
        }
        while let Some(last) = documents.last() {
            let after = (last.collection.clone(), last.key.clone());
            let is_whole = documents.len() < DOCUMENTS;
            for document in documents.drain(..) {
                self.put(record::document(document)).await?;
            }
            if !is_whole {
                let after = Some((after.0.as_str(), after.1.as_str()));
                let page = self.store.export_documents(&jid, &life, after, DOCUMENTS);
                documents = page.await?;
            }
        }
        while let Some(last) = log.last() {
            let (after, is_whole) = (last.position, log.len() < ENTRIES);
            for entry in log.drain(..) {
                self.put(record::log_entry(entry)).await?;
            }
            if !is_whole {
                let page = self.store.export_log(&jid, &life, Some(after), ENTRIES);
                log = page.await?;
            }
        }
        Ok(())
    }

    async fn put(&mut self, record: Record) -> Result<(), Stop> {
        self.bytes += record.encoded_len();
        self.records.push(record);
        match self.bytes >= PIECE_BYTES {
            true => self.flush(None).await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self, page: Option<Option<String>>) -> Result<(), Stop> {
        self.bytes = 0;
        let records = std::mem::take(&mut self.records);
        let sent = self.pieces.send(Ok(Piece { records, page })).await;
        sent.map_err(|_| Stop::Gone)
    }
}

/// Reads what an owner begins with: for most, all of it.
async fn open(store: &Arc<dyn Store>, jid: Jid) -> Result<Option<Opened>, BackupError> {
    let Some(owned) = store.export_owner(&jid).await? else {
        return Ok(None);
    };
    let life = owned.life.clone();
    let records = record::owned(&jid, owned)?;
    let documents = store.export_documents(&jid, &life, None, DOCUMENTS).await?;
    let log = store.export_log(&jid, &life, None, ENTRIES).await?;
    Ok(Some(Opened {
        jid,
        life,
        records,
        documents,
        log,
    }))
}

/// Owners in a page: what is done anew, at most, where a chunk ends.
const OWNERS: usize = 100;

/// Owners whose beginning is read at the same time. Few: everybody else wants the store too.
const OPENED_AT_ONCE: usize = 8;

/// Documents in a page: each may have megabytes.
const DOCUMENTS: usize = 16;

/// Entries of a log in a page.
const ENTRIES: usize = 128;

/// Bytes of records after which a piece is handed out.
const PIECE_BYTES: usize = 256 * 1024;
