//! Routers say that they use a store which others can reach, so that nobody restores into it.
//!
//! Each has a document of `restore.invalid`, with the time of its last renewal. A router writes it before it looks for
//! the mark of a restore, and a restore writes its mark before it looks for routers: so of the two at least one sees
//! the other. Wall clocks are compared, which the database wants to be in step anyway.

use std::sync::Arc;
use std::time::Duration;

use rookery_store::{Store, StoreError};
use rookery_xmpp::clock::Timestamp;

use super::BackupError;
use super::restore::mark;

/// Says that this router uses the store, now. Durable when it returns.
pub async fn announce(store: &dyn Store, node: u32, now: Timestamp) -> Result<(), StoreError> {
    let value = now.as_millis().to_string();
    store
        .put_document(&mark(), COLLECTION, &node.to_string(), value.into())
        .await
}

/// Says it again and again, for ever.
pub async fn keep(store: Arc<dyn Store>, node: u32) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(error) = announce(&*store, node, Timestamp::now()).await {
            tracing::warn!(%error, "use of the store was not renewed");
        }
    }
}

/// Says that this router uses the store no more.
pub async fn withdraw(store: &dyn Store, node: u32) -> Result<(), StoreError> {
    store
        .delete_document(&mark(), COLLECTION, &node.to_string())
        .await
        .map(drop)
}

/// Refuses a store that a router has used lately.
pub(super) async fn check(store: &dyn Store, now: Timestamp) -> Result<(), BackupError> {
    for (node, value) in store.documents(&mark(), COLLECTION).await? {
        let text = std::str::from_utf8(&value).unwrap_or_default();
        // What cannot be read is taken for the worst.
        let renewed = text.parse().map_or(now, Timestamp);
        let ago = Duration::from_millis(now.as_millis().saturating_sub(renewed.as_millis()));
        if ago < FORGOTTEN {
            let seconds = ago.as_secs();
            return Err(BackupError::StoreInUse { node, seconds });
        }
    }
    Ok(())
}

const COLLECTION: &str = "routers";

/// Between two renewals: one small write for each router.
const RENEWAL: Duration = Duration::from_secs(10);

/// A router that has not renewed for so long is dead: five renewals failed, and clocks differ by some seconds.
const FORGOTTEN: Duration = Duration::from_secs(60);
