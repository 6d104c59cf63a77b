//! What an operator can tune of the cluster's store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::StoreError;

rookery_xmpp::options! {
    /// The cluster's store: ScyllaDB, or Apache Cassandra. Used where `store.backend` says so.
    pub struct ScyllaOptions {
        /// Database nodes to ask first, `host:port`; the others are learned from them. Two or three, so that one may
        /// be down at the start.
        pub nodes: Vec<String> = vec!["127.0.0.1:9042".to_owned()], "";
        /// The keyspace, made if it is not there. Small letters, digits and underscores.
        pub keyspace: String = "rookery".to_owned(), "";
        /// The database's datacenter that this node is in: only its nodes are asked. Empty asks all of them, which
        /// suits a single datacenter.
        pub datacenter: String = String::new(), "";
        /// Copies in each of the database's datacenters, as in `{ dc1 = 3, dc2 = 3 }`, when the keyspace is made.
        /// Three let one node of a datacenter fail without an error.
        pub replication: BTreeMap<String, u32> = BTreeMap::new(), "copies";
        /// Copies in all when `replication` names no datacenter: for tests and for databases of one datacenter.
        pub copies: u32 = 3, "copies";
        /// The database's user; empty where it asks for none.
        pub user: String = String::new(), "";
        /// A file whose first line is the password. It is read at the start.
        pub password_file: PathBuf = PathBuf::new(), "";
        /// The certificates that issue those of the database's nodes, a PEM file. With it connections are encrypted,
        /// and the nodes' certificates must name their IP addresses. Empty for connections in the clear.
        pub ca: PathBuf = PathBuf::new(), "";
        /// How long a start waits for the database, and for another node that brings its schema up to date.
        pub connect_ms_max: u64 = 60_000, "ms";
        /// How long one request may take, with all its tries, also while there is no connection to the database at
        /// all. Beyond it the caller hears that the store is not available.
        pub request_ms_max: u64 = 10_000, "ms";
        /// When a request that can be repeated without harm is sent to a second database node too, and again after
        /// as long to a third: what a node that hangs costs.
        pub speculate_ms: u64 = 100, "ms";
        /// When a conditional write, which must not simply be repeated, counts as unknown and is looked up. Each
        /// further try is given longer.
        pub conditional_ms_max: u64 = 400, "ms";
        /// Calls that may be under way at once; more wait in their callers. Bounds the memory of a store whose database
        /// is slower than the clients.
        pub calls_max: u32 = 4_096, "calls";
        /// How long a caller waits for its turn before it is refused as busy.
        pub queue_wait_ms_max: u64 = 5_000, "ms";
        /// Threads that speak to the database.
        pub threads: u32 = 2, "threads";
    }
}

impl ScyllaOptions {
    /// Refuses values with which the store could not work.
    pub(super) fn validate(&self) -> Result<(), StoreError> {
        let mut name = self.keyspace.bytes();
        let first = name.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest =
            name.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let quoted = self.replication.keys().any(|name| name.contains('\''));
        let rules = [
            (self.nodes.is_empty(), "scylla.nodes names no node"),
            (
                !first || !rest || self.keyspace.len() > KEYSPACE_BYTES_MAX,
                "scylla.keyspace must be a small letter, then small letters, digits and underscores, 48 at most",
            ),
            (quoted, "scylla.replication names a datacenter with a quote"),
            (self.copies == 0, "scylla.copies must not be 0"),
            (self.calls_max == 0, "scylla.calls_max must not be 0"),
            (self.threads == 0, "scylla.threads must not be 0"),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, reason)) => Err(StoreError::Invalid(reason)),
            None => Ok(()),
        }
    }

    /// [`connect_ms_max`](Self::connect_ms_max).
    pub(super) fn connect_within(&self) -> Duration {
        Duration::from_millis(self.connect_ms_max)
    }

    /// [`request_ms_max`](Self::request_ms_max).
    pub(super) fn request_within(&self) -> Duration {
        Duration::from_millis(self.request_ms_max)
    }

    /// [`conditional_ms_max`](Self::conditional_ms_max).
    pub(super) fn conditional_within(&self) -> Duration {
        Duration::from_millis(self.conditional_ms_max)
    }

    /// The keyspace's replication, as CQL writes it.
    pub(super) fn replication_cql(&self) -> String {
        if self.replication.is_empty() {
            return format!(
                "{{'class': 'SimpleStrategy', 'replication_factor': {}}}",
                self.copies
            );
        }
        let datacenters = self
            .replication
            .iter()
            .map(|(name, copies)| format!(", '{name}': {copies}"));
        format!(
            "{{'class': 'NetworkTopologyStrategy'{}}}",
            datacenters.collect::<String>()
        )
    }
}

/// What both databases allow.
const KEYSPACE_BYTES_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replication_is_written_for_one_datacenter_and_for_several() {
        let mut options = ScyllaOptions::default();
        let simple = "{'class': 'SimpleStrategy', 'replication_factor': 3}";
        assert_eq!(options.replication_cql(), simple);
        options.replication = [("b".to_owned(), 2), ("a".to_owned(), 3)].into();
        let network = "{'class': 'NetworkTopologyStrategy', 'a': 3, 'b': 2}";
        assert_eq!(options.replication_cql(), network);
    }

    #[test]
    fn a_keyspace_that_would_need_quotes_is_refused() {
        assert_eq!(ScyllaOptions::default().validate(), Ok(()));
        for wrong in ["", "Rookery", "1st", "a-b", "a b", "a'; DROP KEYSPACE b"] {
            let options = ScyllaOptions {
                keyspace: wrong.to_owned(),
                ..ScyllaOptions::default()
            };
            assert!(options.validate().is_err(), "{wrong:?}");
        }
    }
}
