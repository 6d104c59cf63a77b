//! A latency histogram that travels between processes.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Latencies in nanoseconds, three significant digits, 1 µs to 10 min (saturating).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let bounds = (LOWEST_NS, HIGHEST_NS, DIGITS);
        Self(Histogram::new_with_bounds(bounds.0, bounds.1, bounds.2).expect("valid bounds"))
    }
}

impl Latency {
    /// Takes one measurement.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.record_n(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX), 1);
    }

    /// Takes all of another's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0
            .add(&other.0)
            .expect("all histograms have the same bounds");
    }

    /// How many were taken.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value in milliseconds below which `quantile` (0 to 1) of all are.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / NS_PER_MS
    }

    /// The largest, in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        self.0.max() as f64 / NS_PER_MS
    }

    /// The mean, in milliseconds.
    pub(crate) fn mean_ms(&self) -> f64 {
        self.0.mean() / NS_PER_MS
    }

    fn record_n(&mut self, ns: u64, count: u64) {
        self.0
            .saturating_record_n(ns.clamp(LOWEST_NS, HIGHEST_NS), count);
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = self.0.iter_recorded();
        serializer.collect_seq(filled.map(|v| (v.value_iterated_to(), v.count_at_value())))
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut latency = Self::default();
        for (ns, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            latency.record_n(ns, count);
        }
        Ok(latency)
    }
}

const NS_PER_MS: f64 = 1e6;
const LOWEST_NS: u64 = 1_000;
const HIGHEST_NS: u64 = 600_000_000_000;
const DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        micros
            .into_iter()
            .for_each(|us| latency.record(Duration::from_micros(us)));
        latency
    }

    #[test]
    fn merged_histograms_equal_one_that_took_everything() {
        let mut merged = of(1..500);
        merged.merge(&of(500..=1000));
        assert_eq!(merged, of(1..=1000));
        assert!((merged.quantile_ms(0.99) - 0.99).abs() < 0.01);
    }

    #[test]
    fn a_histogram_survives_the_way_between_processes() {
        let latency = of([1, 10, 100, 1_000, 1_000_000, 900_000_000]);
        let text = serde_json::to_string(&latency).unwrap();
        assert_eq!(serde_json::from_str::<Latency>(&text).unwrap(), latency);
    }
}
