//! What the process costs its machine, read from `/proc/self` when somebody asks.

use std::fmt::Write;
use std::fs;

/// CPU, memory and files of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessUsage {
    /// User and system time since the start.
    pub cpu_seconds: f64,
    /// Memory that is in RAM.
    pub resident_bytes: u64,
    /// Open files, sockets included.
    pub open_files: u64,
}

impl ProcessUsage {
    /// Reads it; `None` where there is no `/proc`.
    pub fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in brackets and may hold anything, so count from
        // behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = number(11)? + number(12)?;
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        Some(Self {
            cpu_seconds: ticks as f64 / ticks_per_second as f64,
            resident_bytes: number(21)? * page,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        })
    }

    /// Prometheus' text form, with the names that its other exporters use.
    pub fn to_prometheus(self) -> String {
        let mut text = String::new();
        let metrics = [
            ("process_cpu_seconds_total", "counter", self.cpu_seconds),
            (
                "process_resident_memory_bytes",
                "gauge",
                self.resident_bytes as f64,
            ),
            ("process_open_fds", "gauge", self.open_files as f64),
        ];
        for (name, kind, value) in metrics {
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_sees_its_own_memory_and_files() {
        let usage = ProcessUsage::read().unwrap();
        assert!(
            usage.resident_bytes > 100_000 && usage.open_files >= 3,
            "{usage:?}"
        );
        assert!(usage.to_prometheus().contains("\nprocess_open_fds "));
    }
}
