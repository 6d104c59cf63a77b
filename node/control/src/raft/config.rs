//! raft-rs's configuration.

use raft::{Config, ReadOnlyOption};

use crate::options::ControlOptions;
use crate::state::NodeId;

/// raft-rs's configuration, with nothing left at a default that is unsafe.
pub(super) fn config(id: NodeId, applied: u64, options: &ControlOptions) -> Config {
    Config {
        id: id.get(),
        election_tick: ELECTION_TICKS,
        heartbeat_tick: 2,
        applied,
        max_size_per_msg: options.message_bytes_max,
        max_inflight_msgs: 64,
        check_quorum: true,
        pre_vote: true,
        read_only_option: ReadOnlyOption::Safe,
        batch_append: true,
        max_uncommitted_size: options.uncommitted_bytes_max,
        max_committed_size_per_ready: options.apply_bytes_max,
        ..Config::default()
    }
}

/// Ticks without a heartbeat after which an election may start; it does after up to twice as many.
pub(super) const ELECTION_TICKS: usize = 10;
