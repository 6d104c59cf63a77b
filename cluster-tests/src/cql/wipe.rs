//! Empties a keyspace: far cheaper than to make another one with all its tables.

use anyhow::{Context, Result};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::{CqlValue, Row};

use super::ring::Ring;

/// Deletes every row of every table of the keyspace but those of the schema's version.
pub(super) async fn wipe(ring: &Ring, keyspace: &str) -> Result<()> {
    let session = SessionBuilder::new()
        .known_nodes(ring.addresses())
        .use_keyspace(keyspace, false)
        .build()
        .await?;
    let tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    for (table,) in rows_of::<(String,)>(&session, tables, keyspace).await? {
        if table != "migration" {
            wipe_table(&session, keyspace, &table).await?;
        }
    }
    Ok(())
}

async fn wipe_table(session: &Session, keyspace: &str, table: &str) -> Result<()> {
    let columns = format!(
        "SELECT column_name, kind FROM system_schema.columns \
         WHERE keyspace_name = ? AND table_name = '{table}'"
    );
    let columns = rows_of::<(String, String)>(session, &columns, keyspace).await?;
    let key: Vec<String> = columns
        .into_iter()
        .filter(|(_, kind)| kind == "partition_key")
        .map(|(name, _)| name)
        .collect();
    let select = format!("SELECT DISTINCT {} FROM {table}", key.join(", "));
    let found = session
        .query_unpaged(select, ())
        .await?
        .into_rows_result()?;
    let condition = key.join(" = ? AND ");
    // What is written conditionally is deleted so too: such writes take the database's clock.
    let suffix = if table == "owner" { " IF EXISTS" } else { "" };
    let delete = format!("DELETE FROM {table} WHERE {condition} = ?{suffix}");
    let delete = session.prepare(delete).await?;
    for row in found.rows::<Row>()? {
        let values: Option<Vec<CqlValue>> = row?.columns.into_iter().collect();
        let values = values.context("a key has no nulls")?;
        session.execute_unpaged(&delete, values).await?;
    }
    Ok(())
}

async fn rows_of<R>(session: &Session, cql: &str, keyspace: &str) -> Result<Vec<R>>
where
    R: for<'frame> scylla::deserialize::row::DeserializeRow<'frame, 'frame>,
{
    let result = session.query_unpaged(cql, (keyspace,)).await?;
    let result = result.into_rows_result()?;
    let rows: Result<Vec<R>, _> = result.rows::<R>()?.collect();
    Ok(rows?)
}
