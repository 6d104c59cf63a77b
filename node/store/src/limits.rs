//! The store's limits, the same for every backend. What exceeds one is refused with
//! [`StoreError::Invalid`](crate::StoreError::Invalid) before anything is queued.

use rookery_xmpp::jid::Jid;

use crate::document::Document;
use crate::error::StoreError;
use crate::log::Append;
use crate::roster::{RosterChange, RosterItem};

/// Bytes of a stanza in a log. Far above every stanza limit of a stream: it only keeps one entry
/// from filling a group.
pub const STANZA_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a document. A vCard with a photo is the largest that modules keep.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of the name of a collection, a document or a cursor.
pub const NAME_BYTES_MAX: usize = 3071;

/// Entries of one call of [`append`](crate::Store::append): one turn of a shard. More would make a
/// commit long.
pub const APPENDS_MAX: usize = 4096;

/// Entries in a page of a log, accounts in a page of a list: bounds what one answer holds in
/// memory.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// Entries that one search of a log looks at, without their stanzas: some milliseconds.
pub const SEARCH_ENTRIES_MAX: usize = 20_000;

/// Entries at the end of a log whose origins are read with an account. What is sent again is what was on its way when
/// an owner of the account died: of one account, what came within the time of a write. More would make loading slow
/// where many messages wait.
pub const RECENT_ENTRIES: usize = 64;

/// Whether `owner` can own anything: only bare JIDs do.
pub(crate) fn check_owner(owner: &Jid) -> Result<(), StoreError> {
    if owner.is_full() {
        return Err(StoreError::Invalid("an owner must be a bare JID"));
    }
    Ok(())
}

/// Whether `jid` can be an account's.
pub(crate) fn check_account(jid: &Jid) -> Result<(), StoreError> {
    check_owner(jid)?;
    if jid.local().is_none() {
        return Err(StoreError::Invalid(
            "an account's JID must have a local part",
        ));
    }
    Ok(())
}

/// Whether `name` can name a collection, a document or a cursor.
pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(StoreError::Invalid("the name is too long"));
    }
    Ok(())
}

/// Whether `value` can be a document.
pub(crate) fn check_document(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > DOCUMENT_BYTES_MAX {
        return Err(StoreError::Invalid("the document is too large"));
    }
    Ok(())
}

/// Whether `documents` can be a collection.
pub(crate) fn check_documents(documents: &[Document]) -> Result<(), StoreError> {
    documents.iter().try_for_each(|(key, value)| {
        check_name(key)?;
        check_document(value)
    })
}

/// Whether `change` can be stored: SQL's integers are signed.
pub(crate) fn check_roster_change(change: &RosterChange) -> Result<(), StoreError> {
    if i64::try_from(change.version).is_err() {
        return Err(StoreError::Invalid(
            "the roster's version does not fit into 63 bits",
        ));
    }
    let pending = |item: &RosterItem| item.pending_in.as_ref().map_or(0, |stanza| stanza.len());
    if change
        .put
        .iter()
        .any(|item| pending(item) > STANZA_BYTES_MAX)
    {
        return Err(StoreError::Invalid("the stanza is too large"));
    }
    Ok(())
}

/// Whether `appends` can be one call.
pub(crate) fn check_appends(appends: &[Append]) -> Result<(), StoreError> {
    if appends.len() > APPENDS_MAX {
        return Err(StoreError::Invalid("too many entries in one call"));
    }
    appends.iter().try_for_each(check_append)
}

/// Whether `stanza` can be an entry.
pub(crate) fn check_stanza(stanza: &[u8]) -> Result<(), StoreError> {
    if stanza.len() > STANZA_BYTES_MAX {
        return Err(StoreError::Invalid("the stanza is too large"));
    }
    Ok(())
}

fn check_append(append: &Append) -> Result<(), StoreError> {
    check_stanza(&append.stanza)?;
    check_owner(&append.place.owner)?;
    let Some(second) = &append.second else {
        return Ok(());
    };
    if second.owner == append.place.owner {
        return Err(StoreError::Invalid(
            "an entry cannot be in the same log twice",
        ));
    }
    check_owner(&second.owner)
}
