//! What the node tells Prometheus.
//!
//! Times are histograms with the same bounds on every node, for only those can be added up over a
//! cluster.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::operation::ProcessUsage;

/// Collects what all parts count, and tells it to Prometheus.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Takes over as the process's recorder; before that nothing is counted. `None` if there is one
    /// already.
    pub fn install() -> Option<Self> {
        let handle = builder().ok()?.install_recorder().ok()?;
        describe();
        gauge!("rookery_build_info", "version" => crate::VERSION).set(1.0);
        // So that the first of them is a change that a rate can see.
        counter!("rookery_connections_accepted_total").absolute(0);
        gauge!("rookery_connections").set(0.0);
        Some(Self(handle))
    }

    /// Everything counted so far, in Prometheus' text form.
    pub fn render(&self) -> String {
        let usage = ProcessUsage::read()
            .map(ProcessUsage::to_prometheus)
            .unwrap_or_default();
        self.0.render() + &usage
    }

    /// Folds the samples that histograms keep.
    pub fn fold(&self) {
        self.0.run_upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_operations".to_owned()), OPERATIONS)
}

/// The store describes its own.
fn describe() {
    for (name, what) in COUNTERS {
        describe_counter!(*name, *what);
    }
    for (name, what) in GAUGES {
        describe_gauge!(*name, *what);
    }
    for (name, what) in HISTOGRAMS {
        describe_histogram!(*name, *what);
    }
}

/// From a write that stays in a disk's cache to one that somebody notices.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

const OPERATIONS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0,
];

const COUNTERS: &[(&str, &str)] = &[
    (
        "rookery_connections_accepted_total",
        "clients' connections that were let in",
    ),
    (
        "rookery_connections_refused_total",
        "clients' connections that were closed at once, by the limit that they met",
    ),
    (
        "rookery_guard_reports_total",
        "times this node told the control group of failed logins",
    ),
    (
        "rookery_client_bytes_read_total",
        "bytes from clients, decrypted",
    ),
    (
        "rookery_client_bytes_written_total",
        "bytes to clients, encrypted",
    ),
    (
        "rookery_client_stanzas_total",
        "stanzas from clients to their accounts",
    ),
    (
        "rookery_client_batches_total",
        "frames that carried them, one a read",
    ),
    (
        "rookery_client_rests_total",
        "times a stream was not read for a while, by what [bandwidth] allows less of: bytes or stanzas",
    ),
    (
        "rookery_client_logins_total",
        "tries to log in, by mechanism and how they ended; flooded, guarded and throttled are refused, and withdrawn those that came to no end: neither counts",
    ),
    (
        "rookery_client_sessions_bound_total",
        "sessions that were bound to a resource",
    ),
    (
        "rookery_client_messages_delivered_total",
        "messages that were written to clients",
    ),
    (
        "rookery_bans_closed_total",
        "clients' connections that were closed because of a new ban",
    ),
    (
        "rookery_invites_made_total",
        "invitations that were made at this node, by whom: operator or user",
    ),
    (
        "rookery_invites_shown_total",
        "tokens of invitations that were shown to this node, by stream or page, and what they were worth",
    ),
    (
        "rookery_web_requests_total",
        "requests for public pages, by the status of their answers",
    ),
    (
        "rookery_names_refused_total",
        "accounts that were not made because of their names: reserved, protected, confusable with another, gone, taken",
    ),
    (
        "rookery_registrations_refused_total",
        "registrations that this node refused, by cause",
    ),
    (
        "rookery_events_lost_total",
        "events that were not kept, for too many waited for the control group",
    ),
    (
        "rookery_watchers_letters_total",
        "messages and webhooks that told watchers what happened, by way and whether they arrived",
    ),
    (
        "rookery_contact_messages_total",
        "messages to mailboxes as abuse@ and to hosts, by result: forwarded to contact.mailbox_jids, or too many came",
    ),
    (
        "rookery_captchas_total",
        "captchas of strangers who register, by event: asked, and solved; a wrong answer is a refused registration",
    ),
    (
        "rookery_invite_contacts_total",
        "contacts of invitations, by event: made on both sides; again, asked for at a login because a crash may have lost them",
    ),
    (
        "rookery_accounts_standing_total",
        "accounts that came to stand otherwise, by what was done: left, restored, deleted, awaits, approved, denied, expired",
    ),
    (
        "rookery_quota_read_bytes_total",
        "bytes that count towards a traffic budget, by its kind",
    ),
    (
        "rookery_quota_waits_total",
        "times a stream was not read for a while, for its budget was used up",
    ),
    (
        "rookery_router_deliveries_refused_total",
        "deliveries that a slow client's full queue did not take",
    ),
    (
        "rookery_router_forwards_refused_total",
        "stanzas that another shard's full queue did not take",
    ),
    (
        "rookery_router_shard_panics_total",
        "shards that were started anew after a bug",
    ),
    (
        "rookery_router_leases_lapsed_total",
        "times a shard waited because this node's lease had ended",
    ),
    (
        "rookery_router_repeats_dropped_total",
        "stanzas that came a second time, as after the death of a node, and were dropped",
    ),
    (
        "rookery_shard_moves_total",
        "shards that came to this node from another one: handed over by it, or taken when its lease had ended",
    ),
    (
        "rookery_link_parcels_sent_total",
        "parcels to other nodes; each carries what was queued",
    ),
    (
        "rookery_link_frames_sent_total",
        "frames to shards and sessions of other nodes",
    ),
    (
        "rookery_link_parcels_received_total",
        "parcels from other nodes",
    ),
    (
        "rookery_link_frames_received_total",
        "frames from other nodes, without those that had come before",
    ),
    (
        "rookery_link_frames_refused_total",
        "frames that came back because nobody took them in time",
    ),
    (
        "rookery_link_deliveries_refused_total",
        "deliveries to sessions of other nodes that came back to their shards",
    ),
    (
        "rookery_link_sessions_announced_total",
        "sessions of this node that the next owners of their shards were told of",
    ),
    (
        "rookery_control_proposals_total",
        "proposals of this node by how they ended",
    ),
    (
        "rookery_control_write_errors_total",
        "writes of the control log that failed and are tried again",
    ),
    (
        "rookery_control_leader_changes_total",
        "times this node saw another leader",
    ),
    (
        "rookery_control_registrations_total",
        "throttle decisions that this node asked for",
    ),
    (
        "rookery_cluster_reconnects_total",
        "times another member of the control group was not reached, or its stream broke",
    ),
    (
        "rookery_cluster_peer_dropped_total",
        "messages to a member that its full queue did not take; Raft repeats them",
    ),
    (
        "rookery_cluster_control_changes_total",
        "times this node left one member of the control group to ask another",
    ),
];

