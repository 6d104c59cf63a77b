//! Numbers that must lie within bounds.

use rookery_proto::{PROTOCOL, PROTOCOL_OLDEST};

/// A number that must lie within bounds.
pub(super) struct Bound {
    /// The option, as `section.key`.
    pub(super) key: &'static str,
    /// The least value.
    pub(super) min: i64,
    /// The greatest value.
    pub(super) max: i64,
    /// What becomes of it beyond.
    pub(super) why: &'static str,
}

/// Every such number.
pub(super) const BOUNDS: &[Bound] = &[
    Bound {
        key: "server.node",
        min: 1,
        max: 4_294_967_295,
        why: "0 is what asks shards without being a node",
    },
    Bound {
        key: "server.arbiters",
        min: 0,
        max: 1_024,
        why: "each is a thread",
    },
    Bound {
        key: "cluster.lease_ms",
        min: 500,
        max: 600_000,
        why: "the control group grants no other lease",
    },
    Bound {
        key: "cluster.protocol_max",
        min: PROTOCOL_OLDEST as i64,
        max: PROTOCOL as i64,
        why: "this build speaks no other version",
    },
    Bound {
        key: "admin.answer_ms_max",
        min: 100,
        max: 600_000,
        why: "a shard needs some time to answer",
    },
    Bound {
        key: "control.tick_ms",
        min: 10,
        max: 10_000,
        why: "elections take 10 to 20 ticks",
    },
    Bound {
        key: "control.proposals_pending_max",
        min: 1,
        max: 1_000_000,
        why: "nothing could be decided",
    },
    Bound {
        key: "connection.connections_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could connect",
    },
    Bound {
        key: "connection.connections_per_address_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could connect",
    },
    Bound {
        key: "connection.handshakes_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could log in",
    },
    Bound {
        key: "connection.backlog",
        min: 1,
        max: 2_147_483_647,
        why: "nobody could connect",
    },
    Bound {
        key: "connection.proxy_header_ms",
        min: 100,
        max: 60_000,
        why: "a header takes a packet, and who does not send it holds a socket",
    },
    Bound {
        key: "connection.outbound_stanzas_max",
        min: 1,
        max: 1_000_000_000,
        why: "nothing could be sent",
    },
    Bound {
        key: "connection.write_stall_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a slow network takes seconds",
    },
    Bound {
        key: "connection.drain_ms_max",
        min: 0,
        max: 600_000,
        why: "whoever stops the server waits for it",
    },
    Bound {
        key: "connection.verifications_max",
        min: 1,
        max: 1_024,
        why: "nobody could log in with PLAIN",
    },
    Bound {
        key: "session.login_timeout_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a login takes some round trips and a key derivation",
    },
    Bound {
        key: "session.registration_timeout_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a person has to fill in a form",
    },
    Bound {
        key: "session.close_timeout_ms",
        min: 100,
        max: 600_000,
        why: "the other side needs a round trip to close its stream",
    },
    Bound {
        key: "session.ping_timeout_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a slow network takes seconds",
    },
    Bound {
        key: "session.idle_ms",
        min: 1_000,
        max: 2_147_483_647,
        why: "every client would be pinged all the time",
    },
    Bound {
        key: "session.login_attempts_max",
        min: 1,
        max: 1_000,
        why: "nobody could log in",
    },
    Bound {
        key: "session.bind_attempts_max",
        min: 1,
        max: 1_000,
        why: "nobody could bind a resource",
    },
    Bound {
        key: "session.sasl_message_bytes_max",
        min: 512,
        max: 6_000,
        why: "a name and a nonce must fit, in base64, into what is read before authentication",
    },
    Bound {
        key: "login_guard.entries_max",
        min: 1,
        max: 1_000_000_000,
        why: "nothing would be remembered",
    },
    Bound {
        key: "xml.stanza_bytes_max",
        min: 10_000,
        max: 67_108_864,
        why: "RFC 6120 13.12 forbids less than 10000",
    },
    Bound {
        key: "xml.depth_max",
        min: 8,
        max: 1_000,
        why: "roster pushes and forms are 4 deep, forwarded messages more",
    },
    Bound {
        key: "xml.attributes_max",
        min: 8,
        max: 10_000,
        why: "a stanza has 5, and namespaces beside them",
    },
    Bound {
        key: "xml.namespaces_max",
        min: 4,
        max: 10_000,
        why: "a client's stanza has two, and often more",
    },
    Bound {
        key: "router.shards",
        min: 1,
        max: 65_535,
        why: "every account lives in one",
    },
    Bound {
        key: "router.resources_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could bind a resource",
    },
    Bound {
        key: "router.shard_queue_max",
        min: 1,
        max: 1_000_000,
        why: "nothing could reach a shard",
    },
    Bound {
        key: "router.waiting_stanzas_max",
        min: 1,
        max: 1_000_000_000,
        why: "nothing could wait for an account that is read",
    },
    Bound {
        key: "router.account_idle_s",
        min: 30,
        max: 31_536_000,
        why: "what is sent again after a shard has moved would be taken for new",
    },
    Bound {
        key: "router.scram_iterations",
        min: 1,
        max: 10_000_000,
        why: "each login would take minutes",
    },
    Bound {
        key: "router.derivations_max",
        min: 1,
        max: 1_024,
        why: "nobody could get a password",
    },
    Bound {
        key: "quota.account_burst_ms",
        min: 100,
        max: 3_600_000,
        why: "a bucket must hold something, and an hour of it is no limit",
    },
    Bound {
        key: "quota.prefix_burst_ms",
        min: 100,
        max: 3_600_000,
        why: "a bucket must hold something, and an hour of it is no limit",
    },
    Bound {
        key: "quota.domain_burst_ms",
        min: 100,
        max: 3_600_000,
        why: "a bucket must hold something, and an hour of it is no limit",
    },
    Bound {
        key: "quota.lease_ms",
        min: 1_500,
        max: 600_000,
        why: "nodes ask once a second, and what is lent to a dead one is waited for",
    },
    Bound {
        key: "store.write_queue_kib_max",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.read_queue_max",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.readers",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.group_operations_max",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.index_round_stanzas",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.checkpoint_pages",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "scylla.copies",
        min: 1,
        max: 1_000,
        why: "nothing would be kept",
    },
    Bound {
        key: "scylla.connect_ms_max",
        min: 1_000,
        max: 3_600_000,
        why: "a database takes seconds to start",
    },
    Bound {
        key: "scylla.request_ms_max",
        min: 100,
        max: 600_000,
        why: "the slowest request of a healthy database takes some ms",
    },
    Bound {
        key: "scylla.conditional_ms_max",
        min: 10,
        max: 600_000,
        why: "a conditional write takes several round trips",
    },
    Bound {
        key: "scylla.speculate_ms",
        min: 1,
        max: 600_000,
        why: "every request would be sent to several nodes",
    },
    Bound {
        key: "scylla.calls_max",
        min: 1,
        max: 4_294_967_295,
        why: "the store could not work",
    },
    Bound {
        key: "scylla.threads",
        min: 1,
        max: 1_024,
        why: "the store could not work",
    },
    Bound {
        key: "archive.page_entries_max",
        min: 1,
        max: 999,
        why: "a page is one read of the store, with one entry more",
    },
    Bound {
        key: "archive.page_entries_default",
        min: 1,
        max: 999,
        why: "a page is one read of the store, with one entry more",
    },
    Bound {
        key: "archive.scan_entries_max",
        min: 1,
        max: 1000000,
        why: "one query would keep the store busy for others",
    },
    Bound {
        key: "archive.queries_max",
        min: 1,
        max: 1000,
        why: "nobody could ask for an archive",
    },
];
