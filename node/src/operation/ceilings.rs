//! What a configuration lets the node use of its machine: files, connections, memory.
//!
//! Two sums. What is expected, with every place taken by a client that behaves; by this a machine is bought. And what
//! the bounds let happen, if all of them held at once as much as one may hold: no machine is bought for that, but
//! whoever lowers a bound sees what it is worth.

use rookery_store::Backend;

use super::OpenFiles;
use crate::config::{Config, Role};

/// What the node may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// Clients at once; 0 without the role for them.
    pub connections: usize,
    /// Files that are then open.
    pub files: u64,
    /// What memory goes to, the largest first.
    pub memory: Vec<MemoryShare>,
}

/// What one part of the node may hold in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryShare {
    /// Which part.
    pub what: &'static str,
    /// The options that bound it.
    pub options: &'static str,
    /// With every place taken by a client that behaves.
    pub expected_bytes: u64,
    /// With every place taken by one that does not.
    pub bounded_bytes: u64,
}

impl Ceilings {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let connections = config.connections_max();
        let mut memory = vec![MemoryShare {
            what: "the program",
            options: "",
            expected_bytes: PROGRAM_BYTES,
            bounded_bytes: PROGRAM_BYTES,
        }];
        if config.server.has(Role::Connection) {
            memory.extend([sessions(config), handshakes(config), waiting(config)]);
        }
        if config.server.has(Role::Router) {
            memory.extend([streams(config), queues(config)]);
            memory.extend((config.store.backend == Backend::Sqlite).then(|| store(config)));
        }
        if config.server.has(Role::Control) {
            memory.push(control(config));
        }
        memory.sort_by_key(|share| std::cmp::Reverse(share.expected_bytes));
        Self {
            connections,
            files: OpenFiles::needed(config.sockets_max()),
            memory,
        }
    }

    /// Memory with every place taken by a client that behaves.
    pub fn expected_bytes(&self) -> u64 {
        self.memory.iter().map(|share| share.expected_bytes).sum()
    }

    /// Memory if every bound is reached at once.
    pub fn bounded_bytes(&self) -> u64 {
        let shares = self.memory.iter();
        shares.fold(0, |sum, share| sum.saturating_add(share.bounded_bytes))
    }
}

/// An amount of memory as people read it.
pub fn mebibytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes < 10_240 => format!("{mebibytes} MiB"),
        mebibytes => format!("{} GiB", mebibytes >> 10),
    }
}

fn sessions(config: &Config) -> MemoryShare {
    let one = u64::from(config.connection.outbound_bytes_max)
        + u64::from(config.session.unacked_bytes_max)
        + config.xml.stanza_bytes_max as u64;
    MemoryShare {
        what: "clients",
        options: "connection.connections_max, connection.outbound_bytes_max, session.unacked_bytes_max, \
                  xml.stanza_bytes_max",
        expected_bytes: times(config.connection.connections_max, SESSION_BYTES),
        bounded_bytes: times(config.connection.connections_max, SESSION_BYTES + one),
    }
}

fn handshakes(config: &Config) -> MemoryShare {
    let connection = &config.connection;
    let most = connection.handshakes_max.min(connection.connections_max);
    let expected_bytes = times(most, HANDSHAKE_BYTES);
    MemoryShare {
        what: "handshakes",
        options: "connection.handshakes_max, connection.connections_max",
        expected_bytes,
        bounded_bytes: expected_bytes,
    }
}

fn waiting(config: &Config) -> MemoryShare {
    let most = u64::from(config.router.resume_bytes_max);
    MemoryShare {
        what: "clients that may come back",
        options: "connection.sessions_waiting_max, router.resume_bytes_max",
        expected_bytes: times(config.connection.sessions_waiting_max, WAITING_BYTES),
        bounded_bytes: times(config.connection.sessions_waiting_max, WAITING_BYTES + most),
    }
}

fn streams(config: &Config) -> MemoryShare {
    let most = config.router.resume_bytes_in_all_max;
    MemoryShare {
        what: "unacknowledged stanzas",
        options: "router.resume_bytes_in_all_max",
        expected_bytes: most / 8,
        bounded_bytes: most,
    }
}

