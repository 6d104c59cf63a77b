//! The result as it is written to `--json`. Field names carry their units.

use std::collections::BTreeMap;

use rustix::time::ClockId;
use serde::Serialize;

use crate::coordinator::Measured;
use crate::measure::process::{MachineLoad, ProcessSample};
use crate::measure::{BIN, Latency};
use crate::oracle::Faults;

/// A whole run, ready to be read by programs.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) loadgen: &'static str,
    /// When the run ended, in UTC.
    pub(crate) ended: String,
    pub(crate) workload: String,
    pub(crate) command: Vec<String>,
    pub(crate) clean: bool,
    pub(crate) unit: String,
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) operations_per_second: f64,
    pub(crate) sessions: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) faults: Faults,
    pub(crate) in_doubt: u64,
    pub(crate) disconnects: u64,
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) latency: BTreeMap<String, Percentiles>,
    pub(crate) targets: BTreeMap<String, Target>,
    pub(crate) timeline: Vec<Point>,
    pub(crate) server: Option<Server>,
    pub(crate) client_cpu_us_per_operation: f64,
    pub(crate) machine: MachineLoad,
    pub(crate) notes: BTreeMap<String, f64>,
}

/// A latency distribution in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

/// One target address.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) operations: u64,
    pub(crate) latency: Percentiles,
    pub(crate) disconnects: u64,
}

/// One piece of the timeline.
#[derive(Debug, Serialize)]
pub(crate) struct Point {
    pub(crate) at_s: f64,
    pub(crate) operations_per_second: f64,
    pub(crate) max_ms: f64,
}

/// What the server's processes used.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    /// While measuring.
    pub(crate) cpu_us: u64,
    pub(crate) cpu_us_per_operation: f64,
    pub(crate) cores: f64,
    /// Before the first connection of this run.
    pub(crate) rss_bytes_before: u64,
    /// At the end of measuring, all sessions open.
    pub(crate) rss_bytes: u64,
    /// Growth from before to the end, by the sessions that were open.
    pub(crate) rss_bytes_per_session: f64,
    pub(crate) processes: Vec<ProcessSample>,
}

impl Summary {
    /// Works everything out.
    pub(crate) fn new(workload: &str, measured: &Measured) -> Self {
        let outcome = &measured.outcome;
        let targets = outcome.targets.iter().map(|(name, share)| {
            let latency = Percentiles::of(&share.latency);
            (
                name.clone(),
                Target {
                    operations: share.operations,
                    latency,
                    disconnects: share.disconnects,
                },
            )
        });
        let bin = BIN.as_secs_f64();
        let timeline = outcome
            .timeline
            .iter()
            .enumerate()
            .map(|(index, point)| Point {
                at_s: index as f64 * bin,
                operations_per_second: point.operations as f64 / bin,
                max_ms: point.max_ms,
            });
        Self {
            loadgen: env!("CARGO_PKG_VERSION"),
            ended: utc(rustix::time::clock_gettime(ClockId::Realtime).tv_sec),
            workload: workload.to_owned(),
            command: public_arguments(std::env::args().skip(1)),
            clean: outcome.is_clean(),
            unit: outcome.unit.clone(),
            operations: outcome.operations,
            seconds: outcome.seconds,
            operations_per_second: ratio(outcome.operations as f64, outcome.seconds),
            sessions: outcome.sessions,
            sent: outcome.sent,
            received: outcome.received,
            faults: outcome.faults,
            in_doubt: outcome.in_doubt,
            disconnects: outcome.targets.values().map(|it| it.disconnects).sum(),
            failures: outcome.failures.clone(),
            latency: outcome
                .latencies
                .iter()
                .map(|(k, l)| (k.clone(), Percentiles::of(l)))
                .collect(),
            targets: targets.collect(),
            timeline: timeline.collect(),
            server: Server::of(measured),
            client_cpu_us_per_operation: ratio(
                outcome.client_cpu_us as f64,
                outcome.operations as f64,
            ),
            machine: measured.end.machine_since(&measured.begin),
            notes: outcome.facts(),
        }
    }

    /// What became of clients that were disconnected, if there were any.
    fn disconnected(&self) -> Option<String> {
        let (clients, messages) = (self.disconnects, self.in_doubt);
        (clients > 0).then(|| {
            format!(
                "  {clients} disconnects, {messages} messages were under way then and never came"
            )
        })
    }

