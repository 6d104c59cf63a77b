//! Accounts as the admin API shows them, with how they stand.

use rookery_proto::admin::{Standing as ApiStanding, User};
use rookery_store::StoreError;
use rookery_store::account::AccountRecord;
use rookery_store::standing::{Remover, Standing};
use rookery_xmpp::clock::Timestamp;
use tonic::Status;

use super::status::{of_store, page_size};

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
        invited_by: record.inviter.map(|inviter| {
            let user = inviter.user.as_ref();
            user.map_or_else(String::new, |user| user.as_str().to_owned())
        }),
    }
}

/// Which page of a host's accounts is wanted.
pub(super) struct PageAsked<'a> {
    /// The host.
    pub(super) host: &'a str,
    /// Behind which name it begins; none for the first.
    pub(super) after: Option<&'a str>,
    size: usize,
}

impl<'a> PageAsked<'a> {
    /// As a request has it.
    pub(super) fn new(host: &'a str, size: u32, token: &'a str) -> Self {
        Self {
            host,
            after: Some(token).filter(|token| !token.is_empty()),
            size: page_size(size),
        }
    }

    /// How many to ask the store for: one more than there is room for tells whether there is another page.
    pub(super) fn one_more(&self) -> usize {
        self.size + 1
    }

    /// The page, of what the store has found, and where the next begins.
    pub(super) fn answer(
        &self,
        found: Result<Vec<AccountRecord>, StoreError>,
    ) -> Result<(Vec<User>, String), Status> {
        let mut records = found.map_err(|error| of_store(&error))?;
        let more = records.len() > self.size;
        records.truncate(self.size);
        let last = records.last().filter(|_| more);
        let next = last.and_then(|record| record.jid.local());
        let next = next.unwrap_or_default().to_owned();
        Ok((records.into_iter().map(to_user).collect(), next))
    }
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