const GAUGES: &[(&str, &str)] = &[
    ("rookery_build_info", "1, with the version as a label"),
    ("rookery_connections", "clients' connections that are open"),
    (
        "rookery_connections_max",
        "clients' connections that this node takes; its files may not suffice for them",
    ),
    (
        "rookery_memory_expected_bytes",
        "the memory that the node is expected to use once all connections are taken",
    ),
    ("rookery_bans", "bans, by what they concern"),
    (
        "rookery_guard_blocks",
        "networks and accounts that are let in no more for a while, for logins that failed",
    ),
    (
        "rookery_flood_networks",
        "networks of which the limits against floods remember something",
    ),
    (
        "rookery_bans_version",
        "the version of the list of bans that this node applies",
    ),
    (
        "rookery_name_rules",
        "rules about names, by what they withhold",
    ),
    (
        "rookery_name_rules_version",
        "the version of the rules about names that this node knows",
    ),
    (
        "rookery_events_untold",
        "events that nobody who watches was told of yet; all of them where nobody watches",
    ),
    (
        "rookery_quota_floor_ratio",
        "the part of every traffic budget that this node may always use",
    ),
    (
        "rookery_quota_keys",
        "accounts, networks and domains whose budget is known here",
    ),
    (
        "rookery_quota_leased_bytes_per_second",
        "what this node was leased of all budgets of a kind together",
    ),
    (
        "rookery_quota_floor_limited_keys",
        "budgets whose readers had to wait while the node had nothing but its floor of them",
    ),
    (
        "rookery_control_is_leader",
        "1 where this node leads the control group",
    ),
    ("rookery_control_term", "the control group's term"),
    (
        "rookery_control_applied_index",
        "the last entry of the control log that this node applied",
    ),
    (
        "rookery_control_log_entries",
        "entries of the control log since its snapshot",
    ),
    (
        "rookery_control_time_ahead_seconds",
        "how far the control group's time is ahead of this node's clock",
    ),
    (
        "rookery_cluster_certificate_expires_seconds",
        "when the node's certificate for the cluster expires, in seconds since 1970",
    ),
    (
        "rookery_lease_left_seconds",
        "for how long this node may serve its shards if its lease is not renewed; 0 without a lease",
    ),
    ("rookery_shards_served", "shards that this node serves"),
    (
        "rookery_sessions_waiting",
        "streams of this node whose clients are gone and may resume them",
    ),
    (
        "rookery_link_queue_bytes",
        "what waits to be taken by another node, for its shards or for sessions there",
    ),
    (
        "rookery_link_frames_kept",
        "frames that were sent to shards, here or elsewhere, which have not dealt with them yet",
    ),
    (
        "rookery_cluster_peer_queue",
        "messages that wait to be sent to another member of the control group",
    ),
];

const HISTOGRAMS: &[(&str, &str)] = &[
    (
        "rookery_shard_pause_seconds",
        "for how long a shard that came to this node answered nobody: handed over since its owner was told to stop, \
         taken since its owner's lease had ended",
    ),
    (
        "rookery_control_commit_seconds",
        "from a proposal to the control group until its answer",
    ),
    (
        "rookery_control_write_seconds",
        "one write of the control log, its fsync included",
    ),
];
