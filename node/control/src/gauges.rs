//! The metrics of the control floor.
//!
//! | metric | labels | what it counts |
//! |---|---|---|
//! | `rookery_control_proposals_total` | `result` | proposals of this node by how they ended |
//! | `rookery_control_commit_seconds` | | from a proposal to its answer |
//! | `rookery_control_write_seconds` | | one write of the log, fsync included |
//! | `rookery_control_write_errors_total` | | writes that failed and are tried again |
//! | `rookery_control_leader_changes_total` | | times this node saw another leader |
//! | `rookery_control_is_leader`, `…_log_entries`, `…_applied_index`, `…_term` | | how it stands |
//! | `rookery_control_time_ahead_seconds` | | how far the group's time is ahead of this node's clock |
//! | `rookery_control_registrations_total` | `decision`, `window` | throttle decisions asked for by this node |

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::error::RegistrationRefused;
use crate::raft::{Answer, ControlStatus};

pub(crate) fn answered(answer: &Answer, took: Duration) {
    let result = match answer {
        Answer::Outcome(_) | Answer::Policy(_) => "applied",
        Answer::Unavailable(unavailable) => unavailable.as_str(),
    };
    counter!("rookery_control_proposals_total", "result" => result).increment(1);
    if result == "applied" {
        histogram!("rookery_control_commit_seconds").record(took.as_secs_f64());
    }
}

pub(crate) fn written(took: Duration) {
    histogram!("rookery_control_write_seconds").record(took.as_secs_f64());
}

pub(crate) fn write_failed() {
    counter!("rookery_control_write_errors_total").increment(1);
}

pub(crate) fn leader_changed() {
    counter!("rookery_control_leader_changes_total").increment(1);
}

pub(crate) fn time_ahead(ahead: Duration) {
    gauge!("rookery_control_time_ahead_seconds").set(ahead.as_secs_f64());
}

pub(crate) fn status(status: &ControlStatus) {
    let leads = status.leader.is_some() && status.leader == status.node;
    gauge!("rookery_control_is_leader").set(if leads { 1.0 } else { 0.0 });
    gauge!("rookery_control_term").set(status.term as f64);
    gauge!("rookery_control_applied_index").set(status.applied as f64);
    gauge!("rookery_control_log_entries").set(status.log_entries as f64);
}

pub(crate) fn registration(refused: Option<&RegistrationRefused>) {
    let (decision, window) = match refused {
        None => ("granted", ""),
        Some(RegistrationRefused::Closed) => ("closed", ""),
        Some(RegistrationRefused::Throttled { window, .. }) => ("throttled", window.as_str()),
        Some(RegistrationRefused::Name(kind)) => (kind.as_str(), ""),
        Some(RegistrationRefused::InviteNeeded) => ("invite_needed", ""),
        Some(RegistrationRefused::Invite(refused)) => ("invite", refused.as_str()),
        Some(RegistrationRefused::Refused(cause)) => (cause.as_str(), ""),
        Some(RegistrationRefused::Unavailable(unavailable)) => {
            ("unavailable", unavailable.as_str())
        }
    };
    counter!("rookery_control_registrations_total", "decision" => decision, "window" => window)
        .increment(1);
}
