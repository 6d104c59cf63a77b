//! The row of an owner: which incarnation it is in, and its account if it has one.
//!
//! Only conditional writes change it, each on the condition that the row is the one which was read. A conditional write
//! may end in "unknown", also for whoever was successful; what it wrote into `change` is known to its writer alone, so
//! that reading the row again, in a way that first finishes what is half done, tells whose write it was.

use std::time::Duration;

use rookery_xmpp::jid::Jid;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::cql::Cql;
use super::error::unavailable;
use super::metrics;
use crate::codec::{millis, timestamp};
use crate::error::StoreError;
use crate::name::Tombstone;

/// One life of an owner: everything belongs to one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Incarnation {
    /// The bare JID.
    pub(super) owner: String,
    /// Nil for an owner that never had an account.
    pub(super) number: Uuid,
}

/// The row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnerRow {
    /// The token of the write that made it so; none while there is no row.
    pub(super) change: Option<Uuid>,
    /// The incarnation.
    pub(super) incarnation: Uuid,
    /// The account.
    pub(super) account: Option<AccountColumns>,
    /// What is left of an account that was deleted.
    pub(super) gone: Option<Tombstone>,
}

/// The columns of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccountColumns {
    pub(super) created: i64,
    pub(super) enabled: bool,
    pub(super) address: Option<String>,
    pub(super) credentials: String,
    pub(super) details: String,
    pub(super) standing_since: Option<i64>,
    pub(super) leaves: Option<i64>,
    pub(super) left_by: Option<i8>,
}

/// What became of a change of the row.
#[derive(Debug)]
pub(super) enum Change {
    /// It is durable.
    Done,
    /// It was not made, and may be tried again from what the row is then; if not, for this reason.
    NotDone(StoreError),
}

/// A row as the driver gives it.
type Columns = (
    Option<Uuid>,
    Option<Uuid>,
    Option<i64>,
    Option<bool>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i8>,
);

impl Cql {
    /// The incarnation that an owner is in.
    pub(super) async fn incarnation(&self, owner: &Jid) -> Result<Incarnation, StoreError> {
        let statement = &self.statements.incarnation_read;
        let row: Option<(Option<Uuid>,)> = self.first(statement, (owner.as_str(),)).await?;
        let number = row.and_then(|(number,)| number).unwrap_or_default();
        Ok(Incarnation {
            owner: owner.as_str().to_owned(),
            number,
        })
    }

    /// The row of an owner; one of the incarnation of zeros where there is none.
    pub(super) async fn owner(&self, owner: &Jid) -> Result<OwnerRow, StoreError> {
        let row: Option<Columns> = self
            .first(&self.statements.owner_read, (owner.as_str(),))
            .await?;
        Ok(row.map(OwnerRow::from).unwrap_or_default())
    }

    /// Changes the row of an owner from `before`, what was read, to `after`, whose token is made here. After an error
    /// it may be found done.
    pub(super) async fn change_owner(
        &self,
        owner: &Jid,
        before: &OwnerRow,
        after: OwnerRow,
        patience: &Patience,
    ) -> Result<Change, StoreError> {
        let change = Some(Uuid::new_v4());
        let after = OwnerRow { change, ..after };
        let within = patience.attempt(self.options.conditional_within());
        let failed = match self.try_change(owner, before, &after, within).await {
            Ok(true) => return Ok(Change::Done),
            // The database itself may have tried twice.
            Ok(false) => None,
            Err(error) => {
                metrics::unknown_outcome();
                Some(error)
            }
        };
        // If the row is another already, the condition holds no more and nothing is to be waited for. A plain read
        // tells that, and does not get in the way of other conditional writes.
        let mut found = self.owner(owner).await?;
        if found.change == before.change {
            found = self.owner_serial(owner).await?;
        }
        Ok(judge((before, &after), &found, failed))
    }

