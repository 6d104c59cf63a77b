//! Options of the links between nodes.

use std::time::Duration;

use crate::machine::LineLimits;
use crate::mover::MESSAGE_BYTES_MAX;
use crate::wire::{VERSION, VERSION_OLDEST};

rookery_xmpp::options! {
    /// How much may be under way between two nodes, and how long a node may be away.
    pub struct LinkOptions {
        /// What may wait for one node, from being queued until it is taken there. Past it sessions
        /// that send there stop being read, and shards bounce.
        pub outbox_bytes: u32 = 1_048_576, "bytes";
        /// The part of it that may be for one shard, and what is kept for a shard until that has dealt with
        /// it.
        pub shard_bytes: u32 = 262_144, "bytes";
        /// What may wait for the sessions of one node. Past it their shards are told that a
        /// delivery was not taken.
        pub sessions_bytes: u32 = 4_194_304, "bytes";
        /// What is sent at once.
        pub parcel_bytes: u32 = 262_144, "bytes";
        /// How long a node may be away before what waits for it is given back and its sessions here
        /// are ended. Longer than a lease and its margin, after which its shards are elsewhere and the
        /// sessions with them.
        pub away_max_ms: u64 = 10_000, "ms";
        /// How long frames wait for a shard that nobody owns before they are given back. Longer than a lease and its
        /// margin, after which a dead owner is replaced.
        pub unowned_max_ms: u64 = 12_000, "ms";
        /// How long to wait for a connection and for the peer's hello.
        pub connect_max_ms: u64 = 2_000, "ms";
        /// Silence after which the peer is asked for a sign of life.
        pub keep_alive_ms: u64 = 1_000, "ms";
        /// How long to wait for that sign.
        pub keep_alive_timeout_ms: u64 = 1_000, "ms";
        /// The first pause before connecting again; it doubles with each failure, and is drawn
        /// between half and all.
        pub backoff_ms: u64 = 50, "ms";
        /// The longest pause: how late a node that came back may be noticed.
        pub backoff_max_ms: u64 = 2_000, "ms";
        /// The newest protocol version to speak: older than this build's only to test an upgrade.
        pub version: u8 = VERSION, "";
        /// The oldest protocol version that is still taken from a peer, so that nodes can be upgraded in turn.
        pub version_oldest: u8 = VERSION_OLDEST, "";
    }
}

impl LinkOptions {
    /// What the dialling side may send.
    pub(crate) fn up_limits(&self) -> LineLimits {
        LineLimits {
            bytes_max: self.outbox_bytes as usize,
            tag_bytes_max: self.shard_bytes as usize,
            parcel_bytes_max: self.parcel_bytes as usize,
            frame_bytes_max: FRAME_BYTES_MAX,
            answers_bytes_max: ANSWERS_BYTES_MAX,
        }
    }

    /// What the accepting side may send.
    pub(crate) fn down_limits(&self) -> LineLimits {
        LineLimits {
            bytes_max: self.sessions_bytes as usize,
            tag_bytes_max: self.sessions_bytes as usize,
            parcel_bytes_max: self.parcel_bytes as usize,
            frame_bytes_max: FRAME_BYTES_MAX,
            answers_bytes_max: ANSWERS_BYTES_MAX,
        }
    }

    pub(crate) fn away_max(&self) -> Duration {
        Duration::from_millis(self.away_max_ms)
    }

    pub(crate) fn unowned_max(&self) -> Duration {
        Duration::from_millis(self.unowned_max_ms)
    }

    pub(crate) fn connect_max(&self) -> Duration {
        Duration::from_millis(self.connect_max_ms)
    }
}

/// How far ahead of this node's clock another one may say that it started, in milliseconds: a run in the future would
/// outlive every true one. Certificates are of no use to clocks that differ more.
pub const LIFE_AHEAD_MS_MAX: u64 = 86_400_000;

/// A frame must fit into a message with what stands before it.
pub(crate) const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 64;

/// What may be answered without being heard: in memory, some hundred bytes for each of the sessions that a large node
/// has, should all of them ask at once.
const ANSWERS_BYTES_MAX: usize = 67_108_864;
