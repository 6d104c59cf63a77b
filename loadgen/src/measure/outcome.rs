//! What one worker measured, and how several become one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Latency;
use crate::oracle::Faults;

/// The result of a worker, or of all of them.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// What one operation is: `message`, `login`, `presence` …
    pub(crate) unit: String,
    /// Operations done between begin and end of measuring.
    pub(crate) operations: u64,
    /// How long was measured, in seconds.
    pub(crate) seconds: f64,
    /// Sessions that were open while measuring.
    pub(crate) sessions: u64,
    /// Everything sent, warm-up included, that has to arrive.
    pub(crate) sent: u64,
    /// Everything that arrived, warm-up included.
    pub(crate) received: u64,
    /// The oracle's verdict.
    pub(crate) faults: Faults,
    /// Never arrived, and was under way when the connection of sender or recipient ended.
    pub(crate) in_doubt: u64,
    /// Operations that failed, by reason.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Latencies by kind of operation.
    pub(crate) latencies: BTreeMap<String, Latency>,
    /// The share of each target address.
    pub(crate) targets: BTreeMap<String, TargetShare>,
    /// Operations over the time of measuring, [`BIN`] each.
    pub(crate) timeline: Vec<Bin>,
    /// CPU time of the worker while measuring, in µs.
    pub(crate) client_cpu_us: u64,
    /// How often something happened, in words.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Facts of the workload in words, e.g. the time that collecting took.
    pub(crate) notes: BTreeMap<String, f64>,
}

/// What one target address did.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetShare {
    /// Operations while measuring.
    pub(crate) operations: u64,
    /// Their latency.
    pub(crate) latency: Latency,
    /// Sessions that ended without the client's doing.
    pub(crate) disconnects: u64,
}

/// One piece of the timeline.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bin {
    /// Operations that ended in it.
    pub(crate) operations: u64,
    /// The longest latency among them, in milliseconds.
    pub(crate) max_ms: f64,
}

/// The length of a [`Bin`].
pub(crate) const BIN: Duration = Duration::from_millis(250);

impl Outcome {
    /// An empty result for operations of one name.
    pub(crate) fn of(unit: &str) -> Self {
        Self {
            unit: unit.to_owned(),
            ..Self::default()
        }
    }

    /// Takes one operation that ended `at` after measuring began.
    pub(crate) fn record(&mut self, kind: &str, target: &str, at: Duration, latency: Duration) {
        self.operations += 1;
        entry(&mut self.latencies, kind).record(latency);
        let share = entry(&mut self.targets, target);
        share.operations += 1;
        share.latency.record(latency);
        let index = (at.as_nanos() / BIN.as_nanos()) as usize;
        if index < BINS_MAX {
            if self.timeline.len() <= index {
                self.timeline.resize(index + 1, Bin::default());
            }
            let bin = &mut self.timeline[index];
            bin.operations += 1;
            bin.max_ms = bin.max_ms.max(latency.as_secs_f64() * 1e3);
        }
    }

    /// Counts a session of this target that ended by itself.
    pub(crate) fn disconnect(&mut self, target: &str) {
        entry(&mut self.targets, target).disconnects += 1;
    }

    /// Takes how long a client needed to come back. It is no operation: nobody asked for it.
    pub(crate) fn returned(&mut self, took: Duration) {
        self.also("return", took);
    }

    /// Takes how long something took that goes beside operations.
    pub(crate) fn also(&mut self, kind: &str, latency: Duration) {
        entry(&mut self.latencies, kind).record(latency);
    }

    /// Counts something that is worth a note.
    pub(crate) fn count(&mut self, name: &str) {
        *entry(&mut self.counts, name) += 1;
    }

    /// Counts a failed operation.
    pub(crate) fn fail(&mut self, reason: String) {
        *self.failures.entry(reason).or_default() += 1;
    }

    /// The notes, with what was counted.
    pub(crate) fn facts(&self) -> BTreeMap<String, f64> {
        let counts = self.counts.iter();
        let counts = counts.map(|(name, count)| (name.clone(), *count as f64));
        self.notes.clone().into_iter().chain(counts).collect()
    }

    /// Takes another worker's result.
    pub(crate) fn merge(&mut self, other: Self) {
        self.unit = other.unit;
        self.operations += other.operations;
        self.seconds = self.seconds.max(other.seconds);
        self.sessions += other.sessions;
        self.sent += other.sent;
        self.received += other.received;
        self.faults += other.faults;
        self.in_doubt += other.in_doubt;
        self.client_cpu_us += other.client_cpu_us;
        for (reason, count) in other.failures {
            *self.failures.entry(reason).or_default() += count;
        }
        for (kind, latency) in other.latencies {
            self.latencies.entry(kind).or_default().merge(&latency);
        }
        for (target, share) in other.targets {
            let ours = self.targets.entry(target).or_default();
            ours.operations += share.operations;
            ours.latency.merge(&share.latency);
            ours.disconnects += share.disconnects;
        }
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (name, value) in other.notes {
            let ours = self.notes.entry(name).or_default();
            *ours = ours.max(value);
        }
        self.timeline.resize(
            self.timeline.len().max(other.timeline.len()),
            Bin::default(),
        );
        for (ours, theirs) in self.timeline.iter_mut().zip(other.timeline) {
            ours.operations += theirs.operations;
            ours.max_ms = ours.max_ms.max(theirs.max_ms);
        }
    }

    /// Whether everything that had to arrive did, and nothing failed.
    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_clean() && self.failures.is_empty()
    }
}

/// The entry of `name` without making a string for one that is there.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, name: &str) -> &'a mut V {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name).expect("inserted above")
}

/// Ten hours of bins: what comes later is counted but not drawn.
const BINS_MAX: usize = 144_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64, failure: Option<&str>) -> Outcome {
        let mut outcome = Outcome::of("message");
        let at = Duration::from_millis(at_ms);
        outcome.record("message", "a:1", at, Duration::from_millis(2));
        outcome.faults.lost = 1;
        outcome.disconnect("a:1");
        failure
            .into_iter()
            .for_each(|reason| outcome.fail(reason.to_owned()));
        outcome
    }

    #[test]
    fn merging_adds_counts_bins_and_failures() {
        let mut all = sample(0, None);
        all.merge(sample(600, Some("closed")));
        assert_eq!(
            (all.operations, all.faults.lost, all.failures["closed"]),
            (2, 2, 1)
        );
        let bins: Vec<u64> = all.timeline.iter().map(|bin| bin.operations).collect();
        assert_eq!(bins, [1, 0, 1]);
        assert_eq!(all.latencies["message"].count(), 2);
        assert_eq!(all.targets["a:1"].operations, 2);
        assert_eq!(all.targets["a:1"].disconnects, 2);
        assert!(!all.is_clean());
    }
}
