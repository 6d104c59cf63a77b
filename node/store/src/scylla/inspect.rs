//! Looks at the database for `rookery check`.

use std::sync::Arc;

use super::connect;
use super::options::ScyllaOptions;
use super::schema;
use super::stamps::Stamps;
use crate::error::StoreError;

/// What a look at the database found. It answers, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Nodes of the database that are known.
    pub nodes: usize,
    /// The version of the schema; none where there is no keyspace yet, which the first start makes.
    pub schema: Option<u32>,
    /// The newest version that this binary can use.
    pub known: u32,
}

/// Connects and looks, and changes nothing.
pub(super) async fn inspect(options: ScyllaOptions) -> Result<Inspection, StoreError> {
    let session = connect::connect(&options, &Arc::new(Stamps::new())).await?;
    let schema = schema::look(&session, &options.keyspace).await?;
    Ok(Inspection {
        nodes: session.get_cluster_state().get_nodes_info().len(),
        schema,
        known: schema::KNOWN,
    })
}
