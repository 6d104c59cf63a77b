//! The schema: numbered migrations, run at start by one node at a time.
//!
//! The version is a row of the table `migration`, beside the row of the lock. A version above [`KNOWN`] is refused
//! before anything is touched. A migration that has been released never changes; the next one is added behind it. Each
//! statement can be run twice, so what a crash leaves half-done the next start finishes.

mod keyspace;
mod lock;

use scylla::client::session::Session;
use scylla::statement::unprepared::Statement;
use tokio::time::Instant;

use self::lock::Lock;
use super::error::unavailable;
use super::options::ScyllaOptions;
use crate::error::StoreError;

/// The newest version that this binary can use.
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Makes the keyspace if need be, and brings the schema to [`KNOWN`]. Waits while another node does so.
pub(super) async fn migrate(session: &Session, options: &ScyllaOptions) -> Result<(), StoreError> {
    let deadline = Instant::now() + options.connect_within();
    keyspace::create(session, options).await?;
    if check(lock::version(session).await?)? == KNOWN {
        return Ok(());
    }
    let lock = Lock::acquire(session, deadline).await?;
    let outcome = run(session, options, &lock).await;
    lock.release().await;
    outcome
}

/// The version of the schema in the keyspace, which is used from now on; none if there is no store in it.
pub(super) async fn look(session: &Session, keyspace: &str) -> Result<Option<u32>, StoreError> {
    if !keyspace::has_table(session, keyspace, "migration").await? {
        return Ok(None);
    }
    keyspace::enter(session, keyspace).await?;
    lock::version(session).await.map(Some)
}

/// Refuses a version that is newer than this binary.
pub(super) fn check(found: u32) -> Result<u32, StoreError> {
    if found > KNOWN {
        return Err(StoreError::NewerSchema {
            found,
            known: KNOWN,
        });
    }
    Ok(found)
}

async fn run(
    session: &Session,
    options: &ScyllaOptions,
    lock: &Lock<'_>,
) -> Result<(), StoreError> {
    let found = check(lock::version(session).await?)?;
    for (version, step) in (1..).zip(MIGRATIONS).skip(found as usize) {
        for statement in statements(step) {
            lock.renew().await?;
            match is_done(session, &options.keyspace, &statement).await? {
                true => agree(session).await?,
                false => define(session, &statement).await?,
            }
        }
        lock.set_version(version).await?;
        tracing::info!(from = version - 1, to = version, "store schema migrated");
    }
    Ok(())
}

/// Whether a statement adds a column that is there: not all databases take `IF NOT EXISTS` for that.
async fn is_done(session: &Session, keyspace: &str, cql: &str) -> Result<bool, StoreError> {
    match added_column(cql) {
        Some((table, column)) => keyspace::has_column(session, keyspace, table, column).await,
        None => Ok(false),
    }
}

/// Table and column, if the statement adds one.
fn added_column(cql: &str) -> Option<(&str, &str)> {
    let (table, added) = cql.strip_prefix("ALTER TABLE ")?.split_once(" ADD ")?;
    let (column, _type) = added.split_once(' ')?;
    Some((table, column))
}

/// Runs a statement that defines something, and waits until all nodes of the database know it.
async fn define(session: &Session, cql: &str) -> Result<(), StoreError> {
    let mut statement = Statement::new(cql);
    statement.set_request_timeout(Some(lock::STATEMENT_MAX));
    session.query_unpaged(statement, ()).await?;
    agree(session).await
}

/// Waits until all nodes of the database know the same, also of what others define.
async fn agree(session: &Session) -> Result<(), StoreError> {
    let agreed = session.await_schema_agreement().await;
    agreed.map(drop).map_err(|error| unavailable(&error))
}

/// The statements of a migration, without comments. No text of ours holds a semicolon or two dashes.
fn statements(step: &str) -> Vec<String> {
    let code: Vec<&str> = step
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let all = code
        .split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    all.map(|text| text.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1))
        .collect()
}

/// Version n is what the first n steps make.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.cql"),
    include_str!("migrations/0002_origin.cql"),
    include_str!("migrations/0003_hanging_replica.cql"),
    include_str!("migrations/0004_marks.cql"),
    include_str!("migrations/0005_keys.cql"),
    include_str!("migrations/0006_names.cql"),
    include_str!("migrations/0007_standing.cql"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_migration_is_made_of_statements_that_can_be_run_twice() {
        for step in MIGRATIONS {
            let statements = statements(step);
            assert!(!statements.is_empty());
            for statement in statements {
                let is_found = added_column(&statement).is_some();
                let is_set = statement.starts_with("ALTER TABLE ") && statement.contains(" WITH ");
                assert!(
                    is_found || is_set || statement.starts_with("CREATE TABLE IF NOT EXISTS "),
                    "{statement}"
                );
                assert!(!statement.contains("--"), "{statement}");
            }
        }
    }

    #[test]
    fn a_column_that_is_added_can_be_looked_for() {
        let found = added_column("ALTER TABLE log ADD origin blob");
        assert_eq!(found, Some(("log", "origin")));
        assert_eq!(added_column("CREATE TABLE IF NOT EXISTS log (a int)"), None);
    }

    #[test]
    fn a_newer_schema_is_refused() {
        assert_eq!(check(KNOWN), Ok(KNOWN));
        let refused = check(KNOWN + 1);
        assert!(
            matches!(refused, Err(StoreError::NewerSchema { .. })),
            "{refused:?}"
        );
    }
}
