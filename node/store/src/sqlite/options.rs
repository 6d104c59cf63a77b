//! What an operator can tune of the embedded store.

use serde::{Deserialize, Serialize};

use crate::error::StoreError;

/// Where everything durable is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// In the data folder, by this process alone.
    #[default]
    Sqlite,
    /// In ScyllaDB or Apache Cassandra, for all nodes of a cluster.
    Scylla,
}

rookery_xmpp::options! {
    /// The embedded store. The defaults suit a server from ten to a hundred thousand accounts.
    pub struct SqliteOptions {
        /// Where everything durable is kept: `sqlite` in the data folder, which the other options of this section are
        /// about, or `scylla` in a database of its own, see `[scylla]`.
        pub backend: Backend = Backend::Sqlite, "";
        /// What may wait to be written, one KiB at least for each operation. A caller waits while it is full: this
        /// bounds the memory of a store whose disk is slower than its clients.
        pub write_queue_kib_max: u32 = 16_384, "KiB";
        /// Reads that may wait for a reader; further ones wait in their callers.
        pub read_queue_max: u32 = 1_024, "reads";
        /// How long a caller waits for room in a queue before it is refused as busy. Longer than any stall of a
        /// healthy disk, shorter than a client's patience.
        pub queue_wait_ms_max: u64 = 5_000, "ms";
        /// Threads that read, each with a connection of its own. Reads are short; more helps only where the disk is
        /// slow to seek and the archive is far larger than memory.
        pub readers: u32 = 4, "threads";
        /// Page cache of the writer. More was measured to bring nothing.
        pub writer_cache_kib: u32 = 32_768, "KiB";
        /// Page cache of each reader; behind it is the system's.
        pub reader_cache_kib: u32 = 8_192, "KiB";
        /// How long after a commit the next one gathers company, while there is any: a commit costs the same whatever
        /// it holds. A write to an idle store never waits for this.
        pub gather_us: u64 = 2_500, "µs";
        /// Operations in one commit at most: beyond this the time of a commit grows and its cost a message does not
        /// fall.
        pub group_operations_max: u32 = 1_024, "operations";
        /// Stanzas appended in the time in which the index of every log with news is written once. Larger is cheaper a
        /// stanza; memory (24 bytes an entry) and the time to start after a crash (1.5 µs an entry) grow with it.
        pub index_round_stanzas: u32 = 65_536, "stanzas";
        /// Pages in the write-ahead log at which the writer copies them home. Larger makes fewer and longer stalls.
        pub checkpoint_pages: u32 = 1_000, "pages";
        /// Size of the database file at which new data is refused as if the disk were full, to leave the rest of
        /// the disk to others; 0 for no limit of its own.
        pub file_mib_max: u32 = 0, "MiB";
    }
}

impl SqliteOptions {
    /// Refuses values with which the store could not work.
    pub(super) fn validate(&self) -> Result<(), StoreError> {
        let zero = [
            (
                self.write_queue_kib_max,
                "write_queue_kib_max must not be 0",
            ),
            (self.read_queue_max, "read_queue_max must not be 0"),
            (self.readers, "readers must not be 0"),
            (
                self.group_operations_max,
                "group_operations_max must not be 0",
            ),
            (
                self.index_round_stanzas,
                "index_round_stanzas must not be 0",
            ),
            (self.checkpoint_pages, "checkpoint_pages must not be 0"),
        ];
        match zero.iter().find(|(value, _)| *value == 0) {
            Some((_, reason)) => Err(StoreError::Invalid(reason)),
            None => Ok(()),
        }
    }
}
