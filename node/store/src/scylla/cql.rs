//! The session with the database, and the ways to run a statement.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{ExecutionError, RequestAttemptError};
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use tokio::time::{Instant, sleep};

use super::error::unavailable;
use super::lanes::Lanes;
use super::log::Known;
use super::options::ScyllaOptions;
use super::stamps::Stamps;
use super::statements::Statements;
use super::{connect, schema};
use crate::error::StoreError;

/// A connected store: what every operation is a method of.
pub(super) struct Cql {
    session: Session,
    pub(super) statements: Statements,
    pub(super) stamps: Arc<Stamps>,
    pub(super) options: ScyllaOptions,
    /// What this process has lately registered of logs.
    pub(super) known: Known,
    /// Who may change an account now.
    pub(super) lanes: Lanes,
    /// Who may claim what a name looks like now: taken before the account's lane.
    pub(super) looks: Lanes,
}

/// Changes of one partition that are made as one: all are seen, or none.
pub(super) struct Together {
    batch: Batch,
    values: Vec<Box<dyn SerializeRow + Send + Sync>>,
}

impl Cql {
    /// Connects, brings the schema up to date, and prepares the statements.
    pub(super) async fn open(options: ScyllaOptions) -> Result<Self, StoreError> {
        let stamps = Arc::new(Stamps::new());
        let session = connect::connect(&options, &stamps).await?;
        let statements = ready(&session, &options).await?;
        Ok(Self {
            session,
            statements,
            stamps,
            options,
            known: Known::default(),
            lanes: Lanes::new(),
            looks: Lanes::new(),
        })
    }

    /// Runs a statement that gives no rows. Durable on a quorum of the copies when it returns.
    pub(super) async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<(), StoreError> {
        self.patiently(|| boxed(self.session.execute_unpaged(statement, &values)))
            .await?;
        Ok(())
    }

    /// Makes changes of one partition as one. Durable on a quorum of the copies when it returns.
    pub(super) async fn write_together(&self, together: Together) -> Result<(), StoreError> {
        let Together { batch, values } = together;
        if !values.is_empty() {
            self.patiently(|| boxed(self.session.batch(&batch, &values)))
                .await?;
        }
        Ok(())
    }

    /// The first row, if there is one.
    pub(super) async fn first<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<Option<R>, StoreError>
    where
        R: for<'frame> DeserializeRow<'frame, 'frame>,
    {
        let result = self
            .patiently(|| boxed(self.session.execute_unpaged(statement, &values)))
            .await?;
        Ok(result.into_rows_result()?.maybe_first_row::<R>()?)
    }

    /// All rows.
    pub(super) async fn rows<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame> DeserializeRow<'frame, 'frame>,
    {
        let mut all = Vec::new();
        let mut from = Some(PagingState::start());
        while let Some(state) = from {
            let (mut page, next) = self.page(statement, &values, state).await?;
            all.append(&mut page);
            from = next;
        }
        Ok(all)
    }

