//! What a scenario finds: figures, and what should not have been.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::load::Report;

/// Collects figures and compares them with what is allowed.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    figures: Map<String, Value>,
    violations: Vec<String>,
}

/// The result of one scenario, as `--json` has it.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// What may happen in it.
    pub(crate) allows: String,
    /// What was measured.
    pub(crate) figures: Map<String, Value>,
    /// `passed` or `failed`.
    pub(crate) verdict: &'static str,
    /// What should not have been.
    pub(crate) violations: Vec<String>,
}

impl Judge {
    /// The figures of a load: messages, the longest pause, disconnects by node.
    pub(crate) fn of(report: &Report) -> Self {
        let mut judge = Self::default();
        let faults = report.faults;
        judge.figure("messages_sent", json!(report.sent));
        judge.figure("messages_received", json!(report.received));
        judge.figure("faults", json!(faults));
        judge.figure("in_doubt", json!(report.in_doubt));
        judge.figure("longest_pause_ms", json!(report.longest_pause_ms()));
        judge.figure("latency", json!(report.latency));
        let nodes = report.targets.iter().map(|(name, target)| {
            let node = json!({
                "operations": target.operations,
                "disconnects": target.disconnects,
                "p99_ms": target.latency.p99_ms,
                "max_ms": target.latency.max_ms,
            });
            (name.clone(), node)
        });
        judge.figure("nodes", Value::Object(nodes.collect()));
        judge.figure("failures", json!(report.failures));
        if !report.notes.is_empty() {
            judge.figure("notes", json!(report.notes));
        }
        judge
    }

    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: &str, value: Value) {
        self.figures.insert(name.to_owned(), value);
    }

    /// No message was lost, doubled, reordered, altered or bounced, and no operation failed.
    pub(crate) fn nothing_wrong(self, report: &Report) -> Self {
        self.nothing_lost(report).nothing_failed(report)
    }

    /// No message was lost, doubled, reordered, altered or bounced.
    pub(crate) fn nothing_lost(mut self, report: &Report) -> Self {
        let faults = report.faults;
        for (what, count) in [
            ("lost", faults.lost),
            ("doubled", faults.doubled),
            ("reordered", faults.reordered),
            ("from a wrong sender", faults.wrong_sender),
            ("altered", faults.altered),
            ("bounced", faults.bounced),
        ] {
            self.check(count == 0, || format!("{count} messages {what}"));
        }
        self
    }

    /// No operation failed.
    pub(crate) fn nothing_failed(mut self, report: &Report) -> Self {
        for (reason, count) in &report.failures {
            self.check(false, || format!("{count} × {reason}"));
        }
        self
    }

    /// No client was disconnected, but for those of the node with this address.
    pub(crate) fn nobody_disconnected_but(mut self, report: &Report, of: Option<&str>) -> Self {
        for (name, target) in &report.targets {
            let count = target.disconnects;
            self.check(count == 0 || of == Some(name), || {
                format!("{count} clients of {name} were disconnected")
            });
        }
        self
    }

    /// No client was disconnected.
    pub(crate) fn nobody_disconnected(self, report: &Report) -> Self {
        self.nobody_disconnected_but(report, None)
    }

    /// Nothing took longer.
    pub(crate) fn pause_at_most(mut self, report: &Report, max_ms: f64) -> Self {
        let pause = report.longest_pause_ms();
        self.check(pause <= max_ms, || {
            format!("a pause of {pause:.0} ms, at most {max_ms:.0}")
        });
        self
    }

    /// Something else that must be.
    pub(crate) fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    /// The end of it.
    pub(crate) fn verdict(self, scenario: &str, allows: &str) -> Verdict {
        Verdict {
            scenario: scenario.to_owned(),
            allows: allows.to_owned(),
            figures: self.figures,
            verdict: match self.violations.is_empty() {
                true => "passed",
                false => "failed",
            },
            violations: self.violations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let report = json!({
            "sent": 10, "received": 9, "in_doubt": 1,
            "faults": {
                "lost": 0, "doubled": 0, "reordered": 0, "wrong_sender": 0, "altered": 0, "bounced": 0
            },
            "failures": {}, "notes": {},
            "latency": {
                "message": {"count": 9, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 900.0},
                "return": {"count": 1, "p50_ms": 5000.0, "p99_ms": 5000.0, "max_ms": 5000.0}
            },
            "targets": {
                "a:1": {
                    "operations": 9, "disconnects": 1,
                    "latency": {"count": 9, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 900.0}
                }
            }
        });
        serde_json::from_value(report).unwrap()
    }

    fn judged(report: &Report, node: Option<&str>) -> Verdict {
        Judge::of(report)
            .nothing_wrong(report)
            .nobody_disconnected_but(report, node)
            .pause_at_most(report, 1_000.0)
            .verdict("test", "nothing")
    }

    #[test]
    fn what_is_allowed_passes() {
        let verdict = judged(&report(), Some("a:1"));
        assert_eq!((verdict.verdict, verdict.violations.len()), ("passed", 0));
        assert_eq!(verdict.figures["longest_pause_ms"], 900.0);
    }

    #[test]
    fn each_thing_that_is_not_allowed_is_found() {
        let spoil: [fn(&mut Report); 8] = [
            |it| it.faults.lost = 1,
            |it| it.faults.doubled = 1,
            |it| it.faults.reordered = 1,
            |it| it.faults.wrong_sender = 1,
            |it| it.faults.altered = 1,
            |it| it.faults.bounced = 1,
            |it| it.failures.extend([("no answer to ping".to_owned(), 1)]),
            |it| it.latency.get_mut("message").unwrap().max_ms = 1_001.0,
        ];
        for spoil in spoil {
            let mut report = report();
            spoil(&mut report);
            let verdict = judged(&report, Some("a:1"));
            assert_eq!(verdict.verdict, "failed");
            assert_eq!(verdict.violations.len(), 1, "{:?}", verdict.violations);
        }
        let others = judged(&report(), None);
        assert_eq!(others.violations, ["1 clients of a:1 were disconnected"]);
    }
}
