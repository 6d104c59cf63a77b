//! The database, where the store is one: whether it answers, and what is in it.

use rookery_store::{Backend, Inspection, ScyllaOptions, ScyllaStore};

use super::finding::Finding;
use crate::config::Config;

/// Everything about the store that this machine alone does not tell.
pub(super) async fn examine(config: &Config) -> Option<Finding> {
    if config.store.backend != Backend::Scylla {
        return None;
    }
    let options = ScyllaOptions {
        connect_ms_max: config.scylla.connect_ms_max.min(CONNECT_MS_MAX),
        ..config.scylla.clone()
    };
    match ScyllaStore::inspect(options).await {
        Ok(found) => judge(&config.scylla, &found),
        Err(error) => {
            let what = format!("the database cannot be used: {error}");
            let fix = "see [scylla]: does one of scylla.nodes answer from this machine?";
            Some(Finding::error("store", what, fix))
        }
    }
}

fn judge(options: &ScyllaOptions, found: &Inspection) -> Option<Finding> {
    let keyspace = &options.keyspace;
    match found.schema {
        Some(version) if version > found.known => {
            let what = format!(
                "the keyspace {keyspace} has schema version {version}, this binary knows versions up to {}",
                found.known
            );
            Some(Finding::error("store", what, "run a newer rookery"))
        }
        Some(_) => None,
        None => {
            let copies = options.copies as usize;
            if options.replication.is_empty() && copies > found.nodes {
                let what = format!(
                    "scylla.copies is {copies}, but the database has {} nodes: nothing could be written",
                    found.nodes
                );
                let fix =
                    "lower scylla.copies, or add nodes to the database before the first start";
                return Some(Finding::error("store", what, fix));
            }
            let what = format!("there is no keyspace {keyspace} with a store yet");
            let fix = "the server makes it at its first start, if it may";
            Some(Finding::note("store", what, fix))
        }
    }
}

/// Somebody waits for the answer.
const CONNECT_MS_MAX: u64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_and_too_few_nodes_are_errors() {
        let options = ScyllaOptions::default();
        let found = |nodes, schema| Inspection {
            nodes,
            schema,
            known: 1,
        };
        assert!(judge(&options, &found(3, Some(1))).is_none());
        let what = |found| {
            judge(&options, &found)
                .map(|finding| finding.what)
                .unwrap_or_default()
        };
        assert!(what(found(3, Some(2))).contains("schema version 2"));
        assert!(what(found(3, None)).contains("no keyspace"));
        assert!(what(found(2, None)).contains("nothing could be written"));
    }
}