    /// A page of rows, and where the next begins.
    pub(super) async fn page<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Send + Sync,
        state: PagingState,
    ) -> Result<(Vec<R>, Option<PagingState>), StoreError>
    where
        R: for<'frame> DeserializeRow<'frame, 'frame>,
    {
        let ask = || {
            let state = state.clone();
            boxed(self.session.execute_single_page(statement, &values, state))
        };
        let (result, next) = self.patiently(ask).await?;
        let result = result.into_rows_result()?;
        let mut rows = Vec::with_capacity(result.rows_num());
        for row in result.rows::<R>()? {
            rows.push(row?);
        }
        Ok((rows, next_of(next)))
    }

    /// Asks again while there is no connection at all to those who could answer, as when the only node of a database
    /// starts anew: within the time of one request, in which it would not have been refused by a node that is slow.
    /// All that is asked here may be asked twice.
    fn patiently<T, F>(
        &self,
        mut ask: impl FnMut() -> F + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send,
        F: Future<Output = Result<T, ExecutionError>> + Send,
    {
        let deadline = Instant::now() + self.options.request_within();
        boxed(async move {
            loop {
                match ask().await {
                    Err(error) if is_unheard(&error) && Instant::now() + AGAIN < deadline => {
                        sleep(AGAIN).await;
                    }
                    outcome => return Ok(outcome?),
                }
            }
        })
    }

    /// Runs a conditional write, for so long at most, and tells whether it was applied. An error tells nothing of what
    /// became of it.
    pub(super) async fn try_conditional(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Send,
        within: Duration,
    ) -> Result<bool, StoreError> {
        let mut statement = statement.clone();
        statement.set_request_timeout(Some(within));
        let result = boxed(self.session.execute_unpaged(&statement, values)).await?;
        connect::applied(result)
    }

    /// [`schema_version`](crate::Store::schema_version).
    pub(super) async fn schema_version(&self) -> Result<u32, StoreError> {
        let row: Option<(Option<i32>,)> = self.first(&self.statements.version_read, ()).await?;
        let version = row.and_then(|(version,)| version).unwrap_or_default();
        Ok(u32::try_from(version).unwrap_or_default())
    }

    /// [`health`](crate::Store::health).
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let seen = self.stamps.next();
        let statements = &self.statements;
        // A database without a connection is not well, even if it will be in a moment.
        boxed(self.session.execute_unpaged(&statements.probe_put, (seen,))).await?;
        self.schema_version().await.map(drop)
    }
}

/// Brings the schema up to date and prepares the statements. A node of the database may not know yet what another one
/// has just defined, so this is tried again within the configured time; each step can be.
async fn ready(session: &Session, options: &ScyllaOptions) -> Result<Statements, StoreError> {
    let deadline = Instant::now() + options.connect_within();
    loop {
        match prepare(session, options).await {
            Err(StoreError::Unavailable(reason)) if Instant::now() + PAUSE < deadline => {
                tracing::debug!(%reason, "schema is not ready, trying again");
            }
            outcome => return outcome,
        }
        sleep(PAUSE).await;
    }
}

async fn prepare(session: &Session, options: &ScyllaOptions) -> Result<Statements, StoreError> {
    schema::migrate(session, options).await?;
    // Where another process has made the keyspace a moment ago, the driver does not know yet where its copies are.
    let known = session.get_cluster_state();
    if known.get_keyspace(&options.keyspace).is_none() {
        let refreshed = session.refresh_metadata().await;
        refreshed.map_err(|error| unavailable(&error))?;
    }
    Statements::prepare(session, &connect::by_turns(options)).await
}

/// The driver's futures have kilobytes each, and a call holds several.
fn boxed<F: Future>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}

/// Whether nobody could be asked, or the connection ended before there was an answer.
fn is_unheard(error: &ExecutionError) -> bool {
    use ExecutionError::{ConnectionPoolError, LastAttemptError};
    matches!(
        error,
        ConnectionPoolError(_) | LastAttemptError(RequestAttemptError::BrokenConnectionError(_))
    )
}

fn next_of(response: PagingStateResponse) -> Option<PagingState> {
    match response.into_paging_control_flow() {
        ControlFlow::Break(()) => None,
        ControlFlow::Continue(state) => Some(state),
    }
}

impl Together {
    pub(super) fn new() -> Self {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        Self {
            batch,
            values: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Send + Sync + 'static,
    ) {
        self.batch.append_statement(statement.clone());
        self.values.push(Box::new(values));
    }
}

impl fmt::Debug for Cql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cql")
            .field("nodes", &self.options.nodes)
            .field("keyspace", &self.options.keyspace)
            .finish_non_exhaustive()
    }
}

/// Between two tries to get ready.
const PAUSE: Duration = Duration::from_millis(300);

/// Between two tries of a request while there is no connection.
const AGAIN: Duration = Duration::from_millis(200);