fn queues(config: &Config) -> MemoryShare {
    let router = &config.router;
    let frames = u64::from(router.shards) * u64::from(router.shard_queue_max);
    MemoryShare {
        what: "what waits at shards",
        options: "router.shards, router.shard_queue_max, xml.stanza_bytes_max",
        // They are empty nearly always, and all full never.
        expected_bytes: frames.saturating_mul(FRAME_BYTES) / 16,
        bounded_bytes: frames.saturating_mul(config.xml.stanza_bytes_max as u64),
    }
}

fn store(config: &Config) -> MemoryShare {
    let store = &config.store;
    let caches = u64::from(store.writer_cache_kib)
        + u64::from(store.readers) * u64::from(store.reader_cache_kib);
    let index = u64::from(store.index_round_stanzas) * INDEX_ENTRY_BYTES;
    MemoryShare {
        what: "the embedded store",
        options: "store.writer_cache_kib, store.readers, store.reader_cache_kib, store.write_queue_kib_max, \
                  store.index_round_stanzas",
        expected_bytes: caches * KIB + index,
        bounded_bytes: (caches + u64::from(store.write_queue_kib_max)) * KIB + index,
    }
}

fn control(config: &Config) -> MemoryShare {
    let control = &config.control;
    MemoryShare {
        what: "the control group",
        options: "control.uncommitted_bytes_max, control.apply_bytes_max",
        expected_bytes: CONTROL_BYTES,
        bounded_bytes: CONTROL_BYTES + control.uncommitted_bytes_max + control.apply_bytes_max,
    }
}

fn times(count: usize, bytes: u64) -> u64 {
    u64::try_from(count)
        .unwrap_or(u64::MAX)
        .saturating_mul(bytes)
}

const KIB: u64 = 1_024;

/// Code, threads and buffers of a node without clients: 50 to 60 MB were measured.
const PROGRAM_BYTES: u64 = 64 << 20;

/// An idle client with TLS, its session and its account: `loadgen idle` measures 12 kB.
const SESSION_BYTES: u64 = 12 * KIB;

/// A connection in TLS' handshake: its buffers of one record each way, and its keys.
const HANDSHAKE_BYTES: u64 = 40 * KIB;

/// A session without a socket whose queue is empty.
const WAITING_BYTES: u64 = 2 * KIB;

/// A frame with some short stanzas.
const FRAME_BYTES: u64 = 2 * KIB;

/// What the options of the store say of an entry that waits for its index.
const INDEX_ENTRY_BYTES: u64 = 24;

/// Bans, names, windows of the throttle and budgets of a busy public server.
const CONTROL_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Config)) -> Ceilings {
        let mut config = Config::default();
        change(&mut config);
        Ceilings::of(&config)
    }

    #[test]
    fn more_clients_need_more_memory_and_files() {
        let (small, large) = (
            with(|config| config.connection.connections_max = 1_000),
            with(|config| config.connection.connections_max = 2_000),
        );
        assert_eq!(large.files - small.files, 1_000);
        let (small, large) = (small.expected_bytes(), large.expected_bytes());
        assert_eq!(large - small, 1_000 * (SESSION_BYTES + HANDSHAKE_BYTES));
    }

    #[test]
    fn a_node_without_clients_needs_none_of_their_memory() {
        let control = with(|config| config.server.roles = vec![Role::Control]);
        assert_eq!(control.connections, 0);
        assert!(control.expected_bytes() <= PROGRAM_BYTES + CONTROL_BYTES);
    }

    #[test]
    fn no_part_is_expected_to_hold_more_than_it_may() {
        for share in Ceilings::of(&Config::default()).memory {
            assert!(share.expected_bytes <= share.bounded_bytes, "{share:?}");
        }
    }

    #[test]
    fn bounds_that_no_machine_has_do_not_overflow() {
        let huge = with(|config| {
            config.connection.connections_max = usize::MAX;
            config.router.resume_bytes_in_all_max = u64::MAX;
        });
        assert_eq!(huge.bounded_bytes(), u64::MAX);
    }
}