    /// The summary for a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{}: {} {}s in {:.1} s, {:.1} a second, {} sessions",
            self.workload,
            self.operations,
            self.unit,
            self.seconds,
            self.operations_per_second,
            self.sessions
        )];
        lines.extend(self.latency.iter().map(|(kind, p)| {
            format!(
                "  {kind:<12} p50 {:.3} ms, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3} ({})",
                p.p50_ms, p.p90_ms, p.p99_ms, p.p999_ms, p.max_ms, p.count
            )
        }));
        if self.targets.len() > 1 {
            lines.extend(self.targets.iter().map(|(name, target)| {
                let p = &target.latency;
                format!(
                    "  {name}: {} {}s, p50 {:.3} ms, p99 {:.3}, max {:.3}, {} disconnects",
                    target.operations, self.unit, p.p50_ms, p.p99_ms, p.max_ms, target.disconnects
                )
            }));
        }
        lines.extend(self.disconnected());
        if let Some(server) = &self.server {
            lines.push(format!(
                "  server       {:.2} µs CPU a {}, {:.2} cores, {:.1} MB, {:.2} kB a session",
                server.cpu_us_per_operation,
                self.unit,
                server.cores,
                server.rss_bytes as f64 / 1e6,
                server.rss_bytes_per_session / 1e3
            ));
        }
        lines.push(format!(
            "  client       {:.2} µs CPU a {}; machine: {:.1} % stolen, {:.2} cores busy with others",
            self.client_cpu_us_per_operation,
            self.unit,
            self.machine.steal_percent,
            self.machine.others_cores
        ));
        lines.extend(
            self.notes
                .iter()
                .map(|(name, value)| format!("  {name}: {value:.3}")),
        );
        let faults = self
            .faults
            .rows()
            .into_iter()
            .filter(|(_, count)| *count > 0);
        lines.extend(faults.map(|(name, count)| format!("  FAULT {name}: {count}")));
        lines.extend(
            self.failures
                .iter()
                .map(|(why, count)| format!("  FAILED {count} × {why}")),
        );
        lines.push(if self.clean {
            "  clean".to_owned()
        } else {
            "  NOT CLEAN".to_owned()
        });
        lines
    }
}

impl Percentiles {
    fn of(latency: &Latency) -> Self {
        Self {
            count: latency.count(),
            mean_ms: latency.mean_ms(),
            p50_ms: latency.quantile_ms(0.5),
            p90_ms: latency.quantile_ms(0.9),
            p99_ms: latency.quantile_ms(0.99),
            p999_ms: latency.quantile_ms(0.999),
            max_ms: latency.max_ms(),
        }
    }
}

impl Server {
    fn of(measured: &Measured) -> Option<Self> {
        let Measured {
            outcome,
            idle,
            begin,
            end,
        } = measured;
        if end.processes.is_empty() {
            return None;
        }
        let cpu_us = end.cpu_us_since(begin);
        let grown = end.rss_bytes().saturating_sub(idle.rss_bytes());
        Some(Self {
            cpu_us,
            cpu_us_per_operation: ratio(cpu_us as f64, outcome.operations as f64),
            cores: ratio(cpu_us as f64 / 1e6, outcome.seconds),
            rss_bytes_before: idle.rss_bytes(),
            rss_bytes: end.rss_bytes(),
            rss_bytes_per_session: ratio(grown as f64, outcome.sessions as f64),
            processes: end.processes.clone(),
        })
    }
}

/// A moment after 1970 as people write it, to the minute.
fn utc(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March have their leap day at the end (Hinnant, "chrono-compatible
    // low-level date algorithms"); day 0 is the first of March of the year 0.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let of_era_years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_years + of_era_years / 4 - of_era_years / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + of_era_years + next;
    let (hour, minute) = (rest / 3_600, rest % 3_600 / 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// 0 where there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The command line without the password.
fn public_arguments(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut hidden = false;
    let publish = |argument: String| {
        if std::mem::replace(&mut hidden, argument == "--password") {
            return "…".to_owned();
        }
        match argument.starts_with("--password=") {
            true => "--password=…".to_owned(),
            false => argument,
        }
    };
    arguments.map(publish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_for_people() {
        let moments = [0, 951_782_400, 1_000_000_000, 1_795_633_215].map(utc);
        assert_eq!(
            moments,
            [
                "1970-01-01 00:00",
                "2000-02-29 00:00",
                "2001-09-09 01:46",
                "2026-11-25 19:00"
            ]
        );
    }

    #[test]
    fn the_password_is_in_no_report() {
        let given = ["login", "--password", "a", "--seed", "1", "--password=b"];
        let shown = public_arguments(given.into_iter().map(str::to_owned));
        assert_eq!(
            shown,
            ["login", "--password", "…", "--seed", "1", "--password=…"]
        );
    }
}
