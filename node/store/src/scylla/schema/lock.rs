//! The lock of migrations: a row that somebody holds, and that ends by itself when its holder dies.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::error::StoreError;
use crate::scylla::connect::applied;
use crate::scylla::error::unavailable;

/// The lock, held.
pub(super) struct Lock<'a> {
    session: &'a Session,
    holder: Uuid,
}

/// What both rows of the table have.
type Columns = (Option<i32>, Option<Uuid>);

impl<'a> Lock<'a> {
    /// Waits for the lock until `deadline`.
    pub(super) async fn acquire(
        session: &'a Session,
        deadline: Instant,
    ) -> Result<Self, StoreError> {
        let holder = Uuid::new_v4();
        let lock = Self { session, holder };
        loop {
            let values = (holder, TTL_S);
            if lock.conditional(INSERT, values).await && lock.is_held().await {
                return Ok(lock);
            }
            if Instant::now() + PAUSE > deadline {
                let reason = "another node has been bringing the schema up to date for too long";
                return Err(unavailable(&reason));
            }
            sleep(PAUSE).await;
        }
    }

    /// Holds it for as long again. Fails if it is no longer held.
    pub(super) async fn renew(&self) -> Result<(), StoreError> {
        let values = (TTL_S, self.holder, self.holder);
        if self.conditional(RENEW, values).await && self.is_held().await {
            return Ok(());
        }
        Err(unavailable(&"the lock of the schema was lost"))
    }

    /// The schema has `version` now, which is the next one.
    pub(super) async fn set_version(&self, version: u32) -> Result<(), StoreError> {
        self.renew().await?;
        let number = i32::try_from(version).unwrap_or(i32::MAX);
        let before = (number > 1).then(|| number - 1);
        self.conditional(VERSION, (number, before)).await;
        match self::version(self.session).await? {
            found if found == version => Ok(()),
            _ => Err(unavailable(&"the schema's version could not be written")),
        }
    }

    /// Lets the next one in; if this fails, the lock ends by itself.
    pub(super) async fn release(self) {
        self.conditional(RELEASE, (self.holder,)).await;
    }

    /// Runs a conditional write. False only if it was surely not applied: who is told true looks.
    async fn conditional(&self, cql: &str, values: impl SerializeRow) -> bool {
        let mut statement = Statement::new(cql);
        statement.set_request_timeout(Some(STATEMENT_MAX));
        match self.session.query_unpaged(statement, values).await {
            Ok(result) => applied(result).unwrap_or(true),
            Err(error) => {
                tracing::debug!(%error, "outcome of a conditional write is unknown");
                true
            }
        }
    }

    async fn is_held(&self) -> bool {
        let row = read(self.session, "lock").await;
        row.is_ok_and(|row| row.is_some_and(|(_, holder)| holder == Some(self.holder)))
    }
}

/// The version of the schema; 0 for an empty keyspace.
pub(in crate::scylla) async fn version(session: &Session) -> Result<u32, StoreError> {
    let version = read(session, "version").await?.and_then(|row| row.0);
    Ok(version.map_or(0, |version| u32::try_from(version).unwrap_or(u32::MAX)))
}

/// A row as it is after all conditional writes that have begun.
async fn read(session: &Session, name: &str) -> Result<Option<Columns>, StoreError> {
    let mut statement = Statement::new("SELECT version, holder FROM migration WHERE name = ?");
    statement.set_consistency(Consistency::LocalSerial);
    statement.set_is_idempotent(true);
    statement.set_request_timeout(Some(STATEMENT_MAX));
    let rows = session.query_unpaged(statement, (name,)).await?;
    Ok(rows.into_rows_result()?.maybe_first_row()?)
}

const INSERT: &str =
    "INSERT INTO migration (name, holder) VALUES ('lock', ?) IF NOT EXISTS USING TTL ?";
const RENEW: &str = "UPDATE migration USING TTL ? SET holder = ? WHERE name = 'lock' IF holder = ?";
const VERSION: &str = "UPDATE migration SET version = ? WHERE name = 'version' IF version = ?";
const RELEASE: &str = "DELETE FROM migration WHERE name = 'lock' IF holder = ?";

/// How long one statement of a migration may take; the lock is renewed before each.
pub(super) const STATEMENT_MAX: Duration = Duration::from_secs(30);

/// How long the lock outlives its holder: two statements at their longest, and what clocks may differ.
const TTL_S: i32 = 90;

const PAUSE: Duration = Duration::from_millis(200);
