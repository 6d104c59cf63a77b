//! The keyspace, and the one table that is made without the lock because it holds the lock.

use scylla::client::session::Session;
use uuid::Uuid;

use super::{agree, define};
use crate::error::StoreError;
use crate::scylla::error::unavailable;
use crate::scylla::options::ScyllaOptions;
use crate::scylla::slice::hash;

/// Makes both if they are not there, and uses the keyspace from now on.
pub(super) async fn create(session: &Session, options: &ScyllaOptions) -> Result<(), StoreError> {
    let name = &options.keyspace;
    let is_scylla = is_scylla(session).await?;
    if !exists(session, name).await? {
        // Where data lies in tablets, not all releases take conditional writes. The other database does not know the
        // word.
        let tablets = match is_scylla {
            true => " AND tablets = {'enabled': false}",
            false => "",
        };
        let replication = options.replication_cql();
        let cql = format!(
            "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication}{tablets}"
        );
        define(session, &cql).await?;
    }
    enter(session, name).await?;
    if !has_table(session, name, "migration").await? {
        define(session, &migration_table(name, is_scylla)).await?;
    }
    // Somebody else may just have made it.
    agree(session).await
}

/// Uses a keyspace from now on. One node of the database may know it before the others.
pub(super) async fn enter(session: &Session, name: &str) -> Result<(), StoreError> {
    agree(session).await?;
    let used = session.use_keyspace(name, false).await;
    used.map_err(|error| unavailable(&error))
}

/// Whether there is a keyspace of that name.
async fn exists(session: &Session, name: &str) -> Result<bool, StoreError> {
    let cql = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let rows = session.query_unpaged(cql, (name,)).await?;
    Ok(rows.into_rows_result()?.rows_num() > 0)
}

/// Whether there is a table of that name in the keyspace.
pub(super) async fn has_table(
    session: &Session,
    keyspace: &str,
    table: &str,
) -> Result<bool, StoreError> {
    let cql =
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    let rows = session.query_unpaged(cql, (keyspace, table)).await?;
    Ok(rows.into_rows_result()?.rows_num() > 0)
}

/// Whether a table of the keyspace has a column of that name.
pub(super) async fn has_column(
    session: &Session,
    keyspace: &str,
    table: &str,
    column: &str,
) -> Result<bool, StoreError> {
    let cql = "SELECT column_name FROM system_schema.columns \
               WHERE keyspace_name = ? AND table_name = ? AND column_name = ?";
    let rows = session
        .query_unpaged(cql, (keyspace, table, column))
        .await?;
    Ok(rows.into_rows_result()?.rows_num() > 0)
}

/// The table that tells ScyllaDB from Apache Cassandra.
async fn is_scylla(session: &Session) -> Result<bool, StoreError> {
    has_table(session, "system", "scylla_local").await
}

/// Two nodes may make this table at the same time. ScyllaDB puts such changes in an order; in Apache Cassandra each
/// would be another table, unless both give it the same id.
fn migration_table(keyspace: &str, is_scylla: bool) -> String {
    let columns = "name text PRIMARY KEY, version int, holder uuid";
    let create = format!("CREATE TABLE IF NOT EXISTS migration ({columns})");
    if is_scylla {
        return create;
    }
    let id = Uuid::from_u64_pair(hash("rookery migration"), hash(keyspace));
    format!("{create} WITH id = '{id}'")
}
