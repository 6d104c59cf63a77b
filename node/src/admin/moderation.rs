//! Accounts as the admin API shows them, with how they stand.

use rookery_proto::admin::{Standing as ApiStanding, User};
use rookery_store::account::AccountRecord;
use rookery_store::standing::{Remover, Standing};
use rookery_xmpp::clock::Timestamp;
use tonic::Status;

/// An account.
pub(super) fn to_user(record: AccountRecord) -> User {
    let standing = match record.standing {
        Standing::Member => ApiStanding::Member,
        Standing::Awaiting { .. } => ApiStanding::Awaiting,
        Standing::Leaving { .. } => ApiStanding::Leaving,
    };
    let address = record.address.map(|address| address.to_string());
    User {
        jid: record.jid.as_str().to_owned(),
        created_ms: record.created.as_millis(),
        enabled: record.enabled,
        details: record.details.into_iter().collect(),
        registered_from: address.unwrap_or_default(),
        standing: standing.into(),
        standing_since_ms: record.standing.since().map_or(0, Timestamp::as_millis),
        leaves_ms: record.standing.until().map(Timestamp::as_millis),
        left_by_owner: record.standing.by() == Some(Remover::Owner),
    }
}

/// A page of accounts, of which one more than `size` was asked for, and where the next begins.
pub(super) fn page_of(mut records: Vec<AccountRecord>, size: usize) -> (Vec<User>, String) {
    let more = records.len() > size;
    records.truncate(size);
    let last = records.last().filter(|_| more);
    let next = last.and_then(|record| record.jid.local());
    let next = next.unwrap_or_default().to_owned();
    (records.into_iter().map(to_user).collect(), next)
}

/// Refuses a reason that is too long for the log.
pub(super) fn check_reason(reason: &str) -> Result<(), Status> {
    if reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "the reason has {} bytes: it may have {REASON_BYTES_MAX} at most",
        reason.len()
    )))
}

/// Bytes of a reason: a line.
const REASON_BYTES_MAX: usize = 200;