    async fn try_change(
        &self,
        owner: &Jid,
        before: &OwnerRow,
        after: &OwnerRow,
        within: Duration,
    ) -> Result<bool, StoreError> {
        let account = after.account.as_ref();
        let (change, incarnation) = (after.change, after.incarnation);
        let created = account.map(|account| account.created);
        let enabled = account.map(|account| account.enabled);
        let address = account.and_then(|account| account.address.as_deref());
        let credentials = account.map(|account| account.credentials.as_str());
        let details = account.map(|account| account.details.as_str());
        let gone_at = after.gone.map(|gone| millis(gone.at));
        let gone_until = after.gone.and_then(|gone| gone.until).map(millis);
        let since = account.and_then(|account| account.standing_since);
        let leaves = account.and_then(|account| account.leaves);
        let left_by = account.and_then(|account| account.left_by);
        let jid = owner.as_str();
        if before.change.is_none() {
            let values = (
                change,
                incarnation,
                created,
                enabled,
                address,
                credentials,
                details,
                gone_at,
                gone_until,
                since,
                leaves,
                left_by,
                jid,
            );
            return self
                .try_conditional(&self.statements.owner_insert, values, within)
                .await;
        }
        let values = (
            change,
            incarnation,
            created,
            enabled,
            address,
            credentials,
            details,
            gone_at,
            gone_until,
            since,
            leaves,
            left_by,
            jid,
            before.change,
        );
        self.try_conditional(&self.statements.owner_update, values, within)
            .await
    }

    /// The row of an owner, after what conditional writes have begun is finished or void. Such reads compete with one
    /// another, so each goes to one node at a time and is given longer than the one before.
    async fn owner_serial(&self, owner: &Jid) -> Result<OwnerRow, StoreError> {
        let mut patience = self.patience();
        loop {
            let mut statement = self.statements.owner_read_serial.clone();
            let within = patience.attempt(self.options.conditional_within());
            statement.set_request_timeout(Some(within));
            match self.first::<Columns>(&statement, (owner.as_str(),)).await {
                Ok(row) => return Ok(row.map(OwnerRow::from).unwrap_or_default()),
                Err(error) => patience.wait_after(error).await?,
            }
        }
    }

    /// Patience for as long as a request may take.
    pub(super) fn patience(&self) -> Patience {
        Patience {
            deadline: Instant::now() + self.options.request_within(),
            tries: 0,
        }
    }
}

/// What became of a change from one row to another that was not confirmed, by the row that was found behind it. A write
/// that `failed` without an answer may still come through where it was not found.
pub(super) fn judge(
    (before, after): (&OwnerRow, &OwnerRow),
    found: &OwnerRow,
    failed: Option<StoreError>,
) -> Change {
    if found.change == after.change {
        return Change::Done;
    }
    Change::NotDone(match failed {
        Some(error) if found.change == before.change => error,
        _ => unavailable(&"others change the same account all the time"),
    })
}

/// Bounds how often and how long something is tried again.
pub(super) struct Patience {
    deadline: Instant,
    tries: u32,
}

impl Patience {
    /// How long the next try may take, where the first may take `first`: twice as long each time, up to eight times.
    pub(super) fn attempt(&self, first: Duration) -> Duration {
        first * (1 << self.tries.min(3))
    }

    /// Waits before another try, longer each time and never as long as others; gives `error` back when it is too late.
    pub(super) async fn wait_after(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.tries += 1;
        let most = u64::from(PAUSE_MS << self.tries.min(4));
        let random = u64::from(Uuid::new_v4().as_fields().0) % most;
        let pause = Duration::from_millis(1 + random);
        if Instant::now() + pause > self.deadline {
            return Err(error);
        }
        sleep(pause).await;
        Ok(())
    }
}

impl From<Columns> for OwnerRow {
    fn from(columns: Columns) -> Self {
        let (change, incarnation, created, enabled, address, credentials, details, ..) = columns;
        let (.., gone_at, gone_until, standing_since, leaves, left_by) = columns;
        let account = created.map(|created| AccountColumns {
            created,
            enabled: enabled.unwrap_or_default(),
            address,
            credentials: credentials.unwrap_or_default(),
            details: details.unwrap_or_default(),
            standing_since,
            leaves,
            left_by,
        });
        Self {
            change,
            incarnation: incarnation.unwrap_or_default(),
            account,
            gone: gone_at.map(|at| Tombstone {
                at: timestamp(at),
                until: gone_until.map(timestamp),
            }),
        }
    }
}

impl OwnerRow {
    /// The incarnation of `owner`, whose row this is.
    pub(super) fn of(&self, owner: &Jid) -> Incarnation {
        Incarnation {
            owner: owner.as_str().to_owned(),
            number: self.incarnation,
        }
    }
}

/// Some round trips.
const PAUSE_MS: u32 = 8;
